"""The catalogue: one file a family, with its endpoints, tables, columns and fetch functions.

Another endpoint is one more block in the file of its family, its fetch functions under it.
"""

from . import product_categories, videos, hashtags, music  # isort: skip - tables are listed in this order

__all__ = ["hashtags", "music", "product_categories", "videos"]
