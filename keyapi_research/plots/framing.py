"""What stands around a picture: its legends, footer and mark, and the room they take. Never over the data.

A figure with a layout engine makes the room itself; in one without, the Axes shrink within the room that is theirs.
Imports matplotlib: only `charts` may import this, and `stamp` when it is called.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.layout_engine import LayoutEngine, PlaceHolderLayoutEngine
from matplotlib.legend import Legend
from matplotlib.legend_handler import HandlerLine2D
from matplotlib.lines import Line2D
from matplotlib.patheffects import Stroke
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox, ScaledTranslation, Transform

from .fonts import Letters, text_style
from .reading import Origin

SMALL: Final = 8.0  # points
_SMALLER: Final = 6.0  # in narrow Axes
LINE: Final = 1.4  # font sizes from one line to the next
_NARROW: Final = 4.5  # inches
_METADATA: Final = ("footer", "synthetic")  # gid
_PAD: Final = 4.0  # points between the lowest things, and to the edge
_ROUNDS: Final = 3  # ticks and line breaks follow the size, and the size follows them
_STILL: Final = 0.5  # pixels that nobody sees
_LEAST: Final = 0.2  # of the room, which the data keep
_LETTERS_GROW: Final = 1.04  # at most, in parts of the picture, where it is saved at another resolution
_LEFT: Final = 205.0  # points, of the width of the room: what a legend beside the data leaves at least
_ABOVE: Final = 22.0  # points, about what a title takes
_BELOW: Final = 78.0  # points, about what ticks, axis label and footer take
_SIZES: Final = (SMALL, 7.0, 6.0)  # points, of the letters of legends
_MOST_COLUMNS: Final = 5


def ink(ax: Axes) -> Any:
    """Colour of the user's own axis labels: what shows on this background."""
    return ax.xaxis.label.get_color()


def root(ax: Axes) -> Figure:
    """Find the figure that holds all others."""
    return ax.figure.canvas.figure


def points(ax: Axes, pixels: float) -> float:
    """Convert a length on the picture to points."""
    return pixels * 72 / root(ax).dpi


def room(ax: Axes) -> tuple[float, float]:
    """Say how many points wide and high the place is that these Axes and all around them have."""
    region = _region(ax)
    return points(ax, region.width), points(ax, region.height)


def wrapped(ax: Axes, text: str, width: float, **style: Any) -> str:
    """Break a text into lines that are no wider than so many pixels."""
    ruler = Text(0, 0, "", **style)
    ruler.set_figure(root(ax))
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            ruler.set_text(longer)
            if line and ruler.get_window_extent().width > width:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return "\n".join(lines)


@dataclass(frozen=True)
class Key:
    """A legend: what is explained, by which names, under which title; and how high a handle is, in points."""

    handles: Sequence[Any]
    letters: Letters
    title: str = ""
    height: float = 0.0


def finish(ax: Axes, origin: Origin, notes: Iterable[str], keys: Sequence[Key] = (), *, foreign: bool = False) -> Axes:
    """Write legends, notes, source and age around the data, and mark what is made up.

    Parameters
    ----------
    ax : Axes
        Where the data are drawn.
    origin : Origin
        Of the data.
    notes : iterable of str
        Sentences for the footer.
    keys : sequence of Key
        Legends.
    foreign : bool
        Whether the title and the axis labels are the user's, which stay as they are.

    Returns
    -------
    Axes
        The same.
    """
    _clear(ax)
    legends = _place_legends(ax, keys)
    lines = [line for line in (" ".join(notes), origin.text) if line]
    footer = _hang_footer(ax, legends, "\n".join(lines))
    for _ in range(_ROUNDS):  # each takes as long as a drawing: what did not change anything was the last
        if not _fit(ax, footer, "\n".join(lines), legends, foreign=foreign):
            break
    if origin.synthetic:
        mark(ax)
    return ax


def finish_panels(panels: Sequence[Axes], origin: Origin) -> None:
    """Write source and age under the first panel of the user's, and mark what is made up on each of them."""
    finish(panels[0], origin, (), foreign=True)
    for panel in panels[1:]:
        _clear(panel)
        if origin.synthetic:
            mark(panel)


def _clear(ax: Axes) -> None:
    """Take away what stood around a picture that was drawn here before."""
    for old in [one for one in ax.texts if one.get_gid() in _METADATA]:
        old.remove()


def mark(ax: Axes) -> None:
    """Write SYNTHETIC across the data, outlined, so that it shows on dark marks too."""
    box = ax.get_window_extent()
    word = "SYNTHETIC"
    # as long as six tenths of the diagonal, a bold capital being about 0.75 em wide
    size = points(ax, 0.6 * math.hypot(box.width, box.height) / (0.75 * len(word)))
    ax.text(
        0.5,
        0.5,
        word,
        transform=ax.transAxes,
        ha="center",
        va="center",
        rotation=math.degrees(math.atan2(box.height, box.width)),
        fontsize=min(size, 60),
        fontweight="bold",
        color=to_rgba(ink(ax), 0.2),
        path_effects=[Stroke(linewidth=1.0, foreground=to_rgba(ax.get_facecolor(), 0.65))],
        zorder=5,
        clip_on=True,
        in_layout=False,
        gid="synthetic",
        **text_style(),
    )


# Legends ----------------------------------------------------------------------------------------------------


def _place_legends(ax: Axes, keys: Sequence[Key]) -> list[Legend]:
    """Put legends beside the data where that leaves most of the room to them, else below; the lower ones come back."""
    region, high = _region(ax), _height_left(ax)
    sizes = [size for size in _SIZES if size <= small_size(ax)]
    legends: list[Legend] = []
    for size in sizes:
        _drop(legends)
        legends = _make_legends(ax, keys, 1, size)
        boxes = [legend.get_window_extent() for legend in legends]
        left = points(ax, region.width - max((box.width for box in boxes), default=0))
        if left >= _LEFT and points(ax, sum(box.height for box in boxes)) <= high:
            for place, legend in enumerate(legends):
                legend.set_loc("lower left" if place else "upper left")
                legend.set_bbox_to_anchor((1.01, 0.0 if place else 1.0), ax.transAxes)
            return []
    for columns in range(_MOST_COLUMNS, 0, -1):
        _drop(legends)
        legends = _make_legends(ax, keys, columns, sizes[-1])
        widest = max((legend.get_window_extent().width for legend in legends), default=0)
        if _LETTERS_GROW * widest <= region.width:
            break
    for legend in legends:
        legend.set_loc("upper left")
    return legends


def _height_left(ax: Axes) -> float:
    """Estimate how high the data will be, in points."""
    region = _region(ax)
    slot = region if _engine(ax) is not None else _slot(ax).transformed(ax.figure.transSubfigure)
    top = min(points(ax, slot.y1), points(ax, region.y1) - _ABOVE)
    return top - max(points(ax, slot.y0), points(ax, region.y0) + _BELOW)


def _make_legends(ax: Axes, keys: Sequence[Key], columns: int, size: float) -> list[Legend]:
    made: list[Legend] = []
    for key in reversed(keys):  # the first one is the one that ax.get_legend() gives
        for before in made[-1:]:
            ax.add_artist(before)
        numbers = [str(i) for i in range(len(key.handles))]  # the text comes after: matplotlib drops labels like "_a"
        legend = ax.legend(
            key.handles, numbers, fontsize=size, title=key.title or None, title_fontsize=size, alignment="left",
            handleheight=_handle_height(key.height, size), ncols=min(columns, len(key.handles)), frameon=False,
            borderaxespad=0, columnspacing=1.2, labelspacing=0.35, labelcolor=ink(ax),
            handler_map={Line2D: _Centred()},
        )  # fmt: skip
        legend.set_zorder(4)
        for text, label in zip(legend.get_texts(), key.letters.labels, strict=True):
            text.update({"text": label, **key.letters.style})
        legend.get_title().update({"color": ink(ax), **text_style()})
        made.append(legend)
    return made[::-1]


def _handle_height(height: float, size: float) -> float:
    """Say in matplotlib's unit how high a handle is, at least as high as a line."""
    # of `handleheight` font sizes above seven tenths it keeps but 0.65 for the box, the rest being a descent
    return max(0.7, (height / size - 0.245) / 0.65)


def is_narrow(ax: Axes) -> bool:
    """Whether letters of the usual sizes would leave little to the data."""
    return room(ax)[0] < _NARROW * 72


def small_size(ax: Axes) -> float:
    """Size of small letters in points."""
    return _SMALLER if is_narrow(ax) else SMALL


class _Centred(HandlerLine2D):
    """Mark in the middle of its box: matplotlib puts one that is higher than a line over what stands above it."""

    def create_artists(
        self,
        legend: Legend,
        orig_handle: Artist,
        xdescent: float,
        ydescent: float,
        width: float,
        height: float,
        fontsize: float,
        trans: Transform,
    ) -> Sequence[Artist]:
        return super().create_artists(legend, orig_handle, xdescent, 2 * ydescent, width, height, fontsize, trans)


def _drop(legends: Iterable[Legend]) -> None:
    for legend in legends:
        legend.remove()


def _hang_legends(ax: Axes, legends: Sequence[Legend]) -> None:
    """Hang legends below the axis labels, from the left edge of the room, wherever these are now."""
    box = ax.get_window_extent()
    depth = max(0.0, box.y0 - _lowest_label(ax))
    for legend in legends:
        left, below = points(ax, box.x0 - _region(ax).x0), points(ax, depth) + _PAD
        shift = ScaledTranslation(-left / 72, -below / 72, root(ax).dpi_scale_trans)
        legend.set_bbox_to_anchor((0, 0), ax.transAxes + shift)
        depth += legend.get_window_extent().height + _PAD * root(ax).dpi / 72


def _lowest_label(ax: Axes) -> float:
    box = ax.xaxis.get_tightbbox()
    return float((box or ax.get_window_extent()).y0)


# Footer -----------------------------------------------------------------------------------------------------


def _hang_footer(ax: Axes, legends: Sequence[Legend], text: str) -> Annotation:
    """Hang an empty footer below the lowest label or legend, from the leftmost label on."""
    lowest = legends[-1] if legends else ax.xaxis.label
    return ax.annotate(
        "",
        xy=(0, 0),
        xycoords=(ax.yaxis.label, lowest),
        xytext=(0, -6),
        textcoords="offset points",
        ha="left",
        va="top",
        fontsize=small_size(ax),
        color=ink(ax),
        alpha=0.75,
        annotation_clip=False,
        gid="footer",
        **text_style(text),
    )


# Room -------------------------------------------------------------------------------------------------------


def _engine(ax: Axes) -> LayoutEngine | None:
    engine = root(ax).get_layout_engine()
    return None if isinstance(engine, PlaceHolderLayoutEngine) else engine


def _region(ax: Axes) -> Bbox:
    """Find the place that Axes and all around them have: up to the middle between them and their neighbours."""
    own, whole = _slot(ax), ax.figure.bbox
    left, bottom, right, top = 0.0, 0.0, 1.0, 1.0
    for other in ax.figure.axes:
        slot = _slot(other)
        if slot.x0 >= own.x1:
            right = min(right, (own.x1 + slot.x0) / 2)
        elif slot.x1 <= own.x0:
            left = max(left, (own.x0 + slot.x1) / 2)
        elif slot.y0 >= own.y1:
            top = min(top, (own.y1 + slot.y0) / 2)
        elif slot.y1 <= own.y0:
            bottom = max(bottom, (own.y0 + slot.y1) / 2)
    corners = Bbox.from_extents(left, bottom, right, top).transformed(ax.figure.transSubfigure)
    return corners.padded(-min(_PAD * root(ax).dpi / 72, whole.width / 20, whole.height / 20))


def _slot(ax: Axes) -> Bbox:
    """Where the user put Axes, in parts of the figure, however they have shrunk since."""
    spec = ax.get_subplotspec()
    return ax.get_position(original=True) if spec is None else spec.get_position(cast("Figure", ax.figure))


def _fit(ax: Axes, footer: Annotation, text: str, legends: Sequence[Legend], *, foreign: bool) -> bool:
    """Lay out once: measure what is around the data, break lines where they must, and give all of it its room.

    Say whether anything changed that the measures were taken with.
    """
    before_all = _written(ax, footer)
    engine = _engine(ax)
    if engine is not None:
        engine.execute(root(ax))
    footer.set_in_layout(False)
    _hang_legends(ax, legends)
    around = ax.get_tightbbox(for_layout_only=True)  # also moves the axis labels to their place
    footer.set_in_layout(True)
    box, region, label = ax.get_window_extent(), _region(ax), ax.yaxis.label.get_window_extent()
    around = Bbox.union([around or box, box])
    before, after = box.x0 - min(around.x0, label.x0), around.x1 - box.x1
    if engine is None:
        slot = _slot(ax).transformed(ax.figure.transSubfigure)
        x0 = max(slot.x0, region.x0 + _LETTERS_GROW * before)
        x1 = min(slot.x1, region.x1 - _LETTERS_GROW * after)
        right = region.x1
    else:
        x0, x1 = box.x0, box.x1
        right = region.x1 if len(ax.figure.axes) == 1 else around.x1
    left = label.x0 + x0 - ax.get_position(original=True).transformed(ax.figure.transSubfigure).x0
    if not foreign:
        _break_labels(ax, right - x0, x1 - x0, box.height)
    style = {"fontsize": footer.get_fontsize(), **text_style(text)}
    footer.set_text(wrapped(ax, text, max((right - left) / _LETTERS_GROW, region.width / 2), **style))
    if engine is None:
        below = box.y0 - min(around.y0, footer.get_window_extent().y0)
        y0 = max(slot.y0, region.y0 + _LETTERS_GROW * below)
        y1 = min(slot.y1, region.y1 - _LETTERS_GROW * (around.y1 - box.y1))
        _move(ax, x0, y0, max(x1, x0 + _LEAST * region.width), max(y1, y0 + _LEAST * region.height))
    moved = np.abs(np.subtract(ax.get_window_extent().extents, box.extents)).max() > _STILL
    return bool(moved) or _written(ax, footer) != before_all


def _written(ax: Axes, footer: Annotation) -> list[tuple[str, object]]:
    """Tell the texts around the data that may be broken, and their sizes."""
    titles = [one for one in ax.get_children() if isinstance(one, Text) and one.get_gid() == "title"]
    bars = [bar.yaxis.label for bar in ax.child_axes]
    return [(one.get_text(), one.get_fontsize()) for one in (footer, ax.xaxis.label, ax.yaxis.label, *titles, *bars)]


def _move(ax: Axes, *edges: float) -> None:
    in_layout = ax.get_in_layout()
    ax.set_position(Bbox.from_extents(*edges).transformed(ax.figure.transSubfigure.inverted()))
    ax.set_in_layout(in_layout)  # set_position takes them out of it, and a tight bounding box would forget them
    ax.apply_aspect()


def _break_labels(ax: Axes, title: float, width: float, height: float) -> None:
    """Write the title and the axis labels smaller where they are longer than their sides, and break them."""
    texts = [(one, title) for one in ax.get_children() if isinstance(one, Text) and one.get_gid() == "title"]
    sides = [(ax.xaxis.label, width), (ax.yaxis.label, height)]
    bars = [(bar.yaxis.label, bar.get_window_extent().height) for bar in ax.child_axes]
    for text, length in [*texts, *sides, *bars]:
        for size in (text.get_fontsize(), min(text.get_fontsize(), SMALL)):
            style = {"fontproperties": text.get_fontproperties(), "fontsize": size, **_plain(text)}
            lines = wrapped(ax, text.get_text().replace("\n", " "), length / _LETTERS_GROW, **style)
            if "\n" not in lines:
                break
        text.set(text=lines, fontsize=size)


def _plain(text: Text) -> dict[str, Any]:
    return {"parse_math": text.get_parse_math(), "usetex": text.get_usetex()}
