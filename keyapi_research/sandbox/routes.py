"""The endpoints of the sandbox: path, price, and what each parameter accepts.

This is a second reading of KeyAPI's pages. A server that took its routes from the client's declarations would agree
with every mistake in them; a test holds the two against each other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from . import curves, words

LARGEST_PAGE = 20
LARGEST_BATCH = 10
Check = Callable[[str], str | None]


@dataclass(frozen=True)
class Parameter:
    """One parameter: its API name, its live default, and a check that returns the canonical value, None to refuse.

    A default of None with ``required`` unset stands for "no filter".
    """

    api_name: str
    default: str | None
    check: Check
    required: bool = False


@dataclass(frozen=True)
class Route:
    """One endpoint: its name in the world, its price in credits and its parameters."""

    name: str
    credits: int
    parameters: tuple[Parameter, ...]
    one_of: tuple[str, ...] = ()  # parameters of which at least one is required
    rule: Callable[[Mapping[str, str | None]], str | None] = lambda _: None  # the name of what does not fit the rest

    @property
    def path(self) -> str:
        """Path of the endpoint."""
        return f"/v1/tiktok/{self.name}"

    def check(self, sent: Mapping[str, str]) -> dict[str, str | None] | str:
        """Return the canonical parameters, or the text of the refusal. Unknown ones are ignored, as upstream."""
        canonical: dict[str, str | None] = {}
        for parameter in self.parameters:
            name, value = parameter.api_name, sent.get(parameter.api_name, "")
            if value.strip():
                canonical[name] = parameter.check(value)
                if canonical[name] is None:
                    return f"Invalid parameter: {name}"
            elif parameter.required:
                return f"Missing required parameter: {name}"
            else:
                canonical[name] = parameter.default
        if self.one_of and not any(canonical[name] for name in self.one_of):
            return f"Missing required parameter: {' or '.join(self.one_of)}"
        wrong = self.rule(canonical)
        return f"Invalid parameter: {wrong}" if wrong else canonical


def _matching(pattern: str, canonical: Callable[[str], str] = str) -> Check:
    compiled = re.compile(pattern)
    return lambda value: canonical(value) if compiled.fullmatch(value) else None


_digits = _matching("[0-9]{1,30}")
_flag = _matching("(?ia)true|false", str.lower)
_text = _matching("(?s).{0,150}")
_page = _matching("(?=[0-9]{1,6}$)0*[1-9][0-9]*", lambda value: str(int(value)))
_limit = _matching("(?=[0-9]{1,30}$)0*[1-9][0-9]*", lambda value: str(min(int(value), LARGEST_PAGE)))
_number = _matching("[0-9]{1,15}([.][0-9]{1,6})?")
_industry = _matching("nothing|[0-9]{1,30}")
_period = _matching("7|30|120")
_long_period = _matching("7|30|120|365|1095")


def _digits_list(value: str) -> str | None:
    ids = [part.strip() for part in value.split(",")]
    return ",".join(ids) if all(map(_digits, ids)) and len(ids) <= LARGEST_BATCH else None


def _country(value: str) -> str | None:
    return value if value in words.COUNTRIES else None


def _region(value: str) -> str | None:
    return value if value == "all_regions" else _country(value)


def _time_scope(value: str) -> str | None:
    return value if value in {"1", "7", "30", *curves.MONTHS} else None


def _hashtag(value: str) -> str | None:
    name = unicodedata.normalize("NFC", value.strip()).lower()
    return name if re.fullmatch(r"[^\s,]{1,150}", name) else None


def _handles(value: str) -> str | None:
    handles = [part.strip() for part in value.split(",")]
    return ",".join(handles) if all(handles) and len(handles) <= LARGEST_BATCH else None


def _day(value: str) -> str | None:
    try:
        return str(date.fromisoformat(value)) if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value) else None
    except ValueError:
        return None


def _cycle(params: Mapping[str, str | None]) -> str | None:
    """Return what is wrong with the date of a ranking: a week begins on a Monday, a month on the first."""
    day = date.fromisoformat(str(params["date"]))
    fits = {"1": True, "2": day.weekday() == 0, "3": day.day == 1}[str(params["rank_type"])]
    return None if fits else "date"


def _code(name: str, most: int, *, required: bool = False) -> Parameter:
    return Parameter(name, None, _matching(f"[1-{most}]"), required=required)


_SEARCH = Parameter("search_keyword", "FALSE", _text)
_PAGES = (Parameter("page", "1", _page), Parameter("limit", "20", _limit))
_SCOPE = Parameter("time_scope", "1", _time_scope)
_REGION = Parameter("region", "all_regions", _region)
_COUNTRY = Parameter("region", "US", _country)
_PERIOD = Parameter("period", "7", _period)
_LONG_PERIOD = Parameter("period", "7", _long_period)
_NEW = Parameter("new_to_top_100", "false", _flag)
_COMMERCIAL = Parameter("commercial_music", "false", _flag)
_CATEGORY = Parameter("ecom_category_id", None, _digits)

# The order of the parameters is that in which they are refused.
ROUTES: tuple[Route, ...] = (
    Route("insights/products", 2, (_SEARCH, *_PAGES, _SCOPE, _REGION, _CATEGORY)),
    Route("insights/product/detail", 2, (_SCOPE, _REGION, Parameter("id", "601583", _digits))),
    Route("video/detail/analytics", 1, (Parameter("video_ids", None, _digits_list, required=True),)),
    Route("trending/hashtag/detail", 2, (_LONG_PERIOD, _REGION, Parameter("hashtag_name", "ufc324", _hashtag))),
    Route("trending/music/detail", 2, (_PERIOD, _COUNTRY, Parameter("clip_id", "6703723351497508865", _digits))),
    Route("trending/hashtags", 2, (*_PAGES, _PERIOD, _REGION, Parameter("industry_id", "nothing", _industry), _NEW)),
    Route("trending/music", 2, (_SEARCH, *_PAGES, _PERIOD, _COUNTRY, _NEW, _COMMERCIAL)),
)

_SIZE = _matching("0{0,6}([1-9]|10)", lambda value: str(int(value)))
_NUMBERED = (Parameter("page_num", None, _page, required=True), Parameter("page_size", None, _SIZE, required=True))
_SORT = Parameter("sort_type", None, _matching("[01]"))
_MARKET = Parameter("region", None, _text, required=True)
_USER, _HANDLE = Parameter("user_id", None, _digits), Parameter("unique_id", None, _text)
_OF_PRODUCT = Parameter("product_id", None, _digits, required=True)
_DATES = tuple(Parameter(name, None, _day, required=True) for name in ("start_date", "end_date"))
_CYCLE = (Parameter("date", None, _day, required=True), _MARKET, _code("rank_type", 3, required=True))
_CATEGORIES = tuple(Parameter(name, None, _digits) for name in ("category_id", "category_l2_id", "category_l3_id"))
_BOUNDS = (
    "total_sale_cnt", "total_sale_30d_cnt", "spu_avg_price", "product_commission_rate", "total_ifl_cnt",
    "total_video_cnt", "total_views_cnt", "product_rating", "review_count", "total_sale_gmv_amt",
    "total_sale_gmv_30d_amt", "first_crawl_dt",
)  # fmt: skip
_FLAGS = {
    "sales_trend_flag": "[012]", "is_s_shop": "[01]", "free_shipping": "[01]", "sales_flag": "[12]",
    "off_mark": "[0-9]{1,3}", "from_flag": "[12]", "is_hot": "[01]", "shop_type": "[01]",
}  # fmt: skip
_SEARCH_FILTERS = (
    *(Parameter(f"{bound}_{name}", None, _number) for name in _BOUNDS for bound in ("min", "max")),
    *(Parameter(name, None, _matching(pattern)) for name, pattern in _FLAGS.items()),
)

# Creators, products and their days.
ROUTES += (
    Route("influencer/ranking/analytics", 1, (
        *_CYCLE, _code("influencer_rank_field", 2, required=True), *_NUMBERED,
        Parameter("influencer_category_name", None, _text), Parameter("product_category_id", None, _digits),
        Parameter("category_id", None, _digits),
    ), rule=_cycle),
    Route("influencer/detail/analytics", 1, (
        Parameter("user_ids", None, _digits_list), Parameter("unique_ids", None, _handles),
    ), one_of=("user_ids", "unique_ids")),
    Route("influencer/trends/analytics", 1, (Parameter("user_id", None, _digits, required=True), *_DATES, *_NUMBERED)),
    Route("influencer/videos/analytics", 1, (
        _USER, _HANDLE, *_NUMBERED, Parameter("product_id", None, _digits),
        _code("influencer_video_sort_field", 4), _SORT,
    ), one_of=("user_id", "unique_id")),
    Route("influencer/products/analytics", 1, (
        Parameter("user_id", None, _digits, required=True), *_NUMBERED, Parameter("category_id", None, _digits),
        _code("influencer_product_sort_field", 5), _SORT,
    )),
    Route("product/detail/analytics", 1, (Parameter("product_ids", None, _digits_list, required=True),)),
    Route("product/ranking/analytics", 1, (
        *_CYCLE, _code("product_rank_field", 2, required=True), *_NUMBERED, *_CATEGORIES,
    ), rule=_cycle),
    Route("product/trends/analytics", 1, (_OF_PRODUCT, *_DATES, *_NUMBERED)),
    Route("product/creators/analytics", 1, (_OF_PRODUCT, *_NUMBERED, _code("product_influencer_sort_field", 7), _SORT)),
    Route("product/list/analytics", 1, (
        _MARKET, *_NUMBERED, *_CATEGORIES, _code("product_sort_field", 7), _SORT, *_SEARCH_FILTERS,
    )),
    Route("video/ranking/analytics", 1, (
        *_CYCLE, _code("video_rank_field", 2, required=True), *_NUMBERED,
        Parameter("product_category_id", None, _digits), Parameter("created_by_ai", None, _flag),
    ), rule=_cycle),
)  # fmt: skip
BY_PATH = {route.path: route for route in ROUTES}
DEFAULTS = {route.name: {known.api_name: known.default for known in route.parameters} for route in ROUTES}
