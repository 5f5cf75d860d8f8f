"""Envelopes: what of an answer is data, and about whom. Only JSON with code 0 about the entity requested is data."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from . import errors
from .errors import KeyAPIError, UnexpectedResponseError
from .model import Endpoint, Series
from .places import DeepestLevel, Field
from .queries import Query
from .rows import counted_items, each_at, has_nothing, is_empty, is_empty_list
from .spelling import FLAG_WORDS, is_blank, normal_day, normal_handle, normal_hashtag, plain_id, writable

_SHOWN: Final = 200  # characters of an answer that an error message quotes
_OK: Final = 200
_MOVED: Final = 300
_REFUSED: Final = 400
_BROKEN: Final = 500
_DEEPEST: Final = 100  # levels of nesting; the answers have a dozen
_CODE: Final = re.compile(r"\s*-?[0-9]{1,18}\s*")
_LONG_CODE: Final = 1000  # from here on the first three digits are an HTTP status: 40101 is a 401

_ERRORS: Final[Mapping[int, tuple[type[KeyAPIError], str]]] = {
    400: (errors.InvalidRequestError, "KeyAPI refused the parameters, which are on .params"),
    401: (
        errors.AuthenticationError,
        "KeyAPI does not accept the token: check KEYAPI_TOKEN (or connect(token=...)) against your account's key",
    ),
    402: (
        errors.CreditsExhaustedError,
        "the account has no credits left. Top it up and run the call again; earlier answers are stored",
    ),
    403: (errors.AccessDeniedError, "the account may not use this endpoint; check its plan at KeyAPI"),
    404: (errors.NotFoundError, "there is no such endpoint at base_url. Check the path, and base_url"),
    429: (errors.RateLimitedError, "too many requests: wait, or connect with a lower requests_per_second"),
}
_FAILED: Final = errors.ServerError, "KeyAPI or the service behind it failed. The same call may work later"
_PROXY_LOGIN: Final = 407
_PROXY: Final = (
    errors.NetworkError,
    "a proxy requires a login, so the request did not reach KeyAPI. Put the user name and password into HTTPS_PROXY, "
    "or contact your network administrator",
)
_PAGE_TEXT: Final = (
    "a web page came instead of KeyAPI's answer, perhaps from a proxy, firewall or login. It is on .answer; check "
    "base_url and your network"
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """An answer with code 0, as it will be stored: one envelope, unwrapped."""

    message: str | None
    request_id: str | None
    data: Any
    whole: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What an answer has of one entity (or of one page of a ranking)."""

    query: Query
    envelope: Mapping[str, Any]
    absent: bool = False
    ids: tuple[str | None, ...] = ()
    more: bool | None = None


class KeyTwiceError(ValueError):
    """An envelope has a key twice: two readers may see two answers in it."""


def read_json(body: bytes) -> Any:
    """Read a body as JSON; control characters inside texts are accepted.

    Raises ValueError where it is not JSON or nested beyond reason, KeyTwiceError where its envelope has a key twice.
    """
    doubled: list[dict[str, Any]] = []

    def make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            doubled.append(made)
        return made

    text = body.decode(json.detect_encoding(body), "surrogatepass")
    try:
        payload = json.loads(text, strict=False, object_pairs_hook=make_object)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if any(node is one for node in _envelopes(payload) for one in doubled):
        raise KeyTwiceError("a key comes twice")  # deeper in the data it is KeyAPI's business
    level = [payload]
    for _ in range(_DEEPEST):
        inner = (node.values() if isinstance(node, dict) else node for node in level if isinstance(node, dict | list))
        level = [node for nodes in inner for node in nodes]
        if not level:
            return payload
    raise ValueError("nested too deeply")  # what can be read may still be too deep to be written


def _envelopes(node: Any) -> Iterator[dict[str, Any]]:
    """Yield an envelope and those inside it."""
    while isinstance(node, dict):
        yield node
        inner = node.get("data")
        node = inner if isinstance(inner, dict) and "code" in inner else None


def refusal(
    *,
    status: int,
    answer: Any,
    code: int | None = None,
    message: str | None = None,
    request_id: str | None = None,
    retry_after: float | None = None,
) -> KeyAPIError:
    """Make the error of an answer without data, from its HTTP status and its code."""
    reason = status if code is None or code in (0, _OK) else code
    if reason >= _LONG_CODE:
        reason = int(str(reason)[:3])
    other = _ERRORS[_REFUSED] if _REFUSED <= reason < _BROKEN else _FAILED
    kind, advice = _ERRORS.get(reason) or _ERRORS.get(status) or other
    if isinstance(answer, str) and answer.lstrip().startswith("<"):
        advice, message = _PAGE_TEXT, None
    if status == _PROXY_LOGIN and code is None:
        kind, advice = _PROXY
    advice += f". It asks for a wait of {retry_after:,.0f} seconds" if retry_after else ""
    said = f' KeyAPI says: "{message[:_SHOWN]}".' if message else ""
    numbers = f"HTTP {status}" + (f", code {code}" if code is not None else "")
    return kind(
        f"{advice} ({numbers}).{said}",
        status_code=status,
        code=code,
        message=message,
        request_id=request_id,
        retry_after=retry_after,
        answer=answer,
    )


def open_envelope(status: int, body: bytes, payload: Any, *, retry_after: float | None) -> Envelope:
    """Return the envelope of an answer, whose body as JSON is `payload`; raise an error where it has no data."""
    if _MOVED <= status < _REFUSED:
        raise UnexpectedResponseError(
            f"the answer (HTTP {status}) is a redirect, which is not followed because the token goes to base_url only. "
            "Check base_url, and whether a proxy or a login page answers",
            status_code=status,
            answer=body.decode("utf-8", "replace") if payload is None else payload,
        )
    if not isinstance(payload, dict):
        raise _without_object(status, body, retry_after)
    request_id = _text_of(payload, "requestId", "request_id")
    node: dict[str, Any] = payload
    while status < _REFUSED and _wraps_another(node):
        node = node["data"]
        request_id = _text_of(node, "requestId", "request_id") or request_id
    code, message = _whole_number(node.get("code")), _text_of(node, "message", "msg")
    if status >= _REFUSED or code not in (None, 0, _OK):
        raise refusal(
            status=status, answer=payload, code=code, message=message, request_id=request_id, retry_after=retry_after
        )
    if code != 0 or "data" not in node:
        lacks = "code 0" if code != 0 else "data"
        text = f"the answer (HTTP {status}) has no {lacks}, so it was not used. It is on .answer"
        raise UnexpectedResponseError(
            text, status_code=status, code=code, message=message, request_id=request_id, answer=payload
        )
    whole = payload if node is payload else {**payload, **node}
    return Envelope(message, request_id, node["data"], whole)


def _without_object(status: int, body: bytes, retry_after: float | None) -> KeyAPIError:
    """Make the error of an answer that is not a JSON object."""
    text = body.decode("utf-8", "replace")
    if status >= _REFUSED:
        return refusal(status=status, message=text.strip()[:_SHOWN] or None, retry_after=retry_after, answer=text)
    why = f"it starts with {text.strip()[:60]!r}" if text.strip() else "it is empty"
    try:
        read_json(body)
    except KeyTwiceError as error:
        why = f"in its envelope {error}, so its meaning is not clear"
    except ValueError:
        pass
    return UnexpectedResponseError(
        f"the answer (HTTP {status}) is not the JSON object KeyAPI documents: {why}. It was not used, "
        "may have been charged and is on .answer: check base_url, and whether a proxy or a login page answers",
        status_code=status,
        answer=text,
    )


def _whole_number(value: object) -> int | None:
    if isinstance(value, str) and _CODE.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text_of(node: Mapping[str, Any], *names: str) -> str | None:
    """Return the first text there is under some names."""
    texts = (node.get(name) for name in names)
    return next((writable(text) for text in texts if isinstance(text, str) and text), None)


def _wraps_another(node: Mapping[str, Any]) -> bool:
    """Whether the data of an envelope that reports success are an envelope themselves."""
    inner = node.get("data")
    within = isinstance(inner, dict) and _whole_number(inner.get("code")) is not None
    return within and _whole_number(node.get("code")) in (0, _OK)


def identify(endpoint: Endpoint, node: Any, below: str) -> str | None:
    """Return whom a record (or row) is about, as its table has it; `below` is the path that leads to the node."""
    place = endpoint.identity
    if isinstance(place, DeepestLevel):
        ids = (_dig(node, f"{level.removeprefix(below)}.{place.leaf}") for level in place.levels)
        return plain_id(next((one for one in ids if not is_blank(one)), None))
    if place is None:  # without an id, all values of a row identify it
        return hashlib.sha256(json.dumps(node, sort_keys=True).encode()).hexdigest()
    value = _dig(node, place.path.removeprefix(below))
    if value is None and place.around:
        value = _dig(node, place.around)
    return plain_id(value) if endpoint.ranking and endpoint.entity else _normal(endpoint, value)


def _normal(endpoint: Endpoint, value: Any) -> str | None:
    """Write the id of an answer as it is requested."""
    if endpoint.identity_kind == "id":
        return plain_id(value)
    normal = normal_hashtag if endpoint.identity_kind == "hashtag" else normal_handle
    return normal(writable(value)) or None if isinstance(value, str) else None


def _dig(node: Any, path: str) -> Any:
    """Follow a dotted path through objects."""
    for step in path.split(".") if path else ():
        if not isinstance(node, dict):
            return None
        node = node.get(step)
    return node


def match(
    endpoint: Endpoint, queries: Sequence[Query], envelope: Envelope, within: tuple[str, str] | None = None
) -> list[Found | UnexpectedResponseError]:
    """Return for each entity requested what the answer has: its record, nothing, or the error of something else.

    A misspelt or ignored parameter brings somebody else's data with code 0, so an answer that does not name the
    entity requested never counts as its. For a series, `within` is the first and last day of the range requested:
    other days in it that come along are returned, too; days that may be on the next page are not.
    """
    place = endpoint.identity
    if endpoint.series is not None:
        return _match_days(endpoint, endpoint.series, queries, envelope, within)
    lists = place.path.count("[]") if isinstance(place, Field) else 0
    if endpoint.ranking:
        return [_match_page(endpoint, queries[0], envelope)]
    if endpoint.record and place is not None and not lists:
        return [_match_record(endpoint, queries[0], envelope)]
    if isinstance(place, Field) and lists == 1 and place.path.startswith("[]."):
        return _match_rows(endpoint, queries, envelope)
    return [_match_answer(endpoint, queries[0], envelope)]


def _match_answer(endpoint: Endpoint, query: Query, envelope: Envelope) -> Found | UnexpectedResponseError:
    """Match an answer to the id that was requested: every id in it must be that one."""
    if _has_nothing(endpoint, envelope.data):
        return Found(query, envelope.whole, absent=True)
    return _about_another(endpoint, endpoint.identity, query, envelope) or Found(query, envelope.whole)


def _about_another(
    endpoint: Endpoint, place: Field | DeepestLevel | None, query: Query, envelope: Envelope
) -> UnexpectedResponseError | None:
    """Return the error of an answer that has another id, or none; None where it has the one requested."""
    if not isinstance(place, Field):
        return None
    ways = (place.path, *filter(None, [place.around]))
    found = next(filter(None, (each_at(envelope.data, way) for way in ways)), ())
    named = {_normal(endpoint, one) for one in found} - {None}
    if named == {query.id}:
        return None
    whom = ", ".join(sorted(repr(one) for one in named)[:3])
    text = f"is about {whom}" if whom else f"does not name its id ({place})"
    return _unexpected(envelope, f"{query.id!r} was requested, but the answer {text}")


def _match_record(endpoint: Endpoint, query: Query, envelope: Envelope) -> Found | UnexpectedResponseError:
    data, record = envelope.data, endpoint.record
    known = isinstance(data, dict) and record in data
    if is_empty(data) or _lacks_record(endpoint, data):
        return Found(query, envelope.whole, absent=True)
    identity = identify(endpoint, data, "") if known else None
    if not known:
        text = f"the answer for {query.id!r} has no data.{record}: its structure has changed"
    elif identity is None:
        text = f"the answer for {query.id!r} does not name its id ({endpoint.identity})"
    else:
        text = f"{query.id!r} was requested, but the answer is about {identity!r}"
    return Found(query, envelope.whole) if identity == query.id else _unexpected(envelope, text)


def _has_nothing(endpoint: Endpoint, data: Any) -> bool:
    """Whether an answer that nobody can say whom it is about has nothing of what the caller wants of it."""
    if endpoint.tables:
        return is_empty(data) or _lacks_record(endpoint, data)
    if endpoint.items is None:
        return has_nothing(data)
    return is_empty(data) or ("[]" in endpoint.items and is_empty_list(data, endpoint.counted))


def _lacks_record(endpoint: Endpoint, data: Any) -> bool:
    """Whether there is nothing where the record should be."""
    return isinstance(data, dict) and endpoint.record in data and is_empty(data[endpoint.record])


def _match_rows(
    endpoint: Endpoint, queries: Sequence[Query], envelope: Envelope
) -> list[Found | UnexpectedResponseError]:
    rows = [] if is_empty(envelope.data) else envelope.data
    if not isinstance(rows, list):
        text = "the answer for {!r} is not a list: its structure has changed"
        return [_unexpected(envelope, text.format(query.id)) for query in queries]
    by_id: dict[str | None, list[Any]] = {}
    for row in rows:
        by_id.setdefault(identify(endpoint, row, "[]."), []).append(row)
    foreign = set(by_id) - {query.id for query in queries}
    whom = ", ".join(sorted(repr(one) if one else "nobody" for one in foreign)[:3])
    found: list[Found | UnexpectedResponseError] = []
    for query in queries:
        own = by_id.get(query.id, [])
        if foreign and not own:
            text = f"{query.id!r} was requested, but the answer has rows about {whom} instead"
            found.append(_unexpected(envelope, text))
        else:
            found.append(Found(query, {**envelope.whole, "data": own}, absent=not own))
    return found


def _match_days(
    endpoint: Endpoint, series: Series, queries: Sequence[Query], envelope: Envelope, within: tuple[str, str] | None
) -> list[Found | UnexpectedResponseError]:
    """Match a page of days. A page that is not full is the last: days that have not come by then are missing."""
    query = queries[0]
    first, last = within or (query.day, query.day)
    rows = [] if is_empty(envelope.data) else envelope.data
    by_day: dict[str, list[Any]] = {}
    text = "" if isinstance(rows, list) else f"the answer for {query.id!r} is not a list: its structure has changed"
    for row in [] if text else rows:
        whom, written = identify(endpoint, row, "[]."), _dig(row, series.day.path.removeprefix("[]."))
        day = normal_day(written)
        if whom != query.id:
            text = f"{query.id!r} was requested, but the answer has rows about {whom!r}"
        elif day is None:
            text = f"the answer for {query.id!r} has a row whose day ({series.day}) is {written!r:.40}"
        elif not first <= day <= last:
            text = f"{first} to {last} were requested of {query.id!r}, but the answer has {day}"
        else:
            by_day.setdefault(day, []).append(row)
            continue
        break
    if text:
        return [_unexpected(envelope, text)] * len(queries)
    pending = {one.day: one for one in queries}
    ended = len(rows) < series.paging.most or pending.keys() <= by_day.keys()
    found: list[Found | UnexpectedResponseError] = []
    for day in [*by_day, *(day for day in pending if ended and day not in by_day)]:
        of_day = pending.get(day) or Query(endpoint, (*query.values[:-1], day))
        own = by_day.get(day, [])
        found.append(Found(of_day, {**envelope.whole, "data": own}, absent=not own))
    return found


def _match_page(endpoint: Endpoint, query: Query, envelope: Envelope) -> Found | UnexpectedResponseError:
    rows = _rows_of_page(endpoint, envelope.data)
    if rows is None:
        text = f"the page has no list {Field(endpoint.record)}: its structure is not the one declared"
        return _unexpected(envelope, text)
    below = f"{endpoint.record}[]."
    if rows and (error := _about_another(endpoint, endpoint.owner, query, envelope)):
        return error
    ids = tuple(identify(endpoint, row, below) for row in rows)
    if ids and not any(ids):
        return _unexpected(envelope, f"no row of the ranking names its id ({endpoint.identity})")
    data = envelope.data if isinstance(envelope.data, dict) else {}
    written = (_dig(data, "pagination.has_more"), data.get("has_more"), envelope.whole.get("has_more"))
    more = next((one for one in written if one is not None), None)
    if endpoint.identity is None and not endpoint.record:
        absent = not rows and _has_nothing(endpoint, envelope.data)
    else:
        no_place = endpoint.identity is None or endpoint.entity is not None
        absent = not rows and (no_place or (endpoint.paging is not None and endpoint.paging.exact))
    return Found(query, envelope.whole, absent, ids, FLAG_WORDS.get(str(more).strip().lower()))


def _rows_of_page(endpoint: Endpoint, data: Any) -> list[Any] | None:
    """Return the rows of a page; None where the structure is not as declared."""
    if is_empty(data):
        return []
    if endpoint.identity is None and not endpoint.record:
        return counted_items(data, endpoint.counted)
    if not endpoint.record:
        return data if isinstance(data, list) else None
    if not isinstance(data, dict):
        return None
    rows = _dig(data, endpoint.record)
    top = endpoint.record.partition(".")[0]
    others = any(isinstance(value, list) and value for name, value in data.items() if name != top)
    return rows if isinstance(rows, list) else [] if rows is None and not others else None


def _unexpected(envelope: Envelope, text: str) -> UnexpectedResponseError:
    return UnexpectedResponseError(
        f"{text}. The answer is on .answer; it was not used but may have been charged",
        status_code=_OK,
        code=0,
        request_id=envelope.request_id,
        answer=envelope.whole,
    )
