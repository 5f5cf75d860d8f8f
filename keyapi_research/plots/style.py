"""How pictures look: colours, sizes, fonts, the legend and footer around the data, and the SYNTHETIC stamp.

Room is made by matplotlib's constrained layout; Axes placed by hand stay where they are. Matplotlib breaks the texts of
a picture that has a figure of its own, anew at each size; those of one among several panels are broken once. Nothing
is shown, saved or closed, and no global setting is changed: fonts and background are those of the user's style.
"""

from __future__ import annotations

import math
import re
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib import font_manager, ft2font
from matplotlib.axes import Axes
from matplotlib.cbook import is_math_text
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgba
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine, PlaceHolderLayoutEngine
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from ..entities import Name, elide, numbered
from ..errors import InvalidArgumentError
from .reading import Origin, find_origin

# Okabe and Ito's palette, told apart by all kinds of colour vision; each use adds a shape, a dash or a hatch for print
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#56B4E9", "#CC79A7", "#E69F00", "#F0E442")
_ON_DARK: Final = ("#3D9BE9", *COLOURS[1:3], "#8FD0FF", *COLOURS[4:])  # the same, with blues that show
MARKERS: Final = ("o", "s", "^", "D", "v", "<", ">")
HATCHES: Final = ("", "//", "..", "xx", "\\\\", "++")
GREY: Final = "#999999"
LINE: Final = 1.4  # font sizes from one line to the next
DPI: Final = 150
TITLE: Final = MappingProxyType({"fontsize": "medium", "fontweight": "bold"})
WIDTH: Final = 8.0  # inches, as wide as a notebook's output
MARGIN: Final = 0.1  # inches
_NARROW: Final = 5.5 * 72  # points
_LONGEST: Final = 28  # characters of a name where there is room
_BRIGHT: Final = 0.5  # luminance of a background: darker ones need bright colours
_AROUND: Final = 110  # points, about what title, ticks, axis label and footer take of the height
_ONE_OF_THEM: Final = MappingProxyType(
    {
        "ndarray": "one of them, as axes.flat[0]",
        **dict.fromkeys(("list", "tuple"), "one of them, as axes[0]"),
        **dict.fromkeys(("Figure", "SubFigure"), "one of its Axes, as figure.axes[0]"),
    }
)

# Axes -------------------------------------------------------------------------------------------------------


def check_axes(ax: object) -> None:
    """Check that what is to be drawn into is one Axes, or left out."""
    if not (ax is None or isinstance(ax, Axes)):
        given = type(ax).__name__
        advice = _ONE_OF_THEM.get(given, "one, or leave ax out")
        raise InvalidArgumentError(f"ax is one matplotlib Axes; got {given}. Pass {advice}.")


def axes_for(ax: Axes | None, height: float) -> Axes:
    """Return the Axes to draw into: the user's, or those of a new figure as high as said."""
    if ax is None:
        return new_figure(height).add_subplot()
    if is_narrow(ax):
        ax.tick_params(labelsize=small(ax))
    return ax


def new_figure(height: float) -> Figure:
    """Return a figure as high as said, with a margin."""
    layout = ConstrainedLayoutEngine(w_pad=MARGIN, h_pad=MARGIN)
    return plt.figure(figsize=(WIDTH, height + 2 * MARGIN), dpi=DPI, layout=layout)


def ink(ax: Axes) -> Any:
    """Return the colour of the user's own axis labels: what shows on this background."""
    return ax.xaxis.label.get_color()


def paper(ax: Axes) -> Any:
    """Return the colour of the background."""
    return ax.get_facecolor() if to_rgba(ax.get_facecolor())[3] else "white"


def is_dark(ax: Axes) -> bool:
    """Whether the background is dark."""
    red, green, blue, _ = to_rgba(paper(ax))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue < _BRIGHT


def palette(ax: Axes) -> tuple[str, ...]:
    """Return the colours of areas and symbols on this background."""
    return _ON_DARK if is_dark(ax) else COLOURS


def on_data(ax: Axes) -> dict[str, Any]:
    """Return the look of small text that stands on data, outlined, and needs no room of its own."""
    outline = withStroke(linewidth=2.5, foreground=paper(ax))
    return {"fontsize": small(ax), "color": ink(ax), "path_effects": [outline], "zorder": 4.5, "in_layout": False}


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


def longest_name(ax: Axes) -> int:
    """Return how many characters a name beside the data may have."""
    return min(_LONGEST, max(10, int(room(ax)[0] / (1.6 * small(ax)))))


def most_named(ax: Axes | None, most: int) -> int:
    """Return how many names, of at most so many, a legend has room for."""
    if ax is None:
        return most
    return min(most, max(3, lines_that_fit(ax, small(ax)) // (2 if is_narrow(ax) else 1)))


def set_frame(ax: Axes, grid: Any = None) -> None:
    """Draw a light grid behind the data, and no lines above and beside them."""
    ax.set_axisbelow(True)
    if grid:
        ax.grid(visible=True, axis=grid, color=GREY, alpha=0.3, linewidth=0.6, linestyle="-")
    for side in {"top", "right"}.intersection(ax.spines):
        ax.spines[side].set_visible(False)


def write_inside(ax: Axes, what: str) -> None:
    """Write a few words where data would be."""
    ax.text(0.5, 0.85, what, ha="center", va="center", transform=ax.transAxes, **text_style())


def compact(value: float, _: object = None, *, even: bool = False) -> str:
    """Write an amount in few characters: 15.7M; or, to stand below others, with as many digits each: 15.0M."""
    form = "#.3g" if even else ".3g"
    for power, unit in ((9, "B"), (6, "M"), (3, "k")):
        if abs(value) >= 0.9995 * 10**power:
            return f"{value / 10**power:{form}}".rstrip(".") + unit
    return f"{value:{form}}".rstrip(".")


# Around the data --------------------------------------------------------------------------------------------


def add_legend(ax: Axes, handles: Sequence[Any], labels: Labels, title: str = "", *, length: float = 2) -> None:
    """Put a legend beside the data, or above them where Axes are narrow; handles of lines need some length."""
    narrow = is_narrow(ax)
    size = small(ax) + (0 if narrow else 1)
    longest = max(map(len, [*labels.texts, title]), default=0)
    columns = max(1, int(0.5 * room(ax)[0] / (size * (0.62 * longest + 2 + length))))  # of an above one
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1.02), "ncols": min(columns, len(handles))}
    if not narrow:
        place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1)}
    look = {"frameon": False, "alignment": "left", "borderaxespad": 0, "labelspacing": 0.35, "labelcolor": ink(ax)}
    fonts: dict[str, Any] = {"handlelength": length, "fontsize": size, "title_fontsize": size, "title": title or None}
    numbers = [str(place) for place in range(len(handles))]  # the text comes after: matplotlib drops labels like "_a"
    legend = ax.legend(handles, numbers, **fonts, **look, **place)
    for text, label in zip(legend.get_texts(), labels.texts, strict=True):
        text.update({"text": label, **labels.style})
    legend.get_title().set_color(ink(ax))


def finish(
    ax: Axes,
    df: pd.DataFrame,
    title: Iterable[str],
    labels: tuple[str, str] = ("", ""),
    notes: Iterable[str] = (),
    *,
    empty: str = "",
) -> Axes:
    """Write title and axis labels, and notes, source and age below; lay all out, and stamp synthetic rows.

    A picture without data says why: `empty`.
    """
    if empty:
        write_inside(ax, empty)
        ax.set(xticks=[], yticks=[])
    narrow, legend, text = is_narrow(ax), ax.get_legend(), ", ".join(filter(None, title))
    above = points(ax, legend.get_window_extent().height) if legend and narrow else 0
    look = {**TITLE, **text_style(text), "loc": "left", "pad": mpl.rcParams["axes.titlepad"] + above}
    heading = ax.set_title(text, gid="title", **look | ({"fontsize": 8} if narrow else {}))
    look = {"fontsize": small(ax) if narrow else mpl.rcParams["axes.labelsize"], **text_style()}
    x, y = ax.set_xlabel(labels[0], **look), ax.set_ylabel(labels[1], **look)
    origin = find_origin(df)
    write_footer([ax], origin, notes, [heading, x, y])
    stamp([ax], origin)
    return ax


def write_footer(panels: Sequence[Axes], origin: Origin, notes: Iterable[str] = (), others: Iterable[Any] = ()) -> None:
    """Write notes, source and age below a figure that shows these panels only, else below the first of them.

    It and the other texts of the picture are broken into lines that fit.
    """
    ax, whole = panels[0], _are_alone(panels)
    _remove(ax, "footer")
    parts, narrow = [" ".join(notes), origin.text], is_narrow(ax) and len(panels) == 1
    text = "\n".join(filter(None, parts))
    size = 8.0 if whole and not narrow else small(ax)
    look = {"fontsize": size, "color": ink(ax), "alpha": 0.75, "gid": "footer", **text_style(text)}
    if whole:
        footer = ax.figure.supxlabel(text, x=MARGIN / root(ax).get_figwidth(), ha="left", **look)
    else:
        below = (ax.yaxis.label, ax.xaxis.label)  # from the leftmost label on, below the lowest
        look |= {"va": "top", "annotation_clip": False, "in_layout": False}
        footer = ax.annotate(text, (0, 0), (0, -6), below, "offset points", **look)
    texts = [footer, *others]
    for one in texts:
        # matplotlib would break a title above a high legend at each word, an upright label by the figure's height, not
        # by the data's; and it would measure formulas
        breaks = whole and not (one.get_gid() == "title" and is_narrow(ax)) and one is not ax.yaxis.label
        one.set_wrap(breaks and not is_math_text(one.get_text()))
        if breaks:
            one.__class__ = _Inset
    lay_out(ax)
    _join_lines(ax, footer, parts)
    _break_lines(ax, [one for one in texts if not one.get_wrap()])


class _Inset(Text):
    """Text that is broken into lines before it comes too near the edge of the figure."""

    def _get_wrap_line_width(self) -> float:
        width: float = super()._get_wrap_line_width()  # type: ignore[misc]
        return width - MARGIN * self.figure.canvas.figure.dpi


def _join_lines(ax: Axes, footer: Any, parts: Sequence[str]) -> None:
    """Write the footer in one line where it fits."""
    if not all(parts):
        return
    text, wraps = footer.get_text(), footer.get_wrap()
    footer.set(text="  \u00b7  ".join(parts), wrap=False)
    most = ax.figure.bbox.width - 2 * MARGIN * root(ax).dpi
    most = most if footer in ax.figure.texts else ax.get_window_extent().width
    fits = Text.get_window_extent(footer).width <= most
    footer.set(text=footer.get_text() if fits else text, wrap=wraps)


def _are_alone(panels: Sequence[Axes]) -> bool:
    """Whether a figure shows these panels only, and has no label of the user's where the footer would be."""
    figure, specs = panels[0].figure, {panel.get_subplotspec() for panel in panels}
    taken = figure.get_supxlabel() and not any(text.get_gid() == "footer" for text in figure.texts)
    if None in specs or taken or _is_fixed(panels[0]) or any(panel.figure is not figure for panel in panels):
        return False
    others = [one for one in figure.axes if one.figure is figure and not hasattr(one, "_colorbar")]
    if {one.get_subplotspec() for one in others} != specs:
        return False
    if len(specs) > 1:
        return True
    rows, columns, first, last = panels[0].get_subplotspec().get_topmost_subplotspec().get_geometry()  # type: ignore[union-attr]
    return last - first + 1 == rows * columns


def _is_fixed(ax: Axes) -> bool:
    """Whether Axes were placed by hand, or their figure's layout is switched off."""
    return ax.get_subplotspec() is None or isinstance(root(ax).get_layout_engine(), PlaceHolderLayoutEngine)


def _remove(ax: Axes, gid: str) -> None:
    for old in [text for text in ax.texts if text.get_gid() == gid]:
        old.remove()


def dress(ax: object, df: object) -> None:
    """Make panels of the user's look like the package's pictures, with source and age below them."""
    origin = find_origin(df)
    panels = np.ravel(np.asarray(ax, dtype=object)).tolist()
    if not panels or not all(isinstance(panel, Axes) for panel in panels):
        raise InvalidArgumentError(
            f"stamp needs Axes, or those of all panels; got {type(ax).__name__}. Of a figure pass figure.axes."
        )
    figure, plain = root(panels[0]), font_manager.FontProperties(size=mpl.rcParams["axes.titlesize"])
    if figure.dpi == mpl.rcParams["figure.dpi"]:  # the user chose none
        figure.set_dpi(max(DPI, figure.dpi))
    for panel in panels:
        set_frame(panel)
        if panel.title.get_fontsize() == plain.get_size_in_points():  # the user chose none
            panel.title.set(x=0, ha="left", **TITLE)
    write_footer(panels, origin)
    stamp(panels, origin)


def lay_out(ax: Axes) -> None:
    """Lay out what stands around the data, so that what is measured is what will be drawn."""
    figure = root(ax)
    if _is_fixed(ax):
        return
    if figure.get_layout_engine() is None:
        placed = any(hasattr(one, "_colorbar") for one in figure.axes)  # a scale that constrained layout cannot move
        figure.set_layout_engine("tight" if placed else "constrained")
    if ax.get_in_layout():  # Axes that keep their shape are measured where they are, not as large as their place
        ax.set_position(ax.get_position())
        ax.set_in_layout(True)
    engine: Any = figure.get_layout_engine()
    engine.execute(figure)
    ax.apply_aspect()


def _break_lines(ax: Axes, texts: Sequence[Any]) -> None:
    """Break texts around the data into lines that fit these Axes, and let them take room from now on."""
    box, around = ax.get_window_extent(), ax.get_tightbbox() or ax.get_window_extent()
    most = min(around.width, 0.95 * room(ax)[0] * root(ax).dpi / 72)  # neighbours may take what is free now
    lengths = {"footer": most, "title": most - box.x0 + around.x0}
    for text in texts:
        label = box.height if text.get_rotation() else min(box.width, 0.8 * most)
        length, extent = lengths.get(text.get_gid(), label), max(Text.get_window_extent(text).size)
        if extent > length:
            lines = text.get_text().split("\n")
            longest = max(12, int(0.95 * max(map(len, lines)) * length / extent))  # in characters
            text.set_text("\n".join(textwrap.fill(line, longest, break_long_words=False) for line in lines))
        text.set_in_layout(True)


def stamp(panels: Sequence[Axes], origin: Origin) -> None:
    """Write SYNTHETIC across panels of synthetic rows, light and behind the data, so that it covers no number."""
    lay_out(panels[0])
    for ax in panels:
        _remove(ax, "synthetic")
        filled = [*ax.images, *(one for one in ax.collections if isinstance(one, (QuadMesh, ContourSet)))]
        under = max([one.get_zorder() + 0.1 for one in filled], default=0.1)  # these would hide it
        if origin.synthetic:
            look = _stamp_look(ax, ax.get_window_extent())
            ax.text(0.5, 0.5, zorder=under, clip_on=True, transform=ax.transAxes, **look)


def stamp_figure(panels: Sequence[Axes], origin: Origin) -> None:
    """Write SYNTHETIC once across a figure of panels of synthetic rows, behind all of them."""
    lay_out(panels[0])
    if origin.synthetic:
        for ax in panels:
            ax.patch.set_visible(False)
        box = Bbox.union([ax.get_window_extent() for ax in panels])
        x, y = panels[0].figure.transFigure.inverted().transform(box.get_points().mean(axis=0))
        panels[0].figure.text(x, y, zorder=-1, **_stamp_look(panels[0], box))


def _stamp_look(ax: Axes, box: Bbox) -> dict[str, Any]:
    """Return the word and its look: across six tenths of a box, a bold capital being about 0.75 em wide."""
    size = points(ax, 0.6 * math.hypot(box.width, box.height) / (0.75 * len("SYNTHETIC")))
    look = {"s": "SYNTHETIC", "color": ink(ax), "fontweight": "bold", "fontsize": min(size, 60), **text_style()}
    look |= {"alpha": 0.16 if is_dark(ax) else 0.09, "rotation": math.degrees(math.atan2(box.height, box.width))}
    return {"ha": "center", "va": "center", "gid": "synthetic", "in_layout": False, **look}


# Fonts ------------------------------------------------------------------------------------------------------

# with libraqm matplotlib (3.11 and later) orders right-to-left text and joins its characters; without it, it does not
SHAPES_TEXT: Final = hasattr(ft2font, "__libraqm_version__")
_FIRST: Final = ("Noto Sans", "Segoe UI", "Microsoft YaHei", "Malgun", "Leelawadee", "PingFang", "Hiragino", "Arial")
_BOXES: Final = ("Last Resort", "Last Resort High-Efficiency", "LastResort", ".LastResort", "Adobe Blank")
_VIRAMA: Final = 9  # combining class of signs that melt characters together
_EMOJI: Final = ("So", "Sk", "Cn")  # categories of characters
_CONTROLS: Final = ("Cc", "Cf", "Co", "Cs")
_VARIATIONS: Final = "".join(map(chr, range(0xFE00, 0xFE10)))  # selectors of how the character before looks


def labels_for(names: Iterable[Name | str], longest: int = 10**6) -> Labels:
    """Return labels that installed fonts can draw: a name, else its plain form, else its place; no boxes."""
    labels, unwritten, thinned = [], 0, 0
    for place, given in enumerate(names, 1):
        name = Name(given) if isinstance(given, str) else given
        name = replace(name, text=elide(name.text, longest), plain=elide(name.plain, longest))
        text = " ".join(name.label.split())
        lacking = [character for character in text if not _is_drawable(character)]
        kept = re.sub(f"[{re.escape(''.join(lacking))}][{_VARIATIONS}\u200d]*", "", text) if lacking else text
        categories = {unicodedata.category(one) for one in lacking if one not in _VARIATIONS}
        if not lacking or (categories <= {*_EMOJI, *_CONTROLS} and any(map(str.isalnum, kept))):
            labels.append(" ".join(kept.split()))
            thinned += not categories.isdisjoint(_EMOJI)
        else:
            labels.append(name.plain_label or f"(name no. {place})")
            unwritten += 1
    reason = "in a script no installed font has" if SHAPES_TEXT else "in a script that cannot be drawn here"
    counted = ((unwritten, reason), (thinned, "drawn without emoji that no installed font has"))
    notes = [f"{count} name{'s' if count != 1 else ''} {what}." for count, what in counted if count]
    return Labels(numbered(labels), text_style("".join(labels)), notes)


def text_style(text: str = "") -> dict[str, Any]:
    """Return properties of a text drawn as it is: no mathtext, no TeX, with fonts for its characters."""
    families = dict.fromkeys(
        [*mpl.rcParams["font.family"], *filter(None, map(_family_with, set(text.replace("\n", ""))))]
    )
    return {"fontfamily": list(families), "parse_math": False, "usetex": False}


def _family_with(character: str) -> str:
    """Return the first family that has a character, of those of the user's style and the installed ones, or nothing."""
    own = mpl.rcParams["font.family"]
    return next((one for one in (*own, *_installed()) if character in _characters(one)), "")


def _characters(family: str) -> frozenset[str]:
    return _characters_of(font_manager.findfont(font_manager.FontProperties(family=[family])))


@cache
def _characters_of(path: Any) -> frozenset[str]:
    try:
        return frozenset(map(chr, font_manager.get_font(path).get_charmap()))
    except (OSError, RuntimeError):  # removed since matplotlib listed it, or of a kind it cannot read
        return frozenset()


@cache
def _installed() -> tuple[str, ...]:
    """List the installed families, those with many scripts first, without those that have a box for everything."""
    upright = {font.name for font in font_manager.fontManager.ttflist if (font.style, font.weight) == ("normal", 400)}
    return tuple(sorted(upright.difference(_BOXES), key=lambda name: (not name.startswith(_FIRST), name)))


def _is_drawable(character: str) -> bool:
    category = unicodedata.category(character)
    # put side by side, these come out in the wrong place or shape
    joined = category == "Mc" or unicodedata.combining(character) == _VIRAMA
    joined = joined or unicodedata.bidirectional(character) in ("R", "AL")
    return category not in ("Cc", "Cs") and (SHAPES_TEXT or not joined) and bool(_family_with(character))


@dataclass(frozen=True)
class Labels:
    """Labels as they can be drawn, the properties of the text that draws them, and notes for the footer."""

    texts: list[str]
    style: dict[str, Any]
    notes: list[str]
