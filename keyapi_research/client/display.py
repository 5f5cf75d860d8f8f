"""How facts look in a notebook, a terminal and a saved page; and whether anybody is looking."""

from __future__ import annotations

import sys
from collections.abc import Mapping


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


def somebody_looks() -> bool:
    """Whether a progress bar would be seen: a terminal, or a notebook."""
    kernel = sys.modules.get("ipykernel")
    if kernel is not None and "IPython" in sys.modules:
        shell = sys.modules["IPython"].get_ipython()
        if shell is not None and hasattr(shell, "kernel"):
            return True
    return sys.stderr.isatty()
