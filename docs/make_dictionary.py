"""Write docs/data-dictionary.md from the declarations: python docs/make_dictionary.py."""  # noqa: INP001 - a script

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from keyapi_research.catalogue.audiences import AGE_BANDS
from keyapi_research.model import TABLES, Column, Endpoint, Table, endpoints
from keyapi_research.places import Field
from keyapi_research.spelling import NOT_AVAILABLE

PAGE = Path(__file__).with_name("data-dictionary.md")

_HEAD: Final = """\
# Data dictionary

Written from the declarations in `keyapi_research/catalogue` by
`python docs/make_dictionary.py`; do not edit it. In a notebook: `kr.tables()`, `kr.describe("hashtags")`.

Every column has a **status**:

- **documented**: KeyAPI's own pages say so, or public pages of TikTok or EchoTik, whose data KeyAPI resells.
- **inferred**: from samples, from arithmetic, or from other people's documentation and code.
- **unknown**: no usable evidence, or evidence that conflicts.

Where parts of a meaning are known differently, as a concept and its scale, the weakest counts.

KeyAPI's pages document the response fields of video analytics only; of product categories, hashtags and music they show
one example answer each, dated 2026-02. Fields of creators, products and rankings of videos are those of EchoTik's
specification and examples of the same endpoints. Nothing here was checked against the live service.

A missing value is `<NA>`, `NaN` or `NaT`, never 0, -1 or empty text. In a place, `data` is the answer's `data` and `[]`
means "each item". Ids are text from the answer to the file.
"""


def _bands(*, of_products: bool) -> str:
    """List the codes of one of the two systems; those of products are ages."""
    lowest = min(int(band[:2]) for band in AGE_BANDS.values())
    return ", ".join(f"{code} = {band}" for code, band in AGE_BANDS.items() if (code >= lowest) is of_products)


_CAUTIONS: Final = f"""\
## What to be careful with

- **Age bands are inferred, and there are two systems.** Products ({_bands(of_products=True)})
  equal TikTok Ads' bands and end at 55+. Hashtags and music ({_bands(of_products=False)}) are read
  that way by public code, other public maps disagree; they end at 35+. A product's 35-44 or 55+ and a hashtag's 35+ are
  not the same people: put the upper bands of products together before you compare. Other codes get no band;
  `segment_id` keeps the code.
- **Age scores are percents, interest and country scores are an index.** 100 is average; 200 for a country means twice
  as popular there as on TikTok worldwide (TikTok says so; for interests it is inferred). An index is no share and no
  audience size, has no upper bound, and is never summed or averaged over segments. `score_unit` says which it is.
- **Interests of products and of hashtags and music are different lists** (ad industries and content interests): their
  ids and codes do not match. Countries are GeoNames ids, with ISO-2 in `segment_code`.
- **The currency of `cost`, `cpa` and `gmv_est` is not documented.** Implied costs per thousand impressions fit USD. Nor
  is that of prices (`price_avg` and so on): USD, or that of the market. Whether `commission` is percent or ratio is not
  documented either.
- **Rankings of a day, week or month hold what was gained in it**, and fill only what they rank: elsewhere a 0 is
  missing. Where `ranked_by` is sales or units, these are `units_period_est` and `gmv_period_est`; else one of
  `followers_gained`, `creators_period` and `views_gained`. Their `region` is the market, not where a creator is from.
- **Gains may be negative**, in rankings, windows and days. Windows end the day before EchoTik's latest collection:
  `last_seen` of products; of creators it is not in the answer.
- **A product's totals are of all sellers**, also beside a creator: `units_all_sellers_est` and `gmv_all_sellers_est`
  are not the creator's. `units_by_creator_est` and `gmv_by_creator_est` are.
- **A day that is missing from the answers has no row, which does not mean zero.** A `gmv_day_est` of 0 while
  followers and views move may mean that sales were not collected: a user saw that for all domestic creators of one
  market.
- **`bucket`**: the time zone of hours and the first weekday are unknown.
- **`cost`, `impressions` and `posts` are rounded** to about three digits, and the columns of one row do not reconcile:
  do not derive clicks or conversions from `ctr_pct`, `cvr_pct`, `cpa`.
- **`posts_all` and `views_all`**: whether overall means worldwide or within the region requested is unknown.
- **`share_of_peak` is relative to the series' own peak in its own window.** Levels of two series, two regions, two
  periods or two pulls cannot be compared, and overlapping pulls must not be joined. The highest value shown may be
  below 1. Take the step from the dates (daily at 7 days, weekly at 120, others unknown), never from the period.
- **Where a zero is no evidence**: `popular_days` and `current_popularity` are 0 in every sample seen. A `cpa` of 0
  beside a `cvr_pct` of 0 means no conversions, not free, and is missing here. `units_sold_est` and `gmv_est` of 0 stand
  beside a `sales_flag` that says the video sells; until mid-2026 a user saw a `gmv_est` of 0 for every video, so it may
  mean not computed. Increments (`views_1d` and so on) may be behind the call: 1- and
  7-day increments of 0 were seen beside a 30-day increment equal to the lifetime total.
- **{NOT_AVAILABLE} and any other negative lifetime count mean not available** and are missing here (inferred).
- **`units_sold_est` and `gmv_est` are KeyAPI's estimates**, not sales records.
- **What the answers do not say**: the day the figures refer to, the region, window, search and filters they are for.
  `region`, `time_scope`, `period`, `search`, `filter_*`, `new_only` and `commercial_only` are what was requested;
  `observed_at` is when the answer arrived; `market` is what the answer itself names, and a call warns where it differs.
- **`n_*` of 0 and missing differ**: the answer had an empty list, or no list.
- **`rank_change` is a size, `rank_movement` its direction** (codes 1, 2, 4 from KeyAPI's own examples; 3 = down is
  supported by a real answer of 100 hashtags, whose sizes are all positive, 15 of them with code 3).
- **`sales_flag` stays a code**: what it means differs between creators, products and videos, and of video analytics
  only 0 (does not sell) is documented.
- **Ids ending in 000 in `music_videos`** may have been rounded before they reached KeyAPI; that cannot be repaired.
- **Addresses** (`cover_url`, `audio_url`) may be signed and expire.
"""


def page() -> str:
    """Write the page: the tables with keys and prices, the cautions, and every column of every table."""
    listing = _grid(
        ("table", "one row per", "key", "from", "price"),
        (
            (f"[{t.name}](#{t.name})", t.row, ", ".join(t.key), f"`{t.endpoint.path}`", _price(t))
            for t in TABLES.values()
        ),
    )
    chapters = [_chapter(table) for endpoint in endpoints() for table in endpoint.tables if table.endpoint is endpoint]
    return "\n".join([_HEAD, "## Tables\n", listing, _CAUTIONS, *chapters])


def _price(table: Table) -> str:
    endpoint = table.endpoint
    if endpoint.tables[0] is not table:
        return f"0 more: the same answer as {endpoint.tables[0].name}"
    return endpoint.price


def _chapter(table: Table) -> str:
    endpoint = table.endpoint
    columns = _grid(
        ("column", "dtype", "unit", "meaning", "place in the answer", "status"),
        (_line(column, is_key=column.name in table.key) for column in table.columns),
    )
    text = (
        f"One row per {table.row}: `kr.fetch_{table.name}`. Key (bold): {', '.join(table.key)}. "
        f"Price: {_price(table)} (`GET {endpoint.path}`)."
    )
    inputs = _inputs(endpoint, table.ways) if endpoint.tables[0] is table else []
    return "\n".join([f"## {table.name}\n", f"{text}\n", columns, *inputs])


def _line(column: Column, *, is_key: bool) -> tuple[str, ...]:
    name = f"**{column.name}**" if is_key else column.name
    known = f"**{column.status}**: {column.reason}"
    return name, column.dtype, column.measured, column.meaning, f"`{column.place}`", known


def _inputs(endpoint: Endpoint, ways: Iterable[Endpoint]) -> Iterable[str]:
    """Describe the parameters of an endpoint, and what of its answer has no column."""
    yield "Parameters:\n"
    for p in (*endpoint.inputs, *(way.entity for way in ways if way.entity)):
        default = f" Default: {p.default!r}." if p.default is not None else ""
        yield f"- `{p.argument}` (`{p.api_name}`): {p.meaning}{default}"
    yield ""
    if endpoint.not_tabled:
        paths = ", ".join(f"`{Field(path)}`" for path in endpoint.not_tabled)
        yield f"Not tabled, but kept in the stored answer (`df.keyapi.raw()`): {paths}.\n"


def _grid(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [tuple(head), *map(tuple, rows)]
    written = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]
    return "\n".join([written[0], f"|{' --- |' * len(lines[0])}", *written[1:], ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
