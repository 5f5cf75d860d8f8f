"""Several processes and clients on one store: an id is paid once, who waits gets the outcome, nobody waits for ever."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from stores import Place, wait_until

import keyapi_research as kr
from keyapi_research.sandbox import Fault, Sandbox
from keyapi_research.settings import is_address

pytestmark = [
    pytest.mark.both_stores,
    pytest.mark.skipif(os.name != "posix", reason="needs the signals and forks of POSIX"),
]

Make = Callable[..., kr.Client]
Job = dict[str, Any]
# Python 3.12 and later warn who forks beside threads: those of a process that only imported are NumPy's and Arrow's.
FORKING = [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c"]
WORKERS = 4  # requests a client has in flight, by default
A_MOMENT = 1.0  # for what a call that is under way does at once; it cannot be seen from outside
LONG = 60.0  # seconds: never a measure of speed, only of "it did not wait for ever"
PATIENT = (5, 120)  # a time-out longer than any hold of a test
HASTY = (1, 2)  # a client with this time-out waits about three seconds for the claim of one that died
CALM = (3, 6)  # nine seconds, which outlast a wait for the write lock among many on a busy machine


# A helper that forks ----------------------------------------------------------------------------------------------


def report(client: kr.Client, job: Job) -> dict[str, Any]:
    """Make a call; tell what came. Runs here and, as text, in the processes."""
    began = time.monotonic()
    for _ in range(job.get("tries", 1) - 1):
        try:
            getattr(kr, job["fetch"])(*job["args"], client=client, **job["options"])
            break
        except kr.KeyAPIError:
            time.sleep(0.1)
    try:
        frame = getattr(kr, job["fetch"])(*job["args"], client=client, **job["options"])
    except (kr.KeyAPIError, KeyboardInterrupt) as error:
        failures = getattr(error, "failures", None)
        told = {
            "error": type(error).__name__,
            "text": str(error),
            "failures": {} if failures is None else dict(zip(failures["id"], failures["error"], strict=True)),
        }
    else:
        told = {
            "error": None,
            "rows": len(frame),
            "columns": {name: frame[name].astype(str).tolist() for name in frame},
            "csv": frame.to_csv(index=False),
        }
    return {**told, "took": time.monotonic() - began}


HELPER = """
    import json, os, signal, sys, time, traceback
    import keyapi_research as kr
    import keyapi_research.sandbox, psycopg, tqdm  # what is imported late is imported now, once for all forks

    def say(**what):
        os.write(1, (json.dumps(what) + "\\n").encode())  # short enough to go out in one piece

    def reap(*_):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            say(ended=pid, status=status)

    def wait_for(gate):
        while gate and not os.path.exists(gate):
            time.sleep(0.001)

    def work(job):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        options = {"requests_per_second": None, **job["client"], "timeout": tuple(job["client"]["timeout"])}
        if job["opens_at"]:
            say(ready=os.getpid())
            wait_for(job["opens_at"])
        with kr.Client(token="a-token-of-the-tests", base_url=job["url"], store=job["store"],
                       max_call_credits=None, progress=False, **options) as client:
            say(ready=os.getpid())
            wait_for(job["gate"])
            told = report(client, job)
        with open(job["result"], "w") as file:
            json.dump(told, file)

    signal.signal(signal.SIGCHLD, reap)
    for line in sys.stdin:  # a fork for each line: importing pandas for each process would take a minute
        child = os.fork()
        if not child:
            code = 1
            try:
                work(json.loads(line))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        say(started=child)
"""


class Child:
    """A process that makes one call."""

    def __init__(self, helper: Helper, pid: int, job: Job) -> None:
        self._helper, self.pid, self.job = helper, pid, job

    @property
    def ended(self) -> bool:
        with self._helper.changed:
            return self.pid in self._helper.ended

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            self.signal(signal.SIGKILL)
        self.wait()

    def wait_until_ready(self) -> None:
        told = (self._helper.ready, self._helper.ended)
        self._helper.wait(lambda: any(self.pid in pids for pids in told), f"process {self.pid} did not get ready")
        assert self.pid in self._helper.ready, self._helper.said()

    def wait(self, seconds: float = LONG) -> int:
        self._helper.wait(lambda: self.pid in self._helper.ended, f"process {self.pid} did not end", seconds)
        return self._helper.ended[self.pid]

    def result(self, seconds: float = LONG) -> dict[str, Any]:
        assert self.wait(seconds) == 0, self._helper.said()
        told: dict[str, Any] = json.loads(Path(self.job["result"]).read_text())
        return told


class Helper:
    """An interpreter that imported everything once and forks a process for each job."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.errors = folder / "stderr"
        self.changed = threading.Condition()
        self.started: list[int] = []
        self.ready: set[int] = set()
        self.ended: dict[int, int] = {}
        self.gone = False
        self.read = 0  # how much of stderr is of tests before this one
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KEYAPI_")}
        path = [str(Path(kr.__file__).parents[1]), *filter(None, [environment.get("PYTHONPATH")])]
        environment |= {"PYTHONPATH": os.pathsep.join(path), "XDG_DATA_HOME": str(folder)}
        source = f"from __future__ import annotations\n{inspect.getsource(report)}\n{textwrap.dedent(HELPER)}"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [*FORKING, source],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = json.loads(line)
            with self.changed:
                if "started" in said:
                    self.started.append(said["started"])
                elif "ready" in said:
                    self.ready.add(said["ready"])
                else:
                    self.ended[said["ended"]] = said["status"]
                self.changed.notify_all()
        with self.changed:
            self.gone = True
            self.changed.notify_all()

    def wait(self, condition: Callable[[], bool], complaint: str, seconds: float = LONG) -> None:
        with self.changed:
            self.changed.wait_for(lambda: condition() or self.gone, timeout=seconds)
            came = condition()
        assert came, f"{complaint} in {seconds} s\n{self.said()}"

    def said(self) -> str:
        """What its processes wrote to stderr during this test."""
        return self.errors.read_text()[self.read :]

    def start(self, job: Job) -> Child:
        assert self.process.stdin is not None
        number = len(self.started)
        job = {**job, "result": str(self.folder / f"result {number}")}
        self.process.stdin.write(f"{json.dumps(job)}\n")
        self.process.stdin.flush()
        self.wait(lambda: len(self.started) > number, "no process was forked")
        return Child(self, self.started[number], job)

    def end_all(self) -> None:
        with self.changed:
            left = [pid for pid in self.started if pid not in self.ended]
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait(lambda: set(left) <= set(self.ended), "killed processes did not end")

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.end_all()
        self.process.stdin.close()
        self.process.wait(LONG)
        self._reader.join(LONG)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def helper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helper]:
    made = Helper(tmp_path_factory.mktemp("helper"))
    yield made
    made.close()


class Desk:
    """What the server does with requests: notes them as they come, keeps some waiting, spoils some."""

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self.held: set[str] = set()
        self.hold_next = 0  # so many more are kept waiting, whatever they request
        self.faults: dict[str, Fault] = {}
        self._changed = threading.Condition()
        self._open = threading.Event()

    def __call__(self, path: str, params: dict[str, str]) -> Fault | None:
        name = params.get("hashtag_name") or params.get("video_ids") or f"page {params['page']}"
        with self._changed:
            self.arrived.append(name)
            if self.hold_next:
                self.hold_next -= 1
                self.held.add(name)
            held = name in self.held
            self._changed.notify_all()
        if held:
            self._open.wait(2 * LONG)
        return self.faults.get(name)

    def wait_for(self, *names: str) -> None:
        """Wait until these were requested."""
        self._wait(lambda: all(name in self.arrived for name in names), f"not all of {names} were requested")

    def wait_for_requests(self, number: int) -> None:
        self._wait(lambda: len(self.arrived) >= number, f"not {number} requests came")

    def _wait(self, condition: Callable[[], bool], complaint: str) -> None:
        with self._changed:
            came = self._changed.wait_for(condition, timeout=LONG)
        assert came, f"{complaint}: {self.arrived}"

    def release(self) -> None:
        """Answer what was kept waiting, and keep nothing waiting any more."""
        with self._changed:
            self.hold_next = 0
            self.held.clear()
        self._open.set()


@pytest.fixture
def desk(sandbox: Sandbox) -> Iterator[Desk]:
    desk = Desk()
    sandbox.on_request = desk
    yield desk
    desk.release()


Begin = Callable[..., Any]


@pytest.fixture
def begin(helper: Helper, sandbox: Sandbox, place: Place) -> Iterator[Begin]:
    """Begin a call in a process of its own, on the test's store."""

    def start(
        fetch: str, *args: Any, gate: Path | None = None, opens_at: Path | None = None, store: str = "store",
        client: Job | None = None, tries: int = 1, **options: Any,
    ) -> Child:
        return helper.start(
            {
                "url": sandbox.url,
                "store": store if is_address(store) else str(place(store)),
                "gate": str(gate or ""),
                "opens_at": str(opens_at or ""),
                "client": {"timeout": PATIENT, **(client or {})},
                "fetch": fetch,
                "args": args,
                "options": options,
                "tries": tries,
            }
        )

    yield start
    helper.end_all()
    helper.read = len(helper.errors.read_text())


class Thread:
    """A client of its own, in a thread of this process, that makes one call."""

    def __init__(self, client: kr.Client, job: Job) -> None:
        self._told: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=lambda: self._told.append(report(client, job)), daemon=True)
        self._thread.start()

    def result(self, seconds: float = LONG) -> dict[str, Any]:
        self._thread.join(seconds)
        assert self._told, f"the call did not end in {seconds} s"
        return self._told[0]


@pytest.fixture(params=["processes", "clients"])
def begin_either(request: pytest.FixtureRequest, begin: Begin, make_client: Make) -> Begin:
    """Begin a call: in a process of its own, or with a client of its own in a thread. Claims work between both."""
    if request.param == "processes":
        return begin

    def start(fetch: str, *args: Any, client: Job | None = None, **options: Any) -> Thread:
        made = make_client(**{"timeout": PATIENT, "max_call_credits": None, **(client or {})})
        return Thread(made, {"fetch": fetch, "args": args, "options": options})

    return start


def tags(*numbers: int) -> list[str]:
    return [f"tag{number}" for number in numbers]


def videos(*numbers: int) -> list[str]:
    return [str(7_100_000_000_000_000_001 + number) for number in numbers]


def parts(number: int, *, each: int, common: int) -> list[list[int]]:
    """Numbers for several processes: some in common, the others each one's own, in another order for each."""
    made = []
    for part in range(number):
        own = range(common + part * (each - common), common + (part + 1) * (each - common))
        made.append([*range(common), *own])
        random.Random(part).shuffle(made[-1])
    return made


def paid(sandbox: Sandbox, parameter: str = "hashtag_name") -> Counter[str]:
    """How often each id was in a request that was charged."""
    return Counter(
        one for request in sandbox.requests if request.credits for one in request.params[parameter].split(",")
    )


def without_answer(client: kr.Client, parameter: str = "hashtag_name") -> Counter[str]:
    """How often each id is in a row of the ledger without credits."""
    ledger = client.ledger()
    rows = ledger.loc[ledger["credits"].isna(), "params"]
    return Counter(one for params in rows for one in str(json.loads(params)[parameter]).split(","))


def let_it_wait(desk: Desk, own: str) -> None:
    """Wait until a call that requested `own` beside what is held waits for that.

    Its request for `own` shows that it is under way; finding the claim of the other takes it no longer.
    """
    desk.wait_for(own)
    time.sleep(A_MOMENT)


# Paid once ---------------------------------------------------------------------------------------------------------

SMALL_AND_LARGE = [
    (3, 16, 6),
    pytest.param(4, 30, 10, marks=pytest.mark.slow),
    pytest.param(2, 150, 50, marks=pytest.mark.slow),
    pytest.param(4, 150, 50, marks=pytest.mark.slow),
    pytest.param(8, 150, 50, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("number", "each", "common"), SMALL_AND_LARGE)
def test_hashtags_requested_by_several_processes_at_once_are_each_paid_once(
    number: int, each: int, common: int, begin: Begin, make_client: Make, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.latency = 0.01
    gate = tmp_path / "gate"
    lists = [tags(*part) for part in parts(number, each=each, common=common)]
    children = [begin("fetch_hashtags", names, gate=gate) for names in lists]
    for child in children:
        child.wait_until_ready()
    gate.touch()
    for child, names in zip(children, lists, strict=True):
        told = child.result(5 * LONG)
        assert told["error"] is None, told
        assert told["columns"]["hashtag_name"] == names
    total = common + number * (each - common)
    assert paid(sandbox) == Counter(tags(*range(total)))
    assert sandbox.charged == 2 * total
    ledger = make_client().ledger()
    assert len(ledger) == len(sandbox.requests) == total
    assert ledger["credits"].tolist() == [2] * total


@pytest.mark.parametrize(("number", "each", "common"), SMALL_AND_LARGE)
def test_videos_requested_by_several_processes_at_once_are_each_in_one_paid_request(
    number: int, each: int, common: int, begin: Begin, make_client: Make, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.latency = 0.01
    gate = tmp_path / "gate"
    lists = [videos(*part) for part in parts(number, each=each, common=common)]
    children = [begin("fetch_videos", ids, gate=gate) for ids in lists]
    for child in children:
        child.wait_until_ready()
    gate.touch()
    for child, ids in zip(children, lists, strict=True):
        told = child.result(5 * LONG)
        assert told["error"] is None, told
        assert told["columns"]["video_id"] == ids
    total = common + number * (each - common)
    assert paid(sandbox, "video_ids") == Counter(videos(*range(total)))
    assert all(len(request.params["video_ids"].split(",")) <= 10 for request in sandbox.requests)
    assert sandbox.charged == make_client().ledger()["credits"].sum() == len(sandbox.requests)


@pytest.mark.parametrize(("fetch", "make", "parameter"), [
    ("fetch_hashtags", tags, "hashtag_name"), ("fetch_videos", videos, "video_ids"),
])
def test_the_same_list_in_opposite_orders_is_paid_once_and_nobody_waits_for_ever(
    fetch: str, make: Callable[..., list[str]], parameter: str, begin: Begin, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.latency = 0.02
    gate = tmp_path / "gate"
    ids = make(*range(40))
    children = [begin(fetch, order, gate=gate, client={"max_workers": 2}) for order in (ids, ids[::-1])]
    for child in children:
        child.wait_until_ready()
    gate.touch()
    told = [child.result() for child in children]
    assert [one["error"] for one in told] == [None, None]
    assert [one["rows"] for one in told] == [40, 40]
    assert paid(sandbox, parameter) == Counter(ids)


@pytest.mark.parametrize("number", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_one_hashtag_requested_by_several_processes_at_once_is_one_request(
    number: int, begin: Begin, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.latency = 0.2
    gate = tmp_path / "gate"
    children = [begin("fetch_hashtags", "cats", gate=gate, client={"max_workers": 1}) for _ in range(number)]
    for child in children:
        child.wait_until_ready()
    gate.touch()
    told = [child.result() for child in children]
    assert [one["error"] for one in told] == [None] * number
    assert len({one["csv"] for one in told}) == 1
    assert len(sandbox.requests) == 1


@pytest.mark.slow
def test_processes_that_open_a_new_store_at_the_same_moment_share_it(
    begin: Begin, sandbox: Sandbox, tmp_path: Path
) -> None:
    for turn in range(5):
        gate, store = tmp_path / f"gate {turn}", f"store {turn}"
        children = [begin("fetch_hashtags", f"tag{turn}", opens_at=gate, store=store) for _ in range(4)]
        for child in children:
            child.wait_until_ready()
        gate.touch()
        told = [child.result() for child in children]
        assert [one["error"] for one in told] == [None] * 4, told
        assert len({one["csv"] for one in told}) == 1
    assert paid(sandbox) == Counter(tags(*range(5)))


# Killed ------------------------------------------------------------------------------------------------------------


def check_what_kills_cost(client: kr.Client, sandbox: Sandbox, *, kills: int, total: int) -> Counter[str]:
    """Paid again is what was in flight in a killed process, and nothing else; the ledger has it without credits."""
    again = paid(sandbox) - Counter(tags(*range(total)))
    unknown = without_answer(client)
    assert set(paid(sandbox)) == set(tags(*range(total)))
    assert again <= unknown
    assert unknown.total() <= kills * WORKERS
    assert client.ledger()["credits"].sum() == 2 * total
    return unknown


@pytest.mark.slow
def test_ids_in_flight_in_a_killed_process_are_paid_again_and_no_others(
    begin: Begin, make_client: Make, sandbox: Sandbox, desk: Desk
) -> None:
    lists = [tags(*part) for part in parts(2, each=30, common=10)]
    desk.hold_next = WORKERS
    victim = begin("fetch_hashtags", lists[0], client={"timeout": HASTY})
    desk.wait_for_requests(WORKERS)
    victim.kill()
    in_flight = set(desk.held)
    survivor = begin("fetch_hashtags", lists[1], client={"timeout": HASTY})
    desk.release()
    anew = begin("fetch_hashtags", lists[0], client={"timeout": HASTY})
    for child, names in zip((anew, survivor), lists, strict=True):
        told = child.result()
        assert told["error"] is None, told
        assert told["columns"]["hashtag_name"] == names
    unknown = check_what_kills_cost(make_client(), sandbox, kills=1, total=50)
    assert unknown == Counter(in_flight)
    assert Counter(desk.arrived) == Counter([*tags(*range(50)), *in_flight])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_ids_are_paid_once_in_a_storm_of_kills_but_for_what_was_in_flight(
    seed: int, begin: Begin, make_client: Make, sandbox: Sandbox
) -> None:
    sandbox.latency = 0.05
    dice = random.Random(seed)
    lists = [tags(*part) for part in parts(4, each=150, common=50)]
    children = [begin("fetch_hashtags", names, client={"timeout": CALM}) for names in lists]
    kills = 0
    for _ in range(12):
        wait_until_more(sandbox, dice.randint(2, 30), children)
        alive = [number for number, child in enumerate(children) if not child.ended]
        if not alive:
            break
        number = dice.choice(alive)
        children[number].kill()
        kills += 1
        children[number] = begin("fetch_hashtags", lists[number], client={"timeout": CALM})
    began = time.monotonic()
    for child, names in zip(children, lists, strict=True):
        told = child.result(5 * LONG)
        assert told["error"] is None, told
        assert told["columns"]["hashtag_name"] == names
    assert time.monotonic() - began < 2 * LONG
    unknown = check_what_kills_cost(make_client(), sandbox, kills=kills, total=450)
    assert unknown  # some kills hit what was in flight


def wait_until_more(sandbox: Sandbox, number: int, children: Sequence[Child]) -> None:
    """Wait until so many more requests were served, or all processes have ended."""
    until = len(sandbox.requests) + number
    wait_until(lambda: len(sandbox.requests) >= until or all(child.ended for child in children), LONG)


KILLED_CALLS = [
    ("fetch_hashtags", [tags(*range(8))], {}, WORKERS, 8),
    pytest.param("fetch_videos", [videos(*range(60))], {}, WORKERS, 6, marks=pytest.mark.slow),
    pytest.param("fetch_product_insights", [], {"region": "US", "limit": 60}, 1, 3, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("fetch", "args", "options", "lost", "needed"), KILLED_CALLS)
def test_a_plan_after_a_kill_names_what_may_have_been_charged(
    fetch: str, args: list[Any], options: Job, lost: int, needed: int,
    begin: Begin, make_client: Make, sandbox: Sandbox, desk: Desk,
) -> None:
    desk.hold_next = lost
    victim = begin(fetch, *args, client={"timeout": HASTY}, **options)
    desk.wait_for_requests(lost)
    victim.kill()
    desk.release()
    client = make_client(timeout=HASTY)
    call = getattr(kr, fetch)
    deadline = time.monotonic() + LONG
    while "may have been charged" not in (plan := kr.plan(call, *args, client=client, **options)).note:
        assert time.monotonic() < deadline, f"the plan says nothing of the {lost} requests without answer: {plan!r}"
        time.sleep(0.1)
    assert plan.requests == needed
    assert "may have been charged" not in kr.plan(kr.fetch_music, "1234567", client=client).note
    assert len(desk.arrived) == lost  # planning sends nothing
    call(*args, client=client, **options)
    assert len(desk.arrived) == lost + needed
    assert client.ledger()["credits"].isna().sum() == lost
    assert kr.plan(call, *args, client=client, **options).requests == 0


@pytest.mark.parametrize("begin_either", [
    "processes", pytest.param("clients", marks=pytest.mark.slow),
], indirect=True)
@pytest.mark.parametrize(("fetch", "args", "options", "lost", "needed"), KILLED_CALLS)
def test_a_claim_of_a_killed_process_does_not_block_for_ever(
    fetch: str, args: list[Any], options: Job, lost: int, needed: int,
    begin: Begin, begin_either: Begin, sandbox: Sandbox, desk: Desk,
) -> None:
    desk.hold_next = lost
    victim = begin(fetch, *args, client={"timeout": HASTY}, **options)
    desk.wait_for_requests(lost)
    victim.kill()
    desk.release()
    told = begin_either(fetch, *args, client={"timeout": HASTY}, **options).result()
    assert told["error"] is None, told
    assert told["took"] < LONG
    assert told["rows"] == (len(args[0]) if args else options["limit"])
    assert len(desk.arrived) == lost + needed


@pytest.mark.slow
def test_who_waits_when_the_owner_is_killed_sends_it_itself(begin: Begin, sandbox: Sandbox, desk: Desk) -> None:
    desk.held = {"shared"}
    victim = begin("fetch_hashtags", "shared", client={"timeout": (1, 10)})
    desk.wait_for("shared")
    waiting = begin("fetch_hashtags", ["shared", "own"], client={"timeout": HASTY})
    let_it_wait(desk, "own")
    assert desk.arrived.count("shared") == 1
    victim.kill()
    desk.release()
    told = waiting.result()
    assert told["error"] is None, told
    assert told["took"] < LONG
    assert desk.arrived.count("shared") == 2


@pytest.mark.slow
def test_two_who_wait_for_a_killed_owner_send_it_once(begin: Begin, sandbox: Sandbox, desk: Desk) -> None:
    desk.held = {"shared"}
    victim = begin("fetch_hashtags", "shared", client={"timeout": (1, 10)})
    desk.wait_for("shared")
    waiting = [begin("fetch_hashtags", ["shared", own], client={"timeout": HASTY}) for own in ("own1", "own2")]
    desk.wait_for("own1", "own2")
    let_it_wait(desk, "own2")
    victim.kill()
    desk.release()
    told = [child.result() for child in waiting]
    assert [one["error"] for one in told] == [None, None]
    assert desk.arrived.count("shared") == 2


@pytest.mark.slow
@pytest.mark.parametrize("delay", [6.0, 15.0])
def test_the_claim_of_an_owner_who_lives_is_waited_for_however_late_its_answer(
    delay: float, begin: Begin, sandbox: Sandbox, desk: Desk
) -> None:
    desk.faults["shared"] = Fault(delay=delay)
    owner = begin("fetch_hashtags", "shared", client={"timeout": (1, 60)})
    desk.wait_for("shared")
    waiting = begin("fetch_hashtags", ["shared", "own"], client={"timeout": HASTY})
    told = [child.result() for child in (owner, waiting)]
    assert [one["error"] for one in told] == [None, None]
    assert desk.arrived.count("shared") == 1


def test_the_claim_of_a_late_answer_holds_while_other_answers_of_its_call_come(
    make_client: Make, sandbox: Sandbox, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyapi_research.client.dispatch._LONGEST_LEASE", 1.0)  # seconds
    desk.faults = {"shared": Fault(delay=3.0), **{name: Fault(delay=0.1) for name in tags(*range(25))}}
    owner = Thread(make_client(max_workers=2), {"fetch": "fetch_hashtags", "args": [["shared", *tags(*range(25))]],
                                                "options": {}})
    desk.wait_for("shared")
    time.sleep(1.5)
    waiting = Thread(make_client(), {"fetch": "fetch_hashtags", "args": ["shared"], "options": {}})
    assert [one.result()["error"] for one in (owner, waiting)] == [None, None]
    assert desk.arrived.count("shared") == 1


@pytest.mark.slow
def test_an_owner_that_stood_still_until_its_claim_was_void_spoils_nothing(
    begin: Begin, make_client: Make, sandbox: Sandbox, desk: Desk
) -> None:
    desk.held = {"shared"}
    owner = begin("fetch_hashtags", "shared", client={"timeout": HASTY})
    desk.wait_for("shared")
    owner.signal(signal.SIGSTOP)
    other = begin("fetch_hashtags", "shared", client={"timeout": HASTY})
    desk.release()  # whoever sends a request now is answered
    told = other.result()
    assert told["error"] is None, told
    owner.signal(signal.SIGCONT)
    assert owner.result()["error"] in {None, "NetworkError"}
    client = make_client()
    assert client.ledger()["credits"].fillna(2).sum() == sandbox.charged == 4
    assert len(kr.fetch_hashtags("shared", client=client)) == 1
    assert len(sandbox.requests) == 2


# Who waits gets the outcome ----------------------------------------------------------------------------------------


def test_who_waits_gets_the_row_and_does_not_send(begin_either: Begin, sandbox: Sandbox, desk: Desk) -> None:
    desk.held = {"shared"}
    owner = begin_either("fetch_hashtags", "shared")
    desk.wait_for("shared")
    waiting = begin_either("fetch_hashtags", ["shared", "own"])
    let_it_wait(desk, "own")
    desk.release()
    assert owner.result()["columns"]["hashtag_name"] == ["shared"]
    told = waiting.result()
    assert told["error"] is None, told
    assert told["columns"]["hashtag_name"] == ["shared", "own"]
    assert sorted(desk.arrived) == ["own", "shared"]
    assert sandbox.charged == 4


def test_who_requests_nothing_else_waits_too(begin_either: Begin, sandbox: Sandbox, desk: Desk) -> None:
    desk.faults["shared"] = Fault(delay=2.0)
    owner = begin_either("fetch_hashtags", "shared")
    desk.wait_for("shared")
    waiting = begin_either("fetch_hashtags", "shared")
    told = [one.result() for one in (owner, waiting)]
    assert [one["error"] for one in told] == [None, None]
    assert told[0]["csv"] == told[1]["csv"]
    assert desk.arrived == ["shared"]


def test_a_process_and_a_client_here_wait_for_each_other(
    begin: Begin, make_client: Make, sandbox: Sandbox, desk: Desk
) -> None:
    desk.faults = {"shared1": Fault(delay=2.0), "shared2": Fault(delay=2.0)}
    client = make_client(timeout=PATIENT)
    there = begin("fetch_hashtags", "shared1")
    here = Thread(client, {"fetch": "fetch_hashtags", "args": ["shared2"], "options": {}})
    desk.wait_for("shared1", "shared2")
    both = ["shared1", "shared2"]
    also_there = begin("fetch_hashtags", both)
    also_here = Thread(make_client(timeout=PATIENT), {"fetch": "fetch_hashtags", "args": [both], "options": {}})
    assert [one.result()["error"] for one in (there, here, also_there, also_here)] == [None] * 4
    assert sorted(desk.arrived) == both


def test_videos_in_flight_elsewhere_are_not_in_a_batch_of_ones_own(
    begin_either: Begin, sandbox: Sandbox, desk: Desk
) -> None:
    first, second = ",".join(videos(0, 1, 2)), ",".join(videos(3, 4))
    desk.held = {first}
    owner = begin_either("fetch_videos", videos(0, 1, 2))
    desk.wait_for(first)
    waiting = begin_either("fetch_videos", videos(1, 2, 3, 4))
    let_it_wait(desk, second)
    desk.release()
    assert owner.result()["columns"]["video_id"] == videos(0, 1, 2)
    told = waiting.result()
    assert told["error"] is None, told
    assert told["columns"]["video_id"] == videos(1, 2, 3, 4)
    assert desk.arrived == [first, second]


@pytest.mark.parametrize("fetch", [pytest.param("fetch_hashtags", marks=pytest.mark.slow), "fetch_videos"])
def test_a_waiting_call_warns_of_a_confirmed_missing_id(
    fetch: str, begin: Begin, sandbox: Sandbox, desk: Desk
) -> None:
    [shared], [own] = (videos(0), videos(1)) if fetch == "fetch_videos" else (["shared"], ["own"])
    sandbox.mutate = lambda path, params, envelope: (
        {**envelope, "data": None} if shared in params.values() else envelope
    )
    desk.held = {shared}
    owner = begin(fetch, shared)
    desk.wait_for(shared)
    waiting = begin(fetch, [shared, own])
    let_it_wait(desk, own)
    desk.release()
    assert (owner.result()["error"], owner.result()["rows"]) == (None, 0)
    assert (waiting.result()["error"], waiting.result()["rows"]) == (None, 1)
    assert sorted(desk.arrived) == sorted([shared, own])


def about_somebody_else(path: str, params: dict[str, str], envelope: dict[str, Any]) -> Any:
    return {**envelope, "data": {**envelope["data"], "info": {"hashtag_name": "somebodyelse"}}}


OUTCOMES = {
    "an error": (Fault(status=500), None, "ServerError", ""),
    "a refusal": (Fault(status=400), None, "InvalidRequestError", ""),
    "no answer": (Fault(close="before"), None, "NetworkError", "may have been charged"),
    "half an answer": (Fault(close="mid_body"), None, "NetworkError", "may have been charged"),
    "somebody else": (Fault(), about_somebody_else, "UnexpectedResponseError", ""),
}


@pytest.mark.parametrize(("outcome", "begin_either"), [
    ("an error", "processes"),
    ("an error", "clients"), ("no answer", "clients"), ("somebody else", "clients"),
    pytest.param("no answer", "processes", marks=pytest.mark.slow),
    pytest.param("somebody else", "processes", marks=pytest.mark.slow),
    pytest.param("a refusal", "processes", marks=pytest.mark.slow),
    pytest.param("half an answer", "processes", marks=pytest.mark.slow),
], indirect=["begin_either"])
def test_who_waits_gets_the_failure_and_only_a_later_call_sends_anew(
    outcome: str, begin_either: Begin, sandbox: Sandbox, desk: Desk
) -> None:
    fault, sandbox.mutate, error, text = OUTCOMES[outcome]
    desk.held = {"shared"}
    desk.faults = {"shared": fault, "own": fault}  # where all fail alike, a call raises that error itself
    owner = begin_either("fetch_hashtags", "shared", client={"retries": 0})
    desk.wait_for("shared")
    waiting = begin_either("fetch_hashtags", ["shared", "own"], client={"retries": 0})
    let_it_wait(desk, "own")
    desk.release()
    for told, names in ((owner.result(), ["shared"]), (waiting.result(), ["shared", "own"])):
        assert told["error"] == error, told
        assert text in told["text"]
        assert told["failures"] == dict.fromkeys(names, error)
    assert sorted(desk.arrived) == ["own", "shared"]
    sandbox.mutate = None
    desk.faults.clear()
    told = begin_either("fetch_hashtags", "shared").result()
    assert told["error"] is None, told
    assert desk.arrived.count("shared") == 2


@pytest.mark.slow
def test_an_owner_who_tries_again_is_not_joined_by_who_waits(begin_either: Begin, sandbox: Sandbox) -> None:
    tries: list[str] = []
    more = threading.Event()

    def answer(_: str, params: dict[str, str]) -> Fault:
        tries.append(params["hashtag_name"])
        if tries.count("shared") == 1:
            return Fault(status=500, delay=2.0)
        more.set()
        return Fault()

    sandbox.on_request = answer
    owner = begin_either("fetch_hashtags", "shared", client={"retries": 2})
    waiting = begin_either("fetch_hashtags", "shared", client={"retries": 2})
    told = [one.result() for one in (owner, waiting)]
    assert [one["error"] for one in told] == [None, None]
    assert more.is_set()
    assert sandbox.charged == 2
    assert tries == ["shared", "shared"]


# Ctrl-C ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fetch", "args", "options", "held", "own"), [
    ("fetch_hashtags", ["shared"], {}, "shared", ["shared", "own"]),
    pytest.param("fetch_videos", videos(0), {}, videos(0)[0], videos(0, 1), marks=pytest.mark.slow),
])
def test_ctrl_c_ends_a_wait_at_once(
    fetch: str, args: list[Any], options: Job, held: str, own: list[str], begin: Begin, sandbox: Sandbox, desk: Desk
) -> None:
    desk.held = {held}
    owner = begin(fetch, *args, **options)
    desk.wait_for(held)
    waiting = begin(fetch, own, **options)
    let_it_wait(desk, own[1])
    assert not waiting.ended
    waiting.signal(signal.SIGINT)
    told = waiting.result()  # while the owner's request is still not answered
    assert told["error"] == "KeyboardInterrupt"
    assert not owner.ended
    assert desk.arrived.count(held) == 1
    desk.release()
    assert owner.result()["error"] is None
    assert sorted(desk.arrived) == sorted(own)


def test_ctrl_c_ends_the_wait_for_a_page_at_once(begin: Begin, sandbox: Sandbox, desk: Desk) -> None:
    desk.held = {"page 1"}
    owner = begin("fetch_product_insights", region="US", limit=40)
    desk.wait_for("page 1")
    waiting = begin("fetch_product_insights", region="US", limit=40)
    waiting.wait_until_ready()
    time.sleep(A_MOMENT)
    waiting.signal(signal.SIGINT)
    assert waiting.result()["error"] == "KeyboardInterrupt"
    assert not owner.ended
    desk.release()
    assert owner.result()["rows"] == 40
    assert desk.arrived == ["page 1", "page 2"]


def test_a_wait_that_ctrl_c_ended_leaves_no_claim_behind(
    begin: Begin, make_client: Make, sandbox: Sandbox, desk: Desk
) -> None:
    desk.held = {"shared"}
    owner = begin("fetch_hashtags", "shared")
    desk.wait_for("shared")
    sandbox.latency = 0.2
    waiting = begin("fetch_hashtags", [*tags(*range(20)), "shared"])
    desk.wait_for_requests(4)
    waiting.signal(signal.SIGINT)
    assert waiting.result()["error"] == "KeyboardInterrupt"
    assert len(desk.arrived) < 21
    sandbox.latency = 0
    client = make_client(max_call_credits=None)
    assert len(kr.fetch_hashtags(tags(*range(20)), client=client)) == 20
    desk.release()
    assert owner.result()["error"] is None
    assert paid(sandbox) == Counter(["shared", *tags(*range(20))])


# Rankings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [pytest.param(None, marks=pytest.mark.slow), 60])
def test_a_ranking_pulled_by_two_processes_at_once_is_paid_once(
    limit: int | None, begin: Begin, make_client: Make, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.latency = 0.05
    gate = tmp_path / "gate"
    children = [begin("fetch_product_insights", region="US", limit=limit, gate=gate) for _ in range(2)]
    for child in children:
        child.wait_until_ready()
    gate.touch()
    told = [child.result() for child in children]
    assert [one["error"] for one in told] == [None, None]
    assert told[0]["csv"] == told[1]["csv"]
    assert told[0]["rows"] == limit or told[0]["rows"] > 60
    pages = Counter(request.params["page"] for request in sandbox.requests)
    assert set(pages.values()) == {1}
    assert limit is None or len(pages) == 3
    client = make_client()
    assert client.ledger()["credits"].sum() == sandbox.charged == 2 * len(pages)
    assert kr.plan(kr.fetch_product_insights, region="US", limit=limit, client=client).requests == 0


@pytest.mark.parametrize(("second", "begin_either"), [
    pytest.param(20, "processes", marks=pytest.mark.slow), (80, "processes"), (40, "clients"),
], indirect=["begin_either"])
def test_who_waits_for_a_ranking_goes_on_where_the_other_ended(
    second: int, begin_either: Begin, sandbox: Sandbox, desk: Desk
) -> None:
    desk.held = {"page 1"}
    first = begin_either("fetch_product_insights", region="US", limit=40)
    desk.wait_for("page 1")
    waiting = begin_either("fetch_product_insights", region="US", limit=second)
    time.sleep(A_MOMENT)
    desk.release()
    told = [first.result(), waiting.result()]
    assert [one["error"] for one in told] == [None, None]
    columns = [one["columns"]["category_id"] for one in told]
    shorter = min(len(ids) for ids in columns)
    assert shorter >= min(second, 40) - 5  # rows that come twice are dropped
    assert columns[0][:shorter] == columns[1][:shorter]
    pages = max(2, second // 20)
    assert sorted(desk.arrived) == [f"page {number + 1}" for number in range(pages)]


# Refreshed ---------------------------------------------------------------------------------------------------------


def test_a_refresh_begun_while_another_is_in_flight_gets_its_answer(
    begin_either: Begin, make_client: Make, sandbox: Sandbox, desk: Desk
) -> None:
    [old] = kr.fetch_hashtags("shared", client=make_client())["observed_at"].astype(str)
    desk.arrived.clear()
    desk.held = {"shared"}
    first = begin_either("fetch_hashtags", "shared", max_age=0)
    desk.wait_for("shared")
    second = begin_either("fetch_hashtags", ["shared", "own"], max_age=0)
    let_it_wait(desk, "own")
    desk.release()
    told = [first.result(), second.result()]
    assert [one["error"] for one in told] == [None, None]
    new = [one["columns"]["observed_at"][0] for one in told]
    assert new[0] == new[1] > old
    assert sorted(desk.arrived) == ["own", "shared"]


def test_a_refresh_begun_after_another_ended_sends_again(begin_either: Begin, sandbox: Sandbox, desk: Desk) -> None:
    told = [begin_either("fetch_hashtags", "shared", max_age=0).result() for _ in range(2)]
    assert [one["error"] for one in told] == [None, None]
    assert told[0]["columns"]["observed_at"] < told[1]["columns"]["observed_at"]
    assert desk.arrived == ["shared", "shared"]


def test_who_is_content_with_what_is_stored_does_not_wait_for_a_refresh(
    begin_either: Begin, make_client: Make, sandbox: Sandbox, desk: Desk
) -> None:
    [old] = kr.fetch_hashtags("shared", client=make_client())["observed_at"].astype(str)
    desk.arrived.clear()
    desk.held = {"shared"}
    refresh = begin_either("fetch_hashtags", "shared", max_age=0)
    desk.wait_for("shared")
    told = begin_either("fetch_hashtags", "shared").result()
    assert told["columns"]["observed_at"] == [old]
    desk.release()
    assert refresh.result()["columns"]["observed_at"] > [old]
    assert desk.arrived == ["shared"]


def test_a_refresh_of_a_list_by_two_processes_at_once_is_paid_once(
    begin: Begin, make_client: Make, sandbox: Sandbox, tmp_path: Path
) -> None:
    names: Sequence[str] = tags(*range(12))
    kr.fetch_hashtags(names, client=make_client())
    sandbox.latency = 0.3  # the first answers are under way until both have begun
    gate = tmp_path / "gate"
    children = [begin("fetch_hashtags", names, max_age=0, gate=gate, client={"max_workers": 12}) for _ in range(2)]
    for child in children:
        child.wait_until_ready()
    gate.touch()
    told = [child.result() for child in children]
    assert [one["error"] for one in told] == [None, None]
    assert told[0]["csv"] == told[1]["csv"]
    assert paid(sandbox) == Counter([*names, *names])
