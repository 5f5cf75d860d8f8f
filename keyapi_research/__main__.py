"""The command line: ``python -m keyapi_research``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO, cast

import pandas as pd

from . import __version__
from .client import Client, connect
from .errors import BudgetExceededError, InvalidArgumentError, KeyAPIError, KeyAPIWarning, StoreError
from .files import as_path, read_bytes, reason_of, replacing

_FAILED, _WRONG_COMMAND, _BUDGET, _STOPPED = 1, 2, 3, 130
_CODES: Final = """\
exit codes:
  0    done
  1    failed; the message says what to do
  2    unknown command or option
  3    a budget or limit was reached; what was fetched is kept
  130  stopped with Ctrl-C

The key is read from the environment variable KEYAPI_TOKEN, never from an option."""
_PANEL: Final = """\
a panel's file (help(keyapi_research.panel) has the details):
  name = "perfume"
  every = "7D"                  # or "1D", "1M"
  starts = 2026-12-01
  credits_per_round = 100
  [[fetch]]
  function = "fetch_trending_hashtags"
  region = "US"
  [[fetch]]
  function = "fetch_hashtags"
  from = "trending_hashtags.hashtag_name"   # or ids = ["perfume", "scentoftheday"]
  region = "US"

"""


class Result(NamedTuple):
    """What a command found, which people may see otherwise than programs, and its exit code."""

    data: Any
    text: str | None = None
    code: int = 0


class _OutputError(Exception):
    """What was to be shown cannot be written; why, unless its reader has enough."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a name still shows the rest
    parser = _parser()
    given = sys.argv[1:] if arguments is None else [*arguments]
    if not given:
        parser.print_help()
        return _WRONG_COMMAND
    options = parser.parse_args(given)
    try:
        return _run(options.command, options)
    except KeyboardInterrupt:
        _report("stopped; what was fetched is kept")
        return _STOPPED
    except _OutputError as error:  # whoever read it has enough, or its disk is full
        if str(error):
            _report(f"the output cannot be written: {error}")
        return _FAILED


def _run(command: Callable[[argparse.Namespace], Result], options: argparse.Namespace) -> int:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", KeyAPIWarning)
            warnings.showwarning = cast("Any", _show_warning)
            result = command(options)
    except KeyAPIError as error:
        if options.json:
            _print(json.dumps({"error": type(error).__name__, "message": str(error)}))
        _report(f"{type(error).__name__}: {error}")
        return _BUDGET if isinstance(error, BudgetExceededError) else _FAILED
    if options.json:
        _print(json.dumps(_plain(result.data), indent=1))
    elif result.data is not None:
        _print(str(result.data) if result.text is None else result.text)
    return result.code


def _print(text: str) -> None:
    error = _written(text, sys.stdout)
    if error is not None:
        raise _OutputError("" if isinstance(error, BrokenPipeError) else reason_of(error))


def _report(text: str) -> None:
    """Say what went wrong. If that cannot be written, there is no other place to say so, and the command goes on."""
    _written(text, sys.stderr)


def _written(text: str, stream: TextIO | None) -> OSError | None:
    """Write a line; return why it could not be written, and write no more to that stream."""
    if stream is None:  # it was closed before Python began
        return None
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # or the end of the program would try it again
        return error
    return None


def _show_warning(message: Warning | str, category: type[Warning], *_: object) -> None:
    """Show a warning without a line of source, which means nothing to the user of a shell."""
    _report(f"{category.__name__}: {message}")


def _table(frame: pd.DataFrame) -> str:
    """Write a table for people: columns side by side, each as wide as its longest value."""
    cells = [[_cell(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    lines = [[*frame.columns], *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, datetime) and not pd.isna(value):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "-" if pd.isna(value) else str(value)


def _plain(result: Any) -> Any:
    """Convert a result to what JSON can hold."""
    if isinstance(result, pd.DataFrame):
        return json.loads(result.to_json(orient="records", date_format="iso", date_unit="us"))
    if is_dataclass(result) and not isinstance(result, type):
        return {one.name: _plain(getattr(result, one.name)) for one in fields(result)}
    if isinstance(result, datetime):  # as in tables
        return result.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(result, date):
        return result.isoformat()
    return [_plain(one) for one in result] if isinstance(result, list | tuple) else result


# Commands ---------------------------------------------------------------------------------------------------


def _status(options: argparse.Namespace) -> Result:
    with _reading(options) as client:
        return Result(client.status())


def _ledger(options: argparse.Namespace) -> Result:
    with _reading(options) as client:
        rows = client.ledger().tail(options.last)
    return Result(rows, _table(rows[["sent_at", "endpoint", "n_entities", "http_status", "credits"]]))


def _export(options: argparse.Namespace) -> Result:
    from .export import export_store  # noqa: PLC0415 - where it is used

    with _reading(options) as client:
        return Result(export_store(options.folder, client=client))


def _panel(options: argparse.Namespace) -> Result:
    from .panels import panel  # noqa: PLC0415

    found = panel(options.file)
    return Result(getattr(found, options.what)())


def _probe(options: argparse.Namespace) -> Result:
    from .probing import probe  # noqa: PLC0415

    with connect(sandbox=options.sandbox, store=options.store) as client:
        found = probe(options.credits, client=client)
    shown = found[["path", "verdict", "credits", "detail"]]
    return Result(found, _table(shown), _BUDGET if (found["verdict"] == "not tried").any() else 0)


def _notebooks(options: argparse.Namespace) -> Result:
    """Copy the notebooks that came with the package; a file that is there stays as it is."""
    here = Path(__file__).parent
    source = next((one for one in (here / "notebooks", here.parent / "notebooks") if one.is_dir()), None)
    if source is None:
        raise InvalidArgumentError("this installation has no notebooks: install the wheel, or get the source")
    folder = as_path(options.folder, "DIR", "a folder")
    if folder.exists() and not folder.is_dir():
        raise InvalidArgumentError(f"{folder} is a file. Choose a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder} cannot be made: {reason_of(error)}. Choose another folder") from error
    done = []
    for path in sorted(source.glob("*.ipynb")):
        target = folder / path.name
        there = target.exists()
        if not there:
            with replacing(target, new=True) as file:
                file.write(read_bytes(path))
        done.append((str(target), "was there, and stays as it is" if there else "written"))
    found = pd.DataFrame(done, columns=["notebook", "state"])
    return Result(found, f"{_table(found)}\n\nOpen them with: jupyter lab {folder}")


def _sandbox(options: argparse.Namespace) -> Result:
    from .sandbox.__main__ import serve  # noqa: PLC0415

    return Result(None, code=serve(options))


def _reading(options: argparse.Namespace) -> Client:
    return Client(store=options.store, offline=True)


# What can be typed ------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    from .sandbox.__main__ import add_options  # noqa: PLC0415 - imports a server

    parser = argparse.ArgumentParser(
        prog="python -m keyapi_research", epilog=_CODES, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="TikTok commerce data from KeyAPI: what is stored and what it cost, panels, synthetic data.",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(
        name: str, command: Callable[[argparse.Namespace], Result], text: str, epilog: str = _CODES
    ) -> argparse.ArgumentParser:
        one: argparse.ArgumentParser = commands.add_parser(
            name, help=text, description=text, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        one.set_defaults(command=command, json=False)
        return one

    def add_json(one: argparse.ArgumentParser) -> None:
        one.add_argument("--json", action="store_true", help="print JSON; errors as JSON, too")

    def add_store(one: argparse.ArgumentParser) -> None:
        text = (
            "the store: a file, or postgresql://user@host/db (default: $KEYAPI_STORE, else keyapi.sqlite in your data "
            "folder)"
        )
        one.add_argument("--store", metavar="STORE", help=text)
        add_json(one)

    add_store(add("status", _status, "Show what is stored, and what it cost. Sends nothing."))

    ledger = add("ledger", _ledger, "List the last requests: when, what for, credits. Sends nothing.")
    ledger.add_argument("--last", type=_at_least_1, default=20, metavar="N", help="how many (default: %(default)s)")
    add_store(ledger)

    export = add("export", _export, "Write all that is stored as Parquet, a folder for each table. Sends nothing.")
    export.add_argument("folder", metavar="DIR", help="folder to write to; a second run adds what is new")
    add_store(export)

    panel = add(
        "panel", _panel, "Run a study that goes on: show its cost, fetch what is due, or show its state.",
        _PANEL + _CODES,
    )  # fmt: skip
    panel.add_argument(
        "what", choices=("plan", "run", "status"), metavar="plan|run|status",
        help="plan: what a round and a year cost. run: fetch what is due; only this sends requests and pays. status: "
        "what was done, missed and spent",
    )  # fmt: skip
    panel.add_argument("file", metavar="FILE", help="the panel's file, such as perfume.toml")
    add_json(panel)

    probe = add("probe", _probe, "Request each endpoint once, to see which still answer as this package expects.")
    probe.add_argument(
        "--credits", type=_at_least_1, default=25, metavar="N", help="spend at most N credits (default: %(default)s)"
    )
    probe.add_argument("--sandbox", action="store_true", help="use synthetic data: no key, no credits")
    add_store(probe)

    notebooks = add("notebooks", _notebooks, "Copy the example notebooks into a folder; overwrites nothing.")
    notebooks.add_argument("folder", metavar="DIR", help="made if it is not there")
    add_json(notebooks)

    serve = "Serve synthetic data on this machine until Ctrl-C: no key, no credits."
    add_options(add("sandbox", _sandbox, serve, ""))
    return parser


def _at_least_1(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1; got {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
