"""How facts look in a notebook, a terminal and a saved page; and whether anybody is looking."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ..settings import MEMORY, shown_path


class Shown:
    """Something with a text that names a file: in full for its owner, shortly where a notebook may be published."""

    def _text(self, *, whole: bool) -> str:
        raise NotImplementedError

    def __repr__(self) -> str:
        return self._text(whole=True)

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(self._text(whole=not in_notebook()))


def path_text(path: str, *, whole: bool) -> str:
    """Write a path in full, or as a reader on another machine needs it."""
    return path if whole and path != MEMORY else shown_path(path)


def facts_html(title: str, facts: Mapping[str, object]) -> str:
    """Write a small table; text from the API stays text."""
    from html import escape  # noqa: PLC0415 - imports a table of all entities: only where it is used

    rows = "".join(
        f'<tr><th style="text-align:left;font-weight:normal;padding:1px 12px 1px 0">{escape(str(name))}</th>'
        f'<td style="text-align:left">{escape(shown(value))}</td></tr>'
        for name, value in facts.items()
    )
    return f"<div><strong>{escape(title)}</strong><table>{rows}</table></div>"


def facts_text(title: str, facts: Mapping[str, object]) -> str:
    """Write the same for a terminal."""
    width = max(map(len, facts), default=0)
    return "\n".join([title, *(f"  {name:<{width}}  {shown(value)}" for name, value in facts.items())])


def shown(value: object) -> str:
    """Write one value for a reader."""
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
