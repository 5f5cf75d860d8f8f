"""``python -m keyapi_research.sandbox``: serve the sandbox until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from . import TOKEN, WORLD_VERSION, Sandbox
from .routes import LARGEST_PAGE
from .world import SEED

_LARGEST_PORT = 65_535
_LONGEST_WAIT = 3600
_SEED = re.compile(r"[A-Za-z0-9._-]{1,40}")  # it is part of the name of a file
# Name, type, default, help; which values are allowed, and that in words.
_OPTIONS: tuple[tuple[str, type, Any, str, Callable[[Any], object], str], ...] = (
    ("port", int, 8765, "port on 127.0.0.1 (default: %(default)s)",
     lambda port: 0 <= port <= _LARGEST_PORT, f"a number from 0 (any free one) to {_LARGEST_PORT}"),
    ("seed", str, SEED, "which world (default: %(default)s)",
     _SEED.fullmatch, "1 to 40 letters, digits, dots, hyphens or underscores"),
    ("latency", float, 0.0, "seconds to wait before each answer",
     lambda seconds: 0 <= seconds <= _LONGEST_WAIT, f"a number of seconds from 0 to {_LONGEST_WAIT}"),
    ("page-cap", int, LARGEST_PAGE, "most rows a page may have", lambda rows: rows >= 1, "at least 1 row"),
    ("credits", int, None, "credits in the account (default: endless)",
     lambda left: left is None or left >= 0, "at least 0 (leave it out for an endless account)"),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted, print what it would have cost, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m keyapi_research.sandbox",
        description="A KeyAPI-compatible server on this machine: synthetic data, no key, no credits.",
    )
    add_options(parser)
    return serve(parser.parse_args(arguments))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the server to a parser."""
    for name, kind, default, text, _, _ in _OPTIONS:
        metavar = {int: "N", float: "SECONDS"}.get(kind, name.upper())
        parser.add_argument(f"--{name}", type=kind, default=default, metavar=metavar, help=text)
    parser.set_defaults(refuse=parser.error)


def serve(given: argparse.Namespace) -> int:
    """Serve until interrupted, print what it would have cost, and return the exit status."""
    options = {name.replace("-", "_"): getattr(given, name.replace("-", "_")) for name, *_ in _OPTIONS}
    for (name, *_, allows, allowed), value in zip(_OPTIONS, options.values(), strict=True):
        if not allows(value):
            given.refuse(f"--{name} is {allowed}, not {value!r}")
    sandbox = Sandbox(**options)
    try:
        sandbox.start()
    except OSError as error:
        reason = error.strerror or error
        given.refuse(
            f"port {options['port']} cannot be used ({reason}): choose another with --port, or 0 for a free one"
        )
    # Another seed on the same port has the same address: without a store of its own its answers would be mixed
    # with the stored ones of this seed.
    store = f"sandbox-world-{WORLD_VERSION}-seed-{sandbox.seed}.sqlite"
    with sandbox:
        print(  # noqa: T201
            f"KeyAPI sandbox at {sandbox.url} (Ctrl-C stops it). In Python:\n\n"
            "    import keyapi_research as kr\n"
            f'    kr.connect(base_url="{sandbox.url}", token="{TOKEN}", store="{store}")\n',
            flush=True,
        )
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
        print(  # noqa: T201
            f"\n{sandbox.charged} credits charged for {len(sandbox.requests)} requests (none of it real).", flush=True
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
