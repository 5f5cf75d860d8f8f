"""What creators posted, and what they sell: lists of one creator, page by page."""

# fmt: off - a declaration reads as a table: one entry, one line or two
from __future__ import annotations

from dataclasses import replace
from typing import Final

from ..arguments import check_id
from ..client import Call, Client
from ..fetch import Errors, Ids, MaxAge, call_of, fetch_function
from ..model import Column, Endpoint, Parameter, Table, declare
from ..places import Field
from .creators import IDS, USER
from .shared import (
    ANALYTICS_PAGES,
    BY_PRODUCT,
    BY_USER,
    LIST_PLACE,
    METADATA,
    SORTED_BY,
    SPECIFIED,
    UPSTREAM_SAMPLE,
    category,
    cover,
    price,
    sort_parameter,
    specified,
    total,
    total_money,
)
from .videos import FRAME, MADE_BY_AI, MEASURES, PAID_AD, POSTED, SELLS

CREATOR_VIDEO_LIST = Endpoint(
    name="creator_videos",
    path="/v1/tiktok/influencer/videos/analytics",
    credits=1,
    page="Influencer Videos (Analytics)",
    entity=Parameter("user_ids", "user_id", "user_id", check_id, IDS),
    parameters=(
        sort_parameter("influencer_video_sort_field", {"posted": "4", "views": "1", "units": "2", "gmv": "3"},
                       "posted"),
    ),
    identity=Field("[].video_id"),
    record="",
    paging=ANALYTICS_PAGES,
    owner=Field("[].user_id"),
    not_tabled=("[].video_products", "[].product_category_list"),
    example="6761507140245292038",
)


CREATOR_VIDEOS = declare(Table(
    CREATOR_VIDEO_LIST,
    name="creator_videos",
    row="creator x video",
    key=("user_id", "sorted_by", "video_id"),
    rows=("[]",),
    columns=(
        USER, SORTED_BY, LIST_PLACE,
        Column("video_id", "id", Field("[].video_id"), "TikTok's id of the video.", SPECIFIED),
        *specified(*POSTED, MADE_BY_AI),
        replace(SELLS, meaning="Whether the video sells: 0 = no, 1 = yes.", evidence=SPECIFIED),
        replace(PAID_AD, evidence=UPSTREAM_SAMPLE),
        *specified(*FRAME, *MEASURES),
        cover("[].reflow_cover", f"{SPECIFIED}; a user got 403 for such addresses"),
        *METADATA,
    ),
    leads_to={**BY_USER, "fetch_videos": ("video_id", "videos")},
))


@fetch_function(CREATOR_VIDEOS)
def fetch_creator_videos(
    user_ids: Ids,
    *,
    sort: str = "posted",
    limit: int | None = 20,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the videos of creators, one row per creator and video; `limit` counts for each creator.

    Examples
    --------
    >>> kr.fetch_creator_videos("6144029478790867105", sort="views", limit=3)[["position", "video_id", "views"]]
       position             video_id    views
    0         1  7393071920657184496  1763436
    1         2  7580096745671994448  1503174
    2         3  7591486941802505153  1182299
    """
    return call_of(CREATOR_VIDEOS, locals())


CREATOR_PRODUCT_LIST = Endpoint(
    name="creator_products",
    path="/v1/tiktok/influencer/products/analytics",
    credits=1,
    page="Influencer Products (Analytics)",
    entity=Parameter("user_ids", "user_id", "user_id", check_id, IDS),
    parameters=(
        sort_parameter("influencer_product_sort_field", {
            "showcase": None, "units": "1", "gmv": "2", "price": "3", "video_units": "4", "video_gmv": "5",
        }, "showcase"),
    ),
    identity=Field("[].product_id"),
    record="",
    paging=ANALYTICS_PAGES,
    owner=Field("[].user_id"),
    not_tabled=("[].cover_url",),
    example="6813855719982466054",
)


_WHOSE: Final = "unknown: whether this creator's or of all sellers is not documented; 0 everywhere before mid-2026"

CREATOR_PRODUCTS = declare(Table(
    CREATOR_PRODUCT_LIST,
    name="creator_products",
    row="creator x product",
    key=("user_id", "sorted_by", "product_id"),
    rows=("[]",),
    columns=(
        USER, SORTED_BY, LIST_PLACE,
        Column("product_id", "id", Field("[].product_id"), "TikTok Shop's id of the product.", SPECIFIED),
        Column("product_name", "text", Field("[].product_name"), "Name of the product.", SPECIFIED),
        category(1, "[].category_id"),
        price("price_avg", "[].spu_avg_price", "Average price of the product's variants."),
        total("videos", "[].total_video_cnt", "Videos with the product.", "videos",
              "unknown: whether this creator's or of all is not documented"),
        total("lives", "[].total_live_cnt", "Live streams with the product.", "live streams",
              "unknown: whether this creator's or of all is not documented"),
        total("units_all_sellers_est", "[].total_sale_cnt",
              "Units of the product that all sellers together sold, estimated; not this creator's.", "units",
              "inferred: a user found sums many times above what the creator sold"),
        total_money("gmv_all_sellers_est", "[].total_sale_gmv_amt",
                    "Sales value of the product over all sellers, estimated; not this creator's.",
                    "inferred: a user found sums many times above what the creator sold"),
        total("video_units_est", "[].total_video_sale_cnt",
              "Units sold through videos, estimated; whose videos is not known.", "units", _WHOSE),
        total_money("video_gmv_est", "[].total_video_sale_gmv_amt",
                    "Sales value through videos, estimated; whose videos is not known.", _WHOSE),
        total("live_units_est", "[].total_live_sale_cnt",
              "Units sold through live streams, estimated; whose streams is not known.", "units", _WHOSE),
        total_money("live_gmv_est", "[].total_live_sale_gmv_amt",
                    "Sales value through live streams, estimated; whose streams is not known.", _WHOSE),
        *METADATA,
    ),
    leads_to={**BY_USER, **BY_PRODUCT},
))


@fetch_function(CREATOR_PRODUCTS)
def fetch_creator_products(
    user_ids: Ids,
    *,
    sort: str = "showcase",
    limit: int | None = 20,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the products of creators, one row per creator and product; their sales are those of all sellers.

    Examples
    --------
    >>> kr.plan(kr.fetch_creator_products, "6813855719982466054", limit=30).credits
    3
    """
    return call_of(CREATOR_PRODUCTS, locals())
