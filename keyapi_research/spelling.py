"""Names, ids and other texts: the one way each is written, whoever wrote it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

NOT_AVAILABLE: Final = -99999  # the sentinel of video analytics
NO_ID: Final = str(NOT_AVAILABLE)
FLAG_WORDS: Final[Mapping[str, bool]] = MappingProxyType({"true": True, "1": True, "false": False, "0": False})
_EXACT_FLOATS: Final = 2**53
DAY: Final = re.compile(r"([0-9]{4})(?:-([0-9]{2})-|([0-9]{2}))([0-9]{2})")


# Zero-width characters, direction characters, and characters that select a colourful or a plain emoji.
_UNSEEN: Final = (
    0x00AD, 0x034F, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2070),
    0xFE0E, 0xFE0F, 0xFEFF, *range(0xFFF9, 0xFFFC),
)
_FOLDED: Final = dict.fromkeys(_UNSEEN) | {full: full - 0xFEE0 for full in range(0xFF01, 0xFF5F)}  # full-width ASCII
_JOINERS: Final = re.compile(r"(.?)([\u200c\u200d]+)(?=(.?))", re.DOTALL)
_LEAD: Final = re.compile(r"[\s#]*")
_LONGEST_NAME: Final = 1000  # TikTok's have 100 at most; sorting the accents of a long text takes minutes


def _joined(found: re.Match[str]) -> str:
    """Keep joiners where they join: scripts and emoji have them, ASCII has not."""
    before, joiners, after = found.groups()
    return before + joiners if before > "\x7f" and after > "\x7f" else before


def _write_hashtag(name: str) -> str:
    text = name.strip().lower() if name.isascii() else _write_letters(name).strip()
    lead = _LEAD.match(text) if text.startswith("#") else None
    return text[lead.end() :] if lead and lead[0].count("#") == 1 else text


def _write_letters(name: str) -> str:
    text = unicodedata.normalize("NFC", name.translate(_FOLDED))
    text = text.lower().replace("i\u0307", "i")  # the small form of a capital I with dot
    return unicodedata.normalize("NFC", _JOINERS.sub(_joined, text))


def normal_hashtag(name: str) -> str:
    """Write a hashtag name the one way it is requested, keyed and compared; what is written so stays so."""
    text = name.strip()
    while len(text) <= _LONGEST_NAME and (written := _write_hashtag(text)) != text:
        text = written  # what was dropped may have kept apart what belongs together
    return text


def normal_handle(name: str) -> str:
    """Write the handle of a creator as it is requested, keyed and compared."""
    return name.strip().removeprefix("@").lower()


def normal_day(value: object) -> str | None:
    """Write a day of an answer, yyyy-MM-dd or yyyymmdd, as it is requested and keyed; None where it is none."""
    found = DAY.fullmatch(str(value).strip()) if isinstance(value, str | int) else None
    try:
        return date(*map(int, filter(None, found.groups()))).isoformat() if found else None
    except ValueError:
        return None


def writable(text: str) -> str:
    """Replace half a surrogate pair, which no file can hold; JSON can."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def is_blank(value: object) -> bool:
    """Whether an answer has nothing there: null, text without a character, or the sentinel."""
    if isinstance(value, str):
        return value.strip() in {"", NO_ID}
    return value is None or value == NOT_AVAILABLE


def plain_id(value: object) -> str | None:
    """Write an id of an answer as text, whatever JSON type it came in; None where digits may be lost."""
    if is_blank(value):
        return None
    if isinstance(value, str):
        return writable(value.strip())
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOATS:
        return str(int(value))
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None
