"""Write the pages that follow from declarations: tables, endpoints, errors: python docs/make_pages.py."""  # noqa: INP001 - a script

import inspect
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Final

import pandas as pd

import keyapi_research as kr
from keyapi_research.catalogue import creator_lists, creators, hashtags, music, product_categories, products, videos
from keyapi_research.catalogue.audiences import AGE_BANDS
from keyapi_research.errors import KeyAPIError, KeyAPIWarning
from keyapi_research.model import Column, Endpoint, Table
from keyapi_research.places import Field
from keyapi_research.spelling import NOT_AVAILABLE

DOCS = Path(__file__).parent
FAMILIES: Final = {  # page, title and the files of its declarations
    "product-categories": ("Product categories", (product_categories,)),
    "videos": ("Videos", (videos,)),
    "hashtags": ("Hashtags", (hashtags,)),
    "music": ("Music", (music,)),
    "creators": ("Creators", (creators, creator_lists)),
    "products": ("Products", (products,)),
}

_HEAD: Final = """\
# Tables

What every column of every table means, in what unit, where in the answer it comes from, and how certain that is. In a
notebook: `kr.tables()`, `kr.describe("hashtags")`. Written from the declarations in `keyapi_research/catalogue` by
`python docs/make_pages.py`; do not edit it.

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


_ERRORS: Final = """\
# Errors and warnings

Every error is a `kr.KeyAPIError`, every warning a `kr.KeyAPIWarning`. The message says what happened and what to do;
the fields of an error (`status_code`, `code`, `request_id`, `params`, `frame`, `failures` and more) are for programs.
Written from the docstrings by `python docs/make_pages.py`; do not edit it.

```python
try:
    tags = kr.fetch_hashtags(["ufc324", "perfume"])
except kr.FetchIncompleteError as error:
    tags, failed = error.frame, error.failures
```
"""


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


def pages() -> dict[str, str]:
    """Write the pages: their paths in this folder, and their texts."""
    families = {page: list(_tables_of(modules)) for page, (_, modules) in FAMILIES.items()}
    listing = _grid(
        ("table", "one row per", "key", "price"),
        (
            (f"[{t.name}]({page}.md#{t.name})", t.row, ", ".join(t.key), _price(t))
            for page, found in families.items()
            for t in found
        ),
    )
    contents = "\n".join(["```{toctree}", ":hidden:", "", *families, "```", ""])
    made = {"tables/index.md": f"{_HEAD}\n## All tables\n\n{listing}\n{_CAUTIONS}\n{contents}"}
    for page, found in families.items():
        title = f"# {FAMILIES[page][0]}\n"
        made[f"tables/{page}.md"] = "\n".join([title, *map(_chapter, found)])
    return made | {"endpoints.md": _endpoints(), "errors.md": _errors()}


def _tables_of(modules: Iterable[ModuleType]) -> Iterable[Table]:
    """List the tables that are declared in some files, those of one endpoint together."""
    for module in modules:
        declared = [one for one in vars(module).values() if isinstance(one, Endpoint)]
        for endpoint in dict.fromkeys(declared):
            yield from (table for table in endpoint.tables if table.endpoint is endpoint)


def _endpoints() -> str:
    """Write the list of KeyAPI's endpoints."""
    listed = kr.endpoints()
    lines = [
        "# KeyAPI's endpoints\n",
        f"The {len(listed)} GET endpoints for TikTok that are known of KeyAPI, as `kr.endpoints()` lists them. Those\n"
        "with tables have fetch functions; any other is fetched by its path: [Any endpoint](guide/any-endpoint.md). "
        "Prices are\n"
        "those that KeyAPI documents. Where one is *unknown*, look it up before you pass it as `credits`.\n\n"
        "*known* says how far an endpoint is: A was read on KeyAPI's page; of B the path is known, parameters and\n"
        "fields are inferred from EchoTik's specification of the same endpoint; of C and D the path itself is\n"
        "inferred from the title of KeyAPI's page, and of D hardly anything else is known. Before you pay for C or D,\n"
        "look at KeyAPI's page.\n\n"
        "Written by `python docs/make_pages.py`; do not edit it.\n",
    ]
    for family, found in listed.groupby("family", sort=False):
        rows = (
            (f"`{row.path}`<br>{row.title}", str(row.certainty)[:1], _known(row.credits), _known(row.paging),
             _linked(row.tables))
            for row in found.itertuples()
        )  # fmt: skip
        lines += [f"## {str(family).capitalize()}\n", _grid(("path", "known", "credits", "pages", "tables"), rows)]
    return "\n".join(lines)


def _known(value: object) -> str:
    return "unknown" if pd.isna(value) else str(value)


def _linked(names: object) -> str:
    """Link tables to their chapters."""
    pages_of = {t.name: page for page, (_, modules) in FAMILIES.items() for t in _tables_of(modules)}
    if not isinstance(names, str):
        return "none"
    return ", ".join(f"[{name}](tables/{pages_of[name]}.md#{name})" for name in names.split(", "))


def _errors() -> str:
    """Write what each error and warning means, and what to do, from their docstrings."""
    public = (getattr(kr, name) for name in kr.__all__)
    kinds = [one for one in public if isinstance(one, type) and issubclass(one, BaseException)]
    ordered = sorted(kinds, key=lambda kind: inspect.getsourcelines(kind)[1])
    parts = {"Errors": KeyAPIError, "Warnings": KeyAPIWarning}
    lines = [_ERRORS]
    for title, base in parts.items():
        rows = []
        for kind in ordered:
            if issubclass(kind, base) and kind is not base:
                meaning, _, what_to_do = inspect.getdoc(kind).partition("\n\n")
                rows.append((f"`kr.{kind.__name__}`", meaning, " ".join(what_to_do.split())))
        lines += [f"## {title}\n", _grid(("", "what it means", "what to do"), rows)]
    return "\n".join(lines)


def _price(table: Table) -> str:
    endpoint = table.endpoint
    if endpoint.tables[0] is not table:
        return f"0 more: the same answer as {endpoint.tables[0].name}"
    return endpoint.price


def _chapter(table: Table) -> str:
    endpoint = table.endpoint
    columns = _grid(
        ("column", "dtype and unit", "meaning", "where from, and how certain"),
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
    dtype = ", ".join(filter(None, (column.dtype, column.measured)))
    return name, dtype, column.meaning, f"`{column.place}`; **{column.status}**: {column.reason}"


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
    for path, text in pages().items():
        (DOCS / path).write_text(text, encoding="utf-8")
