"""Write the sample archive of the current format: run it once when a format is released, then never again for it.

    python tests/data/archives/make_archive.py tests/data/archives/format-2.zip

As for the sample stores, the answers are written by hand and the clock stands still.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import keyapi_research as kr
from keyapi_research.sandbox import Fault, Sandbox

sys.path.insert(0, str(Path(__file__).parent.parent / "formats"))
from make_store import THURSDAY, TUESDAY, hashtag, page


def write(path: Path) -> None:
    now = mock.patch("keyapi_research.client.transport.now_us")
    with tempfile.TemporaryDirectory() as folder, Sandbox() as server, now as clock:
        clock.return_value = TUESDAY
        client = kr.Client(token="none-of-yours", base_url=server.url, store=f"{folder}/study.sqlite", retries=0,
                           requests_per_second=None, max_age="any", progress=False)

        def answer(*bodies: Any) -> None:
            for body in bodies:
                server.faults.put(Fault(body=json.dumps(body).encode()))

        answer(hashtag(12142))
        kr.fetch_hashtags("ufc324", client=client)
        answer(page(*range(1, 11), more=True), page(*range(11, 16), more=True))
        kr.fetch_product_insights(region="US", limit=15, client=client)
        clock.return_value = THURSDAY
        answer(page(*range(1, 6), more=True))  # a shorter pull, but all that was wanted
        kr.fetch_product_insights(region="US", limit=5, max_age=0, client=client)
        kr.freeze(path, client=client)
        client.close()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    write(Path(sys.argv[1]))
