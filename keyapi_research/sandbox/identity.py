"""Who and what is in the world: creators and products, the ids that lead back to them, and who promotes what.

The lower half of an id is the place of its owner in the world, shuffled: the category, the region, the number within
the two. A group of three categories is a market of its own: its creators promote products of these three.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from functools import cache, lru_cache

from . import chance, effects, words
from .effects import DAYS_BETWEEN_ANSWERS
from .words import Category

CREATORS = 24  # of one category in one region
PRODUCTS = 12  # likewise
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "BR", "ID", "MY", "MX", "TH", "VN", "PH", "SG", "JP", "IE")  # ranked
PLACES = 120  # of regions; the first stands for all
_GROUPS = -(-len(words.CATEGORIES) // 3)
_STAGE = 10  # groups of a region whose creators and products are large, and ranked
_ACCOUNTS = (1_400_000_000, 1_470_000_000)  # when they were made: before all videos
_NAMES = ("{name}.{word}", "{word}by{name}", "{name}_{word}", "{name}{word}", "its{name}")
_DIGITS = string.digits + string.ascii_lowercase
_ABSENT = "000000"


@dataclass(frozen=True)
class Setting:
    """Which world: its seed, whether it is free of faults and has its effects, how fast its time goes."""

    seed: str
    clean: bool = False
    effects: bool = True
    days_between_answers: int = DAYS_BETWEEN_ANSWERS

    def later(self, n: int) -> int:
        """Return how many days after the first answer about an entity the n-th is."""
        return self.days_between_answers * (n - 1)


@dataclass(frozen=True, eq=False)  # one object a creator: quick to look up
class Creator:
    """A creator. ``place`` is that of the region they sell in, ``slot`` 0 whoever is not of the world."""

    user_id: str
    unique_id: str
    category: Category
    place: int
    slot: int
    country: str
    popularity: float
    liking: float

    @property
    def market(self) -> str:
        """Region they sell in, empty where it is none."""
        return words.CODES[self.place - 1] if self.place else ""


@dataclass(frozen=True, eq=False)
class Product:
    """A product: ``category`` is its own, of the third level, ``home`` that under which it is filed in the world."""

    product_id: str
    home: Category
    category: Category
    place: int
    number: int
    price: int  # cents, before it changes
    launch: int  # day
    end: int  # day from which on it is discontinued
    by_video: int  # of 256 units, those sold by videos
    by_live: int


@dataclass(frozen=True, eq=False)
class Promotion:
    """A creator promotes a product, from a day on, with a share of all they sell."""

    creator: Creator
    product: Product
    since: int
    share: float


def place_of(region: str) -> int:
    """Return the place of a region, 0 where it is none."""
    return words.CODES.index(region) + 1 if region in words.COUNTRIES else 0


def shuffled(value: int, keys: tuple[int, ...], half: int = 16) -> int:
    """Shuffle numbers of twice so many bits in a way that the same keys, reversed, undo."""
    mask = (1 << half) - 1
    left, right = value >> half, value & mask
    for key in keys:
        left, right = right, left ^ (((right * 40503 + key) >> 5) & mask)
    return right << half | left


@cache
def keys(seed: str, kind: str) -> tuple[int, ...]:
    """Return the keys of the ids of a kind."""
    return tuple(chance.number(seed, kind, round_) >> 40 for round_ in range(4))


def restored(seed: str, kind: str, value: int, half: int = 16) -> int:
    """Undo `shuffled`."""
    return shuffled(value, keys(seed, kind)[::-1], half)


# ---- creators ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=65536)
def creator_at(seed: str, category: Category, place: int, slot: int) -> Creator:
    """Return a creator of the world."""
    dice = chance.Dice(seed, "creator", category.id, place, slot)
    at_home = place > 0 and dice.chance(0.9)
    country = words.CODES[place - 1] if at_home else dice.weighted(words.WEIGHTS)
    popularity, liking = dice.between(*effects.CREATOR_VIEWS), effects.CREATOR_NOISE * dice.normal()
    packed = category.index << 12 | place << 5 | slot
    low = shuffled(packed << 10 | dice.whole(0, 1023), keys(seed, "user ids"))
    identifier = dice.whole(*_ACCOUNTS) << 32 | low
    while identifier % 1_000_000 == 0:  # absent by the sandbox's rule
        identifier += 1 << 32
    code = _base36(shuffled(packed, keys(seed, "handles"), 11))
    handle = f"{_name(dice)}_{code}"
    return Creator(str(identifier), handle, category, place, slot, country, popularity, liking)


def _name(dice: chance.Dice) -> str:
    name, word = (dice.pick(words.WORDS[kind]) for kind in ("first_names", "handle_words"))
    return dice.pick(_NAMES).format(name=name, word=word)


def _base36(value: int) -> str:
    text = ""
    while value or not text:
        value, digit = divmod(value, 36)
        text = _DIGITS[digit] + text
    return text


def _creator_packed(seed: str, packed: int) -> Creator | None:
    index, place, slot = packed >> 12, packed >> 5 & 127, packed & 31
    if index >= len(words.CATEGORIES) or place >= PLACES or not 1 <= slot <= CREATORS:
        return None
    return creator_at(seed, words.CATEGORIES[index], place, slot)


@lru_cache(maxsize=8192)
def creator_by_id(seed: str, user_id: str) -> Creator | None:
    """Return the creator of an id, of the world or, small, of no place in it; None where it is absent."""
    if user_id.endswith(_ABSENT):
        return None
    found = _creator_packed(seed, restored(seed, "user ids", int(user_id) & 0xFFFFFFFF) >> 10)
    if found is not None and found.user_id == user_id:
        return found
    return _foreign(seed, user_id, None)


@lru_cache(maxsize=8192)
def creator_by_handle(seed: str, handle: str) -> Creator | None:
    """Return the creator of a handle, likewise."""
    handle = handle.lower()
    if handle.endswith(_ABSENT):
        return None
    code = handle.rpartition("_")[2]
    if re.fullmatch("[0-9a-z]{1,5}", code) and int(code, 36) < 1 << 22:
        found = _creator_packed(seed, restored(seed, "handles", int(code, 36), 11))
        if found is not None and found.unique_id == handle:
            return found
    dice = chance.Dice(seed, "foreign handle", handle)
    return _foreign(seed, str(dice.whole(*_ACCOUNTS) << 32 | dice.whole(1, 4_294_967) * 1000 + 1), handle)


def _foreign(seed: str, user_id: str, handle: str | None) -> Creator:
    dice = chance.Dice(seed, "foreign creator", user_id)
    name = f"{_name(dice)}{dice.whole(1, 9999)}"
    category, country = dice.pick(words.CATEGORIES), dice.weighted(words.WEIGHTS)
    return Creator(user_id, handle or name, category, 0, 0, country, 1.0, 0.0)


# ---- products ----------------------------------------------------------------------------------------------------


@cache
def _thirds(category: Category) -> list[Category]:
    """Return the third-level categories of a category."""
    under = [one for one in words.CATEGORIES if one.level == words.L3 and (category.id, category.name) in one.path]
    return under or [one for one in words.CATEGORIES if one.level == words.L3]


def _product(identifier: str, dice: chance.Dice, home: Category, place: int, number: int) -> Product:
    category = dice.pick(_thirds(home))
    price = effects.PRICE.get(category.industry, effects.PRICE_ELSEWHERE) * dice.between(*effects.PRICE_SPREAD)
    launch = effects.FIRST_DAY + dice.whole(-300, 600)
    end = launch + dice.whole(200, 900) if dice.chance(effects.DISCONTINUED) else 1 << 30
    by_video = dice.whole(80, 190)
    by_live = dice.whole(0, 230 - by_video)
    return Product(identifier, home, category, place, number, int(price * 100), launch, end, by_video, by_live)


@lru_cache(maxsize=65536)
def product_at(seed: str, home: Category, place: int, number: int) -> Product:
    """Return a product of the world."""
    dice = chance.Dice(seed, "product", home.id, place, number)
    packed = home.index << 22 | place << 15 | number << 11
    low = next(
        low for noise in range(dice.whole(0, 1023), 2048)
        if (low := shuffled(packed | noise, keys(seed, "product ids"))) % 1_000_000
    )  # fmt: skip
    return _product(f"17294{dice.whole(0, 9999):04d}{low:010d}", dice, home, place, number)


@lru_cache(maxsize=8192)
def product_by_id(seed: str, product_id: str) -> Product | None:
    """Return the product of an id, of the world or, small, of no place in it; None where it is absent."""
    if product_id.endswith(_ABSENT):
        return None
    low = int(product_id[-10:])
    packed = restored(seed, "product ids", low) if low < 1 << 32 else -1
    index, place, number = packed >> 22, packed >> 15 & 127, packed >> 11 & 15
    if 0 <= index < len(words.CATEGORIES) and place < PLACES and number < PRODUCTS:
        found = product_at(seed, words.CATEGORIES[index], place, number)
        if found.product_id == product_id:
            return found
    dice = chance.Dice(seed, "foreign product", product_id)
    return _product(product_id, dice, dice.pick(words.CATEGORIES), place_of(dice.pick(REGIONS)), -1)


# ---- who promotes what -------------------------------------------------------------------------------------------


def group_of(category: Category) -> list[Category]:
    """Return the categories whose creators promote one another's products."""
    return words.CATEGORIES[category.index % _GROUPS :: _GROUPS]


@cache
def stage(seed: str, place: int) -> tuple[Category, ...]:
    """Return the categories of a region whose creators and products are ranked."""
    if not place or words.CODES[place - 1] not in REGIONS:
        return ()
    first = words.BY_ID[words.CATEGORY_ID].index % _GROUPS
    others = [number for number in range(_GROUPS) if number != first]
    numbers = [first, *chance.Dice(seed, "stage", place).sample(others, _STAGE - 1)]
    return tuple(category for number in numbers for category in words.CATEGORIES[number::_GROUPS])


@lru_cache(maxsize=16384)
def showcase(seed: str, creator: Creator) -> tuple[Promotion, ...]:
    """Return what a creator promotes, in the order of their showcase."""
    dice = chance.Dice(seed, "showcase", creator.category.id, creator.place, creator.slot)
    if not creator.slot or dice.chance(effects.NO_SHOWCASE):
        return ()
    count = dice.whole(1, 9)
    others = [one for one in group_of(creator.category) if one is not creator.category]
    abroad = sum(dice.chance(0.3) for _ in range(count)) if others else 0
    pool = [(creator.category, number) for number in dice.sample(range(PRODUCTS), count - abroad)]
    pool += dice.sample([(one, number) for one in others for number in range(PRODUCTS)], abroad)
    weights = [dice.between(0.2, 1.0) for _ in pool]
    found = []
    for (home, number), weight in zip(dice.sample(pool, len(pool)), weights, strict=True):
        product = product_at(seed, home, creator.place, number)
        since = product.launch + dice.whole(0, 250)
        found.append(Promotion(creator, product, since, weight / sum(weights)))
    return tuple(found)


@lru_cache(maxsize=512)
def _sellers(seed: str, place: int, group: int) -> dict[str, tuple[Promotion, ...]]:
    found: dict[str, tuple[Promotion, ...]] = {}
    for category in words.CATEGORIES[group::_GROUPS]:
        for slot in range(1, CREATORS + 1):
            for promotion in showcase(seed, creator_at(seed, category, place, slot)):
                one = promotion.product.product_id
                found[one] = (*found.get(one, ()), promotion)
    return found


def sellers(seed: str, product: Product) -> tuple[Promotion, ...]:
    """Return who promotes a product."""
    if product.number < 0:
        return ()
    return _sellers(seed, product.place, product.home.index % _GROUPS).get(product.product_id, ())
