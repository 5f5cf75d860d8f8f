"""A call ends in order, whatever ends it: what was paid is counted, stored and written down, and a rerun pays the rest.

The interrupts are raised at seeded lines of the package, and sent as signals to programs of their own.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import io
import json
import opcode
import os
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Self

import pytest

import keyapi_research as kr
from keyapi_research.client.interrupts import in_order, listen
from keyapi_research.sandbox import Fault, Sandbox

Make = Callable[..., kr.Client]
posix = pytest.mark.skipif(os.name != "posix", reason="needs the signals of POSIX")
IS_ROOT = os.name == "posix" and os.geteuid() == 0
WORKERS = 4  # requests in flight at once, as connect has it
TOKEN = "a-token-of-the-tests"
OPTIONS: dict[str, Any] = {"token": TOKEN, "requests_per_second": None, "progress": False}
PATIENCE = 120  # seconds after which something hangs, however busy the machine is
SEED = 20260203


def one_now(ways: dict[str, Any], now: str) -> list[Any]:
    """All ways of something: one in the suite, the rest among the slow tests."""
    return [now, *(pytest.param(way, marks=pytest.mark.slow) for way in ways if way != now)]


def tags(*numbers: int) -> list[str]:
    return [f"tag{number}" for number in numbers]


def videos(*numbers: int) -> list[str]:
    return [str(7_100_000_000_000_000_001 + 1_000_003 * number) for number in numbers]


def ranking(limit: int | None, client: kr.Client | None = None) -> Any:
    return kr.fetch_product_insights(region="US", time_scope=7, limit=limit, client=client)


def charged_names(sandbox: Sandbox) -> list[str]:
    return [request.params["hashtag_name"] for request in sandbox.requests if request.credits]


def charged_pages(sandbox: Sandbox) -> list[int]:
    return [int(request.params["page"]) for request in sandbox.requests if request.credits]


def assert_all_stored(names: list[str], store: Path) -> None:
    with kr.Client(store=store, offline=True) as reader:
        assert kr.fetch_hashtags(names, client=reader)["hashtag_name"].tolist() == names


class Gate:
    """Stands before a server: lets some requests through and holds what comes after them until it is opened."""

    def __init__(self, sandbox: Sandbox, free: int = 0) -> None:
        self.arrived: list[dict[str, str]] = []
        self._free = free
        self._changed = threading.Condition()
        self._opened = False
        sandbox.on_request = self._hold

    def _hold(self, _: str, params: dict[str, str]) -> None:
        with self._changed:
            self.arrived.append(params)
            self._changed.notify_all()
            if len(self.arrived) > self._free:
                self._changed.wait_for(lambda: self._opened, timeout=3 * PATIENCE)

    def wait_for(self, number: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.arrived) >= number, timeout=PATIENCE)

    def open(self) -> None:
        with self._changed:
            self._opened = True
            self._changed.notify_all()


@pytest.fixture
def gate(sandbox: Sandbox) -> Iterator[Gate]:
    """A gate that holds everything."""
    closed = Gate(sandbox)
    yield closed
    closed.open()


# An exception at any line --------------------------------------------------------------------------------------

KINDS: tuple[Callable[[], BaseException], ...] = (
    KeyboardInterrupt,
    lambda: TimeoutError("as the handler of an alarm raises it"),
    lambda: SystemExit(9),
)
PACKAGE = str(Path(kr.__file__).parent)


def leaves_block(frame: FrameType) -> bool:
    """Whether a frame is about to leave a `with` block: Python handles no signal before it has called `__exit__`."""
    code, at = frame.f_code, frame.f_lasti
    following = [
        opcode.opname[code.co_code[n]] == "LOAD_CONST" and code.co_consts[code.co_code[n + 1]] is None
        for n in range(at, min(at + 8, len(code.co_code)), 2)
    ]
    return any(following[n : n + 3] == [True] * 3 for n in range(2))


class Tracer:
    """Counts the lines of the package that this thread comes to, and raises an exception at one of them, once.

    Parameters
    ----------
    error, at, place
        What to raise, and at the n-th line, or when it comes to that place for the n-th time.
    """

    def __init__(self, error: BaseException | None = None, at: int = 0, place: str | None = None) -> None:
        self.places: Counter[str] = Counter()
        self.where = ""
        self._error, self._at, self._place = error, at, place

    def __enter__(self) -> Self:
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _enter(self, frame: FrameType, event: str, _: object) -> Any:
        return self._line if frame.f_code.co_filename.startswith(PACKAGE) else None

    def _line(self, frame: FrameType, event: str, _: object) -> Any:
        if event != "line" or self.where or leaves_block(frame):
            return self._line
        here = f"{frame.f_code.co_filename.removeprefix(PACKAGE)}:{frame.f_lineno}"
        if self._error is None:
            self.places[here] += 1
        elif self._place is None or self._place == here:
            self._at -= 1
            if not self._at:
                self.where = here
                sys.settrace(None)
                raise self._error
        return self._line


class Scene:
    """A server, and for each seed a client of its own that read a part of what is requested before."""

    def __init__(self, table: str, folder: Path, sandbox: Sandbox) -> None:
        self.table, self.folder, self.sandbox = table, folder, sandbox
        self.arrived = 0
        sandbox.on_request = self._count
        with self._client(":memory:") as client:
            self.fetch(client)  # what is imported late is imported now
            kr.freeze(folder / "warm.zip", client=client)

    def _count(self, *_: object) -> None:
        self.arrived += 1  # should two threads lose a count, a request in flight is missed, none is made up

    def _client(self, store: Path | str) -> kr.Client:
        client = kr.Client(base_url=self.sandbox.url, store=store, **OPTIONS)
        if self.table == "hashtags":
            kr.fetch_hashtags(tags(0, 1), client=client)
        else:
            ranking(20, client)
        return client

    def fetch(self, client: kr.Client) -> list[Any]:
        """Make the call, and return what tells that its answer is whole."""
        if self.table == "hashtags":
            return list(kr.fetch_hashtags(tags(*range(6)), client=client)["hashtag_name"])
        return list(ranking(60, client)["position"])

    @property
    def whole(self) -> list[Any]:
        return tags(*range(6)) if self.table == "hashtags" else list(range(1, 61))

    @property
    def charged(self) -> Counter[Any]:
        return Counter(charged_names(self.sandbox) if self.table == "hashtags" else charged_pages(self.sandbox))

    @property
    def missing(self) -> Counter[Any]:
        """What the call has to pay for: once each."""
        return Counter(tags(2, 3, 4, 5) if self.table == "hashtags" else [2, 3])

    def count_lines(self) -> Counter[str]:
        with self._client(":memory:") as client, Tracer() as tracer:
            self.fetch(client)
        return tracer.places

    def interrupt(self, number: int, tracer: Tracer, error: BaseException) -> list[str]:
        """Raise an exception at a line of the call; return all that is wrong after it."""
        wrong = []

        def check(what: str, *, holds: bool) -> None:
            if not holds:
                wrong.append(what)

        self.sandbox.reset()
        in_memory = number % 10
        client = self._client(":memory:" if in_memory else self.folder / f"{number}.sqlite")
        before = client.credits_spent
        self.sandbox.reset()
        self.arrived = 0
        came: BaseException | None = None
        with kr.budget(50, client=client) as budget:
            try:
                with tracer:
                    self.fetch(client)
            except BaseException as problem:
                came = problem
            spent, charged = client.credits_spent - before, self.sandbox.charged
            if tracer.where:
                check(f"{came!r} came out", holds=came is error)
            else:
                check(f"{came!r} came out of a call nobody interrupted", holds=came is None)
            answered = len(self.sandbox.requests)
            check(f"{self.arrived - answered} requests are still in flight", holds=self.arrived <= answered)
            check(f"{charged} credits charged, {spent} counted", holds=charged == spent == budget.spent)
            check(f"{budget.held} credits are still held", holds=budget.held == 0)
            check("the budget does not add up", holds=budget.remaining == budget.credits - budget.spent)
        wanted = "hashtag_name" if self.table == "hashtags" else "page"
        ledger = [json.loads(params).get(wanted) for params in client.ledger()["params"]]
        lost = {str(one) for one in self.charged} - set(ledger)
        check(f"{lost} charged, and not in the ledger", holds=not lost)
        path = self.folder / f"{number}.zip"
        try:
            kr.freeze(path, client=client)
        except kr.FetchIncompleteError:
            pass
        else:
            whole = not self.arrived or self._replay(path) == self.whole  # where nothing was sent, it hardly began
            check("an incomplete study was frozen", holds=whole)
        try:
            check("a rerun does not give the whole answer", holds=self.fetch(client) == self.whole)
        except kr.KeyAPIError as problem:
            check(f"a rerun raised {problem!r}", holds=False)
        check(f"charged in the end: {self.charged}", holds=self.charged == self.missing)
        spent = client.credits_spent - before
        check(f"in the end {self.sandbox.charged} charged, {spent} counted", holds=self.sandbox.charged == spent)
        client.close()
        return wrong

    def _replay(self, path: Path) -> list[Any]:
        with kr.Client(replay=path) as replay:
            try:
                return self.fetch(replay)
            except kr.NotStoredError:
                return []


def interrupt_at_lines() -> None:
    """Interrupt a call at many lines; runs in a process of its own, which ends where a call does not."""
    job = json.load(sys.stdin)
    warnings.simplefilter("ignore", kr.KeyAPIWarning)  # the sandbox's world is as untidy as the real one
    rng = random.Random(f"{SEED} {job['table']}")
    wrong: list[str] = []
    reached: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, Sandbox(latency=0.002) as sandbox:
        scene = Scene(job["table"], Path(folder), sandbox)
        places = scene.count_lines()
        for number in range(job["seeds"]):
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
            error = KINDS[number % len(KINDS)]()
            if rng.random() < 0.5:  # any moment, or any line of the code, however seldom it comes there
                tracer = Tracer(error, at=rng.randint(1, places.total()))
            else:
                place = rng.choice(sorted(places))
                tracer = Tracer(error, at=rng.randint(1, places[place]), place=place)
            problems = scene.interrupt(number, tracer, error)
            reached[tracer.where] += 1
            wrong += [f"seed {number}, {error!r} at {tracer.where or 'no line'}: {problem}" for problem in problems]
        faulthandler.cancel_dump_traceback_later()
    json.dump({"wrong": wrong, "reached": reached}, sys.stdout)


LINES = [
    pytest.param("hashtags", 8, id="hashtags"),
    pytest.param("product_insights", 1, id="a ranking"),
    pytest.param("hashtags", 250, marks=pytest.mark.long, id="hashtags, often"),
    pytest.param("product_insights", 80, marks=pytest.mark.long, id="a ranking, often"),
    pytest.param("hashtags", 1000, marks=pytest.mark.long, id="hashtags, a thousand times"),
    pytest.param("product_insights", 300, marks=pytest.mark.long, id="a ranking, three hundred times"),
]


@pytest.mark.parametrize(("table", "seeds"), LINES)
def test_an_exception_at_any_line_leaves_the_books_right_and_a_rerun_pays_the_rest(table: str, seeds: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import test_interrupts; test_interrupts.interrupt_at_lines()"],
        cwd=Path(__file__).parent, input=json.dumps({"table": table, "seeds": seeds}),
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr  # where a call never ended, it has where it stands
    told = json.loads(done.stdout)
    assert not told["wrong"], "\n".join(told["wrong"])
    reached = Counter(told["reached"])
    assert reached.total() - reached[""] > 0.7 * seeds  # most were interrupted; the others ended before that line
    assert len(reached) > 0.3 * min(seeds, 300)


# Signals -------------------------------------------------------------------------------------------------------

PROGRAM = """
    import asyncio, atexit, os, signal, sys, threading, time
    from concurrent.futures import ThreadPoolExecutor
    import keyapi_research as kr
    url, store, awake = sys.argv[1:]
    signal.set_wakeup_fd(int(awake), warn_on_full_buffer=False)  # tells that a signal has come
    names = [f"tag{n}" for n in range(12)]
    options = dict(token="a-token-of-the-tests", base_url=url, requests_per_second=None, progress=False)

    def say(word):
        print(word, flush=True)

    def connect():
        kr.connect(store=store, **options)

    def fetch():
        return kr.fetch_hashtags(names)

    def pull():
        return kr.fetch_product_insights(region="US", time_scope=7, limit=60)
"""


class Program:
    """A program that uses the package, and is sent signals."""

    def __init__(self, code: str, sandbox: Sandbox, store: Path) -> None:
        self._awake, end = os.pipe()
        os.set_blocking(end, False)
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROGRAM) + textwrap.dedent(code), sandbox.url, str(store), str(end)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[end], text=True,
        )
        os.close(end)

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def interrupt(self) -> None:
        """Press Ctrl-C, and wait until it has arrived."""
        self.process.send_signal(signal.SIGINT)
        assert os.read(self._awake, 1) == bytes([signal.SIGINT])

    def wait(self, seconds: float = PATIENCE) -> str:
        """Wait for its end; return what it wrote to stderr."""
        try:
            _, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the program did not end within {seconds} seconds")
        return err

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        os.close(self._awake)


@pytest.fixture
def start(sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[[str], Program]]:
    """Start programs on one store."""
    programs: list[Program] = []

    def begin(code: str) -> Program:
        programs.append(Program(code, sandbox, tmp_path / "store.sqlite"))
        return programs[-1]

    yield begin
    for program in programs:
        program.close()


AGAIN_AND_AGAIN = """
    import keyapi_research.sandbox
    for line in sys.stdin:
        with kr.Client(store=line.strip(), **options) as client:
            end = "too early"
            try:
                say("ready")
                kr.fetch_hashtags(names, client=client)
                end = "finished"
                time.sleep(60)  # for a Ctrl-C that came late
            except KeyboardInterrupt:
                end = "interrupted" if end == "too early" else end
            except BaseException as error:
                end = repr(error)
            say(end)
"""


@posix
@pytest.mark.slow
def test_ctrl_c_at_any_moment_of_a_call_sends_nothing_new_and_stores_what_is_in_flight(
    start: Callable[[str], Program], sandbox: Sandbox, tmp_path: Path
) -> None:
    program = start(AGAIN_AND_AGAIN)
    moments = random.Random(SEED)
    sandbox.latency = 0.05
    for number, free in enumerate(moments.sample(range(9), 4)):
        sandbox.reset()
        gate = Gate(sandbox, free)
        store = tmp_path / f"{number}.sqlite"
        program.tell(str(store))
        assert program.hear() == "ready"
        gate.wait_for(free + 1)
        time.sleep(moments.uniform(0, 0.05))
        program.interrupt()
        time.sleep(0.5)  # for the main thread to wake up
        gate.open()
        assert program.hear() == "interrupted"
        arrived = [params["hashtag_name"] for params in gate.arrived]
        assert free < len(arrived) <= free + WORKERS
        assert sorted(charged_names(sandbox)) == sorted(arrived)  # nothing is in flight any more
        assert_all_stored(arrived, store)
        with kr.Client(base_url=sandbox.url, store=store, **OPTIONS) as client:
            kr.fetch_hashtags(tags(*range(12)), client=client)
        assert Counter(charged_names(sandbox)) == Counter(tags(*range(12)))


class Handler:
    """The handler of a signal: raises, and tells that it ran."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.ran = threading.Event()

    def __call__(self, *_: object) -> None:
        self.ran.set()
        raise self.error


@pytest.fixture
def handle() -> Iterator[Callable[..., Handler]]:
    """Install handlers of signals, for one test."""
    before = {}

    def install(number: int, error: BaseException) -> Handler:
        handler = Handler(error)
        before[number] = signal.signal(number, handler)
        return handler

    yield install
    for number, handler in before.items():
        signal.signal(number, handler)


def press(number: int, handler: Handler) -> Fault:
    """Send a signal to the main thread; the answer comes when that has heard it."""
    signal.pthread_kill(threading.main_thread().ident or 0, number)
    assert handler.ran.wait(PATIENCE)
    return Fault(delay=0.3)


SIGNALS = [
    pytest.param("SIGALRM", lambda: TimeoutError("too late"), id="TimeoutError of an alarm"),
    pytest.param("SIGTERM", lambda: SystemExit(3), id="SystemExit of a handler"),
    pytest.param("SIGUSR1", KeyboardInterrupt, id="KeyboardInterrupt of another signal"),
]


def test_an_offline_call_that_a_signal_ends_is_recorded_and_a_study_is_not_frozen_without_it(
    make_client: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alarm(*_: object, **__: object) -> None:
        raise TimeoutError("too late")

    client = make_client()
    kr.fetch_hashtags(tags(1, 2), client=client)
    with kr.Client(store=client.settings.store, offline=True) as reader:
        kr.fetch_hashtags(tags(1), client=reader)
        with monkeypatch.context() as patched:
            patched.setattr(reader.store, "latest", alarm)
            with pytest.raises(TimeoutError):
                kr.fetch_hashtags(tags(1, 2), client=reader)
        with pytest.raises(kr.FetchIncompleteError):
            kr.freeze(tmp_path / "study.zip", client=reader)
        assert len(kr.fetch_hashtags(tags(1, 2), client=reader)) == 2
        kr.freeze(tmp_path / "study.zip", client=reader)



@posix
@pytest.mark.parametrize(("name", "make_error"), SIGNALS)
def test_a_call_that_a_signal_ends_is_recorded_and_a_study_is_not_frozen_without_it(
    name: str, make_error: Callable[[], BaseException], handle: Callable[..., Handler],
    make_client: Make, sandbox: Sandbox, tmp_path: Path,
) -> None:
    number = getattr(signal, name)
    handler = handle(number, make_error())
    arrived: list[str] = []

    def answer(_: str, params: dict[str, str]) -> Fault:
        arrived.append(params["hashtag_name"])
        return press(number, handler) if len(arrived) == 5 else Fault(delay=0.05 if len(arrived) < 5 else 0.3)

    client = make_client()
    sandbox.on_request = answer
    with kr.budget(24, client=client) as budget:
        with pytest.raises(type(handler.error)) as caught:
            kr.fetch_hashtags(tags(*range(12)), client=client)
        assert caught.value is handler.error
        assert (budget.held, budget.remaining) == (0, 24 - sandbox.charged)
    assert 5 <= len(arrived) < 12
    assert client.credits_spent == sandbox.charged == 2 * len(arrived)
    assert_all_stored(arrived, tmp_path / "store.sqlite")
    with pytest.raises(kr.FetchIncompleteError):
        kr.freeze(tmp_path / "study.zip", client=client)
    sandbox.on_request = None
    kr.fetch_hashtags(tags(*range(12)), client=client)
    assert sandbox.charged == 24
    kr.freeze(tmp_path / "study.zip", client=client)
    with kr.Client(replay=tmp_path / "study.zip") as replay:
        assert len(kr.fetch_hashtags(tags(*range(12)), client=replay)) == 12


@posix
@pytest.mark.parametrize(("name", "make_error"), SIGNALS)
def test_a_ranking_that_a_signal_ends_keeps_its_pages_and_is_not_frozen(
    name: str, make_error: Callable[[], BaseException], handle: Callable[..., Handler],
    client: kr.Client, sandbox: Sandbox, tmp_path: Path,
) -> None:
    number = getattr(signal, name)
    handler = handle(number, make_error())
    sandbox.on_request = lambda _, params: press(number, handler) if params["page"] == "2" else None
    with pytest.raises(type(handler.error)):
        ranking(60, client)
    assert charged_pages(sandbox) == [1, 2]
    assert client.credits_spent == 4
    with pytest.raises(kr.FetchIncompleteError):
        kr.freeze(tmp_path / "study.zip", client=client)
    sandbox.on_request = None
    assert len(ranking(60, client)) == 60
    assert charged_pages(sandbox) == [1, 2, 3]
    kr.freeze(tmp_path / "study.zip", client=client)
    with kr.Client(replay=tmp_path / "study.zip") as replay:
        assert len(ranking(60, replay)) == 60


# Ctrl-C while the call is in another thread --------------------------------------------------------------------

ELSEWHERE = {
    "out of the pool": """
        connect()
        with ThreadPoolExecutor(2) as pool:
            pool.submit(fetch).result()
    """,
    "caught in the pool's block": """
        connect()
        with ThreadPoolExecutor(2) as pool:
            future = pool.submit(fetch)
            try:
                future.result()
            except KeyboardInterrupt:
                pass
    """,
    "a thread that is joined": """
        connect()
        thread = threading.Thread(target=fetch)
        thread.start()
        try:
            thread.join()
        except KeyboardInterrupt:
            thread.join()
    """,
    "a thread that outlives the main one": """
        connect()
        thread = threading.Thread(target=fetch)
        thread.start()
        thread.join()
    """,
    "a task": """
        connect()
        asyncio.run(asyncio.to_thread(fetch))
    """,
    "a handler of one's own, as in a notebook": """
        connect()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with ThreadPoolExecutor(2) as pool:
            pool.submit(fetch).result()
    """,
}


@posix
@pytest.mark.parametrize("how", one_now(ELSEWHERE, "caught in the pool's block"))
def test_ctrl_c_ends_a_call_in_another_thread_after_what_is_in_flight(
    how: str, start: Callable[[str], Program], gate: Gate, sandbox: Sandbox, tmp_path: Path
) -> None:
    program = start(ELSEWHERE[how])
    gate.wait_for(WORKERS)
    program.interrupt()
    time.sleep(1)  # for all threads to hear of it
    gate.open()
    program.wait()
    assert len(gate.arrived) == WORKERS
    assert sandbox.charged == 2 * WORKERS
    assert_all_stored(charged_names(sandbox), tmp_path / "store.sqlite")


@posix
@pytest.mark.slow
def test_ctrl_c_ends_a_ranking_in_another_thread_after_its_page(
    start: Callable[[str], Program], gate: Gate, sandbox: Sandbox
) -> None:
    program = start("""
        connect()
        with ThreadPoolExecutor(2) as pool:
            pool.submit(pull).result()
    """)
    gate.wait_for(1)
    program.interrupt()
    time.sleep(1)
    gate.open()
    program.wait()
    assert charged_pages(sandbox) == [1]


# A second Ctrl-C -----------------------------------------------------------------------------------------------

NOTED = """
    raising = signal.default_int_handler
    def note(number, frame):
        say("noted")
        raising(number, frame)
    signal.default_int_handler = note
    signal.signal(signal.SIGINT, note)
    options["timeout"] = 600
"""
TWICE = {
    "a client in a block": """
        with kr.Client(store=store, **options) as client:
            kr.fetch_product_insights(region="US", limit=60, client=client)
    """,
    "the default client": """
        connect()
        fetch()
    """,
    "a call in a thread": """
        connect()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(fetch).result()
    """,
}


@posix
@pytest.mark.parametrize("how", one_now(TWICE, "a call in a thread"))
def test_a_second_ctrl_c_leaves_though_the_answer_needs_minutes(
    how: str, start: Callable[[str], Program], gate: Gate
) -> None:
    program = start(textwrap.dedent(NOTED) + textwrap.dedent(TWICE[how]))
    gate.wait_for(1)
    for _ in range(2):
        program.interrupt()
        assert program.hear() == "noted"  # two that Python has not handled yet are one
        time.sleep(0.5)
    program.wait(2 * PATIENCE)  # nobody opens the gate


BESIDE = """
connect()
other = kr.Client(store=store, **options)
threading.Thread(target=lambda: kr.fetch_hashtags(["beside1", "beside2"], client=other)).start()
fetch()
"""


@posix
def test_one_ctrl_c_is_one_for_a_call_in_another_thread_though_it_ends_the_main_one(
    start: Callable[[str], Program], sandbox: Sandbox, tmp_path: Path
) -> None:
    arrived: list[str] = []
    opened = threading.Event()

    def hold(_: str, params: dict[str, str]) -> None:
        arrived.append(params["hashtag_name"])
        opened.wait(3 * PATIENCE if params["hashtag_name"].startswith("beside") else 0.5)

    sandbox.on_request = hold
    program = start(BESIDE)
    while len(arrived) < WORKERS + 2:
        time.sleep(0.01)
    program.interrupt()
    time.sleep(2)  # the main thread's call ends, and its traceback is written
    assert program.process.poll() is None
    opened.set()
    assert "KeyboardInterrupt" in program.wait()
    assert_all_stored(["beside1", "beside2"], tmp_path / "store.sqlite")
    assert sorted(charged_names(sandbox)) == sorted(arrived)


@posix
def test_two_presses_before_a_call_in_another_thread_looks_again_are_two() -> None:
    begun, answered, left = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        answered.wait(2 * PATIENCE)

    def call() -> None:
        with contextlib.suppress(KeyboardInterrupt):
            in_order(work, threading.Event(), left.set)

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        listen()
        caller = threading.Thread(target=call)
        caller.start()
        assert begun.wait(PATIENCE)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert left.wait(PATIENCE)
    finally:
        answered.set()
        caller.join()
        signal.signal(signal.SIGINT, before)


# The end of the program ----------------------------------------------------------------------------------------

ENDINGS = {
    "it ran to its end": "",
    "sys.exit": "sys.exit(3)",
    "an unhandled exception": "raise ValueError('of the user')",
}
ENDS_MEANWHILE = """
connect()
atexit.register(say, "ending")
threading.Thread(target={job}, daemon=True).start()
sys.stdin.readline()
"""


@posix
@pytest.mark.parametrize("how", one_now(ENDINGS, "it ran to its end"))
def test_the_end_of_a_program_waits_for_what_a_daemon_thread_has_in_flight(
    how: str, start: Callable[[str], Program], gate: Gate, sandbox: Sandbox, tmp_path: Path
) -> None:
    program = start(ENDS_MEANWHILE.format(job="fetch") + ENDINGS[how])
    gate.wait_for(WORKERS)
    program.tell("end")
    assert program.hear() == "ending"
    time.sleep(0.5)
    gate.open()
    program.wait()
    assert len(gate.arrived) == WORKERS  # nothing new
    assert_all_stored([params["hashtag_name"] for params in gate.arrived], tmp_path / "store.sqlite")


@posix
def test_the_end_of_a_program_waits_for_the_page_a_daemon_thread_has_in_flight(
    start: Callable[[str], Program], gate: Gate, sandbox: Sandbox, tmp_path: Path
) -> None:
    program = start(ENDS_MEANWHILE.format(job="pull"))
    gate.wait_for(1)
    program.tell("end")
    assert program.hear() == "ending"
    time.sleep(0.5)
    gate.open()
    program.wait()
    assert [params["page"] for params in gate.arrived] == ["1"]
    with kr.Client(store=tmp_path / "store.sqlite", offline=True) as reader:
        assert len(ranking(20, reader)) == 20


# A bar ---------------------------------------------------------------------------------------------------------


class Unwritable(io.StringIO):
    """A stderr that cannot be written to."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def write(self, text: str) -> int:
        raise self._error


class Unusable(Unwritable):
    """A stderr that cannot even be flushed."""

    def flush(self) -> None:
        raise self._error


class BreaksLater(Unwritable):
    """A stderr that breaks when something was written to it."""

    def write(self, text: str) -> int:
        return io.StringIO.write(self, text) if not self.tell() else super().write(text)


def closed_stream() -> io.TextIOBase:
    stream = io.StringIO()
    stream.close()
    return stream


@contextlib.contextmanager
def full_pipe() -> Iterator[io.TextIOBase]:
    """Make a pipe nobody reads from, which takes no more."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * 4096)
    raw = io.TextIOWrapper(io.FileIO(write, "w", closefd=False), encoding="utf-8", write_through=True)
    try:
        yield raw
    finally:
        os.close(read)
        os.close(write)


STREAMS: dict[str, Callable[[], Any]] = {
    "closed": closed_stream,
    "a broken pipe": lambda: Unwritable(BrokenPipeError()),
    "a file that was closed meanwhile": lambda: Unwritable(ValueError("I/O operation on closed file")),
    "a pipe that breaks later": lambda: BreaksLater(BrokenPipeError()),
    "a stream of a library": lambda: Unusable(RuntimeError("no console")),
}


@pytest.mark.parametrize("what", STREAMS)
@pytest.mark.parametrize("table", ["hashtags", "a ranking"])
def test_a_bar_that_cannot_be_drawn_breaks_no_call(
    what: str, table: str, make_client: Make, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(progress=True, timeout=10)
    with monkeypatch.context() as patch, kr.budget(20, client=client) as budget:
        patch.setattr(sys, "stderr", STREAMS[what]())
        rows = len(kr.fetch_hashtags(tags(*range(5)), client=client) if table == "hashtags" else ranking(60, client))
    assert rows == (5 if table == "hashtags" else 60)
    assert (budget.held, budget.spent) == (0, sandbox.charged)


@posix
def test_a_bar_that_meets_a_full_pipe_breaks_no_call(
    make_client: Make, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(progress=True)
    with full_pipe() as stream, monkeypatch.context() as patch, kr.budget(20, client=client) as budget:
        patch.setattr(sys, "stderr", stream)
        assert len(kr.fetch_hashtags(tags(*range(5)), client=client)) == 5
    assert (budget.held, budget.spent) == (0, 10)


@posix
def test_a_program_that_closed_its_stderr_gets_its_frame(start: Callable[[str], Program], sandbox: Sandbox) -> None:
    program = start("""
        sys.stderr.close()
        client = kr.connect(store=store, **{**options, "progress": True})
        with kr.budget(24) as budget:
            rows = len(fetch())
        say(f"{rows} rows, {budget.held} held, {budget.spent} spent")
    """)
    assert program.hear() == "12 rows, 0 held, 24 spent"
    program.wait()


BROKEN_BARS = """
    class Broken:
        def __init__(self, writes):
            self.writes = writes

        def write(self, text):
            self.writes -= 1
            if self.writes < 0:
                raise BrokenPipeError

        def flush(self):
            pass

    good, sys.stderr = sys.stderr, Broken(writes={writes})
    client = kr.connect(store=store, **{{**options, "progress": True}})
    rows = len(kr.fetch_hashtags(names[:6]))
    sys.stderr = good
    more = []
    thread = threading.Thread(target=lambda: more.append(len(fetch())), daemon=True)
    thread.start()  # another thread: a lock that the first bar left locked would be its owner's to take again
    thread.join(60)
    say(f"{{rows}} rows, then {{more}}")
    if not more:
        os._exit(1)
"""


@posix
@pytest.mark.parametrize(
    "writes", [pytest.param(0, id="at once"), pytest.param(2, marks=pytest.mark.slow, id="later")]
)
def test_a_bar_that_could_not_be_drawn_does_not_stand_in_the_way_of_the_next_one(
    writes: int, start: Callable[[str], Program], sandbox: Sandbox
) -> None:
    sandbox.latency = 0.1
    program = start(BROKEN_BARS.format(writes=writes))
    assert program.hear() == "6 rows, then [12]"
    assert "12 credits" in program.wait()
    assert sandbox.charged == 24


# What freeze remembers -----------------------------------------------------------------------------------------


def connect(sandbox: Sandbox, store: Path | str, **options: Any) -> kr.Client:
    return kr.connect(base_url=sandbox.url, store=store, **{**OPTIONS, **options})


def assert_frozen(path: Path, *parts: list[str], without: list[str] | None = None) -> None:
    with kr.Client(replay=path) as replay:
        for part in parts:
            assert kr.fetch_hashtags(part, client=replay)["hashtag_name"].tolist() == part
        for name in without or []:
            with pytest.raises(kr.NotStoredError):
                kr.fetch_hashtags(name, client=replay)


def test_an_archive_has_the_calls_before_and_after_a_new_limit(sandbox: Sandbox, tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    connect(sandbox, store, max_credits=6)
    kr.fetch_hashtags(tags(1, 2, 3))
    with pytest.raises(kr.BudgetExceededError):
        kr.fetch_hashtags(tags(4, 5))
    connect(sandbox, store, max_credits=8)
    kr.fetch_hashtags(tags(4, 5))
    kr.freeze(tmp_path / "study.zip")
    assert_frozen(tmp_path / "study.zip", tags(1, 2, 3), tags(4, 5))


def test_an_archive_has_what_a_closed_connection_to_the_store_read(sandbox: Sandbox, tmp_path: Path) -> None:
    with connect(sandbox, tmp_path / "store.sqlite"):
        kr.fetch_hashtags(tags(1, 2))
    connect(sandbox, tmp_path / "store.sqlite", max_workers=2)
    kr.fetch_hashtags(tags(3))
    kr.freeze(tmp_path / "study.zip")
    assert_frozen(tmp_path / "study.zip", tags(1, 2), tags(3))


def test_an_archive_has_what_was_read_before_another_store_was_connected_to(sandbox: Sandbox, tmp_path: Path) -> None:
    connect(sandbox, tmp_path / "store.sqlite")
    kr.fetch_hashtags(tags(1, 2))
    connect(sandbox, tmp_path / "other.sqlite")
    kr.fetch_hashtags(tags(4))
    connect(sandbox, tmp_path / "store.sqlite")
    kr.fetch_hashtags(tags(3))
    kr.freeze(tmp_path / "study.zip")
    assert_frozen(tmp_path / "study.zip", tags(1, 2), tags(3), without=tags(4))


def test_an_archive_of_a_client_of_ones_own_has_what_that_client_read(make_client: Make, tmp_path: Path) -> None:
    first, second = make_client(), make_client()
    kr.fetch_hashtags(tags(1, 2), client=first)
    kr.fetch_hashtags(tags(3), client=second)
    kr.freeze(tmp_path / "study.zip", client=second)
    assert_frozen(tmp_path / "study.zip", tags(3), without=tags(1, 2))


def test_an_archive_of_an_offline_connection_has_what_was_fetched_online(sandbox: Sandbox, tmp_path: Path) -> None:
    online = connect(sandbox, tmp_path / "store.sqlite")
    kr.fetch_hashtags(tags(1, 2))
    ranking(20, online)
    kr.connect(store=tmp_path / "store.sqlite", offline=True)
    kr.fetch_hashtags(tags(2))
    kr.freeze(tmp_path / "study.zip")
    assert_frozen(tmp_path / "study.zip", tags(1, 2))
    with kr.Client(replay=tmp_path / "study.zip") as replay:
        assert len(ranking(20, replay)) == 20


@pytest.mark.parametrize("how", ["relative", "roundabout", "link"])
def test_an_archive_of_a_store_under_another_spelling_has_what_was_read(
    how: str, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    spelt: str | Path = {"relative": "store.sqlite", "roundabout": f"{tmp_path}/folder/../store.sqlite"}.get(how, "")
    with connect(sandbox, tmp_path / "store.sqlite"):
        kr.fetch_hashtags(tags(1, 2))
    if how == "link":
        spelt = tmp_path / "folder" / "link.sqlite"
        spelt.symlink_to(tmp_path / "store.sqlite")
    connect(sandbox, spelt)
    kr.fetch_hashtags(tags(3))
    kr.freeze(tmp_path / "study.zip")
    assert_frozen(tmp_path / "study.zip", tags(1, 2), tags(3))


@pytest.mark.parametrize("other", ["other.sqlite", ":memory:"])
def test_an_archive_has_nothing_of_another_store(other: str, make_client: Make, tmp_path: Path) -> None:
    first = make_client()
    second = make_client(store=other if other == ":memory:" else tmp_path / other)
    kr.fetch_hashtags(tags(1), client=first)
    kr.fetch_hashtags(tags(2), client=second)
    kr.freeze(tmp_path / "first.zip", client=first)
    kr.freeze(tmp_path / "second.zip", client=second)
    assert_frozen(tmp_path / "first.zip", tags(1), without=tags(2))
    assert_frozen(tmp_path / "second.zip", tags(2), without=tags(1))


def test_two_stores_in_memory_share_nothing(make_client: Make, tmp_path: Path) -> None:
    first, second = make_client(store=":memory:"), make_client(store=":memory:")
    kr.fetch_hashtags(tags(1), client=first)
    with pytest.raises(kr.InvalidArgumentError):
        kr.freeze(tmp_path / "study.zip", client=second)


def test_what_failed_before_a_new_connection_and_was_not_fetched_since_is_not_frozen_without_a_word(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    connect(sandbox, tmp_path / "store.sqlite", retries=0)
    sandbox.faults.put(Fault(status=500))
    with pytest.raises(kr.ServerError):
        kr.fetch_hashtags(tags(1))
    connect(sandbox, tmp_path / "store.sqlite")
    kr.fetch_hashtags(tags(2))
    with pytest.raises(kr.FetchIncompleteError):
        kr.freeze(tmp_path / "study.zip")
    kr.fetch_hashtags(tags(1))
    kr.freeze(tmp_path / "study.zip")
    assert_frozen(tmp_path / "study.zip", tags(1), tags(2))


# What it costs to remember -------------------------------------------------------------------------------------


def grow(jobs: list[Callable[[], object]], warm: int) -> int:
    """Return by how many bytes what this process keeps grows while jobs are done, after the first few of them."""
    for job in jobs[:warm]:
        job()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for job in jobs[warm:]:
            job()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before


@pytest.fixture(scope="module")
def full_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 1,050 videos."""
    store = tmp_path_factory.mktemp("full") / "store.sqlite"
    with Sandbox() as sandbox, kr.Client(base_url=sandbox.url, store=store, max_call_credits=None, **OPTIONS) as client:
        kr.fetch_videos(videos(*range(1050)), client=client)
    return store


def few_and_many(few: float, many: float) -> list[Any]:
    """Calls, and bytes that may stay behind."""
    return [
        pytest.param(2, few, id="2", marks=pytest.mark.slow), pytest.param(200, many, id="200", marks=pytest.mark.long)
    ]  # fmt: skip


@pytest.mark.parametrize(("calls", "most"), few_and_many(0.3e6, 8e6))
def test_calls_of_a_thousand_stored_ids_leave_little_behind(calls: int, most: float, full_store: Path) -> None:
    rng = random.Random(SEED)
    with kr.Client(store=full_store, offline=True) as client:
        samples = [videos(*rng.sample(range(1050), 1000)) for _ in range(calls + 1)]
        assert grow([lambda ids=ids: kr.fetch_videos(ids, client=client) for ids in samples], 1) < most


@pytest.mark.parametrize(("calls", "most"), few_and_many(0.2e6, 1e6))
def test_one_call_made_again_and_again_leaves_nothing_more_behind(calls: int, most: float, full_store: Path) -> None:
    with kr.Client(store=full_store, offline=True) as client:
        ids = videos(*range(1000))
        assert grow([lambda: kr.fetch_videos(ids, client=client)] * (calls + 1), 1) < most


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::keyapi_research.SchemaDriftWarning")
def test_tables_read_from_a_frame_again_and_again_leave_nothing_more_behind(make_client: Make) -> None:
    client = make_client()
    frame = kr.fetch_hashtags(tags(*range(40)), client=client)
    assert grow([lambda: frame.keyapi.trend(client=client)] * 6, 2) < 0.2e6


# What could not be stored --------------------------------------------------------------------------------------


def fill(folder: Path) -> None:
    with (folder / "filler").open("ab", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"x" * 4096)


def look_into(store: Path, names: list[str], seen: list[int]) -> Callable[..., None]:
    """Make a rule for a server that reads the store whenever something arrives."""

    def look(*_: object) -> None:
        with kr.Client(store=store, offline=True) as reader:
            try:
                seen.append(len(kr.fetch_hashtags(names, client=reader)))
            except kr.NotStoredError:
                seen.append(0)

    return look


def test_an_answer_for_which_there_was_no_room_is_stored_by_the_next_call_before_it_sends(
    make_client: Make, sandbox: Sandbox, small_disk: Path
) -> None:
    store = small_disk / "store.sqlite"
    client = make_client(store=store)
    kr.fetch_hashtags(tags(0), client=client)
    sandbox.on_request = lambda *_: fill(small_disk)
    with pytest.raises(kr.StoreError) as caught:
        kr.fetch_hashtags(tags(1), client=client)
    assert [answer["data"]["info"]["hashtag_name"].lower() for answer in caught.value.answer] == tags(1)
    assert client.credits_spent == sandbox.charged == 4
    (small_disk / "filler").unlink()
    seen: list[int] = []
    sandbox.on_request = look_into(store, tags(1), seen)
    kr.fetch_hashtags(tags(2), client=client)  # another one
    assert seen == [1]
    kr.fetch_hashtags(tags(1), client=client)
    assert charged_names(sandbox) == tags(0, 1, 2)


def take_away(store: Path) -> Path:
    """Rename a store, so that nothing can be stored until it is back."""
    return store.rename(store.with_suffix(".away"))


@posix
def test_an_answer_for_a_store_that_was_taken_away_is_stored_by_the_next_call_before_it_sends(
    client: kr.Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    store = tmp_path / "store.sqlite"
    kr.fetch_hashtags(tags(0), client=client)
    sandbox.on_request = lambda *_: take_away(store) and None
    with pytest.raises(kr.StoreError) as caught:
        kr.fetch_hashtags(tags(1), client=client)
    assert len(caught.value.answer) == 1
    with pytest.raises(kr.StoreError):  # as long as it cannot be stored, nothing is sent
        kr.fetch_hashtags(tags(2), client=client)
    assert charged_names(sandbox) == tags(0, 1)
    store.with_suffix(".away").rename(store)
    seen: list[int] = []
    sandbox.on_request = look_into(store, tags(1), seen)
    kr.fetch_hashtags(tags(2), client=client)
    assert seen == [1]
    kr.fetch_hashtags(tags(1), client=client)
    assert charged_names(sandbox) == tags(0, 1, 2)
    assert client.credits_spent == sandbox.charged == 6


@posix
def test_a_page_that_could_not_be_stored_is_not_paid_again(
    client: kr.Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    store = tmp_path / "store.sqlite"
    sandbox.on_request = lambda _, params: take_away(store) and None if params["page"] == "2" else None
    with pytest.raises(kr.StoreError) as caught:
        ranking(60, client)
    assert [len(answer["data"]["list"]) for answer in caught.value.answer] == [20]
    store.with_suffix(".away").rename(store)
    sandbox.on_request = None
    assert ranking(60, client)["position"].tolist() == list(range(1, 61))
    assert charged_pages(sandbox) == [1, 2, 3]


@posix
def test_videos_that_could_not_be_stored_are_not_paid_again(
    client: kr.Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    store = tmp_path / "store.sqlite"
    sandbox.on_request = lambda *_: take_away(store) and None
    with pytest.raises(kr.StoreError) as caught:
        kr.fetch_videos(videos(*range(10)), client=client)
    assert [len(answer["data"]) for answer in caught.value.answer] == [10]
    store.with_suffix(".away").rename(store)
    sandbox.on_request = None
    frame = kr.fetch_videos(videos(*range(12)), client=client)
    assert frame["video_id"].tolist() == videos(*range(12))
    assert sandbox.charged == client.credits_spent == 2


@posix
def test_a_call_for_what_could_not_be_stored_and_for_more_pays_for_more_only(
    client: kr.Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    store = tmp_path / "store.sqlite"
    sandbox.on_request = lambda *_: take_away(store) and None
    with pytest.raises(kr.StoreError):
        kr.fetch_hashtags(tags(1), client=client)
    store.with_suffix(".away").rename(store)
    sandbox.on_request = None
    assert kr.fetch_hashtags(tags(0, 1, 2), client=client)["hashtag_name"].tolist() == tags(0, 1, 2)
    assert sorted(charged_names(sandbox)) == tags(0, 1, 2)
    assert client.credits_spent == 6


def test_two_calls_that_store_what_could_not_be_stored_drop_none_of_it(client: kr.Client) -> None:
    stored: list[str] = []
    entered = threading.Event()

    def first() -> None:
        entered.set()
        time.sleep(0.3)  # the other call comes meanwhile
        stored.append("first")

    client._sender._unkept += [first, lambda: stored.append("second")]
    calls = [threading.Thread(target=client._sender.keep_unkept) for _ in range(2)]
    calls[0].start()
    assert entered.wait(PATIENCE)
    calls[1].start()
    for call in calls:
        call.join(PATIENCE)
    assert stored == ["first", "second"]
    assert client._sender._unkept == []
