"""How an answer is written and read, and the checksums of whatever is stored; they guard against damage, not attackers.

Bodies are what requests-cache's JSON serializer writes, so that plain requests-cache can list them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from hashlib import blake2b
from types import ModuleType
from typing import Any

from ..errors import StoreError
from .facts import compact_json, when


def digest(text: bytes) -> str:
    """Return the checksum of a text."""
    return blake2b(text, digest_size=8).hexdigest()


def checksum(values: Sequence[Any]) -> str:
    """Return the checksum of a row."""
    return digest(json.dumps(values).encode())


def is_sound(values: Sequence[Any], kept: object) -> bool:
    """Whether a row has its checksum; msgspec writes most rows in less time, the few it writes otherwise follow."""
    write = _msgspec().json
    text = write.format(write.encode(values), indent=0)
    # Read again: it writes bytes as text, and a number beyond all bounds as null.
    return (digest(text) == kept and write.decode(text) == list(values)) or checksum(values) == kept


def digest_of_data(envelope: Mapping[str, Any]) -> str:
    """Return the checksum of what an answer says, however it is spelled."""
    return digest(json.dumps(envelope.get("data"), separators=(",", ":"), sort_keys=True).encode())


def digests_of(body: bytes | None) -> tuple[str, str]:
    """Return the checksums of a body of format 1; of one that cannot be read, some that never fit."""
    try:
        return (digest_of_data(read_body(body)), digest(body)) if body else ("", "")
    except (ValueError, TypeError, KeyError, RecursionError):
        return "", ""


def read_body(body: bytes) -> dict[str, Any]:
    """Read the envelope of a stored answer; what requests-cache keeps around it is skipped."""
    try:
        envelope = _body_reader()(body).envelope
    except _msgspec().DecodeError:  # JSON of Python's own: NaN, numbers without bounds, half a surrogate pair
        envelope = json.loads(body)["_decoded_content"]
    return dict(envelope)


@cache
def _msgspec() -> ModuleType:
    """Import msgspec when the first row is read."""
    import msgspec  # noqa: PLC0415 - not while this package is imported

    return msgspec


@cache
def _body_reader() -> Callable[[bytes], Any]:
    field = _msgspec().field(name="_decoded_content")
    body = _msgspec().defstruct("Body", [("envelope", dict[str, Any], field)])
    decode: Callable[[bytes], Any] = _msgspec().json.Decoder(body).decode
    return decode


def write_body(url: str, envelope: Mapping[str, Any], observed_at: int) -> str:
    """Write an answer as requests-cache's JSON serializer does, readable and compact."""
    request, response, stage, header = _requests_cache()
    shell = response(
        url=url,
        status_code=200,
        reason="OK",
        headers=header,
        request=request(method="GET", url=url),
        created_at=when(observed_at),
    )
    written = stage.dumps(shell)
    written.pop("_content", None)
    return compact_json({**written, "_decoded_content": envelope})


def check_requests_cache() -> None:
    """Refuse to open what could not be written into: another library may have put something else into requests."""
    try:
        _requests_cache()
    except Exception as error:
        raise StoreError(
            f"requests-cache, which writes the store, cannot be imported ({type(error).__name__}: {error}). If other "
            "code replaces requests.Session, import keyapi_research and connect before it does"
        ) from error


@cache
def _requests_cache() -> tuple[Any, Any, Any, Any]:
    """Import what requests-cache writes its rows with, and make the only header that is kept.

    Others may carry cookies, or the token. The import takes a while: not while this package is imported.
    """
    from requests_cache.models import CachedRequest, CachedResponse  # noqa: PLC0415
    from requests_cache.serializers.preconf import json_preconf_stage  # noqa: PLC0415

    header = CachedResponse().headers.__class__({"Content-Type": "application/json"})
    return CachedRequest, CachedResponse, json_preconf_stage, header
