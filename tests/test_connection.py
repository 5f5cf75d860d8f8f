"""The connection in use, how it and its errors are shown, and what cannot be pickled."""

from __future__ import annotations

import contextlib
import io
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

import keyapi_research as kr
from keyapi_research.client import Call, Collection, display
from keyapi_research.model import TABLES, make_queries, make_query
from keyapi_research.sandbox import Sandbox

PACKAGE = str(Path(kr.__file__).parent)
Make = Callable[..., kr.Client]


# What an error shows in IPython ---------------------------------------------------------------------------------


@pytest.fixture
def cell() -> Iterator[Callable[[str], str]]:
    """Run cells of a shell of its own; give what is printed, without colours."""
    shell = InteractiveShell.instance()
    shell.run_cell("import keyapi_research as kr")

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


def test_an_error_in_a_function_of_the_user_shows_its_lines_too(cell: Callable[[str], str]) -> None:
    shown = cell("def mine(name):\n    return kr.fetch_hashtags(name)\n\nmine('a b')")
    assert "----> 2     return kr.fetch_hashtags(name)" in shown
    assert "----> 4 mine('a b')" in shown
    assert PACKAGE not in shown


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
        assert (str(tmp_path.resolve()) in printer.written) is not notebook
        assert "store.sqlite" in printer.written


def test_a_store_in_memory_has_no_path(sandbox: Sandbox) -> None:
    with kr.Client(token="t", base_url=sandbox.url, store=":memory:") as client:
        assert "store in memory" in repr(client)
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
