"""The workers of docs/guide/team.md, on one store of a PostgreSQL server: each id is paid once, in full tens."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from test_workers import TOKEN, environment  # noqa: F401 - a fixture

import keyapi_research as kr
from keyapi_research.sandbox import Sandbox

pytestmark = pytest.mark.slow

Run = Callable[[str], pd.DataFrame]
PAGE = Path(__file__).parent.parent / "docs" / "guide" / "team.md"
IDS = [str(7_100_000_000_000_000_001 + 1_000_003 * number) for number in range(5_000)]
PART = 625  # not a multiple of ten, unlike what the guide says: the last request of each part has five ids
PARTS = [IDS[at : at + PART] for at in range(0, len(IDS), PART)]
PRICE = 1
LONG = 300  # seconds: never a measure of speed, only of "it did not hang"
# Handed to Spark, whose workers are started by a JVM.
SPARK = "--master local[2] --conf spark.ui.enabled=false --conf spark.driver.bindAddress=127.0.0.1 pyspark-shell"


@pytest.fixture
def workers(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:  # noqa: F811
    """The environment that workers connect with."""
    return {
        **environment,
        "DASK_DISTRIBUTED__DASHBOARD__LINK": "",
        "DASK_TEMPORARY_DIRECTORY": str(tmp_path),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": SPARK,
        "SPARK_LOCAL_DIRS": str(tmp_path),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


@pytest.fixture
def run(address: str, workers: dict[str, str], tmp_path: Path) -> Run:
    """Run the example of the guide that imports a package, with another store and other ids, unpaced."""
    replaced = {
        "500": str(PART),  # first: a port may have these digits
        "postgresql://ana@db.example.org/tiktok": address,
        "max_call_credits=None": "max_call_credits=None, requests_per_second=None, progress=False",
        "Client(": "Client(dashboard_address=None, ",
    }

    def start(package: str) -> pd.DataFrame:
        blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        [code] = [block for block in blocks if re.match(rf"import .*\b{package}\b", block)]
        assert len(list(filter(None, code.splitlines()))) <= 10
        for said, done in replaced.items():
            code = code.replace(said, done)
        last = re.findall(r"^ *(?=videos = )", code, re.MULTILINE)[0]
        result = tmp_path / "videos.pickle"
        script = tmp_path / "script.py"
        script.write_text(f"ids = {IDS}\n{code}{last}videos.to_pickle({str(result)!r})\n")
        done = subprocess.run(
            [sys.executable, str(script)],
            capture_output=True, text=True, check=False, timeout=LONG, env=workers, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        frame = pd.read_pickle(result)
        result.unlink()
        return frame

    return start


def check(package: str, run: Run, sandbox: Sandbox, address: str) -> None:
    """What the workers fetched was paid once, in as few requests as their parts allow, and is in the store."""
    least = sum(math.ceil(len(part) / 10) for part in PARTS)
    fetched = run(package)
    assert sandbox.charged == least * PRICE == 504
    sent = [request.params["video_ids"].split(",") for request in sandbox.requests]
    assert Counter(map(len, sent)) == {10: 496, 5: 8}
    assert Counter(one for each in sent for one in each) == Counter(IDS)
    again = run(package)
    assert sandbox.charged == least * PRICE
    assert len(sandbox.requests) == least
    assert fetched["video_id"].tolist() == IDS
    assert_frame_equal(again, fetched)
    with kr.Client(store=address, offline=True) as alone:
        ledger = alone.ledger()
        assert len(ledger) == least
        assert ledger["credits"].tolist() == [PRICE] * least
        assert ledger["n_entities"].sum() == len(IDS)
        assert ledger["client"].notna().all()
        assert_frame_equal(fetched.reset_index(drop=True), kr.fetch_videos(IDS, client=alone))


def test_joblib_workers_on_one_store_pay_for_each_id_once(run: Run, sandbox: Sandbox, address: str) -> None:
    pytest.importorskip("joblib")
    check("joblib", run, sandbox, address)


def test_dask_workers_on_one_store_pay_for_each_id_once(run: Run, sandbox: Sandbox, address: str) -> None:
    pytest.importorskip("distributed")
    check("dask", run, sandbox, address)


def test_spark_workers_on_one_store_pay_for_each_id_once(run: Run, sandbox: Sandbox, address: str) -> None:
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Spark needs java, which is not installed")
    check("pyspark", run, sandbox, address)
