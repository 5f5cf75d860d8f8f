"""Arguments of a call, checked before anything is sent; each refusal says what is allowed instead."""

# fmt: off - lists of codes and names read best as tables
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from .errors import InvalidArgumentError, shown
from .settings import is_number
from .spelling import normal_handle, normal_hashtag

Value = str | int | float | bool | None

ALL_REGIONS: Final = "all_regions"
_ID: Final = re.compile(r"[0-9]{1,32}")
_NOT_IN_A_NAME: Final = re.compile(r"[\s,\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # joiners belong to many scripts
_NOT_IN_TEXT: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_MONTH: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_MONTHS_BACK: Final = 4
_LONGEST_NAME: Final = 300  # characters; TikTok's hashtags have 100 at most
_FAR: Final = 2**63
_ALIKE: Final = 0.75  # of two names, so that one was probably meant by the other
_PATH: Final = re.compile(r"/v1(?:/[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)+")
_LONGEST_PATH: Final = 200  # characters
_PARAMETER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]-]{0,63}")
_SECRETS: Final = ("token", "apikey", "authorization", "password", "passwd", "secret", "cookie", "credential")
_CURSOR: Final = re.compile("(?:next_?)?(?:page|cursor|next|continuation)_?token")  # a place in a list
_LARGEST: Final = 1_000_000  # credits of a request, or rows of a page
_LONGEST_TEXT: Final = 8000  # characters of a parameter; servers refuse longer addresses
_MOST_DIGITS: Final = 32  # of a number
_LONGEST_NUMBER: Final = 10**_MOST_DIGITS
_EXACT: Final = 2**53  # floats below have all their digits
_ALIKE_WORDS: Final = 0.8  # of two words, which are shorter

INDUSTRIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        f"{number}000000000": name
        for number, name in (
            (10, "Education"), (11, "Vehicle & Transportation"), (12, "Baby, Kids & Maternity"),
            (13, "Financial Services"), (14, "Beauty & Personal Care"), (15, "Tech & Electronics"),
            (16, "Appliances"), (17, "Travel"), (18, "Household Products"), (19, "Pets"), (20, "Apps"),
            (21, "Home Improvement"), (22, "Apparel & Accessories"), (23, "News & Entertainment"),
            (24, "Business Services"), (25, "Games"), (26, "Life Services"), (27, "Food & Beverage"),
            (28, "Sports & Outdoor"), (29, "Health"), (30, "E-Commerce (Non-app)"),
        )
    }
)


def is_missing(value: object) -> bool:
    """Whether pandas takes a single value for missing."""
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))  # type: ignore[call-overload]


def plain_value(value: object) -> object:
    """Return the Python value of a scalar of pyarrow, and anything else as it is."""
    read = getattr(value, "as_py", None)
    return read() if callable(read) else value


_REREAD: Final = "Ids must stay text: read the file again with kr.read_csv(path), or pandas.read_csv(path, dtype=str)"


def check_id(name: str, value: object) -> str:
    """Return an id: ASCII digits, as text or as a whole number."""
    value = plain_value(value)
    if is_missing(value):
        raise InvalidArgumentError(
            f"{name}: an id is missing (it is {shown(value)}); drop it first (ids.dropna()). {_REREAD}"
        )
    if isinstance(value, str):
        text = value.strip()
    elif is_number(value, whole=True):
        text = shown(int(value))  # type: ignore[call-overload]
    elif is_number(value):
        raise InvalidArgumentError(f"{name}: {shown(value)} is a float, so its last digits may be lost. {_REREAD}")
    else:
        raise InvalidArgumentError(f"{name}: ids must be text or int, not {type(value).__name__}")
    if _ID.fullmatch(text) is None:
        advice = " Pass several as a list." if "," in text else ""
        if name == "user_ids" and not advice:
            advice = ' For handles, kr.fetch_creators(handles, by="username") returns the ids.'
        if "/video/" in text:
            advice = " To use a URL, pass only the digits after /video/."
        elif "/music/" in text:
            advice = " To use a URL, pass only the digits at its end."
        raise InvalidArgumentError(f"{name}: {shown(text)} is not a valid id (digits only).{advice}")
    return text


def check_hashtag(name: str, value: object) -> str:
    """Return the name of a hashtag, written the one way it is requested and kept."""
    if not isinstance(value, str):
        if is_missing(value):
            raise InvalidArgumentError(f"{name}: one of the names is missing; drop it first (names.dropna())")
        raise InvalidArgumentError(f'{name} must be text such as "perfume" or "#perfume"; got {shown(value)}')
    if len(value) > _LONGEST_NAME:
        raise InvalidArgumentError(
            f"{name}: {shown(value)} has {len(value):,} characters; a hashtag has at most {_LONGEST_NAME}"
        )
    text = normal_hashtag(value)
    if "/" in text:
        advice = "To use a URL, pass only the name after /tag/" if "tag/" in text else "A hashtag cannot have a slash"
        raise InvalidArgumentError(f"{name}: {shown(value)} is not the name of one hashtag. {advice}.")
    if not text or text.startswith("#") or _NOT_IN_A_NAME.search(text):
        advice = " Pass several as a list." if "," in text or " " in text else ""
        raise InvalidArgumentError(
            f"{name}: {shown(value)} is not the name of one hashtag (one # at most; no comma, white space or control "
            f"character).{advice}"
        )
    return text


@cache
def country_names() -> Mapping[str, tuple[str, ...]]:
    """Read the English names of each country by its code, the usual one first."""
    lines = Path(__file__).with_name("countries.txt").read_text(encoding="utf-8").splitlines()
    return MappingProxyType({code: tuple(names.split(";")) for code, _, names in (one.partition(" ") for one in lines)})


@cache
def _countries() -> Mapping[str, tuple[str, str]]:
    """Return the code and English name of each country, by everything that may be written for it, in lower case."""
    return MappingProxyType(
        {written.lower(): (code, names[0]) for code, names in country_names().items() for written in (code, *names)}
    )


def nearest_name(written: str, names: Iterable[str], alike: float = _ALIKE) -> str | None:
    """Find the name that was probably meant."""
    near = get_close_matches(written, names, 1, alike) if len(written) <= _LONGEST_NAME else []
    return near[0] if near else None


def check_region(name: str, value: object, *, all_regions: bool = True) -> str:
    """Return a country code, or all_regions where the endpoint has it."""
    allowed = f'{name} must be an ISO-2 country code such as "US"{f", or {ALL_REGIONS!r}" if all_regions else ""}'
    if not isinstance(value, str):
        hint = ""
        if is_missing(value):
            hint = '. A missing region is often Namibia\'s "NA": read the file with kr.read_csv'
        raise InvalidArgumentError(f"{allowed}; got {shown(value)}{hint}")
    written = value.strip().lower()
    if value.strip().isascii():  # the capitals of some letters of other scripts are ASCII
        if written == ALL_REGIONS and all_regions:
            return ALL_REGIONS
        if written == ALL_REGIONS:
            raise InvalidArgumentError(f"{allowed}; {ALL_REGIONS!r} is not documented for this endpoint")
        if _countries().get(written, ("none",))[0] == written.upper():
            return written.upper()
    if written in _countries():
        code, country = _countries()[written]
        raise InvalidArgumentError(f'{name}: {country} is "{code}", not {shown(value)}')
    near = nearest_name(written, [one for one in _countries() if len(one) > len("US")])
    hint = f'. {_countries()[near][1]} is "{_countries()[near][0]}"' if near else ""
    raise InvalidArgumentError(f"{allowed}; got {shown(value)}{hint}")


def check_time_scope(name: str, value: object) -> str:
    """Return 1, 7, 30 (days) or a month."""
    text = shown(int(value)) if is_number(value, whole=True) else value  # type: ignore[call-overload]
    if isinstance(text, str) and (text.strip() in {"1", "7", "30"} or _MONTH.fullmatch(text.strip())):
        return text.strip()
    raise InvalidArgumentError(f'{name} must be 1, 7 or 30 (days), or a month as "2025-10"; got {shown(value)}')


def check_months_back(value: Value, todays: Sequence[date]) -> None:
    """Refuse a month that KeyAPI documents it does not answer for, whichever of some days it is there."""
    if not isinstance(value, str) or _MONTH.fullmatch(value) is None:
        return
    months = [(today.year - int(value[:4])) * 12 + today.month - int(value[5:]) for today in todays]
    if not any(0 <= back <= _MONTHS_BACK for back in months):
        earliest = todays[0].year * 12 + todays[0].month - 1 - _MONTHS_BACK
        raise InvalidArgumentError(
            f"time_scope {shown(value)} is out of range: KeyAPI covers {_MONTHS_BACK} months before the current one "
            f"(from {earliest // 12}-{earliest % 12 + 1:02d}). Stored answers can still be read offline"
        )


def month_after(value: object) -> date | None:
    """Return the first day after a month; None for what is no month."""
    if not isinstance(value, str) or _MONTH.fullmatch(value) is None:
        return None
    year, month = int(value[:4]), int(value[5:])
    return date(year + month // 12, month % 12 + 1, 1)


def month_is_over(value: object, observed: date) -> bool:
    """Whether a month was over, by two days, when it was observed, so that its figures stay."""
    after = month_after(value)
    return after is not None and observed >= after + timedelta(days=2)


def check_period(*allowed: int) -> Callable[[str, object], int]:
    """Make the check of a period: one of some numbers of days."""
    known = {str(days): days for days in allowed}

    def check(name: str, value: object) -> int:
        text = shown(int(value)) if is_number(value, whole=True) else value  # type: ignore[call-overload]
        if isinstance(text, str) and text.strip() in known:
            return known[text.strip()]
        days = ", ".join(map(str, allowed))
        raise InvalidArgumentError(f"{name} must be one of {days} (days); got {shown(value)}")

    return check


def check_search(name: str, value: object) -> str | None:
    """Return a search word or None."""
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise InvalidArgumentError(f"{name} must be a search word, or None for no search; got {shown(value)}")
    if value.strip().upper() == "FALSE":
        raise InvalidArgumentError(f"{name}: KeyAPI reads the word FALSE as no search. Pass None for no search")
    return value.strip()


def check_category_filter(name: str, value: object) -> str | None:
    """Return the id of a category or None."""
    if isinstance(value, str) and re.search("[^\\W\\d]", value):
        raise InvalidArgumentError(
            f"{name} must be the id of a category, not its name; got {shown(value)}. The rows of "
            "kr.fetch_product_insights have both"
        )
    return None if value is None else check_id(name, value)


def check_industry(name: str, value: object) -> str | None:
    """Return an industry by id or by name, or None."""
    if value is None:
        return None
    if not isinstance(value, str) or value.strip().isdigit():
        return check_id(name, value)
    by_name = {label.lower(): industry for industry, label in INDUSTRIES.items()}
    written = value.strip().lower()
    if written in by_name:
        return by_name[written]
    near = nearest_name(written, by_name) or next((label for label in by_name if written and written in label), None)
    if near is None:
        words = {word: label for label in by_name for word in re.findall(r"\w+", label)}
        near = words.get(nearest_name(written, words, _ALIKE_WORDS) or "")
    hint = f" Did you mean {INDUSTRIES[by_name[near]]!r}?" if near else ""
    raise InvalidArgumentError(
        f"{name}: {shown(value)} is not a valid industry.{hint} Choose from {', '.join(INDUSTRIES.values())} (or pass "
        "an id)"
    )


def check_choice(*allowed: str) -> Callable[[str, object], str]:
    """Make the check of a parameter that is one of some words."""

    def check(name: str, value: object) -> str:
        written = value.strip().lower() if isinstance(value, str) else ""
        if written in allowed:
            return written
        near = nearest_name(written, allowed, _ALIKE_WORDS)
        hint = f". Did you mean {near!r}?" if near else ""
        raise InvalidArgumentError(f"{name} must be one of {', '.join(allowed)}; got {shown(value)}{hint}")

    return check


def check_price(name: str, value: object) -> float | None:
    """Return a price, or None for no limit; as text only as it is sent."""
    value = plain_value(value)
    if value is None or (isinstance(value, float) and is_missing(value)):
        return None
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", value.strip()):
        value = float(value)
    if not is_number(value) or not 0 <= float(value) < _EXACT:  # type: ignore[arg-type]
        raise InvalidArgumentError(f"{name} must be a price such as 9.99, or None for no limit; got {shown(value)}")
    return float(f"{float(value):.15g}")  # type: ignore[arg-type]


def check_price_range(values: dict[str, Value], _today: date) -> dict[str, Value]:
    """Refuse a smallest price above the largest."""
    least, most = values["min_price"], values["max_price"]
    if isinstance(least, float) and isinstance(most, float) and least > most:
        raise InvalidArgumentError(f"min_price {least:.15g} is above max_price {most:.15g}. Exchange them")
    return values


def check_limit(limit: object) -> int | None:
    """Return a number of rows, or None for all."""
    if limit is None:
        return None
    if not is_number(limit, whole=True) or not 1 <= int(limit) < _FAR:  # type: ignore[call-overload]
        raise InvalidArgumentError(
            f"limit must be a whole number of at least 1, or None for all pages; got {shown(limit)}"
        )
    return int(limit)  # type: ignore[call-overload,no-any-return]


# Of endpoints without tables ---------------------------------------------------------------------------------


def check_path(path: object) -> str:
    """Return the path of an endpoint as KeyAPI's pages write it."""
    if isinstance(path, str) and len(path) <= _LONGEST_PATH and _PATH.fullmatch(path):
        return path
    why = f"; got {shown(path)}"
    if isinstance(path, str) and ("://" in path or path.startswith("//")):  # not shown: an address may have the token
        why = ". Leave out the host: requests go to the base_url of the connection only"
    elif isinstance(path, str) and ("?" in path or "#" in path):
        why = '. Pass parameters as params={"name": "value"}'
    raise InvalidArgumentError(f'path must be as KeyAPI\'s pages write it, such as "/v1/tiktok/video/captions"{why}')


def check_parameter_name(name: object) -> str:
    """Return the name of a parameter. One that looks like a credential is refused: addresses are stored and shown."""
    if not isinstance(name, str) or _PARAMETER.fullmatch(name) is None:
        raise InvalidArgumentError(f'params must be {{name: value}} with names such as "region"; got {shown(name)}')
    words = re.sub("(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).lower()
    parts = words.strip("_").split("_")
    pairs = (*parts, *map("".join, pairwise(parts)))
    found = next((word for word in _SECRETS for one in pairs if one.removesuffix("s").endswith(word)), None)
    if found is not None and not _CURSOR.fullmatch(words.strip("_")):  # the name may be the token itself: not shown
        raise InvalidArgumentError(
            f"params: a name with {found!r} in it looks like a credential, which would be stored and shown. The token "
            "goes into a header: set KEYAPI_TOKEN, or use connect(token=...)"
        )
    return name


def check_sent(name: str, value: object) -> str | None:
    """Return the value of a parameter as it is sent: text, a number, a flag or a date; None leaves it out."""
    value = plain_value(value)
    if isinstance(value, np.generic):
        value = pd.Timestamp(value) if isinstance(value, np.datetime64) else value.item()
    if value is not None and is_missing(value):
        raise InvalidArgumentError(f"{name}: the value is missing (it is {shown(value)}). Pass None to leave it out")
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, str):
        return _check_text(name, value)
    if isinstance(value, date):
        return _write_date(name, value)
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < _MOST_DIGITS:
        return _check_text(name, f"{value:f}")
    if is_number(value):
        return _write_number(name, value)
    listing = ' Pass several ids as text: "1,2,3".' if isinstance(value, Iterable) else ""
    raise InvalidArgumentError(
        f"{name} must be text, a number, a flag, a date or None; got {type(value).__name__}.{listing}"
    )


def _check_text(name: str, text: str | None) -> str | None:
    if text is not None and (len(text) > _LONGEST_TEXT or _NOT_IN_TEXT.search(text)):  # not shown: a token may be in it
        raise InvalidArgumentError(
            f"{name}: text must have at most {_LONGEST_TEXT:,} characters, and no line break or other control character"
        )
    return None if text is None else str.__str__(text)  # also of a member of an enumeration


def _write_date(name: str, value: date) -> str:
    if not isinstance(value, datetime):
        return value.isoformat()
    if value.time() != time():
        raise InvalidArgumentError(f"{name}: {shown(value)} has a time of day. Pass the date, as value.date()")
    return value.date().isoformat()


def _write_number(name: str, value: Any) -> str:
    if is_number(value, whole=True) and abs(value) < _LONGEST_NUMBER:
        return str(int(value))
    if not isinstance(value, float) or not abs(value) < _EXACT:
        raise InvalidArgumentError(f"{name}: the last digits of {shown(value)} may be lost. Pass text")
    return str(int(value)) if value.is_integer() else repr(value)


def check_key(name: str, value: object) -> str:
    """Return an id, which may have characters other than digits."""
    value = plain_value(value)
    if isinstance(value, str) and value.strip():
        return str(check_sent(name, value.strip()))
    if isinstance(value, str | bool):
        raise InvalidArgumentError(f"{name}: {shown(value)} is not a valid id")
    return check_id(name, value)


def check_handle(name: str, value: object) -> str:
    """Return the handle of a creator as it is requested and stored: in lower case, without @."""
    if is_missing(value) or not isinstance(value, str):
        raise InvalidArgumentError(f'{name} must be handles such as "tiktok" or "@tiktok"; got {shown(value)}')
    text = normal_handle(value)
    if not text or _NOT_IN_A_NAME.search(text) or "/" in text or "@" in text:
        advice = " Pass several as a list." if "," in text or " " in text else ""
        advice = " To use a URL, pass only the name after @." if "/" in text else advice
        raise InvalidArgumentError(f"{name}: {shown(value)} is not a valid handle.{advice}")
    return text


def check_whole(name: str, value: object) -> int:
    """Return a whole number of at least 1."""
    if not is_number(value, whole=True) or not 1 <= int(value) <= _LARGEST:  # type: ignore[call-overload]
        raise InvalidArgumentError(
            f"{name} must be a whole number of at least 1, and at most {_LARGEST:,}; got {shown(value)}"
        )
    return int(value)  # type: ignore[call-overload,no-any-return]
