"""The dictionary: what each table and column is, and how far that is known, read off the declarations."""

from __future__ import annotations

import pandas as pd

from .errors import InvalidArgumentError
from .model import TABLES, Column


def describe(table: str) -> pd.DataFrame:
    """Return a description of the columns of a table.

    Parameters
    ----------
    table : str
        Name of the table, as "hashtags"; `tables()` lists them.

    Returns
    -------
    pandas.DataFrame
        One row per column, all text: column, dtype, unit (empty: none), meaning, source (its place in the answer),
        status (documented, inferred or unknown: how far the meaning is known) and reason (why that far).

    Raises
    ------
    InvalidArgumentError
        There is no such table.

    Examples
    --------
    >>> page = kr.describe("hashtag_trends").set_index("column")
    >>> page.loc["share_of_peak", "status"]
    'inferred'
    """
    declared = TABLES.get(table) if isinstance(table, str) else None
    if declared is None:
        raise InvalidArgumentError(f"{table!r:.60} is not a table. Choose from {', '.join(TABLES)}")
    return pd.DataFrame([_facts(column) for column in declared.columns], dtype="string")


def _facts(column: Column) -> dict[str, str]:
    return {
        "column": column.name,
        "dtype": column.dtype,
        "unit": column.unit,
        "meaning": column.meaning,
        "source": str(column.place),
        "status": column.status,
        "reason": column.reason,
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
