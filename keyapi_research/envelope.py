"""Envelopes: what an answer is worth. Only JSON with code 0 about the entity asked for is data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from . import schema
from .endpoints import Endpoint, Query
from .errors import (
    AccessDeniedError,
    AuthenticationError,
    CreditsExhaustedError,
    InvalidRequestError,
    KeyAPIError,
    NetworkError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    UnexpectedResponseError,
)
from .schema import DeepestLevel

_SHOWN: Final = 200  # characters of an odd answer that an error message quotes
_OK: Final = 200
_MOVED: Final = 300
_REFUSED: Final = 400
_BROKEN: Final = 500
_DEEPEST: Final = 100  # levels of nesting; the answers have a dozen
_CODE: Final = re.compile(r"\s*-?[0-9]{1,18}\s*")
_LONG_CODE: Final = 1000  # from here on the first three digits are an HTTP status: 40101 is a 401
_KEYS: Final = frozenset({"code", "data", "message", "msg", "requestId", "request_id", "has_more"})
_WRITTEN_KEYS: Final = tuple(f'"{key}"' for key in _KEYS)
_ESCAPED_LETTER: Final = re.compile(r"\\u00[4-7]")  # nobody writes one without a purpose
_DECODER: Final = json.JSONDecoder(strict=False)

_ERRORS: Final[Mapping[int, tuple[type[KeyAPIError], str]]] = {
    400: (InvalidRequestError, "KeyAPI refused the parameters; see them in .params"),
    401: (
        AuthenticationError,
        "KeyAPI does not accept the token: check KEYAPI_TOKEN (or connect(token=...)) against your account's key",
    ),
    402: (
        CreditsExhaustedError,
        "the account has no credits left: top it up and run the call again; what came before is stored",
    ),
    403: (AccessDeniedError, "the account may not use this endpoint: check its plan at KeyAPI"),
    404: (NotFoundError, "there is no such endpoint at this base_url; check it"),
    429: (RateLimitedError, "too many requests: wait, or connect with a lower requests_per_second"),
}
_PROXY_LOGIN: Final = 407
_PROXY_TEXT: Final = (
    "a proxy on the way wants a login, so the request did not reach KeyAPI. Put user and password into HTTPS_PROXY, or "
    "see whoever runs your network"
)
_PAGE_TEXT: Final = (
    "a web page came instead of KeyAPI's answer: of a proxy, a firewall or a login. Check base_url and your network; "
    "the page is on .answer"
)
_BROKEN_TEXT: Final = "KeyAPI or the service behind it failed; the same call may work later"


@dataclass(frozen=True, slots=True)
class Envelope:
    """An answer with code 0, as it will be stored: one envelope, unwrapped."""

    message: str | None
    request_id: str | None
    data: Any
    whole: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What an answer says of one entity (or of one page of a ranking)."""

    query: Query
    envelope: Mapping[str, Any]
    absent: bool = False
    ids: tuple[str | None, ...] = ()
    more: bool | None = None


def _whole_number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and _CODE.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) else None


def _text(value: object) -> str | None:
    return schema.writable(value) if isinstance(value, str) else None


def _message_of(node: Mapping[str, Any]) -> str | None:
    return _text(node.get("message")) or _text(node.get("msg"))


def _request_id_of(node: Mapping[str, Any]) -> str | None:
    return _text(node.get("requestId")) or _text(node.get("request_id"))


class KeyTwiceError(ValueError):
    """An envelope has a key twice: two readers may take it for two answers."""


class _Doubled(dict[str, Any]):
    """An object in which a key of envelopes comes twice."""


def _note_doubled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs if key in _KEYS]
    return _Doubled(pairs) if len(keys) > len(set(keys)) else dict(pairs)


def _check_keys(text: str) -> None:
    """Refuse an envelope with a key twice; what is deeper in the data is KeyAPI's business."""
    if max(map(text.count, _WRITTEN_KEYS)) < 2 and _ESCAPED_LETTER.search(text) is None:  # noqa: PLR2004 - it is "twice"
        return  # nearly always; looking at all pairs takes twice as long
    node = json.loads(text, strict=False, object_pairs_hook=_note_doubled)
    while isinstance(node, dict):
        if isinstance(node, _Doubled):
            raise KeyTwiceError("a key comes twice")
        inner = node.get("data")
        node = inner if isinstance(inner, dict) and "code" in inner else None


def read_json(body: bytes) -> Any:
    """Read a body as JSON; control characters inside texts are accepted.

    Raises
    ------
    ValueError
        It is none: text, half a document, another encoding, nested beyond reason, or numbers beyond all bounds.
        KeyTwiceError where it is JSON and its envelope has a key twice.
    """
    text = body.decode(json.detect_encoding(body), "surrogatepass")
    try:
        payload = _DECODER.decode(text)
        _check_keys(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [payload]
    for _ in range(_DEEPEST):
        inner = (node.values() if isinstance(node, dict) else node for node in level if isinstance(node, dict | list))
        level = [node for nodes in inner for node in nodes]
        if not level:
            return payload
    raise ValueError("nested too deeply")  # what can be read may still be too deep to be written


def _why_none(body: bytes) -> str:
    """Say why a body is not the JSON object of an envelope."""
    try:
        read_json(body)
    except KeyTwiceError as error:
        return f"in its envelope {error}, so it does not say one thing"
    except ValueError:
        pass
    text = body.decode("utf-8", "replace").strip()
    return f"it starts with {text[:60]!r}" if text else "it is empty"


def refusal(
    *,
    status: int,
    code: int | None,
    message: str | None,
    request_id: str | None,
    retry_after: float | None,
    answer: Any,
) -> KeyAPIError:
    """Make the error of an answer that is none, from its HTTP status and its code."""
    reason = status if code is None or code in (0, _OK) else code
    if reason >= _LONG_CODE:
        reason = int(str(reason)[:3])
    kind: type[KeyAPIError]
    if status == _PROXY_LOGIN and code is None:
        kind, advice = NetworkError, _PROXY_TEXT
    elif reason in _ERRORS:
        kind, advice = _ERRORS[reason]
    elif status in _ERRORS and (code is None or status >= _REFUSED):
        kind, advice = _ERRORS[status]
    elif _REFUSED <= reason < _BROKEN:
        kind, advice = InvalidRequestError, _ERRORS[400][1]
    else:
        kind, advice = ServerError, _BROKEN_TEXT
    if isinstance(answer, str) and answer.lstrip().startswith("<"):
        advice, message = advice if status == _PROXY_LOGIN else _PAGE_TEXT, None
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
    """Take the data out of an answer.

    Parameters
    ----------
    status : int
        HTTP status.
    body : bytes
        The body, for errors.
    payload : object
        The body as JSON, or None where it is none.
    retry_after : float or None
        Seconds the service asked to wait.

    Raises
    ------
    KeyAPIError
        The class says why it is no data.
    """
    if _MOVED <= status < _REFUSED:
        raise UnexpectedResponseError(
            f"the answer (HTTP {status}) points to another address, which is not followed: the token goes to base_url "
            "only. Check base_url, and whether a proxy or a login page answers",
            status_code=status,
            answer=body.decode("utf-8", "replace") if payload is None else payload,
        )
    if not isinstance(payload, dict):
        text = body.decode("utf-8", "replace")
        if status >= _REFUSED:
            raise refusal(
                status=status,
                code=None,
                message=text.strip()[:_SHOWN] or None,
                request_id=None,
                retry_after=retry_after,
                answer=text,
            )
        raise UnexpectedResponseError(
            f"the answer (HTTP {status}) is not the JSON object KeyAPI documents: {_why_none(body)}. It may have been "
            "charged; it is on .answer and is not served. Check base_url, and whether a proxy or a login page answers",
            status_code=status,
            answer=text,
        )
    request_id = _request_id_of(payload)
    node: dict[str, Any] = payload
    while status < _REFUSED and _wraps_another(node):
        node = node["data"]
        request_id = _request_id_of(node) or request_id
    code = _whole_number(node.get("code"))
    if status >= _REFUSED or (code is not None and code not in (0, _OK)):
        raise refusal(
            status=status,
            code=code,
            message=_message_of(node),
            request_id=request_id,
            retry_after=retry_after,
            answer=payload,
        )
    if code != 0 or "data" not in node:
        lacks = "code 0" if code != 0 else "data"
        raise UnexpectedResponseError(
            f"the answer (HTTP {status}) has no {lacks}: not KeyAPI's envelope. It is on .answer and is not served",
            status_code=status,
            code=code,
            message=_message_of(node),
            request_id=request_id,
            answer=payload,
        )
    whole = payload if node is payload else {**payload, **node}
    return Envelope(_message_of(node), request_id, node["data"], whole)


def _wraps_another(node: Mapping[str, Any]) -> bool:
    """Whether the data of an envelope that says success are an envelope themselves."""
    inner = node.get("data")
    within = isinstance(inner, dict) and _whole_number(inner.get("code")) is not None
    return within and _whole_number(node.get("code")) in (0, _OK)


def dig(node: Any, path: str) -> Any:
    """Follow a dotted path through objects."""
    for step in path.split(".") if path else ():
        if not isinstance(node, dict):
            return None
        node = node.get(step)
    return node


def identify(endpoint: Endpoint, node: Any, below: str) -> str | None:
    """Read whom a record (or row) is about, as its table has it; `below` is the path that leads to the node."""
    place = endpoint.identity
    if isinstance(place, DeepestLevel):
        ids = (dig(node, f"{level.removeprefix(below)}.{place.leaf}") for level in place.levels)
        return schema.plain_id(next((one for one in ids if not schema.is_blank(one)), None))
    value = dig(node, place.path.removeprefix(below))
    column = endpoint.entity.column if endpoint.entity else endpoint.tables[0].key[-1]
    if endpoint.tables[0][column].kind != "hashtag":
        return schema.plain_id(value)
    return schema.normal_hashtag(schema.writable(value)) or None if isinstance(value, str) else None


def _empty(node: Any) -> bool:
    return node is None or node in ({}, [], "")


def _odd(envelope: Envelope, text: str) -> UnexpectedResponseError:
    return UnexpectedResponseError(
        f"{text}. It may have been charged; it is on .answer and is not served",
        status_code=_OK,
        code=0,
        message=envelope.message,
        request_id=envelope.request_id,
        answer=envelope.whole,
    )


def match(endpoint: Endpoint, queries: Sequence[Query], envelope: Envelope) -> list[Found | UnexpectedResponseError]:
    """Say for each entity asked what the answer has: its record, nothing, or something else.

    A misspelt or ignored parameter brings somebody else's data with code 0, so an answer that does not name the
    entity asked for is never taken for it.
    """
    if endpoint.ranking:
        return [_match_page(endpoint, queries[0], envelope)]
    if endpoint.record:
        return [_match_record(endpoint, queries[0], envelope)]
    return _match_rows(endpoint, queries, envelope)


def _match_record(endpoint: Endpoint, query: Query, envelope: Envelope) -> Found | UnexpectedResponseError:
    data = envelope.data
    if _empty(data):
        return Found(query, envelope.whole, absent=True)
    if not isinstance(data, dict) or endpoint.record not in data:
        return _odd(envelope, f"the answer for {query.id!r} has no data.{endpoint.record}: its shape has changed")
    record = data[endpoint.record]
    if _empty(record):
        return Found(query, envelope.whole, absent=True)
    identity = identify(endpoint, data, "")
    if identity == query.id:
        return Found(query, envelope.whole)
    if identity is None:
        return _odd(envelope, f"the answer for {query.id!r} does not say whom it is about ({endpoint.identity})")
    return _odd(envelope, f"asked for {query.id!r}, the answer is about {identity!r}")


def _match_rows(
    endpoint: Endpoint, queries: Sequence[Query], envelope: Envelope
) -> list[Found | UnexpectedResponseError]:
    rows = [] if _empty(envelope.data) else envelope.data
    if not isinstance(rows, list):
        return [_odd(envelope, f"the answer for {query.id!r} is no list: its shape has changed") for query in queries]
    by_id: dict[str | None, list[Any]] = {}
    for row in rows:
        by_id.setdefault(identify(endpoint, row, "[]."), []).append(row)
    foreign = set(by_id) - {query.id for query in queries}
    found: list[Found | UnexpectedResponseError] = []
    for query in queries:
        if query.id in by_id:
            found.append(Found(query, {**envelope.whole, "data": by_id[query.id]}))
        elif foreign:
            whom = ", ".join(sorted(repr(one) if one else "nobody" for one in foreign)[:3])
            found.append(_odd(envelope, f"asked for {query.id!r}, the answer has rows about {whom} instead"))
        else:
            found.append(Found(query, {**envelope.whole, "data": []}, absent=True))
    return found


def _match_page(endpoint: Endpoint, query: Query, envelope: Envelope) -> Found | UnexpectedResponseError:
    data = {} if _empty(envelope.data) else envelope.data
    if not isinstance(data, dict):
        return _odd(envelope, "the page of the ranking is no object: its shape has changed")
    rows = data.get(endpoint.record)
    others = {name for name, value in data.items() if isinstance(value, list) and value and name != endpoint.record}
    if (rows is not None and not isinstance(rows, list)) or (rows is None and others):
        return _odd(envelope, f"the page of the ranking has no list data.{endpoint.record}: its shape has changed")
    ids = tuple(identify(endpoint, row, f"{endpoint.record}[].") for row in rows or ())
    if ids and not any(ids):
        return _odd(envelope, f"no row of the ranking says whom it is about ({endpoint.identity})")
    pagination = data.get("pagination")
    more = pagination.get("has_more") if isinstance(pagination, dict) else None
    more = data.get("has_more") if more is None else more
    more = envelope.whole.get("has_more") if more is None else more
    return Found(query, envelope.whole, ids=ids, more=_flag(more))


def _flag(value: object) -> bool | None:
    written = str(value).strip().lower() if isinstance(value, bool | int | str) else ""
    return schema.FLAG_WORDS.get(written)
