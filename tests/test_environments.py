"""Wherever people run it: other interpreters, no installation, no home, no stderr, no more threads, a first Tab."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import keyapi_research as kr
from keyapi_research.accessor.methods import METHODS
from keyapi_research.columns import moments
from keyapi_research.sandbox import Sandbox

Make = Callable[..., kr.Client]
OTHER_PYTHONS = [one for one in os.environ.get("KEYAPI_PYTHONS", "").split(os.pathsep) if one]
FETCH_FUNCTIONS = [name for name in kr.__all__ if name.startswith("fetch_")]
TAGS = [f"tag{number}" for number in range(8)]


def in_a_process(code: str, *flags: str, python: str = sys.executable, cwd: Path | None = None) -> str:
    """What a fresh interpreter prints; it may neither warn nor fail."""
    done = subprocess.run(
        [python, "-W", "error", *flags, "-c", textwrap.dedent(code)],
        capture_output=True, text=True, check=False, cwd=cwd,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


# Interpreters --------------------------------------------------------------------------------------------------


def test_a_missing_time_beside_others_warns_of_nothing() -> None:
    made = moments(np.array([0, 1_000_000]), np.array([True, False]))
    assert made.dtype == "datetime64[us, UTC]"
    assert [str(one) for one in made] == ["NaT", "1970-01-01 00:00:01+00:00"]


@pytest.mark.parametrize("name", FETCH_FUNCTIONS)
def test_sections_of_a_fetch_docstring_are_in_numpydocs_order_at_the_margin(name: str) -> None:
    lines = inspect.getdoc(getattr(kr, name)).splitlines()
    headings = [above for above, below in pairwise(lines) if below and set(below) == {"-"}]
    assert headings == ["Parameters", "Returns", "Raises", "Notes", "Examples"]


def test_a_completed_docstring_is_written_as_it_reads() -> None:
    methods = [one for name, one in METHODS.items() if name != "plot"]
    for function in (*(getattr(kr, name) for name in FETCH_FUNCTIONS), *methods):
        assert function.__doc__ == f"{inspect.cleandoc(function.__doc__)}\n"


DOCSTRINGS = """
    import inspect, json
    import keyapi_research as kr
    from keyapi_research.accessor.methods import METHODS
    from keyapi_research.accessor.pictures import PICTURES

    things = {name: getattr(kr, name) for name in kr.__all__}
    things |= {f"plots.{name}": getattr(kr.plots, name) for name in kr.plots.__all__}
    things |= {f"Client.{name}": one for name, one in vars(kr.Client).items() if not name.startswith("_")}
    things |= {f"df.keyapi.{name}": one for name, one in METHODS.items() if name != "plot"}
    things |= {f"df.keyapi.plot.{name}": one for name, one in PICTURES.items()}
    print(json.dumps({name: inspect.getdoc(one) if one.__doc__ else None for name, one in things.items()}))
"""


@pytest.mark.slow
def test_without_docstrings_there_is_no_half_of_one_and_all_works(tmp_path: Path) -> None:
    """Under -OO; dataclasses and `Client` aside: Python itself writes a dataclass's signature there."""
    found = json.loads(in_a_process(DOCSTRINGS, "-OO"))
    assert len(found) > 90
    half = {name: text for name, text in found.items() if text is not None and "\n" in text}
    assert half == {}
    assert len(FETCH_FUNCTIONS) > 30
    assert {found[name] for name in (*FETCH_FUNCTIONS, "connect", "df.keyapi.trend", "plots.trend")} == {None}
    told = in_a_process(
        "import keyapi_research as kr; kr.connect(sandbox=True, store=':memory:'); "
        "print(len(kr.fetch_hashtags(['ufc324', 'perfume']).keyapi.trend()))",
        "-OO", cwd=tmp_path,
    )
    assert told == "14\n"


@pytest.mark.slow
@pytest.mark.skipif(not OTHER_PYTHONS, reason="KEYAPI_PYTHONS names no other interpreters that have the package")
@pytest.mark.parametrize("python", OTHER_PYTHONS)
def test_docstrings_are_the_same_on_another_interpreter(python: str) -> None:
    assert json.loads(in_a_process(DOCSTRINGS, python=python)) == json.loads(in_a_process(DOCSTRINGS))


# Without an installation ---------------------------------------------------------------------------------------


def test_a_source_tree_on_the_path_needs_no_installed_metadata(tmp_path: Path) -> None:
    """Requests, `status`, packages and archives are told no version of what is not installed, and go on."""
    told = in_a_process(
        """
        import importlib.metadata as metadata, json

        def missing(name):
            raise metadata.PackageNotFoundError(name)

        found = metadata.version
        hidden = ("keyapi-research", "requests-cache")
        metadata.version = lambda name: missing(name) if name in hidden else found(name)
        import keyapi_research as kr

        kr.connect(sandbox=True, store="s.sqlite")
        tags = kr.fetch_hashtags("ufc324")
        kr.freeze("study.zip")
        kr.write_package("study", {"hashtags": tags})
        print(json.dumps([kr.__version__, kr.status().versions, len(kr.replay("study.zip").ledger())]))
        """,
        cwd=tmp_path,
    )
    version, versions, requests = json.loads(told)
    assert version == kr.__version__
    assert versions.startswith(f"keyapi-research {kr.__version__}, pandas ")
    assert versions.endswith(", requests-cache unknown")
    assert requests == 1
    package = json.loads((tmp_path / "study" / "datapackage.json").read_text())
    assert package["versions"]["keyapi-research"] == kr.__version__


# Without a home ------------------------------------------------------------------------------------------------


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `env -u HOME` for a user who is in no list of users."""
    pwd = pytest.importorskip("pwd", reason="this system keeps no list of users")

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "connect",
    [
        lambda: kr.connect(sandbox=True),
        lambda: kr.connect(token="a-token-of-the-tests"),
        lambda: kr.connect(offline=True),
        lambda: kr.Client(sandbox=True),
        kr.status,  # connects by itself
        lambda: kr.fetch_hashtags("ufc324"),
    ],
)
def test_without_a_home_a_store_is_to_be_named(
    connect: Callable[[], object], homeless: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kr.StoreError, match=r"this user has no home\. Name a file with store="):
        connect()
    assert list(tmp_path.iterdir()) == []  # no folder called ~ either


def test_without_a_home_an_older_platformdirs_is_not_believed(
    homeless: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "keyapi_research.settings.user_data_path", lambda *_, **__: Path("~/.local/share/keyapi_research")
    )
    with pytest.raises(kr.StoreError, match="this user has no home"):
        kr.connect(sandbox=True)
    assert list(tmp_path.iterdir()) == []


def test_without_a_home_a_store_that_is_named_works(homeless: None, tmp_path: Path) -> None:
    with kr.connect(sandbox=True, store=tmp_path / "s.sqlite") as client:
        assert len(kr.fetch_hashtags("ufc324")) == 1
        assert "s.sqlite" in repr(kr.status())
        assert "s.sqlite" in repr(client)


def test_without_a_home_a_path_in_it_is_refused(homeless: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="is not a valid path"):
        kr.connect(sandbox=True, store="~/study.sqlite")
    monkeypatch.setenv("KEYAPI_STORE", "~/study.sqlite")
    with pytest.raises(kr.InvalidArgumentError, match="is not a valid path"):
        kr.connect(sandbox=True)


# Without stderr ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("progress", [True, None])
def test_without_stderr_there_is_no_bar(
    progress: bool | None, make_client: Make, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(progress=progress)
    monkeypatch.setattr(sys, "stderr", None)
    with kr.budget(18, client=client) as budget:
        assert len(kr.fetch_hashtags(TAGS, client=client)) == 8
        assert len(kr.fetch_product_insights(limit=1, client=client)) == 1
    assert (sandbox.charged, budget.spent, budget.remaining) == (18, 18, 0)


def test_without_stderr_a_broken_hook_of_the_sandbox_is_still_answered(
    client: kr.Client, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    sandbox.on_request = lambda path, params: 1 / 0
    with pytest.raises(kr.ServerError, match="on_request raised an exception"):
        kr.fetch_hashtags("ufc324", client=client)


# Without threads -----------------------------------------------------------------------------------------------


@pytest.fixture
def allow_threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Let only so many threads of a name be started from now on."""
    start = threading.Thread.start

    def allow(name: str, most: int) -> None:
        left = [None] * most

        def limited(thread: threading.Thread) -> None:
            if thread.name == name:
                try:
                    left.pop()
                except IndexError:
                    raise RuntimeError("can't start new thread") from None
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", limited)

    return allow


@pytest.mark.parametrize("ids", [["ufc324"], TAGS])
@pytest.mark.parametrize("errors", ["raise", "warn"])
def test_without_threads_nothing_is_sent_and_the_error_says_why(
    ids: list[str], errors: str, client: kr.Client, sandbox: Sandbox,
    allow_threads: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch,
) -> None:
    allow_threads("keyapi", 0)
    with kr.budget(16, client=client) as budget:
        with pytest.raises(kr.KeyAPIError, match="no thread could be started for sending") as caught:
            kr.fetch_hashtags(ids, errors=errors, client=client)
        assert caught.value.retryable
        assert (sandbox.charged, budget.remaining) == (0, 16)
        assert list(caught.value.failures["id"]) == ids
        monkeypatch.undo()
        assert len(kr.fetch_hashtags(ids, client=client)) == len(ids)
    assert len(kr.ledger(client=client)) == len(ids)


def test_with_fewer_threads_than_workers_all_is_sent(
    make_client: Make, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(max_workers=4)
    sandbox.latency = 0.02
    start, run, refused = threading.Thread.start, threading.Thread.run, []

    def lingering(thread: threading.Thread) -> None:
        run(thread)
        time.sleep(0.01)

    def one_at_a_time(thread: threading.Thread) -> None:
        of_calls = thread.name in {"keyapi", "keyapi call"}
        if of_calls and any(one.name == thread.name for one in threading.enumerate()):
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "run", lingering)  # a thread is there a little longer than its work
    monkeypatch.setattr(threading.Thread, "start", one_at_a_time)
    assert len(kr.fetch_hashtags(TAGS, client=client)) == 8
    assert len(kr.fetch_hashtags("ufc324", client=client)) == 1  # nor does the call before take the place of this one
    assert sandbox.charged == 18
    assert refused


def test_a_ranking_keeps_the_pages_that_came_before_the_threads_ran_out(
    client: kr.Client, sandbox: Sandbox, allow_threads: Callable[[str, int], None]
) -> None:
    allow_threads("keyapi", 1)
    with pytest.raises(kr.KeyAPIError, match="no thread could be started") as caught:
        kr.fetch_product_insights(region="US", time_scope=7, limit=40, client=client)
    assert len(caught.value.frame) == 20
    assert sandbox.charged == 2


def test_a_sandbox_that_cannot_start_says_so_and_starts_later(
    allow_threads: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with kr.Client(sandbox=True, store=":memory:") as client:
        allow_threads("keyapi-sandbox", 0)
        with pytest.raises(kr.NetworkError, match="the sandbox could not be started") as caught:
            kr.fetch_hashtags("ufc324", client=client)
        assert len(caught.value.frame) == 0
        assert len(kr.ledger(client=client)) == 0
        monkeypatch.undo()
        assert len(kr.fetch_hashtags("ufc324", client=client)) == 1


def test_a_sandbox_without_threads_for_a_connection_serves_the_next(
    make_client: Make, sandbox: Sandbox, allow_threads: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(timeout=(1, 5))
    allow_threads("keyapi-sandbox-connection", 0)
    with pytest.raises(kr.NetworkError):
        kr.fetch_hashtags("ufc324", client=client)
    monkeypatch.undo()
    assert len(kr.fetch_hashtags("ufc324", client=client)) == 1


def test_an_interrupt_is_not_replaced_where_no_thread_can_close(
    client: kr.Client, allow_threads: Callable[[str, int], None]
) -> None:
    allow_threads("keyapi", 0)
    with pytest.raises(KeyboardInterrupt), client:
        raise KeyboardInterrupt


# The first Tab -------------------------------------------------------------------------------------------------


def test_the_first_tab_imports_nothing_but_what_it_lists() -> None:
    told = in_a_process(
        """
        import sys
        import keyapi_research as kr
        kr.connect(sandbox=True, store=":memory:")
        tags = kr.fetch_hashtags("ufc324")
        before = set(sys.modules)
        names, pictures = dir(tags.keyapi), dir(tags.keyapi.plot)
        new = set(sys.modules) - before
        print({"trend", "audience", "related", "plot"} <= set(names), "overlap" in pictures)
        rooms = tuple(f"keyapi_research.{name}" for name in ("accessor", "plots", "measures", "entities"))
        print(sorted(name for name in new if not name.startswith(rooms)), "matplotlib" in new)
        """
    )
    assert told == "True True\n['keyapi_research.frames'] False\n"
