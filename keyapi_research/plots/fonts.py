"""Names in any script: drawn where an installed font has their characters, else a note; never boxes.

Imports matplotlib: only `charts` may import this.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import matplotlib as mpl
from matplotlib import font_manager, ft2font

from .reading import Name, numbered

# with libraqm matplotlib (3.11 and later) orders right-to-left text and joins its letters; without it, it does not
SHAPES_TEXT: Final = hasattr(ft2font, "__libraqm_version__")
_NOT_REAL: Final = ("last resort", "lastresort", "blank")  # fonts that have a box for every character
_PLAINER_FIRST: Final = ("mono", "serif", "display", "narrow", "condensed", "emoji", "symbol")
_VIRAMA: Final = 9  # combining class of marks that melt letters together
_REGULAR: Final = 400
_JOINERS: Final = "\ufe0e\ufe0f\u200d"


@dataclass(frozen=True)
class Letters:
    """Labels as they can be drawn, the properties of the text that draws them, and notes for the reader."""

    labels: list[str]
    style: dict[str, Any]
    notes: list[str]


def letter(names: Sequence[Name]) -> Letters:
    """Find fonts for names; those that no font can write become their plain form, or their script and place.

    Parameters
    ----------
    names : sequence of Name
        Names in the order they are drawn.

    Returns
    -------
    Letters
        As many labels as names.
    """
    labels, unwritten, thinned = [], 0, 0
    for place, name in enumerate(names, 1):
        text = " ".join(name.text.split())
        lacking = [character for character in text if not _is_drawable(character)]
        kept = _without(text, set(filter(_is_ornament, lacking)))
        if not lacking:
            labels.append(text)
        elif all(map(_is_ornament, lacking)) and any(character.isalnum() for character in kept):
            labels.append(" ".join(kept.split()))
            thinned += any(unicodedata.category(character) in ("So", "Sk", "Cn") for character in lacking)
        else:
            labels.append(name.plain or f"({_script(lacking)} name, no. {place})")
            unwritten += 1
    notes = []
    if unwritten:
        reason = "in a script no installed font has" if SHAPES_TEXT else "in a script that cannot be drawn here"
        notes.append(f"{_names(unwritten)} {reason}.")
    if thinned:
        notes.append(f"{_names(thinned)} drawn without emoji that no installed font has.")
    return Letters(numbered(labels), text_style("".join(labels)), notes)


def text_style(text: str = "") -> dict[str, Any]:
    """Properties of a text that is drawn as it is: no mathtext, no TeX, with fonts for its characters."""
    families = [_family_with(character) for character in sorted(set(text)) if not _in_base_font(character)]
    base = list(mpl.rcParams["font.family"])
    return {
        "fontfamily": list(dict.fromkeys(base + [family for family in families if family])),
        "parse_math": False,
        "usetex": False,
    }


def _without(text: str, dropped: set[str]) -> str:
    """Drop characters and what only joins or colours them."""
    kept, joins = "", False
    for character in text:
        joins = character in dropped or (joins and character in _JOINERS)
        kept += "" if joins else character
    return kept


def _names(count: int) -> str:
    return f"{count} name{'s' if count != 1 else ''}"


def _script(characters: list[str]) -> str:
    letters = [character for character in characters if not _is_ornament(character)]
    if not letters:
        return "emoji"
    script = unicodedata.name(letters[0], "unknown").split()[0]
    return script if script == "CJK" else script.capitalize()


def _is_ornament(character: str) -> bool:
    """Whether a name is still the name without this: emoji, their modifiers, controls, half characters."""
    category = unicodedata.category(character)
    return category in ("So", "Sk", "Cc", "Cf", "Cn", "Co", "Cs") or "\ufe00" <= character <= "\ufe0f"


def _is_drawable(character: str) -> bool:
    if character == " ":
        return True
    if unicodedata.category(character) in ("Cc", "Cs"):
        return False
    return (SHAPES_TEXT or not _needs_shaping(character)) and (
        _in_base_font(character) or _family_with(character) is not None
    )


def _needs_shaping(character: str) -> bool:
    """Whether a character comes out in the wrong place or shape when letters are put side by side."""
    return (
        unicodedata.bidirectional(character) in ("R", "AL")
        or unicodedata.category(character) == "Mc"
        or unicodedata.combining(character) == _VIRAMA
    )


def _in_base_font(character: str) -> bool:
    return any(_has_glyph(path, character) for path in _base_fonts())


def _base_fonts() -> list[Any]:
    """Fonts of the user's own settings, which may change at any time; matplotlib remembers what it found."""
    return [font_manager.findfont(font_manager.FontProperties(family=[name])) for name in mpl.rcParams["font.family"]]


@cache
def _has_glyph(path: Any, character: str) -> bool:
    try:
        return font_manager.get_font(path).get_char_index(ord(character)) != 0
    except (OSError, RuntimeError):  # removed since matplotlib listed it, or of a kind it cannot read
        return False


@cache
def _family_with(character: str) -> str | None:
    """Find an installed family that has a character, sans serif faces first."""
    return next((name for name, path in _installed() if _has_glyph(path, character)), None)


@cache
def _installed() -> list[tuple[str, Any]]:
    """List one upright face of every family, the plainest first."""
    faces: dict[str, tuple[float, Any]] = {}
    for entry in font_manager.fontManager.ttflist:
        if entry.style != "normal" or any(word in entry.name.lower() for word in _NOT_REAL):
            continue
        off = abs(entry.weight - _REGULAR) if isinstance(entry.weight, int) else 0
        path = font_manager.FontPath(entry.fname, entry.index) if hasattr(entry, "index") else entry.fname
        if entry.name not in faces or off < faces[entry.name][0]:
            faces[entry.name] = (off, path)
    return [(name, faces[name][1]) for name in sorted(faces, key=_plainness)]


def _plainness(family: str) -> tuple[bool, int, str]:
    name = family.lower()
    return "sans" not in name, sum(word in name for word in _PLAINER_FIRST), name
