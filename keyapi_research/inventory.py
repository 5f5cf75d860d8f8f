"""What the store has, as tables: all that was paid for, without remembering the ids."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .client import Client
from .columns import moments
from .errors import InvalidArgumentError, shown
from .frames import reading_client
from .holdings import Which, counted, find_table, whole_frame


def stored(table: str | None = None, *, observations: Which = "latest", client: Client | None = None) -> pd.DataFrame:
    """Return a table of everything in the store, without naming any id; nothing is sent.

    Parameters
    ----------
    table : str, optional
        Name of a table, also of one that you declared, or the path of an endpoint that was fetched without a table.
        If omitted, what there is is listed.
    observations : {"latest", "all"}
        The newest observation of each entity, as the fetch functions give it (of a ranking or list, the newest pull
        that got all it wanted; one that was broken off only where there is no other), or all of them.
    client : Client, optional
        The connection; the default one if omitted.

    Returns
    -------
    pandas.DataFrame
        The columns and dtypes of the table (of a path: those of `fetch_endpoint`). What was observed last comes at the
        end; observations of one entity stand together, oldest first. Of a ranking all rows of a page are there, also
        those beyond the `limit` of the call. Without `table`: table (string; name or path), entities, observations
        (Int64; the pages of a pull are one), first, last (UTC); a table of which there is nothing is not listed.
        Answers that have no rows count there, too.

    Raises
    ------
    InvalidArgumentError
        There is no such table or path.
    StoreError
        The store cannot be read, or the client is closed.

    Warns
    -----
    IncompleteDataWarning
        Stored answers are about another id than was requested, which only your declaration of the table shows.

    Notes
    -----
    Costs nothing, and works offline, in a replay and under `as_of`, which leaves out what came later. An entity for
    which KeyAPI had nothing in its newest answer has no row. An entity is what one answer is about: an id with its
    region and period, a day of a creator, or a ranking. What was requested by username has its row by id.

    Examples
    --------
    >>> _ = kr.fetch_hashtags(["ufc324", "perfume"], region="US", period=7)
    >>> {"ufc324", "perfume"} <= set(kr.stored("hashtags")["hashtag_name"])
    True
    >>> "hashtags" in kr.stored()["table"].tolist()
    True
    """
    if not isinstance(observations, str) or observations not in ("latest", "all"):
        raise InvalidArgumentError(f'observations must be "latest" or "all"; got {shown(observations)}')
    connection = reading_client(client)
    if table is not None:
        return whole_frame(find_table(table, connection), connection, observations=observations)
    counts = counted(connection)
    entities, observations_of, *moments_of = zip(*counts.values(), strict=True) if counts else ((), (), (), ())
    first, last = (moments(np.array(one, dtype=np.int64)) for one in moments_of)
    return pd.DataFrame(
        {
            "table": pd.array(list(counts), dtype="string"),
            "entities": pd.array(entities, dtype="Int64"),
            "observations": pd.array(observations_of, dtype="Int64"),
            "first": first,
            "last": last,
        }
    )
