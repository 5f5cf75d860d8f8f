"""The catalogue: one file a family, with its endpoints, tables, columns and fetch functions.

Another endpoint is one more block in the file of its family, its fetch functions under it.
"""

# Tables are listed in this order.
# isort: off
from .product_categories import (
    fetch_product_audience,
    fetch_product_details,
    fetch_product_hashtags,
    fetch_product_insights,
    fetch_product_posts,
)
from .videos import fetch_videos
from .hashtags import (
    fetch_hashtag_audience,
    fetch_hashtag_trends,
    fetch_hashtags,
    fetch_related_hashtags,
    fetch_trending_hashtag_creators,
    fetch_trending_hashtag_trends,
    fetch_trending_hashtags,
)
from .music import (
    fetch_music,
    fetch_music_audience,
    fetch_music_trends,
    fetch_music_videos,
    fetch_trending_music,
    fetch_trending_music_trends,
)
# isort: on

__all__ = [
    "fetch_hashtag_audience",
    "fetch_hashtag_trends",
    "fetch_hashtags",
    "fetch_music",
    "fetch_music_audience",
    "fetch_music_trends",
    "fetch_music_videos",
    "fetch_product_audience",
    "fetch_product_details",
    "fetch_product_hashtags",
    "fetch_product_insights",
    "fetch_product_posts",
    "fetch_related_hashtags",
    "fetch_trending_hashtag_creators",
    "fetch_trending_hashtag_trends",
    "fetch_trending_hashtags",
    "fetch_trending_music",
    "fetch_trending_music_trends",
    "fetch_videos",
]
