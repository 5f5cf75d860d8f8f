"""``python -m keyapi_research.sandbox``: serve the sandbox until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
from typing import TYPE_CHECKING

from keyapi_research.sandbox import TOKEN, Sandbox
from keyapi_research.sandbox.server import LARGEST_PAGE
from keyapi_research.sandbox.world import SEED

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted, then say what it would have cost.

    Parameters
    ----------
    arguments
        Command line, without the program's name; that of this process by default.

    Returns
    -------
    int
        Exit status.
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
    sandbox = Sandbox(
        port=options.port,
        seed=options.seed,
        latency=options.latency,
        page_cap=options.page_cap,
        credits=options.credits,
    )
    with sandbox:
        say = sys.stdout.write
        say(f"KeyAPI sandbox at {sandbox.url} (Ctrl-C stops it). In Python:\n\n")
        say("    import keyapi_research as kr\n")
        say(f'    kr.connect(base_url="{sandbox.url}", token="{TOKEN}")\n\n')
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
        say(f"\n{sandbox.charged} credits charged for {len(sandbox.requests)} requests (none of it real).\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
