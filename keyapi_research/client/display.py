"""How facts and progress look in a notebook, a terminal and a saved page."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, TextIO

from ..settings import MEMORY, shown_path

_WORTH_A_BAR: Final = 5  # requests; fewer are over before a bar is read
_FORMAT: Final = "{desc}: {bar} {n_fmt} of {total_fmt} {unit}s{postfix}, {remaining} left"


class Facts:
    """Something shown by its facts; paths are whole for their owner, short where a notebook keeps what is shown."""

    def _facts(self, *, whole: bool) -> tuple[str, Mapping[str, object]]:
        raise NotImplementedError

    def _text(self, *, whole: bool) -> str:
        title, facts = self._facts(whole=whole)
        width = max(map(len, facts))
        return "\n".join([f"<{title}>", *(f"  {name:<{width}}  {_shown(facts[name])}" for name in facts)])

    def __repr__(self) -> str:
        return self._text(whole=True)

    def __str__(self) -> str:
        return self._text(whole=not in_notebook())

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        from html import escape  # noqa: PLC0415 - imports a table of all entities: only where it is used

        title, facts = self._facts(whole=False)
        rows = "".join(
            f'<tr><th style="text-align:left;font-weight:normal;padding:1px 12px 1px 0">{escape(name)}</th>'
            f'<td style="text-align:left">{escape(_shown(value))}</td></tr>'
            for name, value in facts.items()
        )
        return f"<div><strong>{escape(title)}</strong><table>{rows}</table></div>"


def path_text(path: str, *, whole: bool) -> str:
    """Write a path in full, or as a reader on another machine needs it."""
    return path if whole and path != MEMORY else shown_path(path)


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def in_notebook() -> bool:
    """Whether this runs in a notebook's kernel."""
    if "ipykernel" not in sys.modules or "IPython" not in sys.modules:
        return False
    return hasattr(sys.modules["IPython"].get_ipython(), "kernel")


def somebody_looks() -> bool:
    """Whether a progress bar would be seen: in a terminal or a notebook."""
    return in_notebook() or sys.stderr.isatty()


class Progress:
    """The progress bar of one call, in requests or other units.

    `wanted` is True, False, or None: where it is worth it and seen.
    """

    def __init__(self, name: str, *, wanted: bool | None, unit: str = "request") -> None:
        self._name, self._unit = name, unit
        self._wanted = wanted
        self._bar: Any = None
        self._total: int | None = 0
        self._done = 0
        self._began = time.monotonic()

    def expect(self, number: int | None) -> None:
        """Expect more; None where nobody knows how many."""
        self._total = None if number is None or self._total is None else self._total + number

    def step(self, credits: int | None = None, *, number: int = 1) -> None:  # noqa: A002 - the field's word
        """Count what is finished; `credits` were spent so far."""
        self._done += number
        try:
            self._draw(credits)
        except Exception:  # noqa: BLE001 - a closed terminal, a broken pipe: a bar never breaks a call
            self._wanted, self._bar = False, None

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            with contextlib.suppress(Exception):
                self._bar.close()

    def _draw(self, credits: int | None) -> None:  # noqa: A002
        if self._bar is None:
            enough = self._total is None or self._total >= _WORTH_A_BAR
            wanted = self._wanted or (self._wanted is None and enough and somebody_looks())
            if not wanted or sys.stderr is None:  # a program without a console has no stderr
                return
            file = _Lenient(sys.stderr)
            self._bar = _bar_class()(
                total=self._total, desc=self._name, unit=self._unit, leave=True, file=file, bar_format=_FORMAT
            )
        self._bar.total = self._total
        spent = [] if credits is None else [f"{credits:,} credit{'s' if credits != 1 else ''}"]
        rate = self._done / max(time.monotonic() - self._began, 0.001)
        self._bar.set_postfix_str(", ".join([*spent, f"{rate:,.1f} {self._unit}s a second"]), refresh=False)
        self._bar.update(self._done - self._bar.n)


class _Lenient:
    """A stream whose writing never fails: tqdm would keep its lock, and the next bar would wait for ever."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(Exception):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(Exception):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _bar_class() -> Any:
    with contextlib.suppress(ImportError):  # tqdm's own choice warns where ipywidgets is missing
        if "ipykernel" in sys.modules:
            import ipywidgets  # noqa: F401, PLC0415
            from tqdm.auto import tqdm as automatic  # noqa: PLC0415 - imports IPython: only where it is used

            return automatic
    from tqdm.std import tqdm  # noqa: PLC0415

    return tqdm
