"""``python -m keyapi_research.sandbox``: serve the sandbox until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import threading
from collections.abc import Sequence

from . import TOKEN, WORLD_VERSION, Sandbox
from .routes import LARGEST_PAGE
from .world import SEED

_LARGEST_PORT = 65_535
_LONGEST_WAIT = 3600
_SEED = re.compile(r"[A-Za-z0-9._-]{1,40}")  # it is part of the name of a file


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted, then print what it would have cost, and return the exit status.

    Parameters
    ----------
    arguments
        Command line, without the program's name; that of this process by default.
    """
    parser = argparse.ArgumentParser(
        prog="python -m keyapi_research.sandbox",
        description="A KeyAPI-compatible server on this machine: synthetic data, no key, no credits.",
    )
    parser.add_argument("--port", type=int, default=8765, help="port on 127.0.0.1 (default: %(default)s)")
    parser.add_argument("--seed", default=SEED, help="which world (default: %(default)s)")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds to wait before each answer")
    parser.add_argument("--page-cap", type=int, default=LARGEST_PAGE, help="most rows a page may have")
    parser.add_argument("--credits", type=int, default=None, help="credits in the account (default: endless)")
    options = parser.parse_args(arguments)
    for name, fine, allowed in _rules(options):
        if not fine:
            parser.error(f"--{name} is {allowed}, not {getattr(options, name.replace('-', '_'))!r}")
    sandbox = Sandbox(**vars(options))
    try:
        sandbox.start()
    except OSError as error:
        reason = error.strerror or error
        parser.error(f"port {options.port} cannot be used ({reason}): choose another with --port, or 0 for a free one")
    with sandbox:
        _print(_greeting(sandbox))
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
        _print(f"\n{sandbox.charged} credits charged for {len(sandbox.requests)} requests (none of it real).\n")
    return 0


def _rules(options: argparse.Namespace) -> tuple[tuple[str, bool, str], ...]:
    credits_fine = options.credits is None or options.credits >= 0
    return (
        ("port", 0 <= options.port <= _LARGEST_PORT, f"a number from 0 (any free one) to {_LARGEST_PORT}"),
        ("latency", 0 <= options.latency <= _LONGEST_WAIT, f"a number of seconds from 0 to {_LONGEST_WAIT}"),
        ("page-cap", options.page_cap >= 1, "at least 1 row"),
        ("credits", credits_fine, "at least 0 (leave it out for an endless account)"),
        ("seed", _SEED.fullmatch(options.seed) is not None, "1 to 40 letters, digits, dots, hyphens or underscores"),
    )


def _greeting(sandbox: Sandbox) -> str:
    # Another seed on the same port has the same address: without a store of its own its answers would be mixed
    # with the stored ones of this seed.
    store = f"sandbox-world-{WORLD_VERSION}-seed-{sandbox.seed}.sqlite"
    return (
        f"KeyAPI sandbox at {sandbox.url} (Ctrl-C stops it). In Python:\n\n"
        "    import keyapi_research as kr\n"
        f'    kr.connect(base_url="{sandbox.url}", token="{TOKEN}", store="{store}")\n\n'
    )


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
