"""The dictionary: what tables, columns and endpoints there are, how far each is known, and a search of all of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

import pandas as pd

from .arguments import INDUSTRIES, country_names, nearest_name
from .catalogue.listed import Listed, ListedParameter, listed, niches
from .catalogue.product_categories import PRODUCT_DETAILS, PRODUCT_INSIGHTS
from .client import open_client
from .errors import InvalidArgumentError, shown
from .model import DTYPES, OBSERVED_AT, TABLES, Column
from .model import endpoints as declared_endpoints

_LONGEST: Final = 300  # characters of what is searched for
_ALIKE: Final = 0.75  # of two words: above, one is probably a misspelling of the other
_ANSWERS_SEEN: Final = 20_000  # newest answers of a store among which categories are searched
_ANSWERS_READ: Final = 200
_SAID: Final = {"influencer": "creators", "music": "sounds", "hashtag": "challenge"}  # by KeyAPI, and by others
_LEVELS: Final = ("l1", "l2", "l3")


def describe(table: str) -> pd.DataFrame:
    """Return a description of the columns of a table, or of the parameters of an endpoint without one.

    Parameters
    ----------
    table : str
        Name of the table, as "hashtags"; `tables()` lists them. Or a path of `endpoints()`.

    Returns
    -------
    pandas.DataFrame
        One row per column, all text: column, dtype, unit (empty: none), meaning, source (its place in the answer),
        status (documented, inferred or unknown: how far the meaning is known; yours: declared in this session) and
        reason (of the status). Of an endpoint, one row per parameter, which `fetch_endpoint` makes a column of text;
        source says whether it is required, and `.attrs` how certain the list is of the endpoint, with notes.

    Raises
    ------
    InvalidArgumentError
        There is no such table or endpoint.

    Examples
    --------
    >>> page = kr.describe("hashtag_trends").set_index("column")
    >>> page.loc["share_of_peak", "status"]
    'inferred'
    """
    declared = TABLES.get(table) if isinstance(table, str) else None
    if declared is None and isinstance(table, str) and table in listed():
        facts = [_facts_of(parameter) for parameter in listed()[table].parameters]
        frame = pd.DataFrame(facts, columns=list(_facts(OBSERVED_AT)), dtype="string")
        frame.attrs |= {"certainty": listed()[table].certainty, "notes": list(listed()[table].notes)}
        return frame
    if declared is None:
        near = nearest_name(table, TABLES) if isinstance(table, str) else None
        hint = f" Did you mean {near!r}?" if near else ""
        raise InvalidArgumentError(
            f"{table!r:.60} is not a table.{hint} Choose from {', '.join(TABLES)}, or a path of kr.endpoints()"
        )
    return pd.DataFrame([_facts(column) for column in declared.columns], dtype="string")


def _facts(column: Column) -> dict[str, str]:
    return {
        "column": column.name,
        "dtype": column.dtype,
        "unit": column.measured,
        "meaning": column.meaning,
        "source": str(column.place),
        "status": column.status,
        "reason": column.reason,
    }


def _facts_of(parameter: ListedParameter) -> dict[str, str]:
    """Describe a parameter of an endpoint as if it were a column."""
    needed = {True: "required", False: "optional", None: "not known whether required"}
    written = needed.get(parameter.required, f"required: {parameter.required}")  # type: ignore[arg-type]
    default = f", default {parameter.default}" if parameter.default is not None else ""
    allowed = f" (allowed: {parameter.allowed})" if parameter.allowed else ""
    status = {"inferred": "inferred", "a guess": "unknown"}.get(parameter.source.partition(":")[0], "documented")
    return {
        "column": parameter.name,
        "dtype": DTYPES["text"],
        "unit": "",
        "meaning": f"{parameter.meaning}{allowed}",
        "source": f"parameter, {written}{default}",
        "status": status,
        "reason": parameter.source.removeprefix("inferred: "),
    }


def tables() -> pd.DataFrame:
    """Return the list of tables, one row per table.

    Returns
    -------
    pandas.DataFrame
        One row per table: table, row (what a row is), key (its columns), endpoint, credits (of one request to that
        endpoint), fetch (the function). Tables of one endpoint come with the same answer, which is paid once.

    Examples
    --------
    >>> kr.tables().set_index("table").loc["hashtag_trends", "endpoint"]
    '/v1/tiktok/trending/hashtag/detail'
    """
    rows = [
        (table.name, table.row, ", ".join(table.key), endpoint.path, endpoint.credits, f"fetch_{table.name}")
        for table in TABLES.values()
        for endpoint in [table.endpoint]
    ]
    frame = pd.DataFrame(rows, columns=["table", "row", "key", "endpoint", "credits", "fetch"])
    return frame.astype(dict.fromkeys(frame.columns, "string") | {"credits": "Int64"})


# Endpoints --------------------------------------------------------------------------------------------------


def endpoints() -> pd.DataFrame:
    """Return the list of KeyAPI's endpoints for TikTok, one row per endpoint.

    Returns
    -------
    pandas.DataFrame
        One row per endpoint: path, title, family, credits (of one request; missing where its price was not read
        anywhere), paging ("page_num/page_size, up to 10 rows", "cursor offset", "none"; missing where not known),
        status (tables: this package has tables of its answers; listed: it has none), tables (their names) and
        certainty (how far all of this is known, from A, read on KeyAPI's page, to D, hardly anything; the paths of C
        and D are inferred). Endpoints of tables that were declared in this session are at the end where the list does
        not have them.

    Notes
    -----
    Prices are those that were read on KeyAPI's pages in 2026. Paths, parameters and paging of most endpoints without
    tables are inferred, from EchoTik's specification of the same data or from how they are used.

    Examples
    --------
    >>> page = kr.endpoints().set_index("path")
    >>> int(page.loc["/v1/tiktok/video/captions", "credits"])
    1
    >>> page.loc["/v1/tiktok/video/captions", "status"]
    'listed'
    """
    rows: list[tuple[str, str, str | None, int | None, str | None, str | None]] = [
        (entry.path, entry.title, entry.family, entry.credits, _paging_text(entry), entry.certainty)
        for entry in listed().values()
    ]
    rows += [
        (one.path, one.page, None, one.credits, None, None)
        for one in declared_endpoints()
        if one.path not in listed()
    ]
    frame = pd.DataFrame(rows, columns=["path", "title", "family", "credits", "paging", "certainty"])
    frame.insert(5, "tables", frame["path"].map(tables().groupby("endpoint")["table"].agg(", ".join)))
    frame.insert(5, "status", ["listed" if missing else "tables" for missing in frame["tables"].isna()])
    return frame.astype(dict.fromkeys(frame.columns, "string") | {"credits": "Int64"})


def _paging_text(entry: Listed) -> str | None:
    if entry.paging is not None:
        page, size, most = entry.paging
        return f"{page}/{size}, up to {most} rows"
    if entry.cursor is not None:
        return f"cursor {entry.cursor}"
    return "none" if entry.paging_known else None


# Finding ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    """Something that can be found: by its id, by its names, and by what else belongs to it."""

    kind: str
    id: str
    name: str
    where: str
    names: tuple[str, ...] = ()  # other ways to write it
    also: tuple[str, ...] = ()  # also found by these, but ranked after names

    @property
    def called(self) -> tuple[str, ...]:
        return tuple(one.casefold() for one in (self.id, self.name, *self.names))


def find(text: str) -> pd.DataFrame:
    """Find endpoints, industries, regions, creator niches, categories, tables and columns by a few words.

    Nothing is sent.

    Parameters
    ----------
    text : str
        Words or parts of them, or an id, in any case. Everything that has all of the words is found.

    Returns
    -------
    pandas.DataFrame
        One row per hit, all text: kind (endpoint, industry, region, niche, category, table or column), id (what to
        pass on: a path, an id, a code or a name), name, and where it belongs: the family of an endpoint, the argument
        that takes it, or its table. Exact names come first, then names that begin with the text, then the rest. Where
        nothing has all of the words, the unknown ones are replaced by the nearest known words.

    Raises
    ------
    InvalidArgumentError
        `text` is not text, is empty, or has more than 300 characters.
    StoreError
        The store of the default connection is damaged.

    Notes
    -----
    Categories are those named in stored answers of `fetch_product_insights` and `fetch_product_details`, in the store
    of the default connection, if there is one: the newest 200 of these two among its newest 20,000 answers. They do not
    count as read for `freeze`. An empty result does not mean that KeyAPI has no such data: only names are searched.

    Examples
    --------
    >>> kr.find("beauty")[["kind", "id", "name"]].head(2).to_numpy().tolist()
    [['niche', 'Beauty', 'Beauty'], ['industry', '14000000000', 'Beauty & Personal Care']]
    >>> kr.find("germny")["id"].tolist()
    ['DE']
    """
    if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST:
        raise InvalidArgumentError(
            f'find needs a few words, such as "beauty" or "hashtag videos" (at most {_LONGEST} characters); '
            f"got {shown(text)}"
        )
    entries = [*_known(), *_stored_categories()]
    words = text.casefold().split()
    found = _matches(words, entries) or _matches(_nearest_words(words, entries), entries)
    rows = [(entry.kind, entry.id, entry.name, entry.where) for entry in found]
    return pd.DataFrame(rows, columns=["kind", "id", "name", "where"], dtype="string")


def _known() -> Iterator[_Entry]:
    """List everything the package itself knows, in the order in which equally good hits are listed."""
    parameters = {path: tuple(parameter.name for parameter in entry.parameters) for path, entry in listed().items()}
    for path, title, family in endpoints()[["path", "title", "family"]].itertuples(index=False):
        short = path.removeprefix("/v1/tiktok/")
        said = tuple(word for called, word in _SAID.items() if called in path)
        where = "" if pd.isna(family) else family
        yield _Entry("endpoint", path, title, where, names=(short,), also=(*said, *parameters.get(path, ())))
    for code, name in INDUSTRIES.items():
        yield _Entry("industry", code, name, "industry of fetch_trending_hashtags")
    for code, (name, *others) in country_names().items():
        yield _Entry("region", code, name, "region", names=tuple(others))
    for name in niches():
        yield _Entry("niche", name, name, "niche of fetch_creator_rankings", also=("niche", "influencer_category_name"))
    for table in TABLES.values():
        yield _Entry("table", table.name, table.row, table.endpoint.path)
    for table in TABLES.values():
        for column in table.columns:
            yield _Entry("column", column.name, column.meaning, table.name)


def _stored_categories() -> list[_Entry]:
    """List the product categories that stored answers name; bounded work, however large the store is."""
    client = open_client(None)
    if client is None or not client.store.of_this_process:  # a forked process does not read its parent's store
        return []
    tables = {table.endpoint.path: table for table in (PRODUCT_INSIGHTS, PRODUCT_DETAILS)}
    last, until = client.store.last_ids()[0], client.policy.until
    newest = client.store.observations(range(max(1, last - _ANSWERS_SEEN + 1), last + 1))
    some = [
        one
        for one in newest
        if one.endpoint in tables and not one.absent and (until is None or one.observed_at <= until)
    ][-_ANSWERS_READ:]
    found: dict[str, _Entry] = {}
    for one, envelope in zip(some, client.store.envelopes([one.id for one in some]), strict=True):
        table = tables[one.endpoint]
        for level in _LEVELS:
            for place in _objects(envelope.get("data"), _parent(table[f"category_{level}_id"])):
                code, name = place.get("id"), place.get("value")
                if isinstance(code, str | int) and isinstance(name, str):
                    found[str(code)] = _Entry("category", str(code), name, table.name)
    return list(found.values())


def _parent(column: Column) -> str:
    """Return the path of the object that has the value of a column."""
    return str(column.place).removeprefix("data.").rpartition(".")[0]


def _objects(node: Any, path: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects at a path of an answer; what has another shape is left out."""
    if not path:
        if isinstance(node, dict):
            yield node
        return
    first, _, rest = path.partition(".")
    below = node.get(first.removesuffix("[]")) if isinstance(node, dict) else None
    if not first.endswith("[]"):
        yield from _objects(below, rest)
    elif isinstance(below, list):
        for item in below:
            yield from _objects(item, rest)


def _matches(words: list[str], entries: list[_Entry]) -> list[_Entry]:
    """Return the entries that have all words, the best first."""
    ranked = [(rank, entry) for entry in entries if (rank := _rank(words, entry)) is not None]
    return [entry for _, entry in sorted(ranked, key=lambda one: one[0])]


def _rank(words: list[str], entry: _Entry) -> int | None:
    phrase, called = " ".join(words), entry.called
    if phrase in called:
        return 0
    if any(name.startswith(phrase) for name in called):
        return 1
    if all(any(word in name for name in called) for word in words):
        return 2
    everything = (*called, *entry.also)
    return 3 if all(any(word in name for name in everything) for word in words) else None


def _nearest_words(words: list[str], entries: list[_Entry]) -> list[str]:
    """Replace words that no entry has by the nearest known ones; an id is never replaced."""
    texts = [one for entry in entries for one in (*entry.called, *entry.also)]
    known = sorted({word for one in texts for word in re.findall(r"\w+", one)})
    replaced = []
    for word in words:
        unknown = not word.isdigit() and not any(word in one for one in texts)
        near = get_close_matches(word, known, 1, _ALIKE) if unknown else []
        replaced.append(near[0] if near else word)
    return replaced
