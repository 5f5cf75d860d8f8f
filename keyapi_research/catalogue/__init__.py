"""The catalogue: one file a family, with its endpoints, tables, columns and fetch functions.

Another endpoint is one more block in the file of its family, its fetch functions under it.
"""

# Tables are listed in this order.
from . import product_categories, videos, hashtags, music  # isort: skip
from . import creators, creator_lists, products  # isort: skip

__all__ = ["creator_lists", "creators", "hashtags", "music", "product_categories", "products", "videos"]
