"""TikTok commerce data from KeyAPI as tidy tables: nothing paid twice, nothing spent unasked.

`connect`, then one fetch function for each table; `plan` says what a call would cost; `df.keyapi` has what comes next.
"""

import importlib
import inspect
import typing

from . import accessor as _accessor  # noqa: F401 - registers df.keyapi
from .catalogue.creator_lists import fetch_creator_products, fetch_creator_videos
from .catalogue.creators import (
    fetch_creator_categories,
    fetch_creator_days,
    fetch_creator_posting,
    fetch_creator_rankings,
    fetch_creator_windows,
    fetch_creators,
)
from .catalogue.declared import declare
from .catalogue.hashtags import (
    fetch_hashtag_audience,
    fetch_hashtag_trends,
    fetch_hashtags,
    fetch_related_hashtags,
    fetch_trending_hashtag_creators,
    fetch_trending_hashtag_trends,
    fetch_trending_hashtags,
)
from .catalogue.music import (
    fetch_music,
    fetch_music_audience,
    fetch_music_trends,
    fetch_music_videos,
    fetch_trending_music,
    fetch_trending_music_trends,
)
from .catalogue.other import fetch_endpoint
from .catalogue.product_categories import (
    fetch_product_audience,
    fetch_product_details,
    fetch_product_hashtags,
    fetch_product_insights,
    fetch_product_posts,
)
from .catalogue.products import (
    fetch_product_creators,
    fetch_product_days,
    fetch_product_rankings,
    fetch_product_search,
    fetch_product_windows,
    fetch_products,
)
from .catalogue.videos import fetch_video_products, fetch_video_rankings, fetch_videos
from .client import Client, Plan, budget, connect, ledger, limit_store, replay, status
from .dictionary import describe, endpoints, find, tables
from .docstrings import plain as _plain
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
    MissingPackageError,
    MissingTokenError,
    NetworkError,
    NotFoundError,
    NotStoredError,
    RateLimitedError,
    SchemaDriftWarning,
    ServerError,
    StaleDataWarning,
    StoreError,
    TrendConflictWarning,
    UnexpectedMarketWarning,
    UnexpectedResponseError,
)
from .fetch import plan
from .version import __version__ as __version__

if typing.TYPE_CHECKING:
    from . import plots
    from .audits import audit
    from .export import export_store, freeze, read_csv, read_excel, read_package, read_parquet, write_package
    from .export.database import sql
    from .importing import import_store
    from .inventory import stored
    from .measures import audience_similarity
    from .panels import Panel, panel
    from .peaks import bursts, half_times
    from .probing import probe
    from .stitching import stitch_trends

_LATE = {  # what most cells do not need is imported when it is first used
    "plots": "plots",
    "Panel": "panels",
    "audit": "audits",
    "audience_similarity": "measures",
    "bursts": "peaks",
    "export_store": "export",
    "freeze": "export",
    "half_times": "peaks",
    "import_store": "importing",
    "panel": "panels",
    "probe": "probing",
    "read_csv": "export",
    "read_excel": "export",
    "read_package": "export",
    "read_parquet": "export",
    "sql": "export.database",
    "stitch_trends": "stitching",
    "stored": "inventory",
    "write_package": "export",
}

__all__ = [
    "AccessDeniedError",
    "AuthenticationError",
    "BudgetExceededError",
    "Client",
    "CreditsExhaustedError",
    "FetchIncompleteError",
    "IncompleteDataWarning",
    "InvalidArgumentError",
    "InvalidRequestError",
    "KeyAPIError",
    "KeyAPIWarning",
    "MissingDataWarning",
    "MissingPackageError",
    "MissingTokenError",
    "NetworkError",
    "NotFoundError",
    "NotStoredError",
    "Panel",
    "Plan",
    "RateLimitedError",
    "SchemaDriftWarning",
    "ServerError",
    "StaleDataWarning",
    "StoreError",
    "TrendConflictWarning",
    "UnexpectedMarketWarning",
    "UnexpectedResponseError",
    "audience_similarity",
    "audit",
    "budget",
    "bursts",
    "connect",
    "declare",
    "describe",
    "endpoints",
    "export_store",
    "fetch_creator_categories",
    "fetch_creator_days",
    "fetch_creator_posting",
    "fetch_creator_products",
    "fetch_creator_rankings",
    "fetch_creator_videos",
    "fetch_creator_windows",
    "fetch_creators",
    "fetch_endpoint",
    "fetch_hashtag_audience",
    "fetch_hashtag_trends",
    "fetch_hashtags",
    "fetch_music",
    "fetch_music_audience",
    "fetch_music_trends",
    "fetch_music_videos",
    "fetch_product_audience",
    "fetch_product_creators",
    "fetch_product_days",
    "fetch_product_details",
    "fetch_product_hashtags",
    "fetch_product_insights",
    "fetch_product_posts",
    "fetch_product_rankings",
    "fetch_product_search",
    "fetch_product_windows",
    "fetch_products",
    "fetch_related_hashtags",
    "fetch_trending_hashtag_creators",
    "fetch_trending_hashtag_trends",
    "fetch_trending_hashtags",
    "fetch_trending_music",
    "fetch_trending_music_trends",
    "fetch_video_products",
    "fetch_video_rankings",
    "fetch_videos",
    "find",
    "freeze",
    "half_times",
    "import_store",
    "ledger",
    "limit_store",
    "panel",
    "plan",
    "plots",
    "probe",
    "read_csv",
    "read_excel",
    "read_package",
    "read_parquet",
    "replay",
    "sql",
    "status",
    "stitch_trends",
    "stored",
    "tables",
    "write_package",
]


if not typing.TYPE_CHECKING:  # a type checker would take any name for granted

    def __getattr__(name: str) -> object:
        if name not in _LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(f".{_LATE[name]}", __name__)
        globals()[name] = found = module if name == _LATE[name] else getattr(module, name)
        return _plain(found) if inspect.isfunction(found) else found


def __dir__() -> list[str]:
    return sorted(__all__)


for _one in [one for name, one in list(globals().items()) if name in __all__ and inspect.isfunction(one)]:
    _plain(_one)
