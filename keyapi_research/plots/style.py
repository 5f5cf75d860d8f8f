"""How pictures look: colours, sizes, fonts, the legend and footer around the data, and the SYNTHETIC stamp.

Room is made by matplotlib's constrained layout; Axes placed by hand stay where they are. Nothing is shown, saved or
closed, and no global setting is changed: fonts and background are those of the user's style.
"""

from __future__ import annotations

import math
import re
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import font_manager, ft2font
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.layout_engine import LayoutEngine, PlaceHolderLayoutEngine, TightLayoutEngine
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from ..entities import Name, numbered
from ..errors import InvalidArgumentError
from .reading import Origin, find_origin

# Okabe and Ito's palette, told apart by all kinds of colour vision; each use adds a shape, a dash or a hatch for print
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
MARKERS: Final = ("o", "s", "^", "D", "v", "<", ">")
GREY: Final = "#999999"
CENTRED: Final[Mapping[str, Any]] = MappingProxyType({"ha": "center", "va": "center"})
LINE: Final = 1.4  # font sizes from one line to the next
DPI: Final = 150
WIDTH: Final = 8.0  # inches, as wide as a notebook's output
_NARROW: Final = 5.5 * 72  # points
_MOST_GOES: Final = 20  # of tight layout, until nothing moves
_AROUND: Final = 110  # points, about what title, ticks, axis label and footer take of the height

# Axes -------------------------------------------------------------------------------------------------------


def check_axes(ax: object) -> None:
    """Check that what is to be drawn into is one Axes, or left out."""
    if not (ax is None or isinstance(ax, Axes)):
        raise InvalidArgumentError(f"ax is one matplotlib Axes; got {type(ax).__name__}. {_instead(ax)}")


def axes_for(ax: Axes | None, height: float) -> Axes:
    """Return the Axes to draw into: the user's, or those of a new figure as high as said."""
    if ax is None:
        return plt.figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained").add_subplot()
    if is_narrow(ax):
        ax.tick_params(labelsize=small(ax))
    return ax


def _instead(given: object) -> str:
    """Return what could be passed instead."""
    if isinstance(given, np.ndarray | list | tuple):
        return f"Pass one of them, as {'axes.flat[0]' if isinstance(given, np.ndarray) else 'axes[0]'}."
    return "Pass one of its Axes, as figure.axes[0]." if isinstance(given, Figure) else "Pass one, or leave ax out."


def ink(ax: Axes) -> Any:
    """Return the colour of the user's own axis labels: what shows on this background."""
    return ax.xaxis.label.get_color()


def paper(ax: Axes) -> Any:
    """Return the colour of the background."""
    return ax.get_facecolor() if to_rgba(ax.get_facecolor())[3] else "white"


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


def most_named(ax: Axes | None, most: int) -> int:
    """Return how many names, of at most so many, a legend has room for."""
    if ax is None:
        return most
    return min(most, max(3, lines_that_fit(ax, small(ax)) // (2 if is_narrow(ax) else 1)))


def set_texts(ax: Axes, title: Iterable[str], x: str = "", y: str = "") -> None:
    """Write the title, above a legend that stands there, and the axis labels."""
    narrow, text, pad = is_narrow(ax), ", ".join(filter(None, title)), mpl.rcParams["axes.titlepad"]
    size: dict[str, Any] = {"fontsize": small(ax)} if narrow else {}
    legend = ax.get_legend()
    if legend and narrow:
        pad += points(ax, legend.get_window_extent().height)
    font = 8 if narrow else "medium"
    ax.set_title(text, loc="left", fontsize=font, pad=pad, gid="title", **text_style(text))
    ax.set_xlabel(x, **size, **text_style())
    ax.set_ylabel(y, **size, **text_style())


def set_frame(ax: Axes, grid: Any = None) -> None:
    """Draw a light grid behind the data, and no lines above and beside them."""
    ax.set_axisbelow(True)
    if grid:
        ax.grid(visible=True, axis=grid, color=GREY, alpha=0.3, linewidth=0.6, linestyle="-")
    for side in {"top", "right"}.intersection(ax.spines):
        ax.spines[side].set_visible(False)


def write_inside(ax: Axes, what: str, *, empty: bool = True) -> None:
    """Write a few words where data would be."""
    ax.text(0.5, 0.85, what, transform=ax.transAxes, **CENTRED, **text_style())
    if empty:
        ax.set(xticks=[], yticks=[])


def compact(value: float, _: object = None) -> str:
    """Write an amount in few characters: 15.7M."""
    for power, unit in ((9, "B"), (6, "M"), (3, "k")):
        if abs(value) >= 0.9995 * 10**power:
            return f"{value / 10**power:.3g}{unit}"
    return f"{value:.3g}"


# Around the data --------------------------------------------------------------------------------------------


def add_legend(ax: Axes, handles: Sequence[Any], labels: Labels, title: str = "") -> None:
    """Put a legend beside the data, or above them where Axes are narrow."""
    size, narrow = small(ax), is_narrow(ax)
    place: dict[str, Any] = {
        "loc": "lower left" if narrow else "upper left",
        "bbox_to_anchor": (0, 1.02) if narrow else (1.01, 1),
    }
    look = {"frameon": False, "alignment": "left", "borderaxespad": 0, "labelspacing": 0.35, "labelcolor": ink(ax)}
    fonts: dict[str, Any] = {"fontsize": size, "title_fontsize": size, "title": title or None}
    numbers = [str(place) for place in range(len(handles))]  # the text comes after: matplotlib drops labels like "_a"
    legend = ax.legend(handles, numbers, **fonts, **look, **place)
    for text, label in zip(legend.get_texts(), labels.texts, strict=True):
        text.update({"text": label, **labels.style})
    legend.get_title().set_color(ink(ax))


def finish(ax: Axes, origin: Origin, notes: Iterable[str] = (), *, own: bool = True) -> Axes:
    """Make the room for what stands around the data, write notes, source and age below, and stamp synthetic rows.

    Where the picture is the user's `own` is false, and its title and labels stay as they are.
    """
    _remove(ax, "footer")
    text = "\n".join(filter(None, (" ".join(notes), origin.text)))
    below = (ax.yaxis.label, ax.xaxis.label)  # from the leftmost label on, below the lowest
    look = {"va": "top", "fontsize": small(ax), "color": ink(ax), "alpha": 0.75, "in_layout": False, **text_style(text)}
    footer = ax.annotate(text, (0, 0), (0, -6), below, "offset points", annotation_clip=False, gid="footer", **look)
    title = [one for one in ax.get_children() if one.get_gid() == "title"]
    labels = [axis.label for axis in (ax.xaxis, ax.yaxis, *(scale.yaxis for scale in ax.child_axes))]
    lay_out(ax, [footer, *title, *labels] if own else [footer])
    stamp(ax, origin)
    return ax


def _remove(ax: Axes, gid: str) -> None:
    for old in [text for text in ax.texts if text.get_gid() == gid]:
        old.remove()


def dress(ax: object, df: object) -> None:
    """Make panels of the user's look like the package's pictures, with source and age under the first."""
    origin = find_origin(df)
    panels = np.ravel(np.asarray(ax, dtype=object)).tolist()
    if not panels or not all(isinstance(panel, Axes) for panel in panels):
        raise InvalidArgumentError(
            f"stamp needs Axes, or those of all panels; got {type(ax).__name__}. Of a figure pass figure.axes."
        )
    figure = root(panels[0])
    if figure.dpi == mpl.rcParams["figure.dpi"]:  # the user chose none
        figure.set_dpi(max(DPI, figure.dpi))
    for panel in panels:
        set_frame(panel)
    finish(panels[0], origin, own=False)
    for panel in panels[1:]:
        stamp(panel, origin)


def lay_out(ax: Axes, texts: Sequence[Any] = ()) -> None:
    """Lay out what stands around the data, so that what is measured is what will be drawn; break texts into lines."""
    figure = root(ax)
    engine = figure.get_layout_engine()
    if ax.get_subplotspec() is None or isinstance(engine, PlaceHolderLayoutEngine):  # placed by hand
        _break_lines(ax, texts)
        return
    if engine is None:
        placed = any(hasattr(one, "_colorbar") for one in figure.axes)  # a scale that constrained layout cannot move
        figure.set_layout_engine("tight" if placed else "constrained")
        engine = figure.get_layout_engine()
    if not isinstance(engine, Layout):
        engine = Layout(engine, figure)
        figure.set_layout_engine(engine)
    if texts:
        engine.whole[ax] = {text: text.get_text() for text in texts}
        engine.break_lines(figure, [ax])
    engine.execute(figure)
    ax.apply_aspect()


class Layout(LayoutEngine):
    """A layout engine that keeps all that is written inside the figure, whatever size this is drawn or saved at.

    It breaks texts anew where the size has changed. And Axes that keep their shape are measured where they are: the
    engine of matplotlib takes them for as large as their place, and so leaves too little room below them.
    """

    def __init__(self, engine: Any, figure: Figure) -> None:
        super().__init__()
        self._adjust_compatible, self._colorbar_gridspec = engine.adjust_compatible, engine.colorbar_gridspec
        self.engine, self.size = engine, tuple(figure.get_size_inches())
        self.whole: dict[Axes, dict[Any, str]] = {}  # texts before they were broken

    def get(self) -> dict[str, Any]:
        """Return the parameters of the engine."""
        return dict(self.engine.get())

    def set(self, **parameters: Any) -> None:
        """Change parameters of the engine."""
        self.engine.set(**parameters)

    def execute(self, fig: Figure) -> None:
        """Lay out a figure, as matplotlib does before it draws."""
        size = tuple(fig.get_size_inches())
        if size != self.size:
            self.size = size
            self.break_lines(fig, [ax for ax in self.whole if ax in fig.axes])
        self._place(fig)

    def break_lines(self, figure: Figure, pictures: Sequence[Axes]) -> None:
        """Break the texts of some pictures by the room they have now."""
        for ax in pictures:
            pairs = [(text, whole) for text, whole in self.whole[ax].items() if text.figure is not None]
            # without those that the user has removed or changed
            self.whole[ax] = {text: whole for text, whole in pairs if text.get_text().split() == whole.split()}
            for text, whole in self.whole[ax].items():
                text.set(text=whole, in_layout=text.get_gid() != "footer")
        self._place(figure)
        for ax in pictures:
            _break_lines(ax, list(self.whole[ax]))

    def _place(self, figure: Figure) -> None:
        placed = [ax for ax in figure.axes if ax.get_subplotspec() is not None and ax.get_in_layout()]
        for _ in range(_MOST_GOES if isinstance(self.engine, TightLayoutEngine) else 1):
            before = [ax.get_position(original=True).bounds for ax in placed]
            for ax in placed:
                ax.set_position(ax.get_position())
                ax.set_in_layout(True)
            self.engine.execute(figure)
            if np.allclose(before, [ax.get_position(original=True).bounds for ax in placed], atol=1e-3):
                break


def _break_lines(ax: Axes, texts: Sequence[Any]) -> None:
    """Break texts around the data into lines that fit, and those of the figure; the footer takes room from now on."""
    box, around = ax.get_window_extent(), ax.get_tightbbox() or ax.get_window_extent()
    most = 0.95 * room(ax)[0] * root(ax).dpi / 72
    if len(root(ax).axes) > 1:
        most = min(around.width, most)  # neighbours may take what is free now
    lengths = {"footer": most, "title": most - box.x0 + around.x0}
    for text in texts:
        label = box.height if text.get_rotation() else min(box.width, 0.8 * most)
        whole = text in root(ax).texts  # of the figure, not of these Axes
        fit(text, 0.98 * root(ax).bbox.width if whole else lengths.get(text.get_gid(), label))
        text.set_in_layout(True)


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
    angle = math.degrees(math.atan2(box.height, box.width))
    look = {"color": ink(ax), "alpha": 0.13, "fontweight": "bold", "fontsize": min(size, 60), **CENTRED, **text_style()}
    text = ax.text(0.5, 0.5, word, transform=ax.transAxes, rotation=angle, gid="synthetic", **look)
    text.set(zorder=under, in_layout=False, clip_on=True)


# Fonts ------------------------------------------------------------------------------------------------------

# with libraqm matplotlib (3.11 and later) orders right-to-left text and joins its characters; without it, it does not
SHAPES_TEXT: Final = hasattr(ft2font, "__libraqm_version__")
_FIRST: Final = ("Noto Sans", "Segoe UI", "Microsoft YaHei", "Malgun", "Leelawadee", "PingFang", "Hiragino", "Arial")
_BOXES: Final = ("Last Resort", "Last Resort High-Efficiency", "LastResort", ".LastResort", "Adobe Blank")
_VIRAMA: Final = 9  # combining class of signs that melt characters together
_ORNAMENTS: Final = ("So", "Sk", "Cc", "Cf", "Cn", "Co", "Cs")  # categories: emoji, controls, half characters
_VARIATION: Final = range(0xFE00, 0xFE10)  # selectors of how the character before looks


def labels_for(names: Iterable[Name | str]) -> Labels:
    """Return labels that installed fonts can draw: a name, else its plain form, else its script and place; no boxes."""
    labels, unwritten, thinned = [], 0, 0
    for place, given in enumerate(names, 1):
        name = Name(given) if isinstance(given, str) else given
        text = " ".join(name.label.split())
        lacking = [character for character in text if not _is_drawable(character)]
        unknown = [one for one in lacking if unicodedata.category(one) not in _ORNAMENTS and ord(one) not in _VARIATION]
        kept = re.sub(f"[{re.escape(''.join(lacking))}][\ufe0e\ufe0f\u200d]*", "", text) if lacking else text
        if not lacking or (not unknown and any(map(str.isalnum, kept))):
            labels.append(" ".join(kept.split()))
            thinned += any(unicodedata.category(one) in ("So", "Sk", "Cn") for one in lacking)
        else:
            script = unicodedata.name(unknown[0], "unknown").split()[0] if unknown else "emoji"
            shown = script if script in ("CJK", "emoji") else script.capitalize()
            labels.append(name.plain_label or f"({shown} name, no. {place})")
            unwritten += 1
    reason = "in a script no installed font has" if SHAPES_TEXT else "in a script that cannot be drawn here"
    counted = ((unwritten, reason), (thinned, "drawn without emoji that no installed font has"))
    notes = [f"{count} name{'s' if count != 1 else ''} {what}." for count, what in counted if count]
    return Labels(numbered(labels), text_style("".join(labels)), notes)


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
    upright = {font.name for font in font_manager.fontManager.ttflist if (font.style, font.weight) == ("normal", 400)}
    return sorted(upright - set(_BOXES), key=lambda name: (not name.startswith(_FIRST), name))


def _is_drawable(character: str) -> bool:
    if character == " ":
        return True
    if unicodedata.category(character) in ("Cc", "Cs") or not (SHAPES_TEXT or not _needs_shaping(character)):
        return False
    return any(character in _characters(family) for family in (*mpl.rcParams["font.family"], *_installed()))


def _needs_shaping(character: str) -> bool:
    """Whether a character comes out in the wrong place or shape when characters are put side by side."""
    written = unicodedata.bidirectional(character) in ("R", "AL") or unicodedata.category(character) == "Mc"
    return written or unicodedata.combining(character) == _VIRAMA


@dataclass(frozen=True)
class Labels:
    """Labels as they can be drawn, the properties of the text that draws them, and notes for the footer."""

    texts: list[str]
    style: dict[str, Any]
    notes: list[str]
