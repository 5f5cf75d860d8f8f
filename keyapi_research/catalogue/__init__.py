"""The catalogue: one file a family, with its endpoints, tables, columns and fetch functions.

Another endpoint is one more block in the file of its family, its fetch functions under it.
"""

# isort: off - tables are listed in this order
from . import creator_lists, creators, hashtags, music, product_categories, products, videos

__all__ = ["creator_lists", "creators", "hashtags", "music", "product_categories", "products", "videos"]
