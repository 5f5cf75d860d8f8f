"""How pictures look: colours, sizes, fonts, the legend and footer around the data, and the SYNTHETIC stamp.

Room is made by matplotlib's constrained layout; Axes placed by hand stay where they are. Nothing is shown, saved or
closed, and no global setting is changed: fonts and background are those of the user's style.
"""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import font_manager, ft2font
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from ..entities import Name, numbered
from ..errors import InvalidArgumentError
from .reading import Origin, find_origin

# Okabe and Ito's palette, told apart by all kinds of colour vision; each use adds a shape, a dash or a hatch for print
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
MARKERS: Final = ("o", "s", "^", "D", "v", "<", ">")
GREY: Final = "#999999"
LINE: Final = 1.4  # font sizes from one line to the next
_DPI: Final = 150
_WIDTH: Final = 8.0  # inches, as wide as a notebook's output
_NARROW: Final = 5.5 * 72  # points
_AROUND: Final = 110  # points, about what title, ticks, axis label and footer take of the height

# Axes -------------------------------------------------------------------------------------------------------


def axes_for(ax: object, height: float) -> Axes:
    """Return the Axes to draw into: the user's, or those of a new figure as high as said."""
    if ax is None:
        return plt.figure(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained").add_subplot()
    if not isinstance(ax, Axes):
        raise InvalidArgumentError(f"ax is one matplotlib Axes; got {type(ax).__name__}. {_instead(ax)}")
    if is_narrow(ax):
        ax.tick_params(labelsize=small(ax))
    return ax


def _instead(given: object) -> str:
    """Say which Axes could be passed instead."""
    if isinstance(given, np.ndarray | list | tuple):
        first = ", ".join("0" * np.asarray(given, dtype=object).ndim)
        return f"Pass one of them, as axes[{first}]."
    return "Pass one of its Axes, as figure.axes[0]." if isinstance(given, Figure) else "Pass one, or leave ax out."


def small_panels(count: int, columns: int) -> tuple[Figure, list[Axes]]:
    """Make a figure with so many panels that share their axes."""
    rows = math.ceil(count / columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(_WIDTH, 1.4 + 1.7 * rows), dpi=_DPI, sharex=True, sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    panels = list(grid.flat)
    for panel in panels[count:]:
        panel.remove()
    return figure, panels[:count]


def ink(ax: Axes) -> Any:
    """Return the colour of the user's own axis labels: what shows on this background."""
    return ax.xaxis.label.get_color()


def paper(ax: Axes) -> Any:
    """Return the colour of the background."""
    return ax.get_facecolor() if ax.get_facecolor()[3] else "white"


def halo(ax: Axes) -> list[withStroke]:
    """Return an outline for text that stands on marks."""
    return [withStroke(linewidth=2.5, foreground=paper(ax))]


def root(ax: Axes) -> Figure:
    """Return the figure that holds all others."""
    return ax.figure.canvas.figure


def points(ax: Axes, pixels: float) -> float:
    """Convert a length on the picture to points."""
    return float(pixels * 72 / root(ax).dpi)


def room(ax: Axes) -> tuple[float, float]:
    """Return how many points wide and high the place is that these Axes and all around them have."""
    spec, box = ax.get_subplotspec(), ax.get_position(original=True)
    width, height = box.width, box.height
    if spec is not None:
        box, pars = spec.get_position(root(ax)), ax.figure.subplotpars
        width, height = box.width / (pars.right - pars.left), box.height / (pars.top - pars.bottom)
    return points(ax, width * ax.figure.bbox.width), points(ax, height * ax.figure.bbox.height)


def is_narrow(ax: Axes) -> bool:
    """Whether a legend beside the data would leave little to them."""
    return room(ax)[0] < _NARROW


def small(ax: Axes) -> float:
    """Return the size of small text in points."""
    return 6.0 if is_narrow(ax) else 8.0


def lines_that_fit(ax: Axes, size: float) -> int:
    """Return about how many lines of text of a size the data have room for."""
    return max(1, int((room(ax)[1] - _AROUND) / (LINE * size)))


def set_texts(ax: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """Write the title, above a legend that stands there, and the axis labels."""
    size: dict[str, Any] = {"fontsize": small(ax)} if is_narrow(ax) else {}
    legend, pad = ax.get_legend(), mpl.rcParams["axes.titlepad"]
    if legend and is_narrow(ax):
        pad += points(ax, legend.get_window_extent().height)
    font = 8 if is_narrow(ax) else "medium"
    ax.set_title(title, loc="left", fontsize=font, pad=pad, gid="title", **text_style(title))
    ax.set_xlabel(x, **size, **text_style())
    ax.set_ylabel(y, **size, **text_style())


def set_grid(ax: Axes, axis: Any = "both") -> None:
    """Draw a light grid behind the data, and no frame above and beside them."""
    ax.set_axisbelow(True)
    ax.grid(visible=True, axis=axis, color=GREY, alpha=0.3, linewidth=0.6, linestyle="-")
    hide_frame(ax)


def hide_frame(ax: Axes) -> None:
    """Hide the lines above and beside the data, where there are such."""
    for side in ("top", "right"):
        if side in ax.spines:
            ax.spines[side].set_visible(False)


def write_inside(ax: Axes, what: str, *, empty: bool = True) -> None:
    """Write a few words where data would be."""
    ax.text(0.5, 0.85, what, transform=ax.transAxes, ha="center", va="center", **text_style())
    if empty:
        ax.set(xticks=[], yticks=[])


def compact(value: float, _: object = None) -> str:
    """Write an amount in few characters: 15.7M."""
    for power, unit in ((9, "B"), (6, "M"), (3, "k")):
        if abs(value) >= 0.9995 * 10**power:
            return f"{value / 10**power:.3g}{unit}"
    return f"{value:.3g}"


# Around the data --------------------------------------------------------------------------------------------


def add_legend(ax: Axes, handles: Sequence[Any], labels: Labels, title: str = "", **place: Any) -> Any:
    """Put a legend beside the data, or above them where Axes are narrow."""
    size = small(ax)
    where = {"loc": "lower left", "bbox_to_anchor": (0, 1.02)} if is_narrow(ax) else {
        "loc": "upper left", "bbox_to_anchor": (1.01, 1)
    }  # fmt: skip
    numbers = [str(place) for place in range(len(handles))]  # the text comes after: matplotlib drops labels like "_a"
    legend = ax.legend(
        handles, numbers, fontsize=size, title=title or None, title_fontsize=size, alignment="left", frameon=False,
        borderaxespad=0, labelcolor=ink(ax), **{"labelspacing": 0.35, **where, **place},
    )  # fmt: skip
    for text, label in zip(legend.get_texts(), labels.texts, strict=True):
        text.update({"text": label, **labels.style})
    legend.get_title().set_color(ink(ax))
    return legend


def finish(ax: Axes, origin: Origin, notes: Iterable[str] = (), *, own: bool = True) -> Axes:
    """Make the room for what stands around the data, write notes, source and age below, and stamp synthetic rows.

    Where the picture is the user's `own` is false, and its title and labels stay as they are.
    """
    _remove(ax, "footer")
    lay_out(ax)
    box, around = ax.get_window_extent(), ax.get_tightbbox() or ax.get_window_extent()
    if own:
        fit(next(one for one in ax.get_children() if one.get_gid() == "title"), around.x1 - box.x0)
        fit(ax.xaxis.label, box.width)
        fit(ax.yaxis.label, box.height)
    footer = ax.annotate(
        "\n".join(filter(None, (" ".join(notes), origin.text))), xy=(0, 0), xycoords=(ax.yaxis.label, ax.xaxis.label),
        xytext=(0, -6), textcoords="offset points", ha="left", va="top", fontsize=small(ax), color=ink(ax), alpha=0.75,
        annotation_clip=False, gid="footer", **text_style(origin.text),
    )  # fmt: skip
    fit(footer, around.width)
    stamp(ax, origin)
    return ax


def _remove(ax: Axes, gid: str) -> None:
    for old in [text for text in ax.texts if text.get_gid() == gid]:
        old.remove()


def dress(ax: object, df: object) -> None:
    """Give panels of the user's the look of the package's pictures, with source and age under the first."""
    origin = find_origin(df)
    panels = np.ravel(np.asarray(ax, dtype=object)).tolist()
    if not panels or not all(isinstance(panel, Axes) for panel in panels):
        raise InvalidArgumentError(
            f"stamp needs Axes, or those of all panels; got {type(ax).__name__}. Of a figure pass figure.axes."
        )
    figure = root(panels[0])
    if figure.dpi == mpl.rcParams["figure.dpi"]:  # the user chose none
        figure.set_dpi(max(_DPI, figure.dpi))
    for panel in panels:
        panel.set_axisbelow(True)
        hide_frame(panel)
    finish(panels[0], origin, own=False)
    for panel in panels[1:]:
        stamp(panel, origin)


def lay_out(ax: Axes) -> None:
    """Give all that stands around the data its room now, so that what is measured is what will be drawn."""
    figure = root(ax)
    if ax.get_subplotspec() is None:
        return  # placed by hand
    if figure.get_layout_engine() is None:
        placed = any(hasattr(one, "_colorbar") for one in figure.axes)  # a scale that constrained layout cannot move
        figure.set_layout_engine("tight" if placed else "constrained")
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    ax.apply_aspect()


def fit(text: Any, length: float) -> None:
    """Break a text into lines no longer than so many pixels."""
    longest = max(text.get_text().split("\n"), key=len)
    box = Text.get_window_extent(text)
    extent = max(box.width, box.height)
    if not longest or extent <= length:
        return
    most = max(12, int(0.95 * len(longest) * length / extent))
    text.set_text("\n".join(textwrap.fill(one, most, break_long_words=False) for one in text.get_text().split("\n")))


def stamp(ax: Axes, origin: Origin) -> None:
    """Write SYNTHETIC across a picture of synthetic rows, light and behind the data, so that it covers no number."""
    _remove(ax, "synthetic")
    if not origin.synthetic:
        return
    box, word = ax.get_window_extent(), "SYNTHETIC"
    # six tenths of the diagonal long, a bold capital being about 0.75 em wide
    size = points(ax, 0.6 * math.hypot(box.width, box.height) / (0.75 * len(word)))
    under = max([image.get_zorder() + 0.1 for image in ax.images], default=0.1)  # an image would hide it
    ax.text(
        0.5, 0.5, word, transform=ax.transAxes, ha="center", va="center", fontweight="bold", fontsize=min(size, 60),
        rotation=math.degrees(math.atan2(box.height, box.width)), color=ink(ax), alpha=0.13, zorder=under, clip_on=True,
        in_layout=False, gid="synthetic", **text_style(),
    )  # fmt: skip


# Fonts ------------------------------------------------------------------------------------------------------

# with libraqm matplotlib (3.11 and later) orders right-to-left text and joins its letters; without it, it does not
SHAPES_TEXT: Final = hasattr(ft2font, "__libraqm_version__")
_FIRST: Final = ("Noto Sans", "Segoe UI", "Microsoft YaHei", "Malgun", "Leelawadee", "PingFang", "Hiragino", "Arial")
_VIRAMA: Final = 9  # combining class of marks that melt characters together
_ORNAMENTS: Final = ("So", "Sk", "Cc", "Cf", "Cn", "Co", "Cs")  # categories: emoji, controls, half characters
_VARIATION: Final = range(0xFE00, 0xFE10)  # selectors of how the character before looks


def labels_for(names: Sequence[Name]) -> Labels:
    """Return labels that installed fonts can draw: a name, else its plain form, else its script and place; no boxes."""
    labels, unwritten, thinned = [], 0, 0
    for place, name in enumerate(names, 1):
        text = " ".join(name.label.split())
        lacking = [character for character in text if not _is_drawable(character)]
        kept = _without(text, lacking)
        if all(map(_is_ornament, lacking)) and (not lacking or any(map(str.isalnum, kept))):
            labels.append(" ".join(kept.split()))
            thinned += any(unicodedata.category(one) in ("So", "Sk", "Cn") for one in lacking)
        else:
            labels.append(name.plain_label or f"({_script(lacking)} name, no. {place})")
            unwritten += 1
    reason = "in a script no installed font has" if SHAPES_TEXT else "in a script that cannot be drawn here"
    counted = ((unwritten, reason), (thinned, "drawn without emoji that no installed font has"))
    notes = [f"{count} name{'s' if count != 1 else ''} {what}." for count, what in counted if count]
    return Labels(numbered(labels), text_style("".join(labels)), notes)


def plain_labels(texts: Iterable[str]) -> Labels:
    """Return labels for texts that are no names of entities."""
    return labels_for([Name(text) for text in texts])


def text_style(text: str = "") -> dict[str, Any]:
    """Return properties of a text drawn as it is: no mathtext, no TeX, with fonts for its characters."""
    families = list(mpl.rcParams["font.family"])
    lacking = {character for character in text if not any(character in _characters(one) for one in families)}
    for family in _installed() if lacking else ():
        if lacking & _characters(family):
            families.append(family)
            lacking -= _characters(family)
        if not lacking:
            break
    return {"fontfamily": families, "parse_math": False, "usetex": False}


def _characters(family: str) -> frozenset[str]:
    return _characters_of(font_manager.findfont(font_manager.FontProperties(family=[family])))


@cache
def _characters_of(path: Any) -> frozenset[str]:
    try:
        return frozenset(map(chr, font_manager.get_font(path).get_charmap()))
    except (OSError, RuntimeError):  # removed since matplotlib listed it, or of a kind it cannot read
        return frozenset()


@cache
def _installed() -> list[str]:
    """List the installed families, those with many scripts first, without those that have a box for everything."""
    names = [name for name in font_manager.get_font_names() if not any(word in name for word in ("Resort", "Blank"))]
    return sorted(names, key=lambda name: (not name.startswith(_FIRST), name))


def _is_drawable(character: str) -> bool:
    if character == " ":
        return True
    if unicodedata.category(character) in ("Cc", "Cs") or not (SHAPES_TEXT or not _needs_shaping(character)):
        return False
    return any(character in _characters(family) for family in (*mpl.rcParams["font.family"], *_installed()))


def _needs_shaping(character: str) -> bool:
    """Whether a character comes out in the wrong place or shape when characters are put side by side."""
    return (
        unicodedata.bidirectional(character) in ("R", "AL")
        or unicodedata.category(character) == "Mc"
        or unicodedata.combining(character) == _VIRAMA
    )


def _is_ornament(character: str) -> bool:
    """Whether a name is still the name without this: emoji, their modifiers, controls, half characters."""
    return unicodedata.category(character) in _ORNAMENTS or ord(character) in _VARIATION


def _without(text: str, dropped: Sequence[str]) -> str:
    """Drop characters and what only joins or colours them."""
    kept, joins = "", False
    for character in text:
        joins = character in dropped or (joins and character in "\ufe0e\ufe0f\u200d")
        kept += "" if joins else character
    return kept


def _script(characters: Sequence[str]) -> str:
    named = [unicodedata.name(one, "unknown").split()[0] for one in characters if not _is_ornament(one)]
    return "emoji" if not named else named[0] if named[0] == "CJK" else named[0].capitalize()


@dataclass(frozen=True)
class Labels:
    """Labels as they can be drawn, the properties of the text that draws them, and notes for the footer."""

    texts: list[str]
    style: dict[str, Any]
    notes: list[str]
