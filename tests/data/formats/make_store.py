"""Write the sample store of the current format: run it once when a format is released, then never again for it.

    python tests/data/formats/make_store.py tests/data/formats/store-v2.db

The answers are written here by hand (and KeyAPI's documented ones), the clock stands still, and a server on this
machine gives them: what is stored does not change when the sandbox does.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import keyapi_research as kr
from keyapi_research.sandbox import Fault, Sandbox
from keyapi_research.store.bodies import checksum

DOCUMENTED = Path(__file__).parent.parent / "documented"
TEXT = "NA\n\u0e44\U0001f600"
TUESDAY, THURSDAY = 1_770_120_000_000_000, 1_770_292_800_000_000  # 2026-02-03 and 2026-02-05, 12:00 UTC


def documented(name: str) -> dict[str, Any]:
    return dict(json.loads((DOCUMENTED / f"{name}.json").read_text("utf-8")))


def hashtag(posts: int, name: str = "ufc324") -> dict[str, Any]:
    answer = documented("trending-hashtag-detail")
    answer["data"]["info"].update(publish_cnt=posts, hashtag_name=name)
    return {**answer, "requestId": f"request-{name}-{posts}"}


def video(video_id: str, views: int, text: str) -> dict[str, Any]:
    row = documented("video-detail-analytics")["data"][0]
    return {**row, "video_id": video_id, "total_views_cnt": views, "video_desc": text}


def page(*ids: int, more: bool) -> dict[str, Any]:
    answer = documented("insights-products")
    row = answer["data"]["list"][0]
    rows = [{**row, "third_ecom_category": {**row["third_ecom_category"], "id": str(one)}, "post": one} for one in ids]
    return {**answer, "data": {"list": rows, "pagination": {"page": 1, "size": len(ids), "has_more": more}}}


def write(path: Path) -> None:
    somewhere = mock.patch("keyapi_research.store.writing.this_process", return_value="somewhere:1")
    with Sandbox() as server, somewhere, mock.patch("keyapi_research.client.transport.now_us") as clock:
        clock.return_value = TUESDAY
        client = kr.Client(token="none-of-yours", base_url=server.url, store=path, requests_per_second=None, retries=0,
                           max_age="any", progress=False)

        def answer(*bodies: Any, status: int = 200) -> None:
            for body in bodies:
                server.faults.put(Fault(status=status, body=json.dumps(body).encode()))

        answer(hashtag(100))
        kr.fetch_hashtags("ufc324", client=client)
        answer({"code": 0, "message": "success", "data": None})
        kr.fetch_hashtags("nobody", client=client)
        answer({"code": 400, "message": "Invalid request parameter", "data": None}, status=400)
        kr.fetch_hashtags("refused", client=client, errors="warn")
        server.faults.put(Fault(close="before"))
        kr.fetch_hashtags("unanswered", client=client, errors="warn")
        answer({"code": 0, "data": [video("7117191641181555995", 211100, "=1+1"), video("12", -99999, TEXT)]})
        kr.fetch_videos(["7117191641181555995", "12", "13"], client=client)
        answer(page(*range(1, 11), more=True), page(*range(11, 16), more=False))
        kr.fetch_product_insights(region="US", limit=None, client=client)
        answer(documented("insights-product-detail"))
        kr.fetch_product_details("601583", time_scope="2025-12", client=client)
        answer(documented("trending-music-detail"))
        kr.fetch_music("6703723351497508865", client=client)
        clock.return_value = THURSDAY
        answer(hashtag(250))
        kr.fetch_hashtags("ufc324", max_age=0, client=client)
        client.close()
    with closing(sqlite3.connect(path)) as database:
        with database:
            database.execute("UPDATE keyapi_ledger SET sent_at = ? + id, elapsed_s = 0.25", (TUESDAY,))
            for *row, _ in database.execute("SELECT * FROM keyapi_ledger").fetchall():
                database.execute("UPDATE keyapi_ledger SET checksum = ? WHERE id = ?", (checksum(row), row[0]))
        database.execute("VACUUM")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    write(Path(sys.argv[1]))
