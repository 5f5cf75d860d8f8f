"""What is planted in the world, and how often it has issues: what the conclusions of a notebook are held against.

These constants hold for every seed. ``docs/sandbox.md`` lists them for readers.
"""

from __future__ import annotations

import csv
import json
from datetime import date
from pathlib import Path
from typing import Any

from ..settings import SANDBOX_TODAY

_WORDS = Path(__file__).parent / "words"
_PLANTED = json.loads((_WORDS / "planted.json").read_text("utf-8"))
_SHARES = list(csv.DictReader((_WORDS / "planted_shares.csv").read_text("utf-8").splitlines()))


def _shares(column: str) -> dict[str, float]:
    return {row["id"]: float(row[column]) for row in _SHARES if row[column]}


def _burst(row: dict[str, Any]) -> tuple[date, float, float, float]:
    return date.fromisoformat(row["peak"]), row["rise"], row["fall"], row["height"]


TODAY = SANDBOX_TODAY
DAYS_BETWEEN_ANSWERS = 3  # days from one answer about an entity to the next

# ---- videos: engagement = (likes + comments + shares) / views, all effects multiply ----------------------------

DURATION_SLOPE = -0.22  # of log(engagement) on log(duration)
EVENING_HOURS = range(17, 22)  # hours of create_time, UTC
EVENING_LIFT = 1.35
AI_FACTOR = 0.68
AGE_SLOPE = -0.12  # of log(engagement) on log(age in days)
ENGAGEMENT_NOISE = 0.40  # standard deviation of log(engagement) that nothing explains
CREATOR_NOISE = 0.20  # the same, shared by the videos of one creator
ENGAGEMENT = _shares("engagement")  # by first-level category
ENGAGEMENT_ELSEWHERE = 0.065  # of a 20 s video of a year's age, posted by day, not AI-made
SALES_SHARE = _shares("sales_share")
SALES_SHARE_ELSEWHERE = 0.30  # share of videos with a sales_flag other than 0
LIVE_SHARE = 0.12  # of the videos with a sales flag, those with 2 (live) instead of 1 (video)
UNSOLD_SHARE = 0.35  # of the videos with a sales flag, those without any sale
AI_SHARE = _shares("ai_share")
AI_SHARE_ELSEWHERE = 0.14
VIEWS_MEDIAN = 260_000.0
VIEWS_SIGMA = 1.5  # standard deviation of log(views): heavy tail
CREATOR_VIEWS = (0.6, 1.6)  # what the videos of one creator have their views multiplied by, evenly distributed
HALF_LIFE = 6.0  # median of the days in which a video gets half of all its views
HALF_LIFE_SIGMA = 0.9
PRICE_ELSEWHERE = 20.0  # price of a unit sold, before PRICE_SPREAD
PRICE = {14: 16.0, 22: 24.0, 15: 28.0, 27: 12.0, 29: 21.0, 12: 18.0, 19: 15.0, 21: 45.0, 18: 19.0}  # by industry
PRICE_SPREAD = (0.5, 1.8)  # of one video, evenly distributed: times

# ---- ranking of product categories -----------------------------------------------------------------------------

CTR_MEDIAN = 1.05
CVR_MEDIAN = 2.9
CTR_BY_LEVEL_1 = 0.12  # standard deviation of the log that the categories of one first-level category share
CVR_BY_LEVEL_1 = 0.14
OPPORTUNITIES = ("Perfume", "Body Mist", "Matcha", "Cat Trees", "Press-On Nails", "Walking Pads")
OPPORTUNITY_CTR = 1.6
OPPORTUNITY_CVR = 1.8  # the price of a conversion falls by the product of the two, to 0.35
OPPORTUNITY_GROWTH = 8.0  # percent more posts than in the window before (by day: a seventh of it)
TRAPS = ("Phone Cases", "Women's T-Shirts", "LED Strip Lights", "Novels")
TRAP_CTR = 0.9
TRAP_CVR = 0.35  # many posts, but a conversion costs 3.2 times the usual

# Day of the peak, days of rise, days of fall, height. Demand is 1 + height x bump, and the bump is
# 1 / (1 + (distance / days)**2).
SEASONS = {name: _burst(row) for name, row in _PLANTED["seasons"].items()}
SEASONAL_CATEGORIES: dict[str, list[str]] = {name: row["categories"] for name, row in _PLANTED["seasons"].items()}

# ---- hashtags and sounds ---------------------------------------------------------------------------------------

SEASONAL_HASHTAGS = {hashtag: name for name, row in _PLANTED["seasons"].items() for hashtag in row["hashtags"]}
# Families rise and fall together: one burst every so many days, one of them with this peak.
FAMILIES: dict[str, list[str]] = {name: row["hashtags"] for name, row in _PLANTED["families"].items()}
FAMILY_BURSTS: dict[str, tuple[date, int]] = {
    name: (date.fromisoformat(row["peak"]), row["every_days"]) for name, row in _PLANTED["families"].items()
}
FAMILY_RISE, FAMILY_FALL, FAMILY_HEIGHT = 3.0, 5.0, 6.0
FAMILY_NOISE = 0.12  # half width of what each member does on its own
OWN_NOISE = 0.18  # the same for all other hashtags and sounds
WEEKEND_LIFT = (0.8, 1.2)  # of Saturdays and Sundays, evenly distributed over hashtags and sounds
YEARLY_GROWTH = (-0.6, 0.6)  # of the usual level of today, evenly distributed over hashtags and sounds
BURST_RISE, BURST_FALL = (1.0, 5.0), (2.0, 14.0)  # days, of the bursts of all that is in no family
# Events of the calendar: day of the peak, days of rise, days of fall, height. Before and after, little happens.
EVENT_USUAL = 0.15
EVENTS = {name: _burst(row) for name, row in _PLANTED["events"].items()}
TWIN_SOUND = "7498251163905427713"  # its audience is that of TWIN_HASHTAG
TWIN_HASHTAG = "perfumetok"
TWIN_NOISE = 0.05  # half width of the relative difference of their index scores
TWIN_LEAD_DAYS = 3  # and its bursts come so many days before those of the family
FAMILY_OF = {hashtag: name for name, members in FAMILIES.items() for hashtag in members}
FAMILY_OF[TWIN_SOUND] = FAMILY_OF[TWIN_HASHTAG]
PLANTED = {*FAMILY_OF, *SEASONAL_HASHTAGS}  # hashtags and the sound that must have no issues
FAMILY_AUDIENCE_NOISE = 0.20
FAVOURED_INTERESTS = 2.6  # times the score of the interests that go with an industry
LANGUAGE_COUNTRIES = 2.4  # times the score of the countries that speak the language of a hashtag or sound

# ---- issues: how often, each entity for itself. No family, seasonal hashtag or twin sound has one ----------------

INDUSTRY_MISSING = 0.12
TREND_SHORT = 0.04
TREND_UNSORTED = 0.02
TREND_TWICE = 0.02
TREND_EMPTY = 0.005
TREND_PEAK_CUT = 0.04  # highest value below 1
AGES_NULL = 0.05  # hashtags
AGES_EMPTY = 0.03
SOUND_AGES_NULL = 0.60
INTERESTS_EMPTY = 0.06
COUNTRIES_EMPTY = 0.04
TIED_SCORES = 0.15
PRODUCT_INTERESTS_EMPTY = 0.35
RELATED_ITEMS_NULL = 0.50
PROMOTED = 0.04
FAVORITES_UNKNOWN = 0.15  # -99999
REGION_BLANK = 0.18
CAPTION_EMPTY = 0.02
CAPTION_FORMULA = 0.02  # starts with "=", "+", "-" or "@"
CAPTION_NA = 0.004
CAPTION_LINES = 0.10
INCREMENTS_STALE = 0.03  # 1 and 7 days 0, 30 days the lifetime total
SMALL_ROW_POSTS = 120  # below, a ranking row may have no conversions: cvr 0 beside cpa 0
SMALL_ROW_ZERO = 0.30
LEVEL_2_SHARE = 0.25  # of the second-level categories, those that are rows of the rankings
LIST_TWICE = 0.25  # of the hashtag lists, those in which one hashtag comes twice

# ---- creators, products and their days -------------------------------------------------------------------------

EPOCH = date(1970, 1, 1).toordinal()
FIRST_DAY = date(2024, 1, 1).toordinal() - EPOCH  # sales begin here
LAST_DAY = date(2028, 12, 31).toordinal() - EPOCH
DAYS_TOLD = 210  # before today; older days have no rows
WEEKDAY_VIEWS = (1.0, 0.96, 0.95, 0.97, 1.02, 1.12, 1.1)  # from Monday on
WEEKDAY_UNITS = (0.98, 0.96, 1.0, 1.02, 1.05, 1.0, 0.97)
MARKET_NOISE = 0.12  # standard deviation of log(views) and, drawn again, of log(units) that a market shares on a day
VIEWS_NOISE = 0.45  # the same of log(views) of a creator on a day
UNITS_NOISE = 0.30  # the same of log(units) of a product that a creator sells on a day
VIRAL_SHARE = 0.008  # of the days of a creator, those on which something goes viral
VIRAL_HEIGHT = (8.0, 40.0)  # times the usual views
VIRAL_DECAY = 0.6  # what is left of the height a day later
UNITS_ON_VIEWS = 0.25  # of log(units) on log(views)
UNITS_LAGS = (0.5, 0.3, 0.2)  # of it, on the day, one and two days later
VIEWS_ON_FOLLOWERS = 0.30  # of log(views of a video in the end) on log(followers when posted / creator's mean)
BREAKTHROUGH_EVERY = 900  # days, in which a creator becomes known once:
BREAKTHROUGH_DAYS = (20, 60)  # in so many of them
BREAKTHROUGH_TIMES = (4.0, 25.0)  # followers after it, times those before
NO_SHOWCASE = 0.15  # of the creators, those who promote nothing
DISCONTINUED = 0.08  # of the products, those no longer sold from a day on
VIDEO_WITH_PRODUCT = 0.69  # of the videos with a sales flag whose creator promotes anything, those that carry a product
PRODUCTS_AS_LIST = 0.06  # of these, those with a list instead of a text
VIDEO_AD = 0.06  # share of videos that are ads
CREATOR_REGION_BLANK = 0.03  # share of creators whose region is ""
CATEGORY_ZERO = 0.05  # share of products whose second and third level are "0"
UNRATED = 0.15  # share of products without reviews, whose rating is 0
CREATOR_DAYS_LEFT_OUT = 0.04  # share of a creator's days that are left out
PRODUCT_DAYS_LEFT_OUT = (0.34, 0.60)  # the same of a product, of days with and without a sale

# ---- faults of creators and products: how often, each entity has at most one; none in Sandbox(clean=True) --------

FALLING_TOTAL = 0.015
FALL_SIZE = (0.03, 0.15)  # of the total, evenly distributed
FALL_EVERY = 100  # days, of which one has a fall
WINDOW_CONFLICT = 0.015
CONFLICT_SIZE = (1.2, 3.0)  # times what is allowed
FROZEN = 0.015
FROZEN_SINCE = (date(2025, 9, 1), date(2026, 1, 1))
REVISED_PAST = 0.015
REVISION_SIZE = (1.1, 2.0)  # times the value before
REVISION_EVERY = 20  # days, of which one is revised
PARAMETER_IGNORED = 0.015
IMPOSSIBLE_COUNT = 0.01  # of creators
IMPOSSIBLE_SIZE = (1.05, 2.0)  # likes, times the views
GAP = 0.02
GAP_DAYS = (8, 20)
GAP_EVERY = 100  # days, of which so many are missing
SAME_VALUE = 0.01  # of the batches of two and more ids
UNCOVERED_MARKET = "FR"  # of its domestic creators
UNCOVERED_DAYS = (date(2025, 12, 19), date(2026, 1, 1))
