# ruff: noqa: INP001 - a script, no package
"""Draw the pictures of `docs/gallery` from the sandbox: `python docs/make_gallery.py [folder]`.

With `--gray` each picture is also written as a black-and-white printer would show it, to judge it by.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from PIL import Image

import keyapi_research as kr

PERFUME = ["perfumetok", "scentoftheday", "vanillaperfume", "smellgood"]
RUNNING = ["runtok", "couchto5k", "marathontraining"]
SCRIPTS = ["عطور", "น้ำหอม", "香水", "향수추천", "духи"]
SOUND = "7498251163905427713"


def pictures(client: kr.Client) -> dict[str, Callable[[], Axes]]:
    """Say how each picture of the gallery is drawn."""
    trends = kr.fetch_hashtag_trends([*PERFUME[:2], *RUNNING[:2]], period=30, client=client)
    scripts = kr.fetch_hashtag_trends(SCRIPTS, period=120, client=client)
    tags = kr.fetch_hashtag_audience([*PERFUME, *RUNNING, "ufc324"], period=30, client=client)
    sounds = kr.fetch_music_audience(SOUND, period=30, client=client)
    ranking = kr.fetch_product_insights(region="US", time_scope=7, limit=100, client=client)
    for _ in range(25):  # the sandbox is three days on each time
        tag = kr.fetch_hashtags("perfumetok", period=30, max_age=0, client=client)
    windows = tag.keyapi.history(client=client).keyapi.trend(client=client)
    seldom = windows["observed_at"].drop_duplicates().iloc[::8]
    stitched = kr.stitch_trends(windows[windows["observed_at"].isin(seldom)])
    details = kr.fetch_product_audience(ranking["category_id"].head(3), region="US", time_scope=7, client=client)
    names = ranking[["category_id", "category"]]
    posts = kr.fetch_product_posts(ranking["category_id"].head(12), region="US", time_scope=7, client=client)
    videos = kr.fetch_videos(posts["video_id"], client=client)
    few = tags[tags["hashtag_name"].isin(["perfumetok", "smellgood", "ufc324"])]
    return {
        "trend": lambda: kr.plots.trend(trends),
        "trend_stitched": lambda: kr.plots.trend(stitched),
        "trend_small_multiples": lambda: kr.plots.trend(scripts, small_multiples=True),
        "audience_age": lambda: kr.plots.audience(details.merge(names, on="category_id")),
        "audience_country": lambda: kr.plots.audience(few, dimension="country"),
        "products": lambda: kr.plots.products(ranking),
        "categories": lambda: kr.plots.categories(ranking),
        "categories_rate": lambda: kr.plots.categories(ranking, measure="cvr_pct"),
        "engagement": lambda: kr.plots.engagement(videos),
        "overlap": lambda: kr.plots.overlap(pd.concat([tags, sounds])),
    }


def main() -> None:
    """Draw them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "gallery")
    parser.add_argument("--gray", action="store_true", help="also write each picture without its colours")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    client = kr.Client(sandbox=True, store=":memory:", progress=False)
    for name, draw in pictures(client).items():
        path = options.folder / f"{name}.png"
        figure = draw().get_figure()
        figure.savefig(path, dpi=100)
        plt.close(figure)
        picture = Image.open(path).convert("RGB")
        picture.save(path, optimize=True)
        if options.gray:
            picture.convert("L").save(path.with_stem(f"{name}_gray"))
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")  # noqa: T201 - a script talks


if __name__ == "__main__":
    main()
