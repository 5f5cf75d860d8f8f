"""One progress bar per call, where somebody looks."""

from __future__ import annotations

import sys
from typing import Any, Final

from .display import somebody_looks

_WORTH_A_BAR: Final = 5  # requests; fewer are over before a bar is read


class Progress:
    """Counts requests and credits of one call.

    Parameters
    ----------
    name : str
        Name of the fetch function.
    total : int or None
        Requests to send; None where it is not known.
    wanted : bool or None
        True, False, or None: where somebody looks and there is enough to wait for.
    """

    def __init__(self, name: str, total: int | None, *, wanted: bool | None) -> None:
        self._bar: Any = None
        enough = total is None or total >= _WORTH_A_BAR
        # A program without a console has no stderr: a bar would have nowhere to be drawn.
        if sys.stderr is not None and (wanted or (wanted is None and enough and somebody_looks())):
            self._bar = _bar_class()(total=total, desc=name, unit="request", leave=True)

    def step(self, credits: int) -> None:  # noqa: A002 - the field's word
        """Count one finished request; `credits` were spent so far."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"{credits:,} credits", refresh=False)
            self._bar.update()

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()


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
