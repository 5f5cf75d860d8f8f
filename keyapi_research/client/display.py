"""How facts look in a notebook, a terminal and a saved page; and whether anybody is looking."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ..settings import MEMORY, shown_path


class Facts:
    """Something shown by its facts; paths are whole for their owner, short where a notebook keeps what is shown."""

    @property
    def _title(self) -> str:
        raise NotImplementedError

    def _facts(self, *, whole: bool) -> Mapping[str, object]:
        raise NotImplementedError

    def _text(self, *, whole: bool) -> str:
        facts = self._facts(whole=whole)
        width = max(map(len, facts))
        return "\n".join([f"<{self._title}>", *(f"  {name:<{width}}  {_shown(facts[name])}" for name in facts)])

    def __repr__(self) -> str:
        return self._text(whole=True)

    def __str__(self) -> str:
        return self._text(whole=not in_notebook())

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        from html import escape  # noqa: PLC0415 - imports a table of all entities: only where it is used

        rows = "".join(
            f'<tr><th style="text-align:left;font-weight:normal;padding:1px 12px 1px 0">{escape(name)}</th>'
            f'<td style="text-align:left">{escape(_shown(value))}</td></tr>'
            for name, value in self._facts(whole=False).items()
        )
        return f"<div><strong>{escape(self._title)}</strong><table>{rows}</table></div>"


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
