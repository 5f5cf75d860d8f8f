"""TikTok commerce data from KeyAPI as tidy tables: nothing paid twice, nothing spent unasked.

`connect`, then one fetch function for each table; `plan` says what a call would cost; `df.keyapi` has what comes next.
"""

from .client import Client, Plan, budget, connect, ledger, replay, status
from .errors import (
    AccessDeniedError,
    AuthenticationError,
    BudgetExceededError,
    CreditsExhaustedError,
    FetchIncompleteError,
    IncompleteDataWarning,
    InvalidArgumentError,
    InvalidRequestError,
    KeyAPIError,
    KeyAPIWarning,
    MissingDataWarning,
    MissingTokenError,
    NetworkError,
    NotFoundError,
    NotStoredError,
    RateLimitedError,
    SchemaDriftWarning,
    ServerError,
    StaleDataWarning,
    StoreError,
    UnexpectedMarketWarning,
    UnexpectedResponseError,
)
from .fetch import (
    fetch_hashtag_audience,
    fetch_hashtag_trends,
    fetch_hashtags,
    fetch_music,
    fetch_music_audience,
    fetch_music_trends,
    fetch_music_videos,
    fetch_product_audience,
    fetch_product_details,
    fetch_product_hashtags,
    fetch_product_insights,
    fetch_product_posts,
    fetch_related_hashtags,
    fetch_trending_hashtag_creators,
    fetch_trending_hashtag_trends,
    fetch_trending_hashtags,
    fetch_trending_music,
    fetch_trending_music_trends,
    fetch_videos,
    plan,
)

import contextlib as _contextlib  # TEMPORARY while modules are being written

with _contextlib.suppress(ImportError):
    from .dictionary import describe, tables
with _contextlib.suppress(ImportError):
    from .export import freeze, read_csv, read_package, write_package
with _contextlib.suppress(ImportError):
    from . import plots
with _contextlib.suppress(ImportError):
    from . import accessor as _accessor

