"""One progress bar per call, where somebody looks."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any, Final, TextIO

from .display import somebody_looks

_WORTH_A_BAR: Final = 5  # requests; fewer are over before a bar is read


class Progress:
    """Counts requests and credits of one call.

    Parameters
    ----------
    name : str
        Name of the fetch function.
    wanted : bool or None
        True, False, or None: where somebody looks and there is enough to wait for.
    """

    def __init__(self, name: str, *, wanted: bool | None) -> None:
        self._name = name
        self._wanted = wanted
        self._bar: Any = None
        self._total: int | None = 0
        self._done = 0
        self._credits = 0

    def expect(self, requests: int | None) -> None:
        """Expect more requests; None where nobody knows how many."""
        self._total = None if requests is None or self._total is None else self._total + requests

    def step(self, credits: int) -> None:  # noqa: A002 - the field's word
        """Count one finished request; `credits` were spent so far."""
        self._done += 1
        self._credits = credits
        self._try(self._draw)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._try(self._bar.close)

    def _try(self, draw: Callable[[], None]) -> None:
        """Draw, in a thread that no signal reaches: a bar never breaks a call, whatever became of where it is drawn."""
        try:
            draw()
        except Exception:  # noqa: BLE001 - a closed terminal, a broken pipe: there is nobody to tell
            self._wanted, self._bar = False, None

    def _draw(self) -> None:
        if self._bar is None:
            enough = self._total is None or self._total >= _WORTH_A_BAR
            wanted = self._wanted or (self._wanted is None and enough and somebody_looks())
            # A program without a console has no stderr: a bar would have nowhere to be drawn.
            if not wanted or sys.stderr is None:
                return
            self._bar = _bar_class()(
                total=self._total, desc=self._name, unit="request", leave=True, file=_Lenient(sys.stderr)
            )
        self._bar.total = self._total
        self._bar.set_postfix_str(f"{self._credits:,} credits", refresh=False)
        self._bar.update(self._done - self._bar.n)


class _Lenient:
    """A stream whose writing never fails: tqdm would keep its lock, and the next bar would wait for ever."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write, if that can be done."""
        with contextlib.suppress(Exception):
            self._stream.write(text)

    def flush(self) -> None:
        """Show what was written, if that can be done."""
        with contextlib.suppress(Exception):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _bar_class() -> Any:
    if "ipykernel" in sys.modules:  # tqdm's own choice warns where ipywidgets is missing
        try:
            import ipywidgets  # noqa: F401, PLC0415
        except ImportError:
            pass
        else:
            from tqdm.auto import tqdm as automatic  # noqa: PLC0415 - imports IPython: only where it is used

            return automatic
    from tqdm.std import tqdm  # noqa: PLC0415

    return tqdm
