"""Pictures of tables, each `(df, *, ax=None, ...) -> Axes`: drawn, never shown or saved, and no global style touched.

They read tables and nothing else: any frame with the needed columns will do, filtered, merged or read from a file.
Names in any script are drawn where an installed font has them; source and age of the rows stand under the axes; where
any row is the sandbox's, SYNTHETIC stands behind the data. What does not fit is left out; the footer says so.

Drawn into an Axes of your own (`ax=`), legend and footer stand beside and below the data. A figure without a layout
engine gets matplotlib's constrained layout, which makes the room. Set the size of a figure of several panels first:
their texts are broken into lines once, when they are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..docstrings import complete, plain
from ..errors import MissingPackageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

F = TypeVar("F", bound=Callable[..., object])
AxesOrMany = TypeVar("AxesOrMany", bound="Axes | Sequence[Axes] | npt.NDArray[np.object_]")

_AX = "ax : matplotlib.axes.Axes, optional\n    Where to draw; by default a new figure."
_RETURNS = """matplotlib.axes.Axes
    The Axes drawn into; `ax.figure.savefig("picture.png")` saves the picture."""

__all__ = [
    "audience", "categories", "days", "engagement", "findings", "overlap", "products", "spending", "stamp", "trend",
    "windows",
]  # fmt: skip


def _drawn(picture: F) -> F:
    """Complete a docstring by what all pictures take and return."""
    return complete(picture, {"ax": _AX}, Returns=_RETURNS)


@_drawn
def trend(df: pd.DataFrame, *, ax: Axes | None = None, small_multiples: bool | None = None) -> Axes:
    """Draw popularity over time, one line a series.

    A series is a hashtag or sound in a region and period, as observed at one time. Each is relative to its own peak in
    its window, so levels of two cannot be compared. The line breaks where dates are missing; the step is the series'
    own most frequent distance between dates.

    Parameters
    ----------
    df : pandas.DataFrame
        Rows of hashtag_trends, music_trends, trending_hashtag_trends or trending_music_trends, also several
        concatenated: date, share_of_peak, and hashtag_name or clip_id. Of a frame that `stitch_trends` made each
        series has its band; its line breaks between pieces.
    small_multiples : bool, optional
        A panel for each series (up to 60) in a new figure; the first is returned, all are in `ax.figure.axes`. By
        default where there are more than 14 series and no `ax`; otherwise those that have no name are grey.

    Examples
    --------
    >>> trends = kr.fetch_hashtag_trends(["ufc324", "perfumetok"])
    >>> kr.plots.trend(trends).get_ylabel()
    'popularity (share of own peak, 0 to 1)'
    """
    return _picture("trend_lines", ax)(df, ax, small_multiples=small_multiples)


@_drawn
def audience(df: pd.DataFrame, dimension: str | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw who watches: ages as shares, in age order; countries or interests as an index, with the line of 100.

    Up to six entities stand side by side, with the twelve countries or interests of the highest index, or as many as
    fit. No bar means that the answer did not list the segment, which is unknown, not zero.

    Parameters
    ----------
    df : pandas.DataFrame
        Rows of product_audience, hashtag_audience or music_audience, also several concatenated: dimension,
        segment_id, segment, score, and category_id, hashtag_name or clip_id.
    dimension : {"age", "interest", "country"}, optional
        What to split by; by default the first of these that the frame has.

    Examples
    --------
    >>> kr.plots.audience(kr.fetch_hashtag_audience("ufc324")).get_ylabel()
    'share of the audience (percent)'
    """
    return _picture("audience_bars", ax)(df, ax, dimension=dimension)


@_drawn
def products(df: pd.DataFrame, *, labels: int = 15, ax: Axes | None = None) -> Axes:
    """Draw product categories by click-through rate (across) and conversion rate (up).

    The area of a symbol is its impressions (the smallest have one size); colour and shape are its level-1 category
    (the four with most impressions, then "other"). Dashed lines are medians. The first rows are named where there is
    room, of these the largest and the outermost first: sort by what matters.

    Parameters
    ----------
    df : pandas.DataFrame
        Rows of product_insights: ctr_pct, cvr_pct, impressions, category_l1, category.
    labels : int, default 15
        How many of the first rows to name, at most.

    Examples
    --------
    >>> kr.plots.products(kr.fetch_product_insights(region="US", limit=40)).get_xlabel()
    'click-through rate (percent)'
    """
    return _picture("product_rates", ax)(df, ax, labels=labels)


@_drawn
def categories(
    df: pd.DataFrame,
    *,
    measure: str = "impressions",
    level: int = 2,
    lowest: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw a measure over the hierarchy: categories of one level as bars, the highest first.

    Amounts are summed over the categories below; rates and amounts per something (all `_pct` columns, cpa) are medians
    in which each category counts once. Only rows of the deepest level count, or a level-2 row beside its level-3 rows
    would count twice. The 15 highest are drawn, or as many as fit, each with its level-1 category.

    Parameters
    ----------
    df : pandas.DataFrame
        Rows of one ranking of product_insights: category_id, category_l1, category_l2, category_l3 and the measure.
    measure : str, default "impressions"
        A count, amount or rate of product_insights, as "posts", "cost" or "ctr_pct".
    level : {1, 2, 3}, default 2
        Level of the categories that are drawn; those of level 3 are the rows.
    lowest : bool, default False
        Draw the lowest instead of the highest, the lowest first: for costs, and for decliners in posts_change_pct.

    Examples
    --------
    >>> ranking = kr.fetch_product_insights(region="US", limit=40)
    >>> kr.plots.categories(ranking, measure="ctr_pct").get_xlabel()
    'click-through rate (percent), median of its level-3 categories'
    """
    return _picture("category_bars", ax)(df, ax, measure=measure, level=level, lowest=lowest)


@_drawn
def engagement(df: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how engagement_rate, like_rate, comment_rate and share_rate are distributed, on a log axis.

    A strip of points for each rate, one point a video (its newest row), with the middle half and the median of all
    known rates, zeros included; what a log axis cannot show is counted below it.

    Parameters
    ----------
    df : pandas.DataFrame
        Rows of videos. Where `df.keyapi.engagement()` has not added the rates they are computed from views, likes,
        comments and shares: (likes + comments + shares) / views, and each part / views.

    Examples
    --------
    >>> kr.plots.engagement(kr.fetch_videos(["7117191641181555995"])).get_xscale()
    'log'
    """
    return _picture("engagement_strips", ax)(df, ax)


@_drawn
def overlap(df: pd.DataFrame, *, dimension: str = "country", ax: Axes | None = None) -> Axes:
    """Draw how similar audiences of hashtags and sounds are: a heat map of all pairs, the most similar side by side.

    The similarity of two audiences a and b is the cosine of their profiles, a profile being the logarithm of each
    segment's index over the average of 100::

        sum(log(a / 100) * log(b / 100)) / sqrt(sum(log(a / 100) ** 2) * sum(log(b / 100) ** 2))

    It is 1 for lists with the same segments and pattern of indices, near 0 where little is shared. A segment that only
    one of two lists has is unknown in the other, not zero; it counts as average (100) there, which adds nothing above
    the line. Where no segment is in both lists nothing is known, and the cell is hatched. The small number in a cell
    counts the segments in both lists: a similarity that rests on one or two says little, and is not shown.
    `kr.audience_similarity` returns the numbers as a table.

    Parameters
    ----------
    df : pandas.DataFrame
        The same as for `audience`. (Interests of products are ids of another list than those of hashtags and sounds.)
    dimension : {"country", "interest"}, default "country"
        What to compare by. Ages are shares of three bands, too few to compare.

    Examples
    --------
    >>> tags = kr.fetch_hashtag_audience(["perfumetok", "smellgood", "ufc324"])
    >>> [label.get_text() for label in kr.plots.overlap(tags).get_yticklabels()]
    ['#smellgood', '#perfumetok', '#ufc324']
    """
    return _picture("overlap_map", ax)(df, ax, dimension=dimension)


@_drawn
def days(
    df: pd.DataFrame,
    *,
    measure: str = "gmv_day_est",
    small_multiples: bool | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a measure of creators or products day by day, with the days that are missing dotted.

    A line each, of the newest observation of each day. Days without a value, and those that `fill_days` added, are a
    dotted line between their neighbours: what happened there is not known.

    Parameters
    ----------
    df : pandas.DataFrame
        Rows of creator_days or product_days: date, the measure, and user_id or product_id; names where the frame has
        username or product_name.
    measure : str, default "gmv_day_est"
        A measure of these tables, as "followers" or "units_day_est".
    small_multiples : bool, optional
        A panel with a scale of its own for each (up to 60) in a new figure; the first is returned. By default where
        there are more than 3 and no `ax`.

    Examples
    --------
    >>> days = kr.fetch_creator_days(kr.fetch_creator_rankings(region="US", limit=3)["user_id"], start="14D")
    >>> kr.plots.days(days, measure="followers").get_ylabel()
    'followers (total)'
    """
    return _picture("day_lines", ax)(df, ax, measure=measure, small_multiples=small_multiples)


@_drawn
def windows(df: pd.DataFrame, *, measure: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw windows of creators or products as daily averages, so that a short one shows what is new in a long one.

    Each window's value is divided by its days. A line for each creator or product, up to twenty, or as many as fit: a
    filled circle for the shortest window of at least a week, as one day says little (a cross), an open diamond for the
    longest, ticks between them. The lines are in the order of the circles, the highest first.

    Parameters
    ----------
    df : pandas.DataFrame
        Rows of creator_windows or product_windows: window_days, the measure, and user_id or product_id; names where
        the frame has username or product_name.
    measure : str, optional
        A measure of the window that adds up over days; by default units_window_est, or followers_gained of creators.

    Examples
    --------
    >>> windows = kr.fetch_creator_windows(kr.fetch_creator_rankings(region="US", limit=3)["user_id"])
    >>> kr.plots.windows(windows).get_xlabel()
    'followers gained a day'
    """
    return _picture("window_dots", ax)(df, ax, measure=measure)


@_drawn
def findings(df: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the findings of an audit over the days that they concern, the severest first.

    A row for each check and column, up to sixteen or as many as fit, and a line for each finding from its first to its
    last day; above them whose rows they are, where all of a row are of one.

    Parameters
    ----------
    df : pandas.DataFrame
        What `kr.audit` or `df.keyapi.audit` returned: check, severity, table, column, first, last.

    Examples
    --------
    >>> kr.plots.findings(kr.audit()).get_xlabel()
    'day or moment of observation (UTC)'
    """
    return _picture("finding_spans", ax)(df, ax)


@_drawn
def spending(df: pd.DataFrame, *, by: str = "endpoint", ax: Axes | None = None) -> Axes:
    """Draw what was spent over time, and on what: credits in each hour, day, week or month.

    Requests without an answer are counted in the footer, as nobody knows whether they were charged; imported ones are
    left out, as others paid for them.

    Parameters
    ----------
    df : pandas.DataFrame
        A ledger: sent_at, endpoint, credits.
    by : {"endpoint", "client"}, default "endpoint"
        What the bars are divided by: the six with the most credits, and the others together. An endpoint is named
        by the first table that it brings.

    Examples
    --------
    >>> ax = kr.plots.spending(kr.ledger())
    >>> ax.get_ylabel().startswith("credits per ")
    True
    """
    return _picture("spending_bars", ax)(df, ax, by=by)


@plain
def stamp(ax: AxesOrMany, df: pd.DataFrame) -> AxesOrMany:
    """Put source and age of rows under a picture of your own, and SYNTHETIC behind it where any row is the sandbox's.

    It looks like the pictures of this package then. Call it last, when all is drawn; a second call replaces the first.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or several
        Axes with your picture, or all its panels, as `plt.subplots` returns them: source and age stand below the
        figure, or under the first where the figure has others.
    df : pandas.DataFrame
        The rows it was drawn from, with source and observed_at; where the numbers come from a `groupby` or `merge`
        that lost these columns, the frame before it.

    Returns
    -------
    matplotlib.axes.Axes or several
        The same.

    Examples
    --------
    >>> ranking = kr.fetch_product_insights(region="US", limit=40)
    >>> import matplotlib.pyplot as plt
    >>> figure, ax = plt.subplots()
    >>> ax = ranking["ctr_pct"].plot.hist(ax=ax, xlabel="click-through rate (percent)")
    >>> ax = kr.plots.stamp(ax, ranking)
    >>> figure.get_supxlabel().split(",")[0]
    'source: sandbox (SYNTHETIC'
    """
    _load("style").dress(ax, df)
    return ax


def _picture(name: str, ax: object) -> Callable[..., Axes]:
    """Return the function that draws a picture, when the Axes are checked."""
    _load("style").check_axes(ax)
    draw: Callable[..., Axes] = _load(name).draw
    return draw


def _load(name: str) -> Any:
    """Import a module that imports matplotlib, which takes a while: only when something is drawn."""
    try:
        return import_module(f".{name}", __name__)
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        text = "Pictures need matplotlib, which is not installed. Run: python -m pip install matplotlib"
        missing = MissingPackageError(text)
        missing.name = error.name
        raise missing from error
