"""Processes that another one started: a worker sends nothing unless it connected itself, and it can connect."""

from __future__ import annotations

import functools
import json
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import keyapi_research as kr
from keyapi_research.sandbox import Sandbox

Make = Callable[..., kr.Client]
Run = Callable[..., list[Any]]
LONG = 120  # seconds: never a measure of speed, only of "it did not hang"
TOKEN = "a-token-of-the-tests"
# Python 3.12 and later warn who forks beside threads: some of these tests are about just that.
PYTHON = [sys.executable, "-W", "ignore:This process:DeprecationWarning"]
posix = pytest.mark.skipif(os.name != "posix", reason="needs forks")


@pytest.fixture
def environment(sandbox: Sandbox, tmp_path: Path) -> dict[str, str]:
    """As somebody's who has a key: whatever connects by itself is counted by the server."""
    path = [str(Path(kr.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "KEYAPI_TOKEN": TOKEN,
        "KEYAPI_BASE_URL": sandbox.url,
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "PYTHONPATH": os.pathsep.join(path),
    }


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Run:
    """Run a script from a file, as spawned workers need it; give the JSON of each line it printed."""

    def start(script: str, *args: object) -> list[Any]:
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(script))
        done = subprocess.run(
            [*PYTHON, str(path), *map(str, args)],
            capture_output=True, text=True, check=False, timeout=LONG, env=environment, cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return start


def tags(*numbers: int) -> list[str]:
    return [f"tag{number}" for number in numbers]


def requested(sandbox: Sandbox) -> Counter[str]:
    return Counter(request.params["hashtag_name"] for request in sandbox.requests)


POOLS = """
    import json, multiprocessing, sys
    from concurrent.futures import ProcessPoolExecutor
    import keyapi_research as kr

    def map_over(kind, function, items, workers, connect=None):
        if kind == "joblib":
            import joblib
            start = joblib.Parallel(n_jobs=max(workers, 2), backend="loky")  # one would run in this process
            return start(joblib.delayed(function)(item) for item in items)
        method, _, pool = kind.partition(" ")
        context = multiprocessing.get_context(method)
        if pool == "Pool":
            with context.Pool(workers, connect) as started:
                return started.map(function, items)
        with ProcessPoolExecutor(workers, mp_context=context, initializer=connect) as started:
            return list(started.map(function, items))
"""
KINDS = [
    "spawn", "fork", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("forkserver", "spawn Pool", "joblib")),
]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """A way to start workers."""
    if request.param == "joblib":
        pytest.importorskip("joblib")
    elif os.name != "posix" and not request.param.startswith("spawn"):
        pytest.skip("needs forks")
    return str(request.param)


def advice(kind: str) -> str:
    """What the error says: a fork has its parent's client at hand, which is another message."""
    return "onnect" if kind == "fork" else "Connect in the worker"


# A worker that did not connect -------------------------------------------------------------------------------------

NOT_CONNECTED = POOLS + """
    def attempt(kind, parent):
        try:
            frames = map_over(kind, kr.fetch_hashtags, ["cats", "dogs"], 1)
        except Exception as error:
            print(json.dumps([parent, isinstance(error, kr.StoreError), str(error)]))
        else:
            print(json.dumps([parent, False, f"{sum(map(len, frames))} rows"]))

    if __name__ == "__main__":
        attempt(sys.argv[1], "nobody")
        client = kr.connect(requests_per_second=None, progress=False)
        attempt(sys.argv[1], "the parent")
        assert client.credits_spent == 0
        kr.fetch_hashtags("birds")
"""


def test_a_worker_that_did_not_connect_sends_nothing(kind: str, run: Run, sandbox: Sandbox) -> None:
    told = run(NOT_CONNECTED, kind)
    assert [parent for parent, _, _ in told] == ["nobody", "the parent"]
    for _, refused, text in told:
        assert refused, text
        assert advice(kind) in text
    assert requested(sandbox) == {"birds": 1}  # the parent itself goes on


IN_THE_SANDBOX = POOLS + """
    def use(name):
        told = []
        for call in (lambda: kr.fetch_hashtags("cats"), lambda: kr.plan(kr.fetch_hashtags, "cats"), kr.ledger,
                     kr.status):
            try:
                call()
            except kr.StoreError as error:
                told.append(str(error))
            else:
                told.append("it was done")
        return told

    if __name__ == "__main__":
        kr.connect(sandbox=True, progress=False)
        kr.fetch_hashtags("cats")
        for text in map_over(sys.argv[1], use, ["once"], 1)[0]:
            print(json.dumps(text))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["spawn", "fork"], indirect=True)
def test_a_worker_of_a_parent_in_the_sandbox_uses_no_key_it_finds(kind: str, run: Run, sandbox: Sandbox) -> None:
    told = run(IN_THE_SANDBOX, kind)
    assert len(told) == 4
    for text in told:
        assert advice(kind) in text
    assert sandbox.requests == []


# A worker that connected -------------------------------------------------------------------------------------------

CONNECTED = POOLS + """
    def connect():
        kr.connect(store="shared.sqlite", requests_per_second=None, progress=False)

    def fetch(first):
        return kr.fetch_hashtags([f"tag{n}" for n in range(first, first + 8)])["hashtag_name"].tolist()

    def connect_and_fetch(first):
        connect()
        return fetch(first)

    if __name__ == "__main__":
        kind = sys.argv[1]
        if sys.argv[2:]:
            connect()  # the same settings as in the workers
        loky = kind == "joblib"
        for names in map_over(kind, connect_and_fetch if loky else fetch, [0, 4], 2, None if loky else connect):
            print(json.dumps(names))
        if sys.argv[2:]:
            print(json.dumps(fetch(8)))
"""


@pytest.mark.parametrize("kind", [
    "fork", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("spawn", "forkserver", "joblib")),
], indirect=True)
def test_workers_that_connected_to_one_store_pay_for_each_id_once(
    kind: str, run: Run, sandbox: Sandbox, make_client: Make, tmp_path: Path
) -> None:
    sandbox.latency = 0.05
    parent = ["connected"] if kind in {"spawn", "fork"} else []
    told = run(CONNECTED, kind, *parent)
    assert told[:2] == [tags(*range(8)), tags(*range(4, 12))]
    total = 16 if parent else 12
    assert requested(sandbox) == Counter(tags(*range(total)))
    assert sandbox.charged == make_client(store=tmp_path / "shared.sqlite").ledger()["credits"].sum() == 2 * total


# Forked ------------------------------------------------------------------------------------------------------------

FORKS = """
    import json, os, sys, threading, traceback
    import keyapi_research as kr

    def connect(**options):
        return kr.connect(store="store.sqlite", requests_per_second=None, progress=False, **options)

    def rows(name, **options):
        return len(kr.fetch_hashtags(name, **options))

    def in_a_fork(job):
        read, write = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.write(write, json.dumps(job()).encode())
            except kr.KeyAPIError as error:
                os.write(write, json.dumps([type(error).__name__, str(error)]).encode())
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(write)
        with open(read) as pipe:
            print(pipe.read() or '"it died"', flush=True)
        os.waitpid(child, 0)
"""

DEFAULT_CLIENT = FORKS + """
    client = connect()
    rows("cats")
    in_a_fork(lambda: rows("dogs"))
    in_a_fork(lambda: rows("dogs", client=client))
    in_a_fork(lambda: len(kr.ledger()))
    in_a_fork(lambda: rows("cats"))  # though it is stored
    print(rows(["cats", "birds"]))
"""


@posix
def test_a_fork_that_uses_its_parents_client_gets_an_error_that_leads_to_connect(run: Run, sandbox: Sandbox) -> None:
    *refused, here = run(DEFAULT_CLIENT)
    assert len(refused) == 4
    for kind, text in refused:
        assert kind == "StoreError"
        assert "connect" in text
    assert here == 2
    assert requested(sandbox) == {"cats": 1, "birds": 1}


CONNECT_THERE = FORKS + """
    client = connect()
    rows("cats")

    def again():
        new = connect()
        assert new is not client and kr.connect(store="store.sqlite", requests_per_second=None, progress=False) is new
        return [rows("cats"), rows("dogs"), rows("dogs", client=new), int(new.credits_spent)]

    def other_settings():
        new = connect(max_workers=1)
        assert new is not client
        return [rows("cats"), rows("birds"), int(new.credits_spent)]

    def own():
        with kr.Client(store="store.sqlite", requests_per_second=None, progress=False) as new:
            return [rows("cats", client=new), rows("fish", client=new), int(new.credits_spent)]

    def close_first():
        client.close()
        return rows("cats") if connect() is not client else "the parent's"

    def grandchild():
        connect()
        rows("cats")
        in_a_fork(lambda: rows("dogs"))
        in_a_fork(lambda: rows("dogs") if connect() else 0)
        return "done"

    for job in (again, other_settings, own, close_first, grandchild):
        in_a_fork(job)
    assert connect() is client
    print(rows(["cats", "dogs", "birds", "fish", "mice"]))
"""


@posix
def test_a_fork_that_connects_gets_a_client_of_its_own_and_the_parents_goes_on(run: Run, sandbox: Sandbox) -> None:
    again, other_settings, own, close_first, (kind, text), grandchild, done, here = run(CONNECT_THERE)
    assert again == [1, 1, 1, 2]
    assert other_settings == [1, 1, 2]
    assert own == [1, 1, 2]
    assert close_first == 1
    assert kind == "StoreError"
    assert "connect" in text
    assert (grandchild, done) == (1, "done")
    assert here == 5
    assert requested(sandbox) == {"cats": 1, "dogs": 1, "birds": 1, "fish": 1, "mice": 1}


IN_A_SANDBOX = FORKS + """
    client = kr.connect(sandbox=True, store=":memory:", progress=False)
    rows("cats")

    def again():
        new = kr.connect(sandbox=True, store=":memory:", progress=False)
        assert new is not client
        return [rows("cats"), rows("dogs")]

    in_a_fork(again)
    print(json.dumps([rows("cats"), rows("birds"), len(client.ledger())]))
"""


@posix
@pytest.mark.slow
def test_a_fork_that_connects_to_the_sandbox_has_a_sandbox_of_its_own(run: Run, sandbox: Sandbox) -> None:
    assert run(IN_A_SANDBOX) == [[1, 1], [1, 1, 2]]
    assert sandbox.requests == []


WHILE_A_THREAD_IS_IN_A_CALL = FORKS + """
    client = connect()
    rows("cats")  # what is imported late is imported now

    def fetch():
        slow.append(rows(["slow", *(f"more{n}" for n in range(int(sys.argv[1])))]))

    slow = []
    thread = threading.Thread(target=fetch)
    if sys.argv[2] == "budget":
        with kr.budget(50):
            thread.start()
            sys.stdin.readline()  # its request is under way
    else:
        thread.start()
        sys.stdin.readline()

    def again():
        connect()
        return [rows("cats"), rows(["dogs", "birds"])]

    def own():
        with kr.Client(store="store.sqlite", requests_per_second=None, progress=False) as new:
            return rows(["dogs", "fish"], client=new)

    in_a_fork(again)
    in_a_fork(own)
    print(rows(["cats", "fish"]), flush=True)  # in the parent, beside the thread
    thread.join()
    print(slow[0])
"""


@posix
@pytest.mark.parametrize(("more", "block"), [
    (9, "none"), *(pytest.param(*one, marks=pytest.mark.slow) for one in ((3, "budget"), (0, "none"))),
])
def test_a_fork_beside_a_thread_that_is_in_a_call_can_connect_and_fetch(
    more: int, block: str, environment: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    under_way, answered = threading.Semaphore(0), threading.Event()

    def hold(_: str, params: dict[str, str]) -> None:
        if params["hashtag_name"].startswith(("slow", "more")):
            under_way.release()
            answered.wait(LONG)

    sandbox.on_request = hold
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(WHILE_A_THREAD_IS_IN_A_CALL))
    with subprocess.Popen(
        [*PYTHON, str(script), str(more), block],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        watch = threading.Timer(LONG, parent.kill)  # what hangs is ended
        watch.start()
        for _ in range(min(4, 1 + more)):
            assert under_way.acquire(timeout=LONG)
        parent.stdin.write("\n")
        parent.stdin.flush()
        told = [json.loads(parent.stdout.readline() or '"it hung or died"') for _ in range(3)]
        answered.set()
        told.append(json.loads(parent.stdout.readline() or '"it hung or died"'))
        assert parent.wait(LONG) == 0
        watch.cancel()
    assert told == [[1, 2], 2, 2, 1 + more]
    names = ["cats", "dogs", "birds", "fish", "slow", *(f"more{n}" for n in range(more))]
    assert requested(sandbox) == Counter(names)


# Not a worker ------------------------------------------------------------------------------------------------------

PLAIN = """
    import subprocess, sys
    import keyapi_research as kr

    def start(names):
        code = f"import keyapi_research as kr; print(len(kr.fetch_hashtags({names!r})))"
        subprocess.run([sys.executable, "-c", code], check=True)

    start("cats")
    kr.connect(store="other.sqlite", progress=False)
    kr.fetch_hashtags("dogs")
    start(["cats", "dogs"])
"""


def test_a_program_that_another_one_starts_may_connect_by_itself(run: Run, sandbox: Sandbox) -> None:
    assert run(PLAIN) == [1, 2]
    assert requested(sandbox) == {"cats": 1, "dogs": 2}  # their store is the usual one, not that of their parent


# Pickled -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [
    lambda client: client,
    lambda client: {"client": [client]},
    lambda client: functools.partial(kr.fetch_hashtags, client=client),
], ids=["itself", "in a dict", "in a call"])
@pytest.mark.parametrize("options", [{}, {"sandbox": True, "token": None, "base_url": None, "store": ":memory:"}], ids=[
    "with a key", "of the sandbox",
])
def test_a_client_is_not_pickled_and_the_error_has_what_to_do(
    options: dict[str, Any], wrap: Callable[[kr.Client], Any], make_client: Make, sandbox: Sandbox
) -> None:
    client = make_client(**options)
    kr.fetch_hashtags("cats", client=client)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises((TypeError, kr.KeyAPIError), match="connect in the worker") as caught:
            pickle.dumps(wrap(client), protocol)
        assert TOKEN not in str(caught.value)
    assert len(kr.fetch_hashtags("cats", client=client)) == 1


def test_an_offline_client_is_not_pickled_either(client: kr.Client, make_client: Make, sandbox: Sandbox) -> None:
    kr.fetch_hashtags("cats", client=client)
    with pytest.raises((TypeError, kr.KeyAPIError), match="connect in the worker"):
        pickle.dumps(make_client(token=None, base_url=None, offline=True))


def test_a_client_is_not_handed_to_a_worker_of_joblib(client: kr.Client) -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    with pytest.raises((TypeError, kr.KeyAPIError), match="connect in the worker"):
        cloudpickle.dumps(lambda name: kr.fetch_hashtags(name, client=client))


# Another library's session -----------------------------------------------------------------------------------------

REPLACED = {
    "a cache in memory": """
        import requests_cache
        requests_cache.install_cache(backend="memory")
    """,
    "a cache in a file that serves whatever it has": """
        import requests_cache
        requests_cache.install_cache("cache", backend="sqlite", expire_after=-1, stale_if_error=True)
    """,
    "a subclass that sends nothing": """
        import requests
        class Session(requests.Session):
            def send(self, *args, **options):
                raise RuntimeError("this is not the session of requests")
        requests.Session = requests.sessions.Session = Session
    """,
}
REFRESH = """
import json
import keyapi_research as kr
client = kr.connect(store="store.sqlite", requests_per_second=None, progress=False)
first, second = (kr.fetch_hashtags("cats", max_age=0)["observed_at"].iloc[0] for _ in range(2))
print(json.dumps([bool(first < second), client.ledger()["credits"].tolist()]))
"""


@pytest.mark.parametrize("replaced", [
    pytest.param("a cache in memory", marks=pytest.mark.slow),  # in a file: another test of the suite
    "a subclass that sends nothing",
    pytest.param("a cache in a file that serves whatever it has", marks=pytest.mark.slow),
])
def test_a_refresh_goes_out_whatever_another_library_put_in_the_place_of_the_session(
    replaced: str, run: Run, sandbox: Sandbox
) -> None:
    assert run(f"{textwrap.dedent(REPLACED[replaced])}{REFRESH}") == [[True, [2, 2]]]
    assert requested(sandbox) == {"cats": 2}


@pytest.mark.slow
def test_a_cache_installed_after_the_import_is_not_used_either(run: Run, sandbox: Sandbox) -> None:
    cache = textwrap.dedent(REPLACED["a cache in memory"])
    assert run(f"import keyapi_research\n{cache}{REFRESH}") == [[True, [2, 2]]]
    assert requested(sandbox) == {"cats": 2}


@pytest.mark.parametrize("names", [
    "requests.Session = requests.sessions.Session",
    pytest.param("requests.Session", marks=pytest.mark.slow),
])
def test_the_import_works_where_requests_has_only_a_function_for_a_session(names: str, run: Run) -> None:
    script = f"""
        import requests
        {names} = lambda *args, **options: None
        import keyapi_research as kr
        print(len(kr.tables()))
    """
    [tables] = run(script)
    assert tables > 0
