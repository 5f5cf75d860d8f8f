"""The endpoints of the sandbox: path, price, and what each parameter accepts.

This is a second reading of KeyAPI's pages. A server that took its routes from the client's declarations would agree
with every mistake in them; a test holds the two against each other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

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
        return canonical


def _matching(pattern: str, canonical: Callable[[str], str] = str) -> Check:
    compiled = re.compile(pattern)
    return lambda value: canonical(value) if compiled.fullmatch(value) else None


_digits = _matching("[0-9]{1,30}")
_flag = _matching("(?ia)true|false", str.lower)
_text = _matching("(?s).{0,150}")
_page = _matching("(?=[0-9]{1,6}$)0*[1-9][0-9]*", lambda value: str(int(value)))
_limit = _matching("(?=[0-9]{1,30}$)0*[1-9][0-9]*", lambda value: str(min(int(value), LARGEST_PAGE)))
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
ROUTES = (
    Route("insights/products", 2, (_SEARCH, *_PAGES, _SCOPE, _REGION, _CATEGORY)),
    Route("insights/product/detail", 2, (_SCOPE, _REGION, Parameter("id", "601583", _digits))),
    Route("video/detail/analytics", 1, (Parameter("video_ids", None, _digits_list, required=True),)),
    Route("trending/hashtag/detail", 2, (_LONG_PERIOD, _REGION, Parameter("hashtag_name", "ufc324", _hashtag))),
    Route("trending/music/detail", 2, (_PERIOD, _COUNTRY, Parameter("clip_id", "6703723351497508865", _digits))),
    Route("trending/hashtags", 2, (*_PAGES, _PERIOD, _REGION, Parameter("industry_id", "nothing", _industry), _NEW)),
    Route("trending/music", 2, (_SEARCH, *_PAGES, _PERIOD, _COUNTRY, _NEW, _COMMERCIAL)),
)
BY_PATH = {route.path: route for route in ROUTES}
DEFAULTS = {route.name: {known.api_name: known.default for known in route.parameters} for route in ROUTES}
