"""How alike audiences are, as a table: the numbers of `plots.overlap`."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from .reading import compare_audiences, numbered


def audience_similarity(df: pd.DataFrame, *, dimension: str = "country") -> pd.DataFrame:
    """Compare the audiences of hashtags, sounds or product categories, pair by pair.

    These are the numbers of `kr.plots.overlap`, which says how they are computed.

    Parameters
    ----------
    df : pandas.DataFrame
        Rows of hashtag_audience, music_audience or product_audience, concatenated: dimension, segment_id, segment,
        score, and hashtag_name, clip_id or category_id.
    dimension : {"country", "interest"}, default "country"
        What to compare by.

    Returns
    -------
    pandas.DataFrame
        A row for each unordered pair of entities, in their order of appearance:

        first : string
            Name of one entity, as `kr.plots.overlap` writes it.
        second : string
            Name of the other one.
        similarity : float64
            Cosine similarity of the logarithms of index / 100, from -1 to 1; missing where the two lists share no
            segment, or one has none: that nothing is known does not mean that they are unlike.
        n_common : Int64
            How many segments are in both lists; a similarity that rests on one or two says little.

    Raises
    ------
    InvalidArgumentError
        Columns are missing, or there is no such dimension.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> tags = kr.fetch_hashtag_audience(["perfumetok", "smellgood", "ufc324"])
    >>> kr.audience_similarity(tags).round(2)
             first      second  similarity  n_common
    0  #perfumetok  #smellgood        0.98        10
    1  #perfumetok     #ufc324         NaN         0
    2   #smellgood     #ufc324         NaN         0
    """
    compared = compare_audiences(df, dimension, "audience_similarity")
    names = numbered(name.text for name in compared.names)
    pairs = list(combinations(range(len(names)), 2))
    first, second = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    return pd.DataFrame(
        {
            "first": pd.array([names[i] for i in first], dtype="string"),
            "second": pd.array([names[i] for i in second], dtype="string"),
            "similarity": compared.similarity[first, second],
            "n_common": pd.array(compared.common[first, second], dtype="Int64"),
        }
    )
