"""The package as its users write it, read by the type checker only (test_public.py runs it); never executed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

import keyapi_research as kr

# Connecting
client: kr.Client = kr.connect(sandbox=True)
kr.connect(token="key", store=Path("study.sqlite"), max_age=timedelta(days=1), timeout=(5, 30), retries=0)
kr.connect(offline=True, as_of=date(2026, 2, 3))
kr.connect(as_of=datetime(2026, 2, 3, tzinfo=UTC), max_age=0, max_credits=100, max_call_credits=None, progress=False)
kr.connect(replay=False)
replayed: kr.Client = kr.replay("study.zip")
with kr.Client(sandbox=True, store=":memory:", timeout=3.5) as own:
    spent: int = own.credits_spent + own.credits_saved
    own.close()

# Fetching: ids in any container
frame: pd.DataFrame = kr.fetch_videos("7117191641181555995")
frame = kr.fetch_videos(7117191641181555995, max_age="1D", errors="warn", client=client)
frame = kr.fetch_videos(frame["video_id"])
frame = kr.fetch_videos(range(5))
frame = kr.fetch_hashtags(["perfume", "#cats"], region="US", period=30)
frame = kr.fetch_hashtags({"perfume"}, period="365")
frame = kr.fetch_music(pd.Index(["6703723351497508865"]))
frame = kr.fetch_music(str(number) for number in np.arange(3))
frame = kr.fetch_product_details([601583, "848648"], time_scope="2025-10")
frame = kr.fetch_product_insights(region="GB", time_scope=7, search="lipstick", category_id=601450, limit=None)
frame = kr.fetch_trending_hashtags(industry="Pets", new_only=True, limit=100, max_age=timedelta(hours=6))
frame = kr.fetch_trending_music(commercial_only=True, search=None)

# Creators, products, days
frame = kr.fetch_creators(["@tiktok", "nba"], by="username", errors="warn")
frame = kr.fetch_creator_windows(frame["user_id"])
frame = kr.fetch_creator_rankings(region="US", date=date(2026, 2, 2), cycle="week", ranked_by="followers", niche="Pets")
frame = kr.fetch_creator_days(frame["user_id"], start="90D")
frame = kr.fetch_creator_videos("3993047", sort="views", limit=None)
frame = kr.fetch_products(1729383769606034185)
frame = kr.fetch_product_days(frame["product_id"], start=timedelta(days=30), end=date(2026, 2, 2))
frame = kr.fetch_product_rankings(region="US", date="2026-01-01", cycle="month", category_l1_id=601450)
frame = kr.fetch_product_search(region="US", min_price=5, max_price=9.99, on_sale=False, sort="price")
frame = kr.fetch_video_rankings(region="GB", ai_only=True, category_id="601450")

# Tables of one's own
fetch_captions = kr.declare(
    "captions",
    "/v1/tiktok/video/captions",
    credits=1,
    by="video_id",
    params={"language": None, "day": date(2025, 1, 31), "full": True},
    rows="list[]",
    key=["video_id", "position"],
    columns={
        "position": ("position", ""),
        "seconds": ("number", "start", "seconds", "From the start of the video."),
    },
    identity="video_id",
)
frame = fetch_captions(["7117191641181555995"], language="en", client=client)
kr.declare(
    "all", "/v1/x", credits=1, paging=("page_num", "page_size", 10), rows="[]", key="n", columns={"n": ("id", "n")}
)

# Money
plan: kr.Plan = kr.plan(kr.fetch_hashtags, ["a", "b"], period=30)
cost: int = plan.credits + plan.requests + plan.stored
most: int | None = plan.credits_max
oldest: pd.Timestamp = plan.oldest
with kr.budget(20) as budget:
    left: int = budget.remaining - budget.spent
ledger: pd.DataFrame = kr.ledger(client=client)
origin: str = kr.status().token

# What comes next
audience: pd.DataFrame = frame.keyapi.audience("country")
axes: Axes = kr.plots.trend(frame, ax=None)
axes = kr.plots.audience(frame, "age", ax=axes)
axes = kr.plots.stamp(axes, frame)
pairs: pd.DataFrame = kr.audience_similarity(frame, dimension="interest")

# Files
again: pd.DataFrame = kr.read_csv(Path("videos.csv"))
kr.write_package("package", {"videos": frame})
frames: dict[str, pd.DataFrame] = kr.read_package("package")
answers: int = kr.freeze("study.zip", partial=True).answers
page: pd.DataFrame = kr.describe("videos")
page = kr.tables()
page = kr.endpoints()
page = kr.find("beauty")

# Errors
try:
    kr.fetch_hashtags("cats")
except kr.RateLimitedError as error:
    seconds: float | None = error.retry_after
except kr.FetchIncompleteError as error:
    rows: pd.DataFrame | None = error.frame
    failures: pd.DataFrame | None = error.failures
except (kr.InvalidArgumentError, kr.KeyAPIError) as error:
    text: str = error.message
    code: int | None = error.code
    again_later: bool = error.retryable

# What the type checker must refuse: each of these comments is an error where it is not needed
kr.fetch_videos()  # type: ignore[call-arg]
kr.fetch_videos(1.5)  # type: ignore[arg-type]
kr.fetch_videos("1", region="US")  # type: ignore[call-arg]
kr.fetch_hashtags("cats", "US")  # type: ignore[call-arg]
kr.fetch_hashtags("cats", errors="ignore")  # type: ignore[arg-type]
kr.fetch_music("1", period=7.0)  # type: ignore[arg-type]
kr.fetch_product_insights("US")  # type: ignore[call-arg]
kr.fetch_product_insights(limit="20")  # type: ignore[arg-type]
kr.fetch_trending_hashtags(new_only="yes")  # type: ignore[arg-type]
kr.fetch_creator_rankings()  # type: ignore[call-arg]
kr.fetch_creator_days("1")  # type: ignore[call-arg]
kr.fetch_product_search(region="US", min_price="5")  # type: ignore[arg-type]
kr.connect(tokens="key")  # type: ignore[call-arg]
kr.connect("key")  # type: ignore[call-arg]
kr.budget("20")  # type: ignore[arg-type]
kr.declare("a", "/v1/x", rows="[]", key="n", columns={"n": ("id", "n")})  # type: ignore[call-arg]
kr.declare("a", "/v1/x", credits=1, rows="[]", key="n", columns={"n": "id"})  # type: ignore[dict-item]
number: int = kr.plan(kr.fetch_hashtags, "a").credits_max  # type: ignore[assignment]
kr.freeze(partial=True)  # type: ignore[call-arg]
name = kr.no_such_name  # type: ignore[attr-defined]
