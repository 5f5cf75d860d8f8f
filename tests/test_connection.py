"""The connection in use, how it and its errors are shown, and what cannot be pickled."""

from __future__ import annotations

import contextlib
import io
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

import keyapi_research as kr
from keyapi_research.client import Call, Collection, display
from keyapi_research.model import TABLES
from keyapi_research.queries import make_queries, make_query
from keyapi_research.sandbox import Sandbox

PACKAGE = str(Path(kr.__file__).parent)
Make = Callable[..., kr.Client]


# What an error shows in IPython ---------------------------------------------------------------------------------


@pytest.fixture
def cell() -> Iterator[Callable[[str], str]]:
    """Run cells of a shell of its own; give what is printed, without colours."""
    shell = InteractiveShell.instance()
    shell.run_cell("import keyapi_research as kr, pandas as pd")
    shell.run_cell("videos = pd.DataFrame({'video_id': ['1'], 'views': [5]})")
    shell.run_cell("days = pd.DataFrame({'hashtag_name': ['a'], 'date': ['2026-01-01'], 'share_of_peak': [1.0]})")

    def run(code: str) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            shell.run_cell(code, store_history=True)
        return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())

    yield run
    InteractiveShell.clear_instance()


MISTAKES = {
    "an argument": ("kr.fetch_hashtags('a b')", "InvalidArgumentError: hashtag_names: 'a b'"),
    "an option": ("kr.connect(max_workers=0)", "InvalidArgumentError: max_workers must be"),
    "a budget": (
        "c = kr.Client(sandbox=True, store=':memory:')\nwith c, kr.budget(1):\n    kr.fetch_hashtags('a', client=c)",
        "BudgetExceededError: fetch_hashtags",
    ),
    "a store": ("kr.connect(offline=True, store='/nowhere/x.sqlite')", "StoreError: there is no store at"),
    "a method of another table": ("videos.keyapi.trend()", "AccessorError: trend() is for hashtags, "),
    "a column that is not there": ("videos.keyapi.engagement()", "AccessorError: engagement() is for videos or "),
    "a table it does not hold": ("videos.keyapi.raw(of='music')", "AccessorError: raw(of='music'): As music it lacks"),
    "no method at all": ("videos.keyapi.trends()", "AccessorError: df.keyapi has no 'trends'. Choose from trend, "),
    "a picture of another table": ("videos.keyapi.plot.products()", "AccessorError: plot.products draws the columns"),
    "a frame of the user's own": ("pd.DataFrame({'a': [1]}).keyapi", "AccessorError: df.keyapi is for the tables of"),
    "no ids": ("kr.fetch_hashtags()", "CallError: fetch_hashtags(): missing a required argument: 'hashtag_names'. It "),
    "an option it does not have": (
        "kr.fetch_hashtags('a', regio='US')",
        "CallError: fetch_hashtags(): got an unexpected keyword argument 'regio'. It takes hashtag_names, region=, ",
    ),
    "an option without its name": ("kr.fetch_music('1', 'US')", "CallError: fetch_music(): too many positional"),
    "a plan without ids": ("kr.plan(kr.fetch_videos)", "CallError: fetch_videos(): missing a required argument"),
    "an option of no method": ("videos.keyapi.raw(off='videos')", "TypeError: Methods.raw() got an unexpected"),
    "an option of no picture": ("days.keyapi.plot.trend(axe=1)", "CallError: trend(): got an unexpected keyword argum"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_an_error_in_a_cell_shows_the_users_line_and_the_message(mistake: str, cell: Callable[[str], str]) -> None:
    code, message = MISTAKES[mistake]
    shown = cell(code)
    lines = shown.rstrip().splitlines()
    assert any(line.startswith("---->") and code.splitlines()[-1] in line for line in lines)
    assert lines[-1].startswith(message)
    assert PACKAGE not in shown
    assert "IPython" not in shown
    assert len(lines) <= 9


@pytest.mark.parametrize(
    ("line", "called"),
    [("kr.fetch_hashtags(x)", "mine('a b')"), ("x.keyapi", "mine(days[[]])"), ("kr.fetch_music(x, 7)", "mine(5)")],
)
def test_an_error_in_a_function_of_the_user_shows_its_lines_too(
    line: str, called: str, cell: Callable[[str], str]
) -> None:
    shown = cell(f"def mine(x):\n    return {line}\n\n{called}")
    assert f"----> 2     return {line}" in shown
    assert f"----> 4 {called}" in shown
    assert PACKAGE not in shown
    assert "pandas" not in shown


def test_lines_of_the_user_that_pandas_calls_are_shown_without_those_of_pandas(cell: Callable[[str], str]) -> None:
    shown = cell("def of(row):\n    return videos.keyapi.trend()\n\nvideos.apply(of, axis=1)")
    assert "----> 2     return videos.keyapi.trend()" in shown
    assert "----> 4 videos.apply(of, axis=1)" in shown
    assert "/pandas/" not in shown


def test_errors_of_the_accessor_and_of_calls_are_of_two_kinds() -> None:
    """What Python itself raises there is caught as before, and so is everything that this package raises."""
    for kinds, fail in (
        ((AttributeError, kr.KeyAPIError), lambda: pd.DataFrame({"a": [1]}).keyapi),
        ((TypeError, kr.InvalidArgumentError), lambda: kr.fetch_hashtags("a", regio="US")),
        ((TypeError, kr.InvalidArgumentError), lambda: kr.plan(kr.fetch_hashtags)),
    ):
        for kind in kinds:
            with pytest.raises(kind) as caught:
                fail()
            again = pickle.loads(pickle.dumps(caught.value))
            assert (type(again), str(again)) == (type(caught.value), str(caught.value))


def test_an_error_that_came_from_another_shows_only_itself(cell: Callable[[str], str]) -> None:
    shown = cell("kr.connect(base_url='https://[')")  # from a ValueError of urllib
    assert shown.count("Traceback (most recent call last)") == 1
    assert "ValueError" not in shown
    shown = cell("try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise kr.StoreError('mine') from error")
    assert "StoreError: mine" in shown
    assert "----> 4     raise kr.StoreError('mine') from error" in shown


def test_the_magic_tb_shows_the_whole_traceback(cell: Callable[[str], str]) -> None:
    cell("kr.fetch_hashtags('a b')")
    shown = cell("%tb")
    assert PACKAGE in shown
    assert shown.rstrip().splitlines()[-1].startswith("InvalidArgumentError: hashtag_names")


def test_an_error_of_the_user_with_one_of_ours_as_its_cause_is_shown_as_ever(cell: Callable[[str], str]) -> None:
    shown = cell("try:\n    kr.fetch_hashtags('a b')\nexcept kr.KeyAPIError as e:\n    raise ValueError('x') from e")
    assert "ValueError: x" in shown
    assert "InvalidArgumentError: hashtag_names" in shown


def test_outside_ipython_a_traceback_is_whole() -> None:
    with pytest.raises(kr.InvalidArgumentError) as caught:
        kr.fetch_hashtags("a b")
    assert not hasattr(caught.value, "_render_traceback_")
    assert any(PACKAGE in str(entry.path) for entry in caught.traceback)
    with pytest.raises(AttributeError, match="no_such_field"):
        _ = caught.value.no_such_field  # type: ignore[attr-defined]


# How a connection is shown --------------------------------------------------------------------------------------


def test_repr_has_the_whole_path_and_html_the_short_one(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with kr.Client(token="t", base_url=sandbox.url, store="mine.sqlite") as client:
        whole = str(tmp_path.resolve() / "mine.sqlite")
        for one in (client, client.status()):
            assert whole in repr(one)
            assert "./mine.sqlite" in one._repr_html_()
            assert whole not in one._repr_html_()


class Printer:
    """As much of IPython's as is used."""

    def __init__(self) -> None:
        self.written = ""

    def text(self, text: str) -> None:
        self.written += text


@pytest.mark.parametrize("notebook", [True, False])
def test_the_text_that_a_notebook_keeps_has_the_short_path(
    notebook: bool, client: kr.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(display, "in_notebook", lambda: notebook)
    for one in (client, client.status()):
        printer = Printer()
        one._repr_pretty_(printer, False)
        for written in (printer.written, f"{one}", "%s" % one):  # noqa: UP031 - as `print` and logging write it
            assert (str(tmp_path.resolve()) in written) is not notebook
            assert "store.sqlite" in written
        assert str(tmp_path.resolve()) in repr(one)


def test_what_print_writes_into_a_notebook_has_no_path_of_a_machine(
    cell: Callable[[str], str], client: kr.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(display, "in_notebook", lambda: True)
    monkeypatch.setattr(kr.client.connection.IN_USE, "client", client)
    for shown in (cell("print(kr.status())"), cell("print(f'{kr.status()}', kr.client.find_client(None))")):
        assert "./store.sqlite" in shown
        assert str(tmp_path.resolve()) not in shown


def test_what_has_no_path_is_printed_as_it_is_shown(client: kr.Client) -> None:
    plan, budget = kr.plan(kr.fetch_videos, "1", client=client), kr.budget(3)
    assert (
        str(plan)
        == repr(plan)
        == ("<Plan: fetch_videos; nothing was sent>\n  requests  1\n  credits   1\n  stored    0")
    )
    assert str(budget) == repr(budget) == "<Budget of 3 credits, not in force: with kr.budget(3): ...>"
    assert "<strong>Budget</strong>" in budget._repr_html_()


def test_a_store_in_memory_has_no_path(sandbox: Sandbox) -> None:
    with kr.Client(token="t", base_url=sandbox.url, store=":memory:") as client:
        assert "in memory" in repr(client)
        assert "in memory" in repr(client.status())


# What cannot be pickled -----------------------------------------------------------------------------------------


def test_pickling_what_has_a_token_says_to_connect_in_the_worker(client: kr.Client) -> None:
    for one in (client, client.settings, client.settings.token, {"a": client}):
        with pytest.raises(TypeError, match=r"cannot be pickled.*kr\.connect"):
            pickle.dumps(one)


# What a call hands on -------------------------------------------------------------------------------------------


def collect(client: kr.Client, table: str, ids: list[str] | None = None, limit: int | None = None) -> Collection:
    endpoint = TABLES[table].endpoint
    options = {p.argument: p.default for p in endpoint.parameters}
    queries = tuple(make_queries(endpoint, ids, options)) if ids else (make_query(endpoint, options),)
    return client.collect(Call(TABLES[table], endpoint, queries, limit=limit))


@pytest.mark.parametrize(("table", "ids"), [("hashtags", ["cats", "dogs"]), ("product_insights", None)])
def test_answers_that_arrive_have_the_envelope_the_store_has(
    table: str, ids: list[str] | None, client: kr.Client
) -> None:
    arrived = collect(client, table, ids, limit=None if ids else 30).answers
    assert len(arrived) >= 2
    stored = list(client.store.envelopes([one.observation.id for one in arrived]))
    assert [dict(one.envelope or {}) for one in arrived] == [dict(one) for one in stored]
    again = collect(client, table, ids, limit=None if ids else 30).answers
    assert [one.observation for one in again] == [one.observation for one in arrived]
    assert [one.envelope for one in again] == [None] * len(arrived)


def test_no_more_than_a_thousand_envelopes_of_a_call_stay_in_memory(make_client: Make, sandbox: Sandbox) -> None:
    sandbox.latency = 0.0
    client = make_client(store=":memory:", max_call_credits=None)
    ids = [str(7_100_000_000_000_000_000 + number) for number in range(1_020)]
    answers = collect(client, "videos", ids).answers
    assert [one.query.id for one in answers] == ids
    assert sum(one.envelope is not None for one in answers) == 1_000
