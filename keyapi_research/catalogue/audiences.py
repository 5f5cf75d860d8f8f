"""Audiences: the columns of who watches or listens, the same for product categories, hashtags and sounds."""

# fmt: off - a declaration reads as a table: one entry, one line or two
from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ..model import Column
from ..places import Coded, Constant, Field, PerList

AGE_BANDS: Final[Mapping[int, str]] = MappingProxyType(
    {18: "18-24", 25: "25-34", 35: "35-44", 45: "45-54", 55: "55+", 3: "18-24", 4: "25-34", 5: "35+"}
)
_AGES: Final = (
    "age bands are inferred (products: 18..55 equal TikTok Ads' bands and end at 55+; hashtags and music: 3, 4, 5 "
    "are read as 18-24, 25-34, 35+ from public code, other public maps disagree); so a 35+ and a 55+ band are "
    "not the same people"
)


_DIMENSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"age": "ages", "interest": "interests", "country": "countries"}
)


def audience_rows(base: str) -> tuple[str, ...]:
    """List the three lists of an audience."""
    return tuple(f"{base}.audience_{plural}[]" for plural in _DIMENSIONS.values())


def audience_columns(base: str) -> tuple[Column, ...]:
    """List the columns of an audience: age, interest and country in one table."""
    lists = dict(zip(_DIMENSIONS, audience_rows(base), strict=True))
    info = {name: f"{lists[name]}.{name}_info" for name in lists if name != "age"}
    age = f"{lists['age']}.age_level"

    def per_list(of_age: Constant | Field | Coded | None, leaf: str) -> PerList:
        return PerList((of_age, *(Field(f"{path}.{leaf}") for path in info.values())))

    return (
        Column("dimension", "text", PerList(tuple(Constant(name) for name in lists)),
               "What the audience is split by: age, interest or country (of products no country was seen).",
               "documented: which list the row is in"),
        Column("segment_id", "id", per_list(Field(age), "id"),
               "Code of the segment: the API's age_level; the id of the interest; the GeoNames id of the country. "
               "Interest ids of products and of hashtags and music are different lists.", f"inferred: {_AGES}"),
        Column("segment_code", "text", per_list(None, "label"),
               "Label of the interest, ISO-2 code of the country; missing for ages.",
               "inferred: read off samples; the interests of products are a third party's"),
        Column("segment", "text", per_list(Coded(age, AGE_BANDS), "value"),
               "Age band, English name of the interest or the country.", f"inferred: {_AGES}"),
        Column("score", "number", PerList(tuple(Field(f"{path}.score") for path in lists.values())),
               "Ages: percent of the audience. Interests and countries: an index, 100 = average; not a share, "
               "unbounded, never summed.",
               "inferred: ages by their sum of 100, interests by similarity with countries; for countries "
               "TikTok's page documents it (200 = twice as popular there as worldwide)", "see score_unit", 0),
        Column("score_unit", "text", PerList(tuple(Constant("percent" if name == "age" else "index")
                                                  for name in lists)),
               "percent (ages) or index (100 = average).", "inferred: see score"),
    )
