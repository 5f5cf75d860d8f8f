"""The pictures, judged by what is on them: data, labels, units, order, colours, notes, source, stamp."""

from __future__ import annotations

import io
import math
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from matplotlib import dates as mdates
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

import keyapi_research as kr
from keyapi_research import entities, plots
from keyapi_research.checks import CHECKS
from keyapi_research.entities import Name
from keyapi_research.model import TABLES
from keyapi_research.plots import category_bars, engagement_strips, finding_spans, overlap_map, style, trend_lines
from keyapi_research.sandbox import Sandbox

GALLERY = Path(__file__).parents[1] / "docs" / "gallery"
OBSERVED = pd.Timestamp("2026-02-03 08:30", tz="UTC")
NAMES = [
    "trend", "audience", "products", "categories", "engagement", "overlap", "days", "windows", "findings", "spending",
]  # fmt: skip
MADE = ("findings", "spending")  # of rows that have no source: what they were made from is in their attrs
NEEDS = {
    "trend": "hashtag_trends",
    "audience": "hashtag_audience",
    "products": "product_insights",
    "categories": "product_insights",
    "engagement": "videos",
    "overlap": "music_audience",
    "days": "creator_days",
    "windows": "product_windows",
}


def slow(case: Any) -> Any:
    """A case for the slow tests: to lay out a picture takes a while, and there are many."""
    return pytest.param(case, marks=pytest.mark.slow)


@pytest.fixture(autouse=True)
def nothing_global(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test may leave a setting changed; nothing is ever shown or saved by the package."""
    plt.close("all")  # of examples elsewhere

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the package shows and saves nothing")

    before = dict(mpl.rcParams)
    with monkeypatch.context() as patch:
        patch.setattr(plt, "show", refuse)
        patch.setattr(plt, "close", refuse)
        patch.setattr(plt, "savefig", refuse)
        yield
    assert dict(mpl.rcParams) == before
    plt.close("all")


@pytest.fixture(scope="module")
def world() -> Iterator[kr.Client]:
    """A client of a sandbox, for pictures of its data."""
    with Sandbox() as server:
        client = kr.Client(
            token="a-token-of-the-tests",
            base_url=server.url,
            store=":memory:",
            requests_per_second=None,
            progress=False,
        )
        yield client
        client.close()


def rows(table: str, records: list[dict[str, Any]], **constant: Any) -> pd.DataFrame:
    """Make rows of a table by hand, with its columns and dtypes."""
    constant = {"observed_at": OBSERVED, "source": "keyapi", **constant}
    frame = pd.DataFrame([{**constant, **record} for record in records])
    columns = {column.name: column.dtype for column in TABLES[table].columns}
    return frame.reindex(columns=list(columns)).astype(columns)


def series(name: str, values: dict[str, float], table: str = "hashtag_trends", **constant: Any) -> pd.DataFrame:
    key = "clip_id" if "music" in table else "hashtag_name"
    points = [{"date": pd.Timestamp(day, tz="UTC"), "share_of_peak": value} for day, value in values.items()]
    return rows(table, points, **{"region": "US", "period": 7, key: name, **constant})


def days(*numbers: int) -> dict[str, float]:
    return {f"2026-01-{number:02}": number / 100 for number in numbers}


def people(
    name: str, dimension: str, scores: dict[str, float], table: str = "hashtag_audience", **more: Any
) -> pd.DataFrame:
    key = {"hashtag_audience": "hashtag_name", "music_audience": "clip_id", "product_audience": "category_id"}[table]
    codes = {"18-24": "3", "25-34": "4", "35+": "5", "35-44": "35", "45-54": "45", "55+": "55"}
    lines = [
        {"dimension": dimension, "segment_id": codes.get(label, label), "segment": label, "score": score}
        for label, score in scores.items()
    ]
    window = {"time_scope": "7"} if table == "product_audience" else {"period": 7}
    return rows(table, lines, **{"region": "US", key: name, **window, **more})


def ranking(*records: dict[str, Any], **constant: Any) -> pd.DataFrame:
    """Rows of a ranking; categories are numbered where they are not named."""
    made = [
        {
            "position": place,
            "category_id": str(600000 + place),
            "category": f"Things {place}",
            "category_l1": "Home",
            "category_l2": "Decor",
            "category_l3": f"Things {place}",
            "ctr_pct": 1.0 + place,
            "cvr_pct": 2.0 + place,
            "impressions": 1_000_000,
            **record,
        }
        for place, record in enumerate(records, 1)
    ]
    return rows("product_insights", made, **{"region": "US", "time_scope": "7", **constant})


def videos(*records: dict[str, Any]) -> pd.DataFrame:
    made = [{"video_id": str(7000 + i), "likes": 60, "comments": 30, "shares": 10, **r} for i, r in enumerate(records)]
    return rows("videos", made)


def draw(figure: Any, *, tight: bool = False) -> bytes:
    """Render a figure; warnings are errors here. Notebooks cut off the margins (`tight`)."""
    buffer = io.BytesIO()
    figure.canvas.figure.savefig(buffer, format="png", bbox_inches="tight" if tight else None, dpi=50)
    return buffer.getvalue()


def written(ax: Axes, gid: str) -> list[Text]:
    return [text for text in ax.figure.canvas.figure.findobj(Text) if text.get_gid() == gid]


def texts(ax: Axes, gid: str) -> list[str]:
    return [text.get_text() for text in written(ax, gid)]


def footer(ax: Axes) -> str:
    (text,) = texts(ax, "footer")
    return " ".join(text.split())


def legend(ax: Axes) -> list[str]:
    made = ax.get_legend()
    return [text.get_text() for text in made.get_texts()] if made else []


def ticks(labels: list[Text]) -> list[str]:
    return [label.get_text() for label in labels]


def known(line: Any) -> tuple[list[str], list[float]]:
    """Points of a line that are there."""
    values = np.asarray(line.get_ydata(), dtype=float)
    dates = np.asarray(line.get_xdata(orig=True), dtype="datetime64[D]")
    return [str(day) for day in dates[~np.isnan(values)]], values[~np.isnan(values)].tolist()


# All pictures -----------------------------------------------------------------------------------------------


def by_day(user: str, values: list[float | None], table: str = "creator_days", **constant: Any) -> pd.DataFrame:
    """Days of one creator or product from 1 January 2026 on; None: the day is missing."""
    key = "user_id" if table == "creator_days" else "product_id"
    dates = pd.date_range("2026-01-01", periods=len(values), tz="UTC")
    lines = [{"date": day, "gmv_day_est": one} for day, one in zip(dates, values, strict=True) if one is not None]
    return rows(table, lines, **{key: user, **constant})


def by_window(product: str, values: dict[int, float | None], **constant: Any) -> pd.DataFrame:
    lines = [{"window_days": length, "units_window_est": value} for length, value in values.items()]
    return rows("product_windows", lines, **{"product_id": product, **constant})


def with_origin(frame: pd.DataFrame, source: str = "keyapi", observed_at: pd.Timestamp = OBSERVED) -> pd.DataFrame:
    frame.attrs["keyapi_research"] = {"source": [source], "observed_at": [observed_at.isoformat()]}
    return frame


def found(*records: dict[str, Any], **origin: Any) -> pd.DataFrame:
    """Findings, as an audit returns them."""
    first = pd.Timestamp("2026-01-05", tz="UTC")
    made = [
        {
            "check": "frozen", "severity": "wrong", "table": "creator_days", "entity": "1001", "column": "views",
            "first": first, "last": first + pd.Timedelta(days=9), "n": 1, "evidence": "It stands still.", **record,
        }
        for record in records
    ]  # fmt: skip
    return with_origin(pd.DataFrame(made), **origin)


def ledger(*records: dict[str, Any], **origin: Any) -> pd.DataFrame:
    """A ledger, as a client returns it."""
    made = [
        {
            "sent_at": OBSERVED - pd.Timedelta(days=3), "endpoint": "/v1/tiktok/trending/hashtag/detail",
            "credits": 2, "imported": False, "client": "here:1", **record,
        }
        for record in records
    ]  # fmt: skip
    frame = pd.DataFrame(made).astype({"credits": "Int64", "sent_at": "datetime64[us, UTC]"})
    return with_origin(frame, **origin)


def example(plot: str, **constant: Any) -> pd.DataFrame:  # noqa: PLR0911 - one for each picture
    if plot == "trend":
        return pd.concat([series("ufc324", days(1, 2, 3), **constant), series("perfume", days(1, 2, 3), **constant)])
    if plot in ("audience", "overlap"):
        return pd.concat(
            [
                people("ufc324", "country", {"Macao": 780, "Belarus": 617}, **constant),
                people("perfume", "country", {"Macao": 300, "Chad": 200}, **constant),
            ]
        )
    if plot == "engagement":
        return videos({"views": 1000}, {"views": 2000}).assign(**constant)
    if plot == "days":
        return pd.concat([by_day("1001", [5, 6, 7], **constant), by_day("1002", [1, 2, 4], **constant)])
    if plot == "windows":
        return pd.concat([by_window("31", {1: 9, 7: 70}, **constant), by_window("32", {1: 3, 7: 14}, **constant)])
    if plot == "findings":
        return found({"n": 3}, {"severity": "note", "check": "gap", "column": "date"}, **constant)
    if plot == "spending":
        return ledger({}, {"endpoint": "/v1/tiktok/video/detail/analytics", "sent_at": OBSERVED}, **constant)
    return ranking({}, {"category_l1": "Food"}).assign(**constant)


@pytest.fixture(params=NAMES)
def plot(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_picture_of_its_own_is_one_open_figure_of_notebook_size(plot: str) -> None:
    frame = example(plot)
    before = frame.copy(deep=True)
    ax = getattr(plots, plot)(frame)
    assert plt.get_fignums() == [ax.figure.number]
    width, height = ax.figure.get_size_inches()
    assert (width, ax.figure.dpi) == (8, 150)
    assert 3 <= height <= 11
    assert draw(ax.figure, tight=True).startswith(b"\x89PNG")
    pd.testing.assert_frame_equal(frame, before)
    ax.figure.draw_without_rendering()
    (text,) = written(ax, "footer")
    box, inside = text.get_window_extent(), ax.get_window_extent()
    assert box.y1 <= min(inside.y0, ax.xaxis.get_tightbbox().y0 + 1)
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= ax.figure.bbox.width
    age = "sent 2026-01-31 to 2026-02-03" if plot == "spending" else "observed 2026-02-03"
    assert footer(ax).endswith(f"source: keyapi, {age} (UTC)")
    assert texts(ax, "synthetic") == []


@pytest.mark.parametrize("kind", ["no pyplot", slow("subfigure"), slow("placed by hand"), slow("tight")])
def test_axes_of_any_figure_are_drawn_into(plot: str, kind: str) -> None:
    figure = Figure(figsize=(8, 6), layout="tight" if kind == "tight" else None)
    if kind == "placed by hand":
        ax = figure.add_axes((0.2, 0.3, 0.5, 0.5))
    else:
        ax = (figure.subfigures(1, 2)[0] if kind == "subfigure" else figure).subplots()
    assert getattr(plots, plot)(example(plot, source="sandbox"), ax=ax) is ax
    assert ax.has_data()
    assert plt.get_fignums() == []
    figure.draw_without_rendering()
    if kind == "placed by hand":
        assert ax.get_position(original=True).bounds == pytest.approx((0.2, 0.3, 0.5, 0.5))
        assert figure.get_layout_engine() is None
    else:
        engine = type(figure.get_layout_engine()).__name__
        assert engine == f"{'Tight' if kind == 'tight' else 'Constrained'}LayoutEngine"


def test_on_a_dark_style_all_that_is_written_shows(plot: str) -> None:
    with plt.style.context("dark_background"):
        ax = getattr(plots, plot)(example(plot, source="sandbox"))
        assert to_hex(ax.figure.get_facecolor()) == "#000000"
        ours = [text for text in ax.figure.findobj(Text) if text.get_gid() not in (None, "value", "common")]
        assert {"footer", "synthetic", "title"} <= {text.get_gid() for text in ours}
        assert {to_hex(text.get_color()) for text in ours} == {"#ffffff"}
        assert all(to_hex(line.get_color()) != "#000000" for line in ax.lines)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda: plt.subplots(2, 2)[1], r"got ndarray\. Pass one of them, as axes\.flat\[0\]\."),
        (lambda: list(plt.subplots(2)[1]), r"got list\. Pass one of them, as axes\[0\]\."),
        (plt.figure, r"got Figure\. Pass one of its Axes, as figure\.axes\[0\]\."),
        (lambda: "left", r"got str\. Pass one, or leave ax out\."),
    ],
    ids=["array", "list", "figure", "text"],
)
def test_what_is_not_one_axes_is_refused_with_what_to_pass(given: Callable[[], Any], said: str) -> None:
    ax = given()
    for name in NAMES:
        with pytest.raises(kr.InvalidArgumentError, match=rf"^ax is one matplotlib Axes; {said}$"):
            getattr(plots, name)(example(name), ax=ax)


def test_without_matplotlib_the_error_says_what_to_install() -> None:
    code = (
        "import sys, pandas as pd; sys.modules['matplotlib'] = None\n"
        "import keyapi_research as kr\n"
        "for draw in (kr.plots.trend, lambda df: kr.plots.stamp([], df)):\n"
        "    try:\n        draw(pd.DataFrame())\n"
        "    except kr.MissingPackageError as error:\n        print(error.name, '-', error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("matplotlib - Pictures need matplotlib, which is not installed. Run: python -m pip") == 2


# What there is room for --------------------------------------------------------------------------------------------

ROOMS: dict[str, Callable[[], Axes]] = {
    "plain": lambda: plt.subplots(figsize=(6, 4))[1],
    "constrained": lambda: plt.subplots(figsize=(6, 4), layout="constrained")[1],
    "one of four": lambda: plt.subplots(2, 2, figsize=(11, 9))[1][0, 0],
    "subfigure": lambda: plt.figure(figsize=(11, 4)).subfigures(1, 2)[1].subplots(1, 1),
}


LONG_NAMES = [f"quitealonghashtag{i}" for i in range(12)]


def hard(plot: str, tags: list[str] = LONG_NAMES) -> pd.DataFrame:  # noqa: PLR0911 - one for each picture
    """Much of everything, with long names."""
    if plot == "trend":
        return pd.concat([series(tag, days(1, 5, 9, 13, 17, 25), source="sandbox") for tag in tags])
    if plot in ("audience", "overlap"):
        lists = [{f"Long Country Name {j}": 100 + 37 * j + i for j in range(14)} for i in range(12)]
        return pd.concat([people(tag, "country", one, source="sandbox") for tag, one in zip(tags, lists, strict=True)])
    if plot == "engagement":
        return videos(*({"views": 1000 + 90 * i} for i in range(90))).assign(source="sandbox")
    if plot == "days":
        made = [by_day(f"70000000{i}", [i, None, 3 * i, i + 9, None] * 9, source="sandbox") for i in range(12)]
        return pd.concat([one.assign(username=tag) for one, tag in zip(made, tags, strict=True)])
    if plot == "windows":
        lengths = (1, 7, 15, 30, 60, 90)
        made = [by_window(f"170000000000000{i}", {n: n * i for n in lengths}, source="sandbox") for i in range(30)]
        return pd.concat([one.assign(product_name=f"{tags[i % 12]} {i}") for i, one in enumerate(made)])
    if plot == "findings":
        kinds = [("wrong", "impossible_count"), ("suspect", "uncovered_zero"), ("note", "parameter_ignored")]
        return found(
            *({"severity": severity, "check": check, "column": f"video_creators_window_{i}, likes",
               "last": pd.Timestamp("2026-01-09", tz="UTC") + i * pd.Timedelta(days=2)}
              for i in range(9) for severity, check in kinds),
            source="sandbox",
        )  # fmt: skip
    if plot == "spending":
        return ledger(
            *({"endpoint": f"/v1/tiktok/quite/a/long/path/of/an/endpoint/{i % 9}", "credits": 1 + i % 5,
               "sent_at": OBSERVED - i * pd.Timedelta(hours=19)} for i in range(70)),
            source="sandbox",
        )  # fmt: skip
    groups = [
        {"category_l1": f"{tags[i % 11]} all", "category_l2": f"{tags[i % 12]} {i}", "category": f"{tags[i % 12]} {i}"}
        for i in range(60)
    ]
    spread = np.random.default_rng(5).lognormal(0.3, 0.3, (60, 2))
    records = [
        {**group, "ctr_pct": x, "cvr_pct": y, "impressions": 10**6 * i}
        for i, (group, (x, y)) in enumerate(zip(groups, spread, strict=True), 1)
    ]
    return ranking(*records, source="sandbox")


@pytest.mark.parametrize("place", [place if place == "plain" else slow(place) for place in ROOMS])
def test_nothing_is_cut_off_and_nothing_covers_the_data(plot: str, place: str) -> None:
    ax = getattr(plots, plot)(hard(plot), ax=ROOMS[place]())
    ax.figure.canvas.figure.draw_without_rendering()
    inside, edges = ax.get_window_extent(), ax.figure.bbox
    (text,) = written(ax, "footer")
    legends = [one for one in (ax.get_legend(), *ax.artists) if one]
    titles = [one for one in ax.get_children() if isinstance(one, Text) and one.get_gid() == "title"]
    shown = [one.get_window_extent() for one in (text, *titles, *legends)]
    shown += [axis.get_tightbbox() for axis in (ax.xaxis, ax.yaxis)]
    assert all(edges.x0 <= box.x0 + 1 and box.x1 <= edges.x1 + 1 for box in shown)
    assert all(edges.y0 <= box.y0 + 1 and box.y1 <= edges.y1 + 1 for box in shown)
    beside = [one.get_window_extent() for one in (text, *titles, *legends)]
    assert not any(box.overlaps(inside.padded(-1)) for box in beside)
    assert not any(a.padded(-1).overlaps(b.padded(-1)) for a, b in combinations(beside, 2))
    share = 0.5 if place == "one of four" else 1
    assert inside.width > 0.25 * edges.width * share
    assert inside.height > 0.2 * edges.height * share
    names = sorted((one.get_window_extent() for one in ax.get_yticklabels()), key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 + 2 for below, above in pairwise(names))


def overlaps(figure: Figure) -> list[str]:
    """What covers something: two texts that overlap, or a text of those around the data that reaches into them."""
    figure.draw_without_rendering()
    boxes = []
    for text in figure.findobj(Text):
        words = " ".join(text.get_text().split())
        leans = text.get_rotation() % 90 != 0  # its box is mostly empty
        if words and text.get_visible() and text.get_gid() != "synthetic" and not leans and is_drawn(text):
            boxes.append((words, text.get_gid(), Text.get_window_extent(text)))
    found = [
        f"{a!r} covers {b!r}"
        for (a, _, one), (b, _, two) in combinations(boxes, 2)
        if one.padded(-1).overlaps(two.padded(-1))
    ]
    for ax in figure.axes:
        around = [(words, box) for words, gid, box in boxes if gid in ("title", "footer")]
        legend = ax.get_legend()
        around += [("legend", legend.get_window_extent())] if legend else []
        inside = ax.get_window_extent().padded(-1)
        found += [f"{words!r} covers the data" for words, box in around if box.overlaps(inside)]
    edges = figure.bbox.padded(1)
    cut = [words for words, _, box in boxes if not (edges.contains(*box.min) and edges.contains(*box.max))]
    return [*found, *(f"{words!r} is cut off" for words in cut)]


def is_drawn(text: Text) -> bool:
    """Whether a text is within what its axis shows: ticks outside of it are there, and not drawn."""
    axis = next((one for ax in text.figure.axes for one in (ax.xaxis, ax.yaxis) if text in one.get_ticklabels()), None)
    if axis is None:
        return text.axes is None or text.axes.get_visible()
    place = text.get_position()[axis.axis_name == "y"]
    low, high = sorted(axis.get_view_interval())
    return bool(low <= place <= high)


MANY_SCRIPTS = [
    f"{name}{i}"
    for i in range(3)
    for name in ("quitealonghashtag", "น้ำหอมกลิ่นหอมมากที่สุดในโลก", "عطور نسائية فاخرة جدا", "香水推荐女士持久淡香小众高级")
]


@pytest.mark.slow
@pytest.mark.parametrize("width", [4, 8, 13])
def test_no_label_covers_another_or_the_data_whatever_its_script_and_the_width(plot: str, width: int) -> None:
    ax = getattr(plots, plot)(hard(plot, MANY_SCRIPTS), ax=plt.subplots(figsize=(width, max(3.5, width * 0.6)))[1])
    assert overlaps(ax.figure) == []


@pytest.mark.slow
@pytest.mark.parametrize(("plot", "key"), [("trend", "hashtag_name"), ("days", "user_id")])
@pytest.mark.parametrize("width", [8, 13])
@pytest.mark.parametrize("count", [1, 3, 12])
def test_no_label_of_panels_covers_another(plot: str, key: str, width: int, count: int) -> None:
    frame = hard(plot, MANY_SCRIPTS)
    frame = frame[frame[key].isin(frame[key].unique()[:count])]
    first = getattr(plots, plot)(frame, small_multiples=True)
    first.figure.set_size_inches(width, first.figure.get_size_inches()[1])
    assert overlaps(first.figure) == []


@pytest.mark.parametrize("size", [(10, 8), slow((17, 11))])
def test_all_pictures_fit_into_panels_of_one_figure(size: tuple[float, float]) -> None:
    figure, panels = plt.subplots(3, 4, figsize=size, dpi=72)
    for name, panel in zip(NAMES, panels.flat, strict=False):
        getattr(plots, name)(example(name), ax=panel)
    figure.draw_without_rendering()  # matplotlib warns where Axes have no room left
    footers = [text.get_window_extent() for text in written(panels[0, 0], "footer")]
    assert len(footers) == len(NAMES)
    assert not any(a.overlaps(b) for a, b in combinations(footers, 2))


def test_only_what_is_too_long_for_a_panel_is_broken_into_lines() -> None:
    _, panels = plt.subplots(2, 2, figsize=(11, 8), dpi=72)
    ax = plots.trend(example("trend"), ax=panels[0, 0])
    assert "\n" in texts(ax, "footer")[0]
    assert ax.get_xlabel() == "day (UTC)"
    assert ax.get_title(loc="left") == "Popularity of 2 hashtags, US, 7 days"


def lines_in_sight(ax: Axes, **how: Any) -> bool:
    """Whether every line of the footer is on the saved picture, and below all labels."""
    figure, seen = ax.figure.canvas.figure, []
    (text,) = written(ax, "footer")
    drawn = text.draw

    def look(*given: Any) -> None:
        seen.append((text.get_window_extent(), figure.bbox.frozen(), ax.xaxis.get_tightbbox().y0))
        drawn(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "draw", look)
        figure.savefig(io.BytesIO(), **how)
    box, edges, lowest = seen[-1]
    return bool(edges.x0 <= box.x0 and box.x1 <= edges.x1 and edges.y0 <= box.y0 and box.y1 <= lowest + 1)


@pytest.mark.parametrize("name", [slow("overlap"), "trend", slow("categories")])
def test_source_and_age_are_on_the_picture_however_it_is_saved(name: str) -> None:
    # the map of nine with long names is about as wide as high with all around it: a layout in one go falls short
    nine = [people("x" * 24 + str(i), "country", {"Macao": 200, f"C{i}": 300}) for i in range(9)]
    ax = getattr(plots, name)(pd.concat(nine) if name == "overlap" else hard(name))
    for dpi in (60, 100, 300):
        assert lines_in_sight(ax, dpi=dpi, bbox_inches=None)
    assert lines_in_sight(ax, dpi=60, bbox_inches="tight")  # as notebooks do
    for size in ((5, 6), (8, 6)):
        ax.figure.set_size_inches(size)
        assert lines_in_sight(ax, dpi=60)


@pytest.mark.parametrize("layout", [None, slow("constrained"), slow("tight"), slow("compressed")])
def test_source_and_age_stay_below_a_picture_that_keeps_its_shape(layout: str | None) -> None:
    figure, ax = plt.subplots(layout=layout)
    ax.imshow(np.eye(3))
    ax.set_xticks(range(3), ["a long name that stands upright"] * 3, rotation=90)
    plots.stamp(ax, series("a", days(1, 2), source="sandbox"))
    for size in ((3, 9), (5, 6), (3, 9), (5, 7), (9, 3), (5, 7), (3, 9), (5, 8)):  # what limits it changes each time
        figure.set_size_inches(size)
        for _ in range(2):  # matplotlib measures such a picture by the shape it had before
            figure.draw_without_rendering()
        assert lines_in_sight(ax, dpi=50)


def test_what_the_user_has_changed_stays_when_the_size_changes() -> None:
    ax = plots.trend(series("a", days(1, 2)))
    ax.set_title("Mine,\nin two lines", loc="left")
    ax.figure.set_size_inches(4, 4)
    draw(pickle.loads(pickle.dumps(ax.figure)))
    draw(ax.figure)
    assert ax.get_title(loc="left") == "Mine,\nin two lines"
    ax.figure.supxlabel("my own footer")
    ax.figure.set_size_inches(5, 5)
    draw(ax.figure)
    assert texts(ax, "footer") == ["my own footer"]


def test_one_synthetic_row_stamps_the_whole_picture_behind_its_data_and_numbers(plot: str) -> None:
    frame = example(plot).reset_index(drop=True)
    frame.loc[0, "source"] = "sandbox"
    ax = getattr(plots, plot)(frame)
    (word,) = [one for one in ax.texts if one.get_gid() == "synthetic"]
    assert word.get_text() == "SYNTHETIC"
    box, inside = word.get_window_extent(), ax.get_window_extent()
    assert inside.x0 <= box.x0 < box.x1 <= inside.x1
    assert box.width > inside.width / 3 or box.height > inside.height / 3
    assert word.get_alpha() < 0.2
    over = [*ax.lines, *ax.collections, *(bar for bars in ax.containers for bar in bars)]
    over += [text for text in ax.texts if text.get_text() and text is not word]
    assert over
    assert all(one.get_zorder() > word.get_zorder() for one in over)
    assert all(one.get_zorder() < word.get_zorder() for one in ax.images)  # a map would hide it


@pytest.mark.parametrize("how", ["untyped", slow("typed")])
def test_no_rows_give_an_empty_labelled_picture(plot: str, how: str) -> None:
    frame = example(plot).iloc[:0]
    ax = getattr(plots, plot)(frame if how == "typed" else frame.astype(object))
    said = {"findings": "no findings", "spending": "nothing was spent"}.get(plot, "no rows")
    assert said in ticks(ax.texts)
    assert footer(ax).startswith("source: keyapi" if plot in MADE else "source: no rows")
    if plot != "overlap":
        assert ax.get_xlabel()
    assert list(ax.get_xticks()) == []
    ax.figure.draw_without_rendering()


def test_other_things_than_frames_are_refused(plot: str) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=rf"plots.{plot} reads a DataFrame; got list"):
        getattr(plots, plot)([1, 2])
    assert plt.get_fignums() == []


SAID = {
    "trend": ("hashtags", ["share_of_peak", "date", "df.keyapi.plot.trend()", "trending_music_trends"]),
    "audience": ("product_details", ["dimension", "score", "df.keyapi.plot.audience()", "product_audience"]),
    "overlap": ("music", ["dimension", "score", "pd.concat", "music_audience"]),
    "products": ("videos", ["ctr_pct", "impressions", "kr.fetch_product_insights"]),
    "categories": ("hashtags", ["category_l1", "impressions", "product_insights"]),
    "engagement": ("music", ["views", "shares", "kr.fetch_videos", "videos"]),
    "days": ("hashtag_trends", ["gmv_day_est", "kr.fetch_creator_days", "product_days"]),
    "windows": ("product_days", ["window_days", "kr.fetch_product_windows", "creator_windows"]),
    "findings": ("hashtags", ["severity", "first", "kr.audit()"]),
    "spending": ("hashtags", ["sent_at", "credits", "kr.ledger()"]),
}


def test_missing_columns_are_named_with_the_way_to_get_them(plot: str) -> None:
    table, said = SAID[plot]
    with pytest.raises(kr.InvalidArgumentError) as caught:
        getattr(plots, plot)(rows(table, [{}]))
    assert [words for words in said if words not in str(caught.value)] == []
    assert plt.get_fignums() == []


A = series("a", days(1, 2))
SHOWN = people("a", "age", {"18-24": 100})


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: plots.trend(A.set_index("date")), r"date is in the index: df.reset_index\(\)"),
        (lambda: plots.trend(A[["date", "share_of_peak"]]), "one of the columns hashtag_name, clip_id"),
        (lambda: plots.trend(pd.concat([A, A[["date"]]], axis=1)), "several columns named date"),
        (lambda: plots.trend(A.astype({"share_of_peak": object}).replace(0.01, "much")), "cannot be read as float64 "),
        (lambda: plots.trend(A, ax=plt.subplots()[1], small_multiples=True), "leave ax out"),
        (lambda: plots.audience(SHOWN, dimension="city"), "one of 'age', 'interest', 'country'; got 'city'"),
        (lambda: plots.overlap(SHOWN, dimension="age"), "one of 'interest', 'country'; got 'age'"),
        (lambda: plots.overlap(SHOWN, dimension=None), "one of 'interest', 'country'; got None"),  # type: ignore[arg-type]
        (lambda: plots.products(ranking({}), labels=-1), "labels is a whole number"),
        (lambda: plots.products(ranking({}), labels=True), "labels is a whole number"),
        (lambda: plots.categories(ranking({}), level=4), "level is 1, 2 or 3; got 4"),
        (lambda: plots.categories(ranking({}), level=True), "level is 1, 2 or 3; got True"),
        (lambda: plots.categories(ranking({}), level=2.0), r"level is 1, 2 or 3; got 2\.0"),  # type: ignore[arg-type]
        (lambda: plots.categories(ranking({"category_l3": None}), level=3), "at most 2 here, .*; got 3"),
        (lambda: plots.categories(ranking({}), lowest=None), "lowest must be True or False; got None"),  # type: ignore[arg-type]
        (lambda: plots.categories(ranking({}), measure="position"), "measure is one of posts, .*; got 'position'"),
        (lambda: plots.days(by_day("1", [1]), measure=["a"]), r"measure is one of .*; got \['a'\]"),  # type: ignore[arg-type]
        (lambda: plots.windows(by_window("31", {7: 1}), measure=["a"]), r"got \['a'\]"),  # type: ignore[arg-type]
        (
            lambda: plots.windows(by_window("31", {7: 1}), measure="video_creators_window"),
            "which add up over days; got 'video_creators_window'",
        ),
        (lambda: plots.spending(ledger({}).assign(sent_at="soon")), "Column sent_at cannot be read as times"),
        (lambda: plots.spending(ledger({}).assign(credits="much")), "Column credits cannot be read as float64"),
        (lambda: plots.findings(found({"first": "May"})), "Column first cannot be read as times"),
        (lambda: plots.stamp(plt.subplots()[1], "sandbox"), "read from the rows of a DataFrame; got str"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_reason(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=said):
        call()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: plots.audience(SHOWN.assign(score=np.nan)), "no known scores"),
        (lambda: plots.audience(SHOWN, dimension="country"), "no rows"),
        (lambda: plots.overlap(people("a", "country", {"Chad": np.nan})), "no known scores"),
        (lambda: plots.products(ranking({"ctr_pct": None})), "no known rates"),
        (lambda: plots.engagement(videos({"views": 0}, {"views": None})), "no rate above zero"),
        (lambda: plots.trend(A.iloc[:0], small_multiples=True), "no rows"),
    ],
)
def test_nothing_to_draw_gives_an_empty_picture_that_says_why(call: Callable[[], Axes], said: str) -> None:
    assert said in ticks(call().texts)


LATER = OBSERVED + pd.Timedelta(days=3)
TODAY = "sandbox (SYNTHETIC, its today is 2026-02-03)"


@pytest.mark.parametrize(
    ("frame", "said", "stamped"),
    [
        (
            pd.concat([A, series("b", days(1, 2), observed_at=LATER, source="127.0.0.1")]),
            "sources: 127.0.0.1, keyapi, observed 2026-02-03 to 2026-02-06 (UTC)",
            False,
        ),
        (A.drop(columns=["source", "observed_at"]), "source: not in this frame; observed: not in this frame", False),
        (
            A.rename(columns={"source": "source_x", "observed_at": "observed_at_x"}).assign(
                source_y="sandbox", observed_at_y=LATER
            ),
            f"sources: keyapi, {TODAY}, observed 2026-02-03 to 2026-02-06 (UTC)",
            True,
        ),
        (A.assign(source="sandbox", observed_at=LATER), f"source: {TODAY}, fetched 2026-02-06 (UTC)", True),
        (
            A.assign(source="sandbox", date=LATER),  # as when a store was asked again there
            "source: sandbox (SYNTHETIC, its days are up to 2026-02-06), fetched 2026-02-03 (UTC)",
            True,
        ),
        *(
            (A.assign(source="sandbox", date=no_day), f"source: {TODAY}, fetched 2026-02-03 (UTC)", True)
            for no_day in ("first half", 7, None)
        ),
    ],
    ids=["several", "none", "merged", "sandbox", "later", "a word", "a number", "nothing"],
)
def test_source_and_age_are_written_as_the_rows_have_them(frame: pd.DataFrame, said: str, stamped: bool) -> None:
    _, ax = plt.subplots()
    assert plots.stamp(ax, frame) is ax
    assert footer(ax) == said
    assert texts(ax, "synthetic") == ["SYNTHETIC"] * stamped


def test_a_file_read_without_its_types_draws_the_same(plot: str) -> None:
    frame = example(plot)
    plain = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    moments = [name for name in ("observed_at", "first", "sent_at") if name in plain]
    assert all(str(plain[name].dtype) in ("object", "str") for name in moments)
    first, second = getattr(plots, plot)(frame), getattr(plots, plot)(plain)
    assert footer(first) == footer(second) or plot in MADE  # whose origin no file keeps
    assert "source: not in this frame" in footer(second) or plot not in MADE
    assert ticks(first.get_yticklabels()) == ticks(second.get_yticklabels())
    assert first.dataLim.get_points().tolist() == second.dataLim.get_points().tolist()


# Trend ------------------------------------------------------------------------------------------------------


def test_a_series_is_drawn_in_the_order_of_its_dates_with_units() -> None:
    frame = series("ufc324", days(3, 1, 2))
    ax = plots.trend(frame.sample(frac=1, random_state=1))
    (line,) = ax.lines
    assert known(line) == (["2026-01-01", "2026-01-02", "2026-01-03"], [0.01, 0.02, 0.03])
    assert ax.get_ylabel() == "popularity (share of own peak, 0 to 1)"
    assert ax.get_xlabel() == "day (UTC)"
    assert ax.get_title(loc="left") == "Popularity of #ufc324, US, 7 days"
    assert ax.get_legend() is None
    assert "never levels" not in footer(ax)


def test_several_series_are_told_apart_and_not_to_be_compared() -> None:
    ax = plots.trend(pd.concat([series(f"tag{i}", days(1, 2, 3)) for i in range(14)]))
    assert legend(ax) == [f"#tag{i}" for i in range(14)]
    looks = {(to_hex(line.get_color()), line.get_linestyle(), line.get_marker()) for line in ax.lines}
    assert len(looks) == 14
    assert len({to_hex(line.get_color()) for line in ax.lines[:7]}) == 7
    assert len({(line.get_linestyle(), line.get_marker()) for line in ax.lines[:7]}) == 7
    assert "Each series is relative to its own peak in its window: compare shapes and dates, never levels." in footer(
        ax
    )
    assert ax.get_title(loc="left") == "Popularity of 14 hashtags, US, 7 days"


@pytest.mark.parametrize("own", [True, False])
def test_more_series_than_can_be_named_are_grey_and_counted(own: bool) -> None:
    frame = pd.concat([series(f"tag{i}", days(1, 2, 3)) for i in range(17)])
    ax = plots.trend(frame, small_multiples=False) if own else plots.trend(frame, ax=plt.subplots(figsize=(8, 5))[1])
    assert len(ax.lines) == 17
    assert legend(ax) == [f"#tag{i}" for i in range(14)]
    assert {to_hex(line.get_color()) for line in ax.lines[14:]} == {"#999999"}
    assert "Grey: 3 more series." in footer(ax)


def test_forty_series_are_a_panel_each() -> None:
    first = plots.trend(pd.concat([series(f"tag{i}", days(1, 2, 3)) for i in range(40)]))
    assert len(first.figure.axes) == 40
    assert first.figure.get_suptitle() == "Popularity of 40 hashtags, US, 7 days"
    assert len(plots.trend(pd.concat([series(f"tag{i}", days(1)) for i in range(14)])).figure.axes) == 1


SOUNDS = pd.concat([series(clip, days(1, 2), "music_trends") for clip in ("11", "22", "33")])


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (
            pd.concat([A, series("a", days(1), region="GB"), series("a", days(1), region="GB", period=30)]),
            ["#a (US, 7 days)", "#a (GB, 7 days)", "#a (GB, 30 days)"],
        ),
        (
            pd.concat([A, series("a", days(2, 3), observed_at=LATER)]),
            ["#a (observed 2026-02-03 08:30:00)", "#a (observed 2026-02-06 08:30:00)"],
        ),
        (
            pd.concat([A, A, SOUNDS[:2], series("b", days(1), "trending_hashtag_trends", new_only=True)]),
            ["#a", "sound 11", "#b"],
        ),
        (SOUNDS.assign(title=["New Sun"] * 4 + [None] * 2), ["New Sun (11)", "New Sun (22)", "sound 33"]),
    ],
    ids=["windows", "observations", "hashtags and sounds", "titles"],
)
def test_series_are_told_apart_by_what_differs(frame: pd.DataFrame, named: list[str]) -> None:
    ax = plots.trend(frame)
    assert legend(ax) == named
    assert len(ax.lines) == len(named)
    assert {len(line.get_xdata()) for line in ax.lines} <= {1, 2}  # rows that came twice are drawn once


@pytest.mark.parametrize(
    ("dates", "breaks"),
    [
        (["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"], []),
        (["2026-01-01", "2026-01-02", "2026-01-05", "2026-01-06"], [2]),
        (["2026-01-01", "2026-01-02", "2026-01-04"], [2]),
        (["2025-11-01", "2025-11-08", "2025-11-15", "2025-11-29", "2025-12-06", "2025-12-27"], [3, 5]),
        (["2025-10-01", "2025-11-01", "2025-12-01", "2026-01-01", "2026-02-01", "2026-03-01"], []),
        (["2025-10-01", "2025-11-01", "2026-01-01", "2026-02-01"], [2]),
        (["2026-01-01", "2026-01-20"], []),
        (["2026-01-01"], []),
        ([], []),
    ],
)
def test_missing_buckets_are_found_by_the_steps_of_the_series(dates: list[str], breaks: list[int]) -> None:
    assert trend_lines.gaps(np.array(dates, dtype="datetime64[us]")).tolist() == breaks


def weekly(last: str, observed_at: str, **more: Any) -> pd.DataFrame:
    """A series of four weeks."""
    dates = pd.date_range(end=last, periods=4, freq="7D").strftime("%Y-%m-%d")
    values = dict(zip(dates, (0.2, 1.0, 0.5, 0.4), strict=True))
    return series("a", values, observed_at=pd.Timestamp(observed_at, tz="UTC"), **more)


@pytest.mark.parametrize(
    ("frame", "under_way"),
    [
        (weekly("2026-01-31", "2026-02-06 23:00"), True),
        (weekly("2026-01-31", "2026-02-07"), False),
        (weekly("2026-01-31", "2026-11-30", source="sandbox"), True),  # its today is the third of February
        (weekly("2026-01-24", "2026-11-30", source="sandbox"), False),
        (weekly("2026-01-31", "2026-02-01").drop(columns="observed_at"), False),
        (series("a", days(1, 2)), False),
    ],
    ids=["the last week runs", "it is over", "runs in the sandbox", "over there", "nobody knows", "days"],
)
def test_a_last_point_whose_days_are_not_over_is_told(frame: pd.DataFrame, under_way: bool) -> None:
    ax = plots.trend(frame)
    assert ("The last week is not complete: its point may still change." in footer(ax)) is under_way
    assert ax.get_xlabel() == ("start of the week (UTC)" if len(frame) == 4 else "day (UTC)")


def test_a_line_breaks_where_buckets_are_missing_and_lone_points_show() -> None:
    ax = plots.trend(series("a", days(1, 2, 3, 6, 9, 10, 11)))
    (line,) = ax.lines
    values = np.asarray(line.get_ydata())
    assert np.flatnonzero(np.isnan(values)).tolist() == [3, 5]
    assert values[4] == 0.06
    assert 4 in line.get_markevery()
    assert line.get_marker() == "o"
    assert "A break in a line: dates are missing." in footer(ax)
    assert "break" not in footer(plots.trend(series("a", days(1, 2, 3))))


def test_series_without_known_values_say_so_over_their_own_dates() -> None:
    frame = series("a", days(1, 2, 3, 20)).assign(share_of_peak=np.nan)
    ax = plots.trend(frame)
    assert "no known values" in ticks(ax.texts)
    first, last = (f"{mdates.num2date(edge):%Y-%m-%d}" for edge in ax.get_xlim())
    assert "2025-12-30" < first <= "2026-01-01"
    assert "2026-01-20" <= last < "2026-01-22"
    assert "break" not in footer(ax)
    some = plots.trend(pd.concat([frame, series("b", days(1, 2, 3))]))
    assert "no known values" not in ticks(some.texts)
    assert "1 series without known values." in footer(some)
    assert "break" not in footer(some)


@pytest.mark.parametrize("start", ["2025-12-30", slow("2026-01-27")])
@pytest.mark.parametrize(("count", "step"), [(1, "D"), (2, "D"), (7, "D"), (30, "D"), (36, "31D")])
def test_ticks_are_whole_days_and_few(start: str, count: int, step: str) -> None:
    values = {f"{day:%Y-%m-%d}": 0.5 for day in pd.date_range(start, periods=count, freq=step)}
    ax = plots.trend(series("a", values))
    assert min(count, 2) <= len(ax.get_xticks()) <= 8
    distances = np.diff(ax.get_xticks())
    assert distances.max(initial=0) - distances.min(initial=999) <= 3 or step != "D", "evenly apart"
    stamps = [mdates.num2date(tick, tz="UTC") for tick in ax.get_xticks()]
    assert all((stamp.hour, stamp.minute) == (0, 0) for stamp in stamps)
    labels = ticks(ax.get_xticklabels())
    assert labels[0].endswith(f"\n{stamps[0].year}")
    assert labels[0].startswith(f"{stamps[0].day:02} ")


def test_small_multiples_have_a_panel_each_and_return_the_first() -> None:
    frame = pd.concat([series(f"tag{i}", days(1, 2, 3), source="sandbox") for i in range(5)])
    first = plots.trend(frame, small_multiples=True)
    panels = first.figure.axes
    assert first is panels[0]
    assert [panel.get_title(loc="left") for panel in panels] == [f"#tag{i}" for i in range(5)]
    assert [len(panel.lines) for panel in panels] == [1] * 5
    (word,) = written(first, "synthetic")  # once, behind all of them
    assert word in first.figure.texts
    assert word.get_zorder() < min(panel.get_zorder() for panel in panels)
    assert not any(panel.patch.get_visible() for panel in panels)
    assert word.get_window_extent().width > first.figure.bbox.width / 2
    assert "never levels" in footer(first)
    assert " ".join(first.figure.get_supylabel().split()) == "popularity (share of own peak, 0 to 1)"
    assert "Across: day (UTC)." in footer(first)
    draw(first.figure)
    assert plt.get_fignums() == [first.figure.number]


def test_small_multiples_say_what_they_leave_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyapi_research.plots.lines.MOST_PANELS", 4)
    first = plots.trend(pd.concat([series(f"tag{i}", days(1)) for i in range(6)]), small_multiples=True)
    assert len(first.figure.axes) == 4
    assert "2 more series are not drawn." in footer(first)


# Days -------------------------------------------------------------------------------------------------------


def bridge(ax: Axes) -> list[list[float]]:
    return [line.get_ydata().tolist() for line in ax.lines if line.get_gid() == "bridge"]


def solid(ax: Axes) -> list[tuple[list[str], list[float]]]:
    return [known(line) for line in ax.lines if line.get_gid() == "line"]


def test_days_without_a_value_are_dotted_and_counted() -> None:
    ax = plots.days(by_day("1001", [5, None, 7, 8, None, None, 4]))
    assert solid(ax) == [(["2026-01-01", "2026-01-03", "2026-01-04", "2026-01-07"], [5.0, 7.0, 8.0, 4.0])]
    (line,) = [one for one in ax.lines if one.get_gid() == "line"]
    assert np.flatnonzero(np.isnan(line.get_ydata())).tolist() == [1, 4, 5]  # nothing is drawn across them
    assert bridge(ax) == [[5, 7, 8, 4]]
    assert "Dotted: 3 days without a value." in footer(ax)
    assert ax.get_title(loc="left") == "Sales value (GMV) a day of creator 1001"
    assert " ".join(ax.get_ylabel().split()) == "estimated GMV a day (currency not documented)"
    assert ax.get_xlabel() == "day (UTC)"
    assert ax.get_ylim()[0] == 0
    whole = plots.days(by_day("1001", [5, 6, 7]))
    assert bridge(whole) == []
    assert "Dotted" not in footer(whole)


def test_values_that_are_missing_or_filled_are_gaps_too() -> None:
    frame = by_day("1001", [5, 6, 7, 8])
    frame.loc[1, "gmv_day_est"] = None
    ax = plots.days(frame.assign(filled=[False, False, True, False]))
    assert solid(ax)[0][1] == [5.0, 8.0]
    assert "2 days without a value" in footer(ax)


def test_of_several_observations_of_a_day_the_newest_counts() -> None:
    later = by_day("1001", [50, 60], observed_at=LATER)
    ax = plots.days(pd.concat([later, by_day("1001", [5, 6, 7])]))
    assert solid(ax) == [(["2026-01-01", "2026-01-02", "2026-01-03"], [50.0, 60.0, 7.0])]
    assert ax.get_legend() is None


def test_names_of_creators_and_products_are_used_where_they_are_there() -> None:
    both = [by_day("1001", [1, 2]).assign(username="anna"), by_day("1002", [3, 4]).assign(username=None)]
    assert legend(plots.days(pd.concat(both).astype({"username": "string"}))) == ["anna", "creator 1002"]
    ax = plots.days(by_day("31", [1, 2], "product_days"), measure="gmv_day_est")
    assert ax.get_title(loc="left") == "Sales value (GMV) a day of product 31"


def test_panels_of_days_have_a_scale_each_and_the_same_dates() -> None:
    frame = pd.concat([by_day("1001", [1, 2, 3]), by_day("1002", [1e6, 2e6, 3e6, 4e6])])
    first = plots.days(frame, small_multiples=True)
    small, large = first.figure.axes
    assert small.get_ylim()[1] < 10
    assert large.get_ylim()[1] > 1e6
    assert small.get_xlim() == large.get_xlim()
    assert first.figure.get_suptitle().endswith(", each on its own scale")


def test_a_measure_that_falls_below_zero_is_drawn_below_zero() -> None:
    frame = by_day("1001", [1, 2, 3]).assign(followers_gained=pd.array([5, -7, 2], dtype="Int64"))
    ax = plots.days(frame, measure="followers_gained")
    assert ax.get_ylim()[0] < -7
    assert ax.get_ylabel() == "followers gained a day"
    with pytest.raises(kr.InvalidArgumentError, match=r"measure is one of followers, .*; got 'date'"):
        plots.days(frame, measure="date")


# Windows ----------------------------------------------------------------------------------------------------


def dots(ax: Axes) -> dict[str, list[list[float]]]:
    """By window: the places of its symbols."""
    return {str(one.get_gid()): one.get_offsets().tolist() for one in ax.collections if one.get_gid()}


def test_windows_are_daily_averages_a_symbol_each() -> None:
    ax = plots.windows(pd.concat([by_window("31", {1: 9, 7: 70, 30: 240}), by_window("32", {1: 3, 7: 14, 30: None})]))
    assert dots(ax) == {"1": [[9, 0], [3, 1]], "7": [[10, 0], [2, 1]], "30": [[8, 0]]}
    assert ticks(ax.get_yticklabels()) == ["product 31", "product 32"]
    assert legend(ax) == ["1 day", "7 days", "30 days"]  # a day alone says little: a cross
    one, week, month = ax.collections[-3:]
    assert [len(one.get_paths()[0].vertices), week.get_sizes()[0], month.get_sizes()[0]] == [4, 28, 64]
    assert len(month.get_facecolors()) == 0  # an open diamond around the circle where both are equal
    assert ax.get_xlim()[0] == 0
    assert "7 days right of 30 days: faster lately. Order: the last 7 days." in footer(ax)
    assert ax.get_title(loc="left") == "Units a day, by window, of 2 products"
    assert ax.get_xlabel() == "estimated units a day"
    assert "1 window without a value." in footer(ax)
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first row is the first from above


def test_the_newest_of_a_window_counts_and_what_does_not_fit_is_counted() -> None:
    frame = pd.concat([by_window("31", {7: 700}, observed_at=LATER), by_window("31", {7: 70})])
    assert dots(plots.windows(frame)) == {"7": [[100, 0]]}
    ax = plots.windows(pd.concat([by_window(str(31 + i), {7: 7}) for i in range(25)]))
    assert len(ticks(ax.get_yticklabels())) == 20
    assert "The 20 highest of 25." in footer(ax)


def test_windows_are_in_the_order_of_the_short_one() -> None:
    few, none, many = by_window("31", {7: 7, 30: 900}), by_window("32", {30: 60}), by_window("33", {7: 70, 30: 30})
    ax = plots.windows(pd.concat([few, none, many]))
    assert ticks(ax.get_yticklabels()) == ["product 33", "product 31", "product 32"]
    assert dots(ax) == {"7": [[1, 1], [10, 0]], "30": [[30, 1], [2, 2], [1, 0]]}
    fallen = rows("creator_windows", [{"window_days": 7, "followers_gained": -14}], user_id="1001")
    assert plots.windows(fallen).get_xlim()[0] < -2


def test_windows_of_creators_are_of_followers_unless_said() -> None:
    frame = rows("creator_windows", [{"window_days": 7, "followers_gained": 14, "likes_gained": 70}], user_id="1001")
    assert dots(plots.windows(frame)) == {"7": [[2, 0]]}
    assert dots(plots.windows(frame, measure="likes_gained")) == {"7": [[10, 0]]}
    assert "no known values" in ticks(plots.windows(frame, measure="gmv_window_est").texts)
    with pytest.raises(kr.InvalidArgumentError, match=r"measure is one of followers_gained, .*; got 'days'"):
        plots.windows(frame, measure="days")


# Findings ---------------------------------------------------------------------------------------------------


def test_findings_are_spans_the_severest_first() -> None:
    later = pd.Timestamp("2026-01-20", tz="UTC")
    ax = plots.findings(
        found(
            {"severity": "note", "check": "gap", "column": "date"},
            {"severity": "wrong"},
            {"severity": "wrong", "entity": "1002", "first": later, "last": later},
        )
    )
    assert ticks(ax.get_yticklabels()) == [
        "views of creator days:\ndoes not change",
        "creator days:\ndays are missing",
    ]
    assert names_of_lines(ax) == {"creator 1001": [-0.15, 1], "creator 1002": [0.15]}
    long = {"check": "gap", "entity": "1234567890123456789"}
    market = {"check": "uncovered_zero", "entity": "FR"}
    again = names_of_lines(plots.findings(found({}, {"first": later, "last": later}, long, market)))
    assert again == {"creator 1001": [-0.15, 0.15], "creator …6789": [1], "market FR": [2]}
    assert legend(ax) == ["wrong (2)", "note (1)"]
    spans = {one.get_gid(): one.get_segments() for one in ax.collections if one.get_gid()}
    days_of = [[str(mdates.num2date(at).date()) for at, _ in segment] for segment in spans["wrong"]]
    assert days_of == [["2026-01-05", "2026-01-14"], ["2026-01-20", "2026-01-20"]]
    assert all(-0.5 < height < 0.5 for segment in spans["wrong"] for _, height in segment)
    assert all(0.5 < height < 1.5 for segment in spans["note"] for _, height in segment)
    assert ax.get_title(loc="left") == "3 findings of an audit, by the days that they concern"


def names_of_lines(ax: Axes) -> dict[str, list[float]]:
    """By name: the heights of the lines that have it."""
    heights: dict[str, list[float]] = {}
    for text in ax.texts:
        if text.get_gid() == "whose":
            heights.setdefault(text.get_text(), []).append(round(float(text.xy[1]), 2))
    return heights


def test_a_name_that_would_cover_a_line_is_left_out() -> None:
    same = plots.findings(found(*({"entity": f"100{i}"} for i in range(6))))
    assert names_of_lines(same) == {"creator 1000": [-0.25]}  # below each other, too near for names
    many = plots.findings(found(*({"first": OBSERVED - pd.Timedelta(days=9 * i)} for i in range(40))))
    assert names_of_lines(many) == {}


def test_every_check_is_said_in_words() -> None:
    assert set(finding_spans.IN_WORDS) == set(CHECKS)


def test_kinds_of_finding_that_do_not_fit_are_counted() -> None:
    ax = plots.findings(found(*({"column": f"column {i:02}"} for i in range(20))))
    assert len(ticks(ax.get_yticklabels())) == 16
    assert "The 16 severest of 20 kinds of finding; 4 findings left out." in footer(ax)
    none = plots.findings(found({"first": pd.NaT, "last": pd.NaT}))
    assert "no finding has a day" in ticks(none.texts)


# Spending ---------------------------------------------------------------------------------------------------


def stacks(ax: Axes) -> dict[str, list[tuple[str, float, float]]]:
    """By kind: place, foot and height of each bar that has a height."""
    return {
        label: [
            (f"{mdates.num2date(bar.get_x() + bar.get_width() / 2):%Y-%m-%d}", bar.get_y(), bar.get_height())
            for bar in bars
            if bar.get_height()
        ]
        for label, bars in zip(legend(ax), ax.containers, strict=True)
    }


VIDEO = "/v1/tiktok/video/detail/analytics"


def test_credits_are_stacked_by_what_they_were_spent_on() -> None:
    at = pd.Timestamp("2026-01-05 23:59", tz="UTC")
    ax = plots.spending(
        ledger(
            {"sent_at": at, "credits": 2},
            {"sent_at": at, "credits": 1, "endpoint": VIDEO},
            {"sent_at": at + pd.Timedelta(days=6), "credits": 4, "endpoint": VIDEO},
            {"sent_at": at, "credits": 0},
        )
    )
    assert stacks(ax) == {
        "videos: 5": [("2026-01-05", 0, 1), ("2026-01-11", 0, 4)],
        "hashtags: 2": [("2026-01-05", 1, 2)],
    }
    assert ax.get_title(loc="left") == "7 KeyAPI credits spent in 3 requests"
    assert ax.get_ylabel() == "credits per day"
    assert footer(ax) == "source: keyapi, sent 2026-01-05 to 2026-01-11 (UTC)"


def test_what_nobody_knows_and_what_others_paid_is_counted_and_not_drawn() -> None:
    refused = {"credits": None, "message": "not delivered: no route to the host"}
    ax = plots.spending(ledger({"message": "success"}, {"credits": None}, refused, {"credits": 50, "imported": True}))
    assert ax.get_title(loc="left") == "2 KeyAPI credits spent in 1 request"
    assert "Not drawn: 1 without an answer (nobody knows whether they were charged)." in footer(ax)
    assert "Left out: 1 imported, which others paid." in footer(ax)


@pytest.mark.parametrize(
    ("days_", "step", "starts"),
    [
        (1, "hour", ["2026-01-01", "2026-01-02"]),
        (40, "day", ["2026-01-01", "2026-02-10"]),
        (200, "week", ["2026-01-01", "2026-07-23"]),  # in the middle of 29 December to 4 January
        (800, "month", ["2026-01-16", "2028-03-16"]),
    ],
)
def test_bars_are_as_long_as_suits_the_span(days_: int, step: str, starts: list[str]) -> None:
    at = pd.Timestamp("2026-01-01 10:30", tz="UTC")
    ax = plots.spending(ledger({"sent_at": at}, {"sent_at": at + pd.Timedelta(days=days_)}))
    assert ax.get_ylabel() == f"credits per {step}"
    (bars,) = stacks(ax).values()
    assert [start for start, _, _ in bars] == starts
    draw(ax.figure)


@pytest.mark.parametrize(
    ("last", "ends"),
    [("2026-07-20", ("2025-12-29", "2026-01-05")), ("2028-03-01", ("2026-01-01", "2026-02-01"))],
    ids=["weeks", "months"],
)
def test_a_bar_stands_within_its_week_or_month(last: str, ends: tuple[str, str]) -> None:
    first = pd.Timestamp("2026-01-03", tz="UTC")
    ax = plots.spending(ledger({"sent_at": first}, {"sent_at": pd.Timestamp(last, tz="UTC")}))
    left, right = (float(mdates.date2num(np.datetime64(end))) for end in ends)
    bar = ax.containers[0][0]
    assert left < bar.get_x() < bar.get_x() + bar.get_width() < right
    assert ax.get_xlim()[0] < left


def test_a_team_sees_who_spent_and_the_rest_is_together() -> None:
    frame = ledger(*({"client": f"machine:{i}", "credits": 20 - i} for i in range(9)))
    ax = plots.spending(frame, by="client")
    assert legend(ax) == [*(f"machine:{i}: {20 - i}" for i in range(6)), "other: 39"]
    others = ax.containers[-1][0]  # no colour, but an outline: no grey is told from all others by all kinds of vision
    assert (to_hex(others.get_facecolor()), to_hex(others.get_edgecolor())) == ("#ffffff", "#000000")
    with pytest.raises(kr.InvalidArgumentError, match="by is one of 'endpoint', 'client'; got 'day'"):
        plots.spending(frame, by="day")
    assert legend(plots.spending(frame.drop(columns="client"), by="client")) == ["client not known: 144"]


def test_ledgers_and_audits_know_their_source_and_draw_themselves(world: kr.Client) -> None:
    kr.fetch_hashtags("perfumetok", client=world)
    spent, audited = kr.ledger(client=world), kr.audit(client=world)
    for frame, name in ((spent, "spending"), (audited, "findings")):
        assert name in dir(frame.keyapi.plot)
        ax = getattr(frame.keyapi.plot, name)()
        assert texts(ax, "synthetic") == ["SYNTHETIC"]
        assert "source: sandbox (SYNTHETIC" in footer(ax)


# Audience ---------------------------------------------------------------------------------------------------


def heights(ax: Axes) -> list[list[float]]:
    return [[float(bar.get_height()) for bar in bars] for bars in ax.containers]


def widths(ax: Axes) -> list[list[float]]:
    return [[float(bar.get_width()) for bar in bars] for bars in ax.containers]


def test_ages_are_shares_in_the_order_of_age() -> None:
    ax = plots.audience(people("ufc324", "age", {"35+": 12, "18-24": 65, "25-34": 23}))
    assert ticks(ax.get_xticklabels()) == ["18-24", "25-34", "35+"]
    assert heights(ax) == [[65, 23, 12]]
    assert [bar.get_x() + bar.get_width() / 2 for bar in ax.containers[0]] == pytest.approx([0, 1, 2])
    assert ax.get_ylabel() == "share of the audience (percent)"
    assert ax.get_xlabel() == "age band (inferred)"
    assert ax.get_title(loc="left") == "Audience of #ufc324 by age, US, 7 days"
    assert [line for line in ax.lines if line.get_gid() == "average"] == []


def test_bands_of_products_and_of_hashtags_are_not_the_same_people() -> None:
    category = people("601583", "age", {"18-24": 38, "35-44": 19, "55+": 6, "45-54": 8}, "product_audience")
    tag = people("a", "age", {"18-24": 50, "35+": 50, "7": 1})
    tag["segment"] = tag["segment"].where(tag["segment_id"] != "7")  # a code without a band
    ax = plots.audience(pd.concat([category, tag]))
    assert ticks(ax.get_xticklabels()) == ["18-24", "35-44", "35+", "45-54", "55+", "code 7"]
    assert heights(ax) == [[38, 19, 8, 6], [50, 50, 1]]
    assert legend(ax) == ["category 601583", "#a"]
    assert "No bar: not listed there, which is unknown, not zero." in footer(ax)


def test_codes_of_one_band_do_not_hide_each_other() -> None:
    category = people("601583", "age", {"18-24": 38}, "product_audience").assign(segment_id="18")
    ax = plots.audience(pd.concat([category, people("a", "age", {"18-24": 50})]))
    assert ticks(ax.get_xticklabels()) == ["18-24"]
    assert heights(ax) == [[38], [50]]


def test_countries_are_bars_of_an_index_with_the_line_of_100() -> None:
    ax = plots.audience(people("ufc324", "country", {"Ireland": 471, "Macao": 780, "Austria": 90}))
    assert ticks(ax.get_yticklabels()) == ["Macao", "Ireland", "Austria"]
    assert widths(ax) == [[780, 471, 90]]
    bottom, top = ax.get_ylim()
    assert bottom > top  # the first one is on top
    (line,) = [one for one in ax.lines if one.get_gid() == "average"]
    assert list(line.get_xdata()) == [100, 100]
    assert ax.get_xlabel() == "index (dashed line: 100 = average; not a share)"


def test_the_dimension_is_the_first_one_there_and_the_others_are_told() -> None:
    parts = [people("a", "country", {"Macao": 780}), people("a", "interest", {"Sports News": 254})]
    ax = plots.audience(pd.concat(parts))
    assert ticks(ax.get_yticklabels()) == ["Sports News"]
    assert "Not drawn: lists by country." in footer(ax)
    for drawn in (plots.audience(pd.concat(parts), "country"), pd.concat(parts).keyapi.plot.audience("country")):
        assert "Not drawn: lists by interest." not in footer(drawn)
        assert ticks(drawn.get_yticklabels()) == ["Macao"]


def test_values_are_rounded_and_stand_where_the_bars_are_thicker_than_they() -> None:
    ax = plots.audience(people("a", "country", {"Macao": 12345.678, "Chad": 104.6, "Cuba": 3.86697}))
    assert [text.get_text() for text in ax.texts if text.get_gid() is None] == ["12,346", "105", "3.87"]
    crowd = plots.audience(hard("audience"), ax=ROOMS["plain"]())
    assert [text.get_text() for text in crowd.texts if text.get_gid() is None] == []


def test_as_many_segments_are_drawn_as_there_is_room_for() -> None:
    _, ax = plt.subplots(figsize=(6, 2.5))
    plots.audience(hard("audience"), ax=ax)
    shown = len(ax.get_yticks())
    assert 2 <= shown < 12
    assert f"The {shown} highest of 14 countries." in footer(ax)


def test_entities_stand_side_by_side_for_each_segment() -> None:
    ax = plots.audience(
        pd.concat(
            [
                people("a", "country", {"Macao": 200, "Chad": 300}),
                people("b", "country", {"Macao": 500}),
                people("9", "country", {"Chad": 110}, "music_audience"),
            ]
        )
    )
    assert legend(ax) == ["#a", "#b", "sound 9"]
    assert ticks(ax.get_yticklabels()) == ["Macao", "Chad"]
    assert widths(ax) == [[200, 300], [500], [110]]
    spans = sorted((bar.get_y(), bar.get_y() + bar.get_height()) for bars in ax.containers for bar in bars)
    assert all(before[1] <= after[0] + 1e-9 for before, after in pairwise(spans))
    macao, chad = ax.containers[0]
    assert round(macao.get_y() + macao.get_height() / 2) == 0
    assert round(chad.get_y() + chad.get_height() / 2) == 1
    looks = {(to_hex(bars[0].get_facecolor()), bars[0].get_hatch()) for bars in ax.containers}
    assert len({colour for colour, _ in looks}) == len({hatch for _, hatch in looks}) == 3


def test_too_many_entities_or_segments_are_cut_and_counted() -> None:
    many = pd.concat([people(f"tag{i}", "country", {f"C{j}": 100 + j + i for j in range(15)}) for i in range(8)])
    ax = plots.audience(many)
    assert legend(ax) == [f"#tag{i}" for i in range(6)]
    assert ticks(ax.get_yticklabels()) == [f"C{j}" for j in range(14, 2, -1)]
    assert "The first 6 of 8 hashtags." in footer(ax)
    assert "The 12 highest of 15 countries." in footer(ax)


# Products ---------------------------------------------------------------------------------------------------


def symbols(ax: Axes) -> Any:
    return ax.collections[0]


def test_products_are_placed_by_rates_and_sized_by_impressions() -> None:
    ax = plots.products(
        ranking(
            {"ctr_pct": 0.8, "cvr_pct": 5.0, "impressions": 1_000_000, "category_l1": "Food"},
            {"ctr_pct": 1.6, "cvr_pct": 2.0, "impressions": 4_000_000, "category_l1": "Home"},
            {"ctr_pct": 1.2, "cvr_pct": 3.0, "impressions": 2_000_000, "category_l1": "Toys"},
        )
    )
    assert symbols(ax).get_offsets().tolist() == [[1.6, 2.0], [1.2, 3.0], [0.8, 5.0]]  # small ones last, on top
    triangle, disc, square = 0.5, math.pi / 4, 1.0  # areas in a box of area 1, by the size of matplotlib's markers
    areas = [size * part for size, part in zip(symbols(ax).get_sizes(), (disc, square, triangle), strict=True)]
    assert areas[0] / areas[2] == pytest.approx(4, rel=0.03)
    assert areas[1] / areas[2] == pytest.approx(2, rel=0.03)
    assert ax.get_xlabel() == "click-through rate (percent)"
    assert ax.get_ylabel() == "conversion rate (percent)"


def test_areas_and_colours_are_explained() -> None:
    ax = plots.products(ranking({"impressions": 24_000_000}, {"category_l1": "Food", "impressions": 4_000_000}))
    assert ax.get_legend().get_title().get_text() == "level-1 category"
    assert legend(ax) == ["Home", "Food"]
    assert "Area: impressions, the largest 24M." in footer(ax)


def test_the_smallest_symbols_are_visible_and_counted() -> None:
    ax = plots.products(ranking({"impressions": 5 * 10**9}, {"impressions": 3}, {"impressions": 0}, {}))
    assert min(symbols(ax).get_sizes()) > 4
    assert "The smallest size: 3 rows with few." in footer(ax)
    assert "smallest" not in footer(plots.products(ranking({}, {})))


def test_four_groups_have_a_colour_and_the_rest_is_other() -> None:
    ax = plots.products(
        ranking(
            *({"category_l1": f"L{i}", "impressions": 10 - i} for i in range(9)),
            {"category_l1": None, "impressions": 1},
        )
    )
    assert legend(ax) == [*(f"L{i}" for i in range(4)), "other"]
    colours = [to_hex(colour) for colour in symbols(ax).get_facecolors()]
    assert len(set(colours)) == 5
    assert len(set(colours[4:])) == 1
    shown = [to_hex(handle.get_color()) for handle in ax.get_legend().legend_handles]
    assert set(shown) == set(colours)
    assert len({handle.get_marker() for handle in ax.get_legend().legend_handles[:4]}) == 4


def test_rows_that_cannot_be_placed_or_sized_are_counted() -> None:
    ax = plots.products(ranking({}, {"ctr_pct": None}, {"cvr_pct": None}, {"impressions": None}))
    assert len(symbols(ax).get_offsets()) == 1
    assert len(ax.collections[1].get_offsets()) == 1
    assert "Not drawn: 2 rows without one of the rates. Small cross: impressions not known (1 row)." in footer(ax)
    nothing = plots.products(ranking({"impressions": None}, {"impressions": None}))
    assert len(nothing.collections[1].get_offsets()) == 2


def boxes(ax: Axes) -> dict[str, Any]:
    labels = [text for text in ax.texts if text.get_gid() == "label"]
    return {label.get_text(): Text.get_window_extent(label) for label in labels}


@pytest.mark.parametrize("labels", [0, np.int64(15), slow(60)])
def test_labels_name_the_first_rows_and_do_not_overlap(labels: int) -> None:
    spread = np.random.default_rng(7).lognormal(0.3, 0.3, (60, 2))
    frame = ranking(*({"ctr_pct": x, "cvr_pct": y, "impressions": 10_000 * i} for i, (x, y) in enumerate(spread, 1)))
    ax = plots.products(frame, labels=labels)
    ax.figure.draw_without_rendering()
    found = boxes(ax)
    assert set(found) <= {f"Things {i}" for i in range(1, labels + 1)}
    assert len(found) >= min(labels, 15) * 0.4
    assert not any(a.overlaps(b) for a, b in combinations(found.values(), 2))
    inside = ax.get_window_extent().padded(1)
    assert all(inside.contains(*corner) for box in found.values() for corner in (box.min, box.max))


def test_a_label_covers_no_other_symbol_and_is_drawn_above_all_of_them() -> None:
    free = {"ctr_pct": 9.0, "cvr_pct": 9.0, "impressions": 100.0}
    crowd = [{"ctr_pct": 1 + x / 20, "cvr_pct": 1 + y / 10, "impressions": 100.0} for x in range(5) for y in range(5)]
    ax = plots.products(ranking(free, crowd[12], *crowd[:12], *crowd[13:]), labels=26)
    found = boxes(ax)
    assert "Things 1" in found
    of = {text.get_text(): text for text in ax.texts if text.get_gid() == "label"}
    assert of["Things 2"].xy == (crowd[12]["ctr_pct"], crowd[12]["cvr_pct"])  # in the middle of the crowd
    leader = of["Things 2"].arrow_patch.get_path().vertices
    assert math.dist(leader[-1], ax.transData.transform(of["Things 2"].xy)) < math.dist(leader[0], leader[-1])
    places = ax.transData.transform([(one["ctr_pct"], one["cvr_pct"]) for one in crowd])
    assert not any(box.padded(-1).contains(*place) for box in found.values() for place in places)
    labels = [text.get_zorder() for text in ax.texts if text.get_gid() == "label"]
    assert min(labels) > max(collection.get_zorder() for collection in ax.collections)


def test_the_largest_and_the_outermost_get_their_names_first_and_near_ones_no_line() -> None:
    near = [{"ctr_pct": 5 + i / 1000, "cvr_pct": 5.0, "impressions": 1000 + i} for i in range(6)]
    ax = plots.products(ranking(*near, {"ctr_pct": 9.0, "cvr_pct": 9.0, "impressions": 10}))
    names = [text for text in ax.texts if text.get_gid() == "label"]
    assert [text.get_text() for text in names][:2] == ["Things 6", "Things 7"]
    assert [text.arrow_patch is None for text in names][:2] == [True, True]


def test_regions_are_told_where_there_are_several() -> None:
    ax = plots.products(pd.concat([ranking({"ctr_pct": 1.0}), ranking({"ctr_pct": 9.0}, region="GB")]))
    assert set(boxes(ax)) == {"Things 1 (US)", "Things 1 (GB)"}
    assert ax.get_title(loc="left") == "Click-through rate and conversion rate of 2 categories, 7 days"


# Categories -------------------------------------------------------------------------------------------------


def named(ax: Axes) -> list[str]:
    """Names of bars, from above."""
    return [text for _, text in sorted(zip(ax.get_yticks(), ticks(ax.get_yticklabels()), strict=True))]


def ends(ax: Axes) -> list[str]:
    """What is written at the ends of bars."""
    return [text.get_text() for text in ax.texts if text.get_gid() is None]


SHOP = [
    {"category_l1": "Home", "category_l2": "Decor", "impressions": 5_000_000, "cvr_pct": 1.0},
    {"category_l1": "Home", "category_l2": "Decor", "impressions": 2_000_000, "cvr_pct": 4.0},
    {"category_l1": "Food", "category_l2": "Drinks", "impressions": 9_000_000, "cvr_pct": 2.0},
    {"category_l1": "Home", "category_l2": "Light", "impressions": 3_000_000, "cvr_pct": 6.0},
    {"category_l1": "Home", "category_l2": "Decor", "impressions": 1_000_000, "cvr_pct": 9.0},
]


def test_amounts_are_summed_within_the_hierarchy() -> None:
    ax = plots.categories(ranking(*SHOP))
    assert named(ax) == ["Drinks", "Decor", "Light"]
    bars = [(bar.get_y() + bar.get_height() / 2, bar.get_width()) for bars in ax.containers for bar in bars]
    assert bars == [(0, 9_000_000), (1, 8_000_000), (2, 3_000_000)]
    assert ends(ax) == ["9.00M (1)  Food", "8.00M (3)  Home", "3.00M (1)  Home"]
    assert ax.get_xlabel() == "impressions, sum of its level-3 categories"
    assert ax.get_title(loc="left") == "Impressions of 3 level-2 categories, US, 7 days"
    assert "medians" not in footer(ax)


def test_rates_are_medians_and_say_so() -> None:
    ax = plots.categories(ranking(*SHOP), measure="cvr_pct")
    assert named(ax) == ["Light", "Decor", "Drinks"]
    assert widths(ax) == [[6, 4, 2]]
    assert ends(ax) == ["6.00 % (1)  Home", "4.00 % (3)  Home", "2.00 % (1)  Food"]
    assert ax.get_xlabel() == "conversion rate (percent), median of its level-3 categories"
    assert ax.get_title(loc="left") == "Conversion rate of 3 level-2 categories, US, 7 days"
    assert "In brackets: of how many level-3 categories in these rows. Hatched: of one only." in footer(ax)
    assert [bool(bar.get_hatch()) for bar in ax.patches] == [True, False, True]
    assert {to_hex(bar.get_edgecolor()) for bar in ax.patches if bar.get_hatch()} == {style.COLOURS[0].lower()}
    assert [to_hex(bar.get_facecolor()) == to_hex(style.COLOURS[0]) for bar in ax.patches] == [False, True, False]


def test_what_may_be_summed_follows_from_the_units() -> None:
    summed = {name for name, column in category_bars.MEASURES.items() if category_bars.can_be_summed(column)}
    assert summed == {"posts", "impressions", "cost", "likes", "comments", "shares"}
    assert set(category_bars.MEASURES) - summed == {"posts_change_pct", "ctr_pct", "cvr_pct", "view_6s_pct", "cpa"}
    assert plots.categories(ranking({"cost": 10.0}), measure="cost").get_xlabel() == (
        "cost (probably USD), sum of its level-3 categories"
    )


def test_rows_of_an_upper_level_do_not_count_twice() -> None:
    upper = {"category_l2": "Decor", "category_l3": None, "impressions": 999_000_000, "category_id": "1"}
    ax = plots.categories(ranking(*SHOP, upper))
    assert ends(ax) == ["9.00M (1)  Food", "8.00M (3)  Home", "3.00M (1)  Home"]
    assert "Not counted: 1 row for whole categories above level 3." in footer(ax)
    alone = plots.categories(ranking(upper))
    assert (named(alone), ends(alone)) == (["Decor"], ["999M  Home"])


def test_missing_measures_and_names_are_counted_and_kept_visible() -> None:
    ax = plots.categories(ranking({"impressions": None}, {"category_l2": None, "category_l3": None}))
    assert "Not counted: 1 row without impressions." in footer(plots.categories(ranking({"impressions": None}, {})))
    assert "no rows" in ticks(ax.texts)  # the only row with impressions is of an upper level
    nameless = plots.categories(ranking({"category_l1": None}))
    assert ends(nameless) == ["1.00M (1)  (no level 1)"]


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"region": "GB"}, "region"),
        ({"time_scope": "30"}, "time_scope"),
        ({"observed_at": OBSERVED.ceil("D")}, "observed_at"),
    ],
)
def test_several_rankings_are_refused(other: dict[str, Any], named: str) -> None:
    with pytest.raises(
        kr.InvalidArgumentError, match=rf"5 categories come more than once .*{named}.*Pass one, as df\["
    ):
        plots.categories(pd.concat([ranking(*SHOP), ranking(*SHOP, **other)]))


def test_rows_that_came_twice_count_once() -> None:
    assert ends(plots.categories(pd.concat([ranking(*SHOP), ranking(*SHOP)]))) == ends(plots.categories(ranking(*SHOP)))


def test_the_highest_categories_are_drawn_and_the_rest_counted() -> None:
    ax = plots.categories(ranking(*({"category_l2": f"Shelf {i}", "impressions": i} for i in range(1, 31))))
    assert named(ax) == [f"Shelf {i}" for i in range(30, 15, -1)]
    assert ax.get_title(loc="left") == "The 15 of 30 level-2 categories with most impressions, US, 7 days"


def test_as_many_categories_are_drawn_as_there_is_room_for() -> None:
    ax = plots.categories(hard("categories"), ax=ROOMS["plain"]())
    shown = len(ax.get_yticks())
    assert 4 <= shown <= 15
    assert f"The {shown} of 60 level-2 categories with most impressions" in " ".join(ax.get_title(loc="left").split())
    assert widths(ax) == [[10**6 * i for i in range(60, 60 - shown, -1)]]
    _, tiny = plt.subplots(figsize=(3, 1.5))
    assert len(plots.categories(hard("categories"), ax=tiny).get_yticks()) >= 1


def test_the_lowest_are_drawn_where_low_is_what_matters() -> None:
    shelves = [{"category_l2": f"Shelf {i}", "posts_change_pct": i - 20.0} for i in range(1, 31)]
    far = {"category_l1": "Food", "category_l2": "Drinks", "posts_change_pct": -18.5}
    ax = plots.categories(ranking(*shelves, far), measure="posts_change_pct", lowest=True)
    assert named(ax) == ["Shelf 1", "Drinks", *(f"Shelf {i}" for i in range(2, 15))]
    assert widths(ax) == [[-19, -18.5, *(i - 20 for i in range(2, 15))]]
    assert "The 15 of 31 level-2 categories with the lowest change of posts" in ax.get_title(loc="left")


def test_each_level_of_the_hierarchy_can_be_drawn() -> None:
    ax = plots.categories(ranking(*SHOP), level=1)
    assert named(ax) == ["Home", "Food"]
    assert ends(ax) == ["11.0M (4)", "9.00M (1)"]
    ax = plots.categories(ranking(*SHOP), level=3, measure="cvr_pct")
    assert named(ax) == ["Things 5", "Things 4", "Things 2", "Things 3", "Things 1"]
    assert widths(ax) == [[9, 6, 4, 2, 1]]
    assert ends(ax) == ["9.00 %  Home", "6.00 %  Home", "4.00 %  Home", "2.00 %  Food", "1.00 %  Home"]
    assert ax.get_xlabel() == "conversion rate (percent)"  # of the rows themselves: nothing is put together
    assert "In brackets" not in footer(ax)


# Engagement -------------------------------------------------------------------------------------------------

CLIPS = [
    {"views": 1000, "likes": 100, "comments": 0, "shares": 1},
    {"views": 1000, "likes": 200, "comments": 10, "shares": 2},
    {"views": 1000, "likes": 300, "comments": 0, "shares": None},
    {"views": 0, "likes": 5, "comments": 5, "shares": 5},
]


def strips(ax: Axes) -> list[list[float]]:
    from matplotlib.collections import PathCollection

    return [sorted(float(x) for x, _ in c.get_offsets()) for c in ax.collections if isinstance(c, PathCollection)]


def medians(ax: Axes) -> list[str]:
    return [text for name in engagement_strips.RATES for text in texts(ax, name)]


def test_rates_are_points_on_a_log_axis_with_medians() -> None:
    ax = plots.engagement(videos(*CLIPS))
    assert ax.get_xscale() == "log"
    assert ticks(ax.get_yticklabels()) == ["likes\n+ comments + shares", "likes", "comments", "shares"]
    assert "Medians do not add up." in footer(ax)
    assert strips(ax) == [pytest.approx(x) for x in ([0.101, 0.212], [0.1, 0.2, 0.3], [0.01], [0.001, 0.002])]
    assert medians(ax) == ["median 15.7 %", "median 20.0 %", "median 0.00 %", "median 0.150 %"]
    lines = [collection.get_segments()[0][0, 0] for collection in ax.collections if hasattr(collection, "get_segments")]
    assert lines == pytest.approx([0.1565, 0.2, 0.0005, 0.0015])  # a median of zero stands at the left edge
    assert ax.get_xlabel() == "interactions per view (percent, log axis)"
    assert ax.get_title(loc="left") == "Engagement per view of 4 videos"


def test_what_a_log_axis_cannot_show_is_counted() -> None:
    assert (
        "No point on a log axis: likes + comments + shares 2 missing; likes 1 missing; "
        "comments 2 zero and 1 missing; shares 2 missing."
    ) in footer(plots.engagement(videos(*CLIPS)))
    assert "No point" not in footer(plots.engagement(videos({"views": 500})))


def test_one_video_is_four_points_and_no_distribution() -> None:
    ax = plots.engagement(videos({"views": 1000}))
    assert strips(ax) == [pytest.approx([x]) for x in (0.1, 0.06, 0.03, 0.01)]
    assert medians(ax) == ["10.0 %", "6.00 %", "3.00 %", "1.00 %"]
    assert list(ax.patches) == []  # no box,
    assert not [one for one in ax.collections if hasattr(one, "get_segments")]  # and no line over the point
    assert "middle half" not in footer(ax)
    assert "middle half" in footer(plots.engagement(videos({"views": 1000}, {"views": 2000})))


def test_rates_that_are_there_are_used() -> None:
    rates = {"engagement_rate": 0.5, "like_rate": 0.4, "comment_rate": 0.06, "share_rate": 0.04}
    ready = videos({"views": 1000}).assign(**rates)
    assert strips(plots.engagement(ready.drop(columns=["views", "likes"]))) == [[0.5], [0.4], [0.06], [0.04]]


def test_a_video_counts_once_by_its_newest_row() -> None:
    old = videos({"views": 1000, "video_id": "1", "likes": 1}, {"views": 1000, "video_id": "2", "likes": 2})
    new = videos({"views": 1000, "video_id": "1", "likes": 9}).assign(observed_at=OBSERVED + pd.Timedelta(days=1))
    ax = plots.engagement(pd.concat([new, old, old]))
    assert strips(ax)[1] == pytest.approx([0.002, 0.009])
    assert ax.get_title(loc="left") == "Engagement per view of 2 videos"


# Overlap ----------------------------------------------------------------------------------------------------


def cells(ax: Axes) -> np.ma.MaskedArray[Any, Any]:
    return ax.images[0].get_array()


LIKE = [
    people("a", "country", {"Macao": 200, "Chad": 400}),
    people("c", "country", {"Cuba": 150}),
    people("5", "country", {"Macao": 200, "Chad": 400}, "music_audience"),
    people("b", "country", {"Macao": 400, "Peru": 200}),
]


def test_similarity_is_the_cosine_of_logarithms_with_unlisted_as_average() -> None:
    ax = plots.overlap(pd.concat(LIKE))
    order = ticks(ax.get_yticklabels())
    assert ticks(ax.get_xticklabels()) == order
    assert set(order) == {"#a", "#b", "#c", "sound 5"}
    place = {name: order.index(name) for name in order}
    found = cells(ax).data  # each pair once, below the diagonal

    def similarity(*pair: str) -> float:
        low, high = sorted(place[name] for name in pair)
        assert np.isnan(found[low, high])
        return float(found[high, low])

    assert similarity("#a", "sound 5") == pytest.approx(1)
    # a = (ln 2, ln 4, 0), b = (ln 4, 0, ln 2): 2 / 5
    assert similarity("#a", "#b") == pytest.approx(0.4)
    assert all(np.isnan(similarity("#c", name)) for name in ("#a", "#b", "sound 5"))
    assert np.isnan(found.diagonal()).all()
    assert abs(place["#a"] - place["sound 5"]) == 1
    (bar,) = ax.child_axes
    assert " ".join(bar.get_ylabel().split()) == "similarity (cosine)"


def test_cells_say_the_value_and_the_shared_segments() -> None:
    a, b = {"Macao": 200, "Chad": 400, "Peru": 200}, {"Macao": 400, "Chad": 200, "Peru": 200, "Mali": 100}
    ax = plots.overlap(pd.concat([people("a", "country", a), people("b", "country", b), LIKE[1], LIKE[2]]))
    place = {name: i for i, name in enumerate(ticks(ax.get_yticklabels()))}
    said = {(round(t.get_position()[1]), round(t.get_position()[0]), t.get_gid()): t.get_text() for t in ax.texts}
    pairs = [sorted((place["#a"], place[other]), reverse=True) for other in ("#b", "#c", "sound 5")]
    (low, high), (y, x), few = pairs
    assert said[low, high, "value"] == "0.83"  # a = (1, 2, 1, 0) ln 2, b = (2, 1, 1, 0) ln 2: 5 / 6
    assert said[low, high, "common"] == "n=3"
    assert said[place["#b"], place["#b"], "common"] == "n=4"
    assert said[(*few, "common")] == "n=2"
    assert not {(y, x, "value"), (y, x, "common"), (high, low, "value"), (*few, "value")} & set(said)
    assert "is unknown in the other, not zero" in footer(ax)
    assert "Hatched: none is in both." in footer(ax)
    hatched = {patch.get_xy() for patch in ax.patches if patch.get_hatch()}
    assert (x - 0.5, y - 0.5) in hatched
    assert len(hatched) == 3  # all pairs with c


def test_a_similarity_that_rests_on_little_has_no_colour() -> None:
    many = {f"C{i}": 200.0 + i for i in range(3)}
    little = people("c", "country", {"C0": 150})
    ax = plots.overlap(pd.concat([people("a", "country", many), people("b", "country", many), little]))
    coloured = ~cells(ax).mask
    assert coloured.sum() == 1
    assert len([text for text in ax.texts if text.get_gid() == "value"]) == 1
    assert "Without a similarity: fewer than 3 are in both, which says little" in footer(ax)


@pytest.mark.parametrize("count", [1, 3, slow(8), slow(13), 30])
@pytest.mark.parametrize("place", ["own", slow("plain")])
def test_numbers_stand_only_in_cells_that_are_wider(count: int, place: str) -> None:
    frame = pd.concat([people(f"t{i}", "country", {"Macao": 200, f"C{i}": 300}) for i in range(count)])
    ax = plots.overlap(frame, ax=None if place == "own" else ROOMS[place]())
    assert cells(ax).shape == (count, count)
    ax.figure.canvas.figure.draw_without_rendering()
    cell = ax.get_window_extent().width / count
    numbers = [text for text in ax.texts if text.get_gid() in ("value", "common")]
    assert all(text.get_window_extent().width < cell for text in numbers)
    assert bool(numbers) is ("n: how many" in footer(ax))
    assert bool(numbers) is (count < 30) or 3 < count < 30
    assert ("Without a similarity: fewer than 3" in footer(ax)) is (count > 1)
    assert "Hatched" not in footer(ax)


def test_a_map_of_many_has_no_small_numbers_where_nothing_is_shown() -> None:
    frame = pd.concat([people(f"t{i}", "country", {"Macao": 200, f"C{i}": 300}) for i in range(13)])
    ax = plots.overlap(frame, ax=plt.subplots(figsize=(4.5, 4.5))[1])
    places = [text.get_position() for text in ax.texts if text.get_gid() == "common"]
    assert places == [(place, place) for place in range(13)]
    assert "n: how many countries a list has." in footer(ax)


def test_the_stamp_of_a_map_covers_no_cell() -> None:
    for count in (2, 3, 9):
        frame = [people(f"t{i}", "country", {"Macao": 200, f"C{i}": 300}, source="sandbox") for i in range(count)]
        ax = plots.overlap(pd.concat(frame))
        ax.figure.draw_without_rendering()
        (word,) = written(ax, "synthetic")
        middle, radius = word.get_window_extent().get_points().mean(axis=0), word.get_fontsize() * ax.figure.dpi / 72
        x, y = ax.transAxes.inverted().transform(middle)
        beyond = (x + y - 1) * ax.get_window_extent().width / math.sqrt(2)  # of the diagonal, in pixels
        assert beyond - 0.4 * radius > ax.get_window_extent().width * math.sqrt(0.5) / count
        assert ax.get_window_extent().padded(1).contains(*word.get_window_extent().max)


def test_those_alike_are_neighbours() -> None:
    family = [0, 1, 0, 2, 1, 0, 2]
    similarity = np.array([[0.9 if a == b else 0.1 for a in family] for b in family])
    found = [family[i] for i in overlap_map.side_by_side(similarity)]
    assert sorted(found) == sorted(family)
    assert sum(a != b for a, b in pairwise(found)) == 2
    at = np.array([3.3, 0.0, 4.6, 1.0, 2.1])  # similar as far as they are near: the ends must meet in order
    line = [float(at[i]) for i in overlap_map.side_by_side(1 - np.abs(at[:, None] - at) / 10)]
    assert line in (sorted(at), sorted(at, reverse=True))
    assert overlap_map.side_by_side(np.zeros((0, 0))) == []
    assert overlap_map.side_by_side(np.ones((1, 1))) == [0]


def test_interests_are_compared_by_id_and_lists_of_products_share_none() -> None:
    frame = pd.concat(
        [
            people("a", "interest", {"Sports News": 254}),
            people("601583", "interest", {"Sports News": 254}, "product_audience").assign(segment_id="13105000000"),
            people("b", "age", {"18-24": 100}),
        ]
    )
    ax = plots.overlap(frame, dimension="interest")
    assert cells(ax).mask.all()
    assert set(ticks(ax.get_yticklabels())) == {"#a", "category 601583"}
    assert "1 without a list by interest: not drawn." in footer(ax)


# Pictures of the user's own ---------------------------------------------------------------------------------------


def test_every_panel_is_stamped_and_the_source_written_once() -> None:
    figure, panels = plt.subplots(2, 2, layout="constrained")
    rows = series("a", days(1, 2), source="sandbox")
    assert plots.stamp(panels, rows) is panels
    plots.stamp(figure.axes, rows)  # again, and as a list
    for panel in panels.flat:
        assert [text.get_text() for text in panel.texts if text.get_gid() == "synthetic"] == ["SYNTHETIC"]
    assert len(texts(panels[0, 0], "footer")) == 1
    plots.stamp(panels, series("a", days(1, 2)))
    assert texts(panels[0, 0], "synthetic") == []
    assert footer(panels[0, 0]) == "source: keyapi, observed 2026-02-03 (UTC)"
    for given, got in ((figure, "Figure"), ([], "list"), ([1], "list")):
        with pytest.raises(kr.InvalidArgumentError, match=rf"got {got}\. Of a figure pass figure\.axes"):
            plots.stamp(given, rows)  # type: ignore[type-var]


def test_titles_of_ones_own_look_like_those_of_the_package() -> None:
    _, ax = plt.subplots()
    ax.plot([1, 2])
    ax.set_title("Mine")
    plots.stamp(ax, A)
    ax.figure.draw_without_rendering()
    theirs = plots.trend(A)
    theirs.figure.draw_without_rendering()
    [title] = [text for text in theirs.get_children() if isinstance(text, Text) and text.get_gid() == "title"]
    for what in ("get_fontsize", "get_fontweight", "get_ha"):
        assert getattr(ax.title, what)() == getattr(title, what)()
    assert ax.get_title() == "Mine"
    assert ax.title.get_window_extent().x0 == pytest.approx(ax.get_window_extent().x0, abs=2)


def test_source_and_age_of_all_panels_stand_below_the_figure_in_one_line() -> None:
    figure, panels = plt.subplots(1, 3, figsize=(6, 3))
    plots.stamp(panels, A)
    (text,) = written(panels[0], "footer")
    assert text in figure.texts
    assert "\n" not in text.get_text()
    assert text.get_window_extent().width > panels[0].get_window_extent().width  # one panel has no room for it
    some, of_three = plt.subplots(1, 3, figsize=(6, 3))
    plots.stamp(of_three[:2], A)  # the third may be of other rows
    assert written(of_three[0], "footer")[0] not in some.texts


def test_each_of_several_pictures_has_its_own_footer_and_labels_of_the_figure_stay() -> None:
    figure = plt.figure(figsize=(6, 7))
    upper = plots.trend(A, ax=figure.add_subplot(2, 1, 1))  # the other one is not there yet
    lower = plots.trend(A, ax=figure.add_subplot(2, 1, 2))
    figure.draw_without_rendering()
    high, low = (one.get_window_extent() for one in written(upper, "footer"))
    assert upper.get_window_extent().y0 > high.y1 > high.y0 > lower.get_window_extent().y1
    assert lower.get_window_extent().y0 > low.y1
    one, ax = plt.subplots()
    one.supxlabel("mine")
    plots.stamp(ax, A)
    assert one.get_supxlabel() == "mine"
    assert footer(ax).startswith("source: keyapi")


def test_a_hand_made_picture_gets_the_look_and_the_resolution_of_the_others() -> None:
    _, ax = plt.subplots()
    ax.bar([1, 2], [3, 4])
    plots.stamp(ax, series("a", days(1, 2)))
    assert ax.figure.dpi == 150
    assert [ax.spines[side].get_visible() for side in ("top", "right", "left")] == [False, False, True]
    chosen, own = plt.subplots(dpi=72)
    plots.stamp(own, series("a", days(1, 2)))
    assert chosen.dpi == 72


@pytest.mark.parametrize("kind", ["plain", "constrained", "twin", "polar", "scale"])
def test_the_stamp_is_inside_the_picture_and_below_the_labels(kind: str) -> None:
    if kind == "polar":
        _, ax = plt.subplots(subplot_kw={"projection": "polar"})
    else:
        _, ax = plt.subplots(layout="constrained" if kind == "constrained" else None)
    ax.plot([1, 2], [3, 4])
    ax.set_title("A title of one's own that stays as it is", fontsize=17)
    ax.set_xlabel("a label")
    if kind == "twin":
        ax.twinx().set_ylabel("another")
    if kind == "scale":
        ax.figure.colorbar(ax.imshow([[1, 2]]), ax=ax)
    plots.stamp(ax, series("a", days(1, 2), source="sandbox"))
    ax.figure.canvas.figure.draw_without_rendering()
    (text,) = written(ax, "footer")
    box, edges = text.get_window_extent(), ax.figure.bbox
    assert edges.y0 <= box.y0
    assert box.y1 <= ax.xaxis.label.get_window_extent().y0
    assert edges.x0 <= box.x0 < box.x1 <= edges.x1
    assert (ax.get_title(), ax.title.get_fontsize()) == ("A title of one's own that stays as it is", 17)


@pytest.mark.parametrize("fill", ["imshow", "pcolormesh", "contourf"])
def test_synthetic_shows_on_what_fills_all_of_a_picture(fill: str) -> None:
    def pixels(source: str) -> npt.NDArray[np.uint8]:
        figure, ax = plt.subplots(figsize=(4, 3), dpi=60, layout="none")
        getattr(ax, fill)(np.ones((3, 3)), vmin=0, vmax=2)
        ax.axis("off")
        plots.stamp(ax, series("a", days(1, 2), source=source))
        file = io.BytesIO()
        figure.savefig(file, dpi=60)
        return np.asarray(Image.open(file).convert("RGB"))

    plain, stamped = pixels("keyapi"), pixels("sandbox")
    middle = np.s_[60:120, 80:160]
    assert len(np.unique(plain[middle].reshape(-1, 3), axis=0)) == 1
    assert len(np.unique(stamped[middle].reshape(-1, 3), axis=0)) > 1


# Names ------------------------------------------------------------------------------------------------------


def test_text_of_the_api_is_never_read_as_a_formula() -> None:
    names = ["$x^2$", r"\frac{1}{2}", "_hidden"]
    ax = plots.trend(pd.concat([series(name, days(1, 2)) for name in names]))
    assert legend(ax) == [f"#{name}" for name in names]
    draw(ax.figure)
    ours = [text for text in ax.figure.findobj(Text) if "#" in text.get_text()]
    assert len(ours) == 3
    assert not any(text.get_parse_math() or text.get_usetex() for text in ours)
    for name in names:
        drawn = plots.trend(series(name, days(1, 2)))
        assert drawn.get_title(loc="left") == f"Popularity of #{name}, US, 7 days"
        draw(drawn.figure)
    for make in (plots.audience, plots.overlap):
        frame = pd.concat([people(name, "country", {"$a$ $b$": 200, "_c": 300}) for name in names])
        drawn = make(frame)
        assert not any(label.get_parse_math() for label in drawn.get_yticklabels())
    fancy = plots.products(ranking({"category": "$1$", "category_l1": "_$2$"}))
    assert legend(fancy) == ["_$2$"]
    assert list(boxes(fancy)) == ["$1$"]


def test_long_names_are_shortened_in_their_middle() -> None:
    names = ["a" * 40 + "1", "a" * 40 + "2"]
    ax = plots.trend(pd.concat([series(name, days(1, 2)) for name in names]))
    assert legend(ax) == ["#aaaaaaaaaaaaaaaaa…aaaaaaaa1", "#aaaaaaaaaaaaaaaaa…aaaaaaaa2"]
    assert all(len(label) <= 28 for label in legend(ax))


def test_names_that_became_the_same_are_numbered() -> None:
    same = [Name("x" * 30 + side + "y" * 30) for side in "ab"]
    shown = style.labels_for([Name(entities.elide(name.text)) for name in same])
    assert shown.texts == ["x" * 18 + "…" + "y" * 9, "x" * 18 + "…" + "y" * 9 + " (2)"]


@pytest.fixture
def few_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the font that matplotlib brings."""
    monkeypatch.setattr(style, "_installed", tuple)


SCRIPTS = {"Thai": "น้ำหอม", "CJK": "香水", "Hangul": "향수", "Devanagari": "हिन्दी"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_names_are_drawn_where_a_font_has_them_and_else_become_a_note(
    script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.concat([series("perfume", days(1, 2)), series(SCRIPTS[script], days(1, 2))])
    ax = plots.trend(frame)
    if all(map(style._is_drawable, SCRIPTS[script])):  # an installed font has it, and this matplotlib can set it
        assert legend(ax) == ["#perfume", f"#{SCRIPTS[script]}"]
        assert "script" not in footer(ax)
    draw(ax.figure)  # a glyph that no font has would warn
    monkeypatch.setattr(style, "_installed", tuple)
    without = plots.trend(frame)
    assert legend(without) == ["#perfume", "(name no. 2)"]
    assert "1 name in a script" in footer(without)


def test_an_id_stands_for_a_title_that_cannot_be_drawn(few_fonts: None) -> None:
    frame = series("11", days(1, 2), "music_trends").assign(title="น้ำหอม")
    assert plots.trend(frame).get_title(loc="left") == "Popularity of sound 11, US, 7 days"


def test_right_to_left_names_are_drawn_only_where_they_come_out_right(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = series("عطور", days(1, 2))
    monkeypatch.setattr(style, "SHAPES_TEXT", False)
    plain = plots.trend(frame)
    assert plain.get_title(loc="left") == "Popularity of (name no. 1), US, 7 days"
    assert "cannot be drawn here" in footer(plain)
    monkeypatch.undo()
    if style.SHAPES_TEXT:
        assert plots.trend(frame).get_title(loc="left") == "Popularity of #عطور, US, 7 days"


def test_emoji_no_font_has_are_left_out_and_counted(few_fonts: None) -> None:
    shown = style.labels_for([Name("#perfume\U0001fae8"), Name("#gift\U0001f381\ufe0f\u200d"), Name("#\U0001fae8")])
    assert shown.texts == ["#perfume", "#gift", "(name no. 3)"]
    assert "2 names drawn without emoji that no installed font has." in shown.notes


def test_control_characters_and_half_characters_do_not_reach_the_picture() -> None:
    shown = style.labels_for([Name("a\tb\nc\x07d"), Name("x\ud800y"), Name("\u202etest")])
    assert shown.texts[0] == "a b cd"
    assert shown.texts[1] == "xy"
    figure, ax = plt.subplots()
    for label in shown.texts:
        ax.text(0.5, 0.5, label, **shown.style)
    draw(figure)


def test_amounts_are_written_short() -> None:
    amounts = [0, 5.5, 999, 1000, 15_700_000, 999_999, 2.5e9, -1500]
    assert list(map(style.compact, amounts)) == ["0", "5.5", "999", "1k", "15.7M", "1M", "2.5B", "-1.5k"]


# The sandbox ------------------------------------------------------------------------------------------------


def test_pictures_of_the_sandbox_are_stamped(world: kr.Client) -> None:
    tags = ["perfumetok", "runtok", "น้ำหอม", "عطور"]
    shop = kr.fetch_product_insights(region="US", time_scope=7, limit=60, client=world)
    drawn = [
        plots.trend(kr.fetch_hashtag_trends(tags, period=30, client=world)),
        plots.audience(kr.fetch_hashtag_audience(tags, period=30, client=world)),
        plots.products(shop),
        plots.categories(shop, measure="cpa"),
    ]
    for ax in drawn:
        assert texts(ax, "synthetic") == ["SYNTHETIC"]
        assert "source: sandbox (SYNTHETIC, its today is 2026-02-03), fetched " in footer(ax)


def test_what_a_user_keeps_in_attrs_is_not_taken_for_the_origin() -> None:
    frame = A.drop(columns=["source", "observed_at"])
    frame.attrs |= {"source": "sandbox", "observed_at": "yesterday"}
    assert footer(plots.trend(frame)) == "source: not in this frame; observed: not in this frame"


# The gallery ------------------------------------------------------------------------------------------------


def test_the_gallery_shows_every_picture_and_is_light() -> None:
    page = (GALLERY / "index.md").read_text(encoding="utf-8")
    found = {path.name for path in GALLERY.glob("*.png")}
    assert all(any(name.startswith(plot) for name in found) for plot in NAMES)
    assert all(f"({name})" in page for name in found)
    assert all(path.stat().st_size < 150_000 for path in GALLERY.glob("*.png"))


@pytest.mark.slow
def test_the_pictures_of_the_gallery_are_what_its_code_draws(tmp_path: Path) -> None:
    command = [sys.executable, str(GALLERY.parent / "make_gallery.py"), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    there = {path.name for path in GALLERY.glob("*.png")}
    assert {path.name for path in tmp_path.glob("*.png")} == there
    if not all(map(style._is_drawable, SCRIPTS["Thai"] + SCRIPTS["CJK"] + SCRIPTS["Hangul"])):
        there.remove("trend_small_multiples.png")  # without these fonts it has other names, and a note

    def coarse(path: Path) -> npt.NDArray[np.float64]:
        """Without the day at the bottom, and without what one more pixel of a line changes."""
        with Image.open(path) as picture:
            gray = picture.convert("L").crop((0, 0, picture.width, picture.height - 20))
            return np.asarray(gray.resize((gray.width // 8, gray.height // 8)), dtype=np.float64)

    for name in there:
        drawn, kept = coarse(tmp_path / name), coarse(GALLERY / name)
        assert drawn.shape == kept.shape, name
        assert np.abs(drawn - kept).mean() < 1, f"{name}: run python docs/make_gallery.py"


# Stitched trends --------------------------------------------------------------------------------------------


def stitched(name: str, *pieces: list[float]) -> pd.DataFrame:
    """A stitched series by hand: pieces that follow one another, known to 10 percent."""
    values = [value for piece in pieces for value in piece]
    numbers = [number for number, piece in enumerate(pieces, start=1) for _ in piece]
    frame = pd.DataFrame({
        "region": "US", "hashtag_name": name, "date": pd.date_range("2026-01-01", periods=len(values), tz="UTC"),
        "value": values, "lower": [0.9 * one for one in values], "upper": [min(1.0, 1.1 * one) for one in values],
        "windows": 1, "piece": numbers, "source": "keyapi",
    })  # fmt: skip
    return frame.astype({"hashtag_name": "string", "region": "string", "windows": "Int64", "piece": "Int64"})


def band(ax: Axes) -> tuple[float, float]:
    """The least and the greatest value of the first band."""
    heights = ax.collections[0].get_paths()[0].vertices[:, 1]
    return float(heights.min()), float(heights.max())


def test_a_stitched_series_has_a_band_and_breaks_between_pieces() -> None:
    ax = plots.trend(stitched("a", [0.2, 0.5, 1.0], [0.4, 1.0]))
    (line,) = ax.lines
    assert np.asarray(line.get_ydata())[[0, 1, 2, 4, 5]].tolist() == [0.2, 0.5, 1.0, 0.4, 1.0]
    assert np.flatnonzero(np.isnan(np.asarray(line.get_ydata()))).tolist() == [3]
    assert len(ax.collections) == 1
    assert band(ax) == (pytest.approx(0.18), 1.0)
    assert ax.get_ylabel() == "popularity (share of highest, 0 to 1)"
    assert "Band: where the values can be" in footer(ax)
    assert "on both sides of a break in a line, cannot be compared" in footer(ax)
    assert "dates are missing" not in footer(ax)


def test_dates_without_a_value_have_no_band() -> None:
    frame = stitched("a", [0.2, 1.0], [0.0, 0.0])
    frame.loc[2:, ["value", "lower", "upper"]] = [np.nan, 0.0, 1.0]
    ax = plots.trend(frame)
    assert band(ax) == (pytest.approx(0.18), 1.0)
    assert len(ax.collections) == 1
    assert np.isnan(np.asarray(ax.lines[0].get_ydata())[2:]).all()


def test_a_date_alone_has_its_band_as_a_line() -> None:
    ax = plots.trend(stitched("a", [0.2, 1.0], [1.0], [0.5, 1.0]))
    _, lone = ax.collections
    assert [segment[:, 1].tolist() for segment in lone.get_segments()] == [[0.9, 1.0]]


def test_one_piece_says_nothing_of_breaks_and_two_series_are_not_compared() -> None:
    one = stitched("a", [0.2, 0.5, 1.0])
    assert "cannot be compared" not in footer(plots.trend(one))
    both = plots.trend(pd.concat([one, stitched("b", [1.0, 0.3])]))
    assert "Levels of two series" in footer(both)
    assert len(both.collections) == 2
    assert to_hex(both.collections[1].get_facecolor()[0]) == to_hex(both.lines[1].get_color())


def test_what_stitch_trends_returns_is_drawn_with_its_band() -> None:
    ax = kr.stitch_trends(series("a", days(1, 2, 3, 100 // 4))).keyapi.plot.trend()
    assert len(ax.collections) > 0
    assert ax.get_ylabel() == "popularity (share of highest, 0 to 1)"


def test_stitched_series_as_small_multiples_and_from_the_accessor() -> None:
    both = pd.concat([stitched("a", [0.2, 1.0]), stitched("b", [1.0], [0.3, 1.0]).assign(source="sandbox")])
    first = both.keyapi.plot.trend(small_multiples=True)
    assert [len(panel.collections) for panel in first.figure.axes] == [1, 2]
    assert " ".join(first.figure.get_supylabel().split()) == "popularity (share of highest, 0 to 1)"
    assert texts(first, "synthetic") == ["SYNTHETIC"]
