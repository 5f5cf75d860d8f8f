"""Each of the package's tables, declared again, gives what that gives: through every door, paid once."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import keyapi_research as kr
from keyapi_research.model import TABLES, Table
from keyapi_research.places import CountOf, Field, FromQuery, Metadata, PerList, Position

Make = Callable[..., kr.Client]


# The package's tables, declared again -------------------------------------------------------------------------

KINDS = {"id": "id", "text": "text", "hashtag": "text", "count": "count", "integer": "gain", "number": "number",
         "flag": "flag", "time": "time"}  # fmt: skip
DEEPEST = "the deepest level that an answer has"
CODED = "a code, translated"
CONSTANT = "which of several lists a row is in"
SENT = "as it is sent: FALSE for no search, nothing for no industry, false for a flag"
NOT_EXPRESSED: dict[str, dict[str, str]] = {
    "product_insights": {"search": SENT, "category_id": DEEPEST, "category": DEEPEST,
                         "cpa": "a zero beside a cvr of zero is missing"},
    "product_details": {"category": DEEPEST},
    "product_audience": {"dimension": CONSTANT, "score_unit": CONSTANT},
    "hashtag_audience": {"dimension": CONSTANT, "score_unit": CONSTANT},
    "music_audience": {"dimension": CONSTANT, "score_unit": CONSTANT},
    "trending_hashtags": {"filter_industry_id": SENT, "new_only": SENT, "rank_movement": CODED},
    "trending_hashtag_trends": {"filter_industry_id": SENT, "new_only": SENT},
    "trending_hashtag_creators": {"filter_industry_id": SENT, "new_only": SENT},
    "trending_music": {"search": SENT, "new_only": SENT, "commercial_only": SENT, "rank_movement": CODED},
    "trending_music_trends": {"search": SENT, "new_only": SENT, "commercial_only": SENT},
}  # fmt: skip
NOT_OF_AGES = {"segment": CODED, "segment_code": "no place in the answer"}
NEVER_THERE = ("product_audience", 2)  # of products no country was seen
IDS = {
    "/v1/tiktok/video/detail/analytics": [str(7300000000000000001 + n) for n in range(12)],
    "/v1/tiktok/insights/product/detail": ["601583", "848648"],
    "/v1/tiktok/trending/hashtag/detail": ["perfume", "ufc324", "cats"],
    "/v1/tiktok/trending/music/detail": ["6703723351497508865", "7000000000000000001"],
}
# Tables with days, codes of parameters or lists in texts cannot be declared again; test_declare has what can be.
FAMILIES = ("/insights/", "/video/detail/", "/trending/")
LISTS = {
    name: len(table.rows)
    for name, table in TABLES.items()
    if name != "video_products" and any(family in table.endpoint.path for family in FAMILIES)
}
TWINS = [(name, at) for name, lists in LISTS.items() for at in range(lists) if (name, at) != NEVER_THERE]
NAMED = [f"{name}-{at}" if LISTS[name] > 1 else name for name, at in TWINS]


@dataclass(frozen=True)
class Twin:
    """A table of the package, or one list of it, declared again."""

    of: Table
    dimension: str | None  # of an audience, which one
    fetch: Callable[..., pd.DataFrame]
    renamed: Mapping[str, str]  # columns of what is requested, named as the package names them
    columns: list[str]  # that both have

    @property
    def name(self) -> str:
        return self.fetch.__name__.removeprefix("fetch_")

    def requested(self) -> list[list[str]]:
        """What both functions are called with."""
        return [IDS[self.of.endpoint.path]] if self.of.endpoint.entity else []

    def options(self) -> dict[str, int]:
        return {"limit": 40} if self.of.endpoint.ranking else {}

    def fetch_built_in(self, **options: Any) -> pd.DataFrame:
        built_in = getattr(kr, self.of.function)
        return self.as_twin(built_in(*self.requested(), **self.options(), **options))

    def fetch_twin(self, **options: Any) -> pd.DataFrame:
        return self.fetch(*self.requested(), **self.options(), **options)

    def as_twin(self, built_in: pd.DataFrame) -> pd.DataFrame:
        """The rows and columns of a table of the package that its twin has, too."""
        if self.dimension is not None:
            built_in = built_in[built_in["dimension"] == self.dimension].reset_index(drop=True)
        return built_in[self.columns]

    def as_built_in(self, own: pd.DataFrame) -> pd.DataFrame:
        return own.rename(columns=self.renamed)[self.columns]


def declare_twin(name: str, at: int) -> Twin:
    """Declare a table of the package again, column by column, by its declaration."""
    table = TABLES[name]
    endpoint, rows = table.endpoint, table.rows[at]
    skipped = {**NOT_EXPRESSED.get(name, {}), **(NOT_OF_AGES if "audience_ages" in rows else {})}
    columns = {}
    for column in table.columns:
        place = column.place.places[at] if isinstance(column.place, PerList) else column.place
        if column.name in skipped or isinstance(place, FromQuery | Metadata):
            continue
        if isinstance(place, Position):
            kind, path = "position", ""
        else:
            assert isinstance(place, Field | CountOf), (name, column.name, place)
            kind = "length" if isinstance(place, CountOf) else KINDS[column.kind]
            path = "" if place.path == rows else place.path.removeprefix(f"{rows}.")
        columns[column.name] = (kind, path, column.measured, column.meaning)
    renamed = {
        f"requested_{one.api_name}" if one.api_name in columns else one.api_name: one.column for one in endpoint.inputs
    }
    wire = {own: sent for sent, own in renamed.items()}
    key = [wire.get(one, one) for one in table.key if one not in skipped or one in wire]
    lists = LISTS[name] > 1
    fetch = kr.declare(
        f"own_{name}_{at}",
        endpoint.path,
        credits=endpoint.credits,
        by=endpoint.entity and endpoint.entity.api_name,
        batch=endpoint.batch,
        params={one.api_name: one.unset if one.default is None else one.default for one in endpoint.parameters},
        rows=rows,
        key=key if name != "product_insights" else "position",
        columns=columns,
    )
    dimension = ("age", "interest", "country")[at] if lists else None
    both = [one for one in table.names if one not in skipped]
    return Twin(table, dimension, fetch, renamed, both)


@pytest.fixture(params=[pytest.param(one, marks=pytest.mark.slow if one[1] else ()) for one in TWINS], ids=NAMED)
def twin(request: pytest.FixtureRequest) -> Twin:
    return declare_twin(*request.param)


def facts(plan: kr.Plan) -> tuple[object, ...]:
    return plan.requests, plan.credits, plan.credits_max, plan.stored, plan.oldest, plan.note


@pytest.mark.parametrize("own_first", [True, False])
def test_a_table_declared_again_is_equal_and_paid_once(twin: Twin, own_first: bool, client: kr.Client) -> None:
    plans = [
        kr.plan(fetch, *twin.requested(), **twin.options(), client=client)
        for fetch in (twin.fetch, getattr(kr, twin.of.function))
    ]
    assert facts(plans[0]) == facts(plans[1])
    if own_first:
        own, paid, built_in = twin.fetch_twin(client=client), client.credits_spent, twin.fetch_built_in(client=client)
    else:
        built_in, paid, own = twin.fetch_built_in(client=client), client.credits_spent, twin.fetch_twin(client=client)
    assert client.credits_spent == paid
    assert 0 < plans[0].credits <= paid <= (plans[0].credits_max or 0)
    assert len(own) > 0
    assert_frame_equal(twin.as_built_in(own), built_in)
    after = kr.plan(twin.fetch, *twin.requested(), **twin.options(), client=client)
    assert (after.requests, after.credits, after.stored) == (0, 0, client.store.counts()["answers"])
    not_in_both = set(twin.of.names) - set(twin.columns)
    assert not_in_both == {*NOT_EXPRESSED.get(twin.of.name, {}), *(NOT_OF_AGES if twin.dimension == "age" else {})}


def test_its_columns_are_described_as_yours_and_it_is_listed(twin: Twin) -> None:
    page = kr.describe(twin.name).set_index("column")
    metadata = ["observed_at", "source"]
    assert set(page.drop(metadata)["status"]) == {"yours"}
    assert set(page.drop(metadata)["reason"]) == {"declared in this session"}
    built_in = kr.describe(twin.of.name).set_index("column")
    same = page.rename(twin.renamed).loc[[one for one in twin.columns if one not in metadata]]
    assert same["dtype"].tolist() == built_in.loc[same.index, "dtype"].tolist()
    own = [one for one in same.index if one not in twin.renamed.values()]
    assert same.loc[own, "unit"].tolist() == built_in.loc[own, "unit"].tolist()
    row = kr.tables().set_index("table").loc[twin.name]
    assert row["endpoint"] == twin.of.endpoint.path
    assert row["fetch"] == twin.fetch.__name__
    assert row["credits"] == twin.of.endpoint.credits


@pytest.mark.slow
def test_it_comes_back_from_files(twin: Twin, client: kr.Client, tmp_path: Path) -> None:
    frame = twin.fetch_twin(client=client)
    frame.keyapi.to_csv(tmp_path / "own.csv")
    again = kr.read_csv(tmp_path / "own.csv")
    assert_frame_equal(again, frame)
    kr.write_package(tmp_path / "package", {twin.name: frame}, client=client)
    assert_frame_equal(kr.read_package(tmp_path / "package")[twin.name], frame)
    assert again.keyapi.raw(client=client) == frame.keyapi.raw(client=client)
    assert_frame_equal(again.keyapi.history(of=twin.name, client=client), sort(frame, twin))


def sort(frame: pd.DataFrame, twin: Twin) -> pd.DataFrame:
    """In the order of a history."""
    return frame.sort_values([*TABLES[twin.name].key, "observed_at"], kind="stable", ignore_index=True)


@pytest.mark.slow
def test_the_methods_find_the_answers_behind_its_rows(twin: Twin, make_client: Make) -> None:
    client = make_client()
    first = twin.fetch_twin(client=client)
    second = twin.fetch_twin(max_age=0, client=client)
    spent = client.credits_spent
    built_in = getattr(kr, twin.of.function)(*twin.requested(), **twin.options(), client=client)
    assert_frame_equal(twin.as_built_in(second), twin.as_twin(built_in))
    both = pd.concat([first, second], ignore_index=True)
    for rows in (first, second, second.drop(columns="observed_at")):  # rows without a time stand for the newest
        table = twin.name if "observed_at" in rows else None
        assert len(rows.keyapi.history(client=client, of=table)) >= len(rows)
    history = second.keyapi.history(of=twin.name, client=client)
    assert list(history.columns) == list(second.columns)
    seen = set(keys(second, twin))
    assert_frame_equal(history, sort(both[[key in seen for key in keys(both, twin)]], twin))
    if twin.dimension is None and len(built_in) == len(second):
        assert second.keyapi.raw(client=client) == built_in.keyapi.raw(of=twin.of.name, client=client)
        assert_frame_equal(
            second.keyapi.provenance(client=client), built_in.keyapi.provenance(of=twin.of.name, client=client)
        )
    assert second.drop(columns="observed_at").keyapi.raw(client=client) == second.keyapi.raw(client=client)
    assert second.keyapi.validate(client=client) is second
    assert client.credits_spent == spent


def keys(frame: pd.DataFrame, twin: Twin) -> list[tuple[Any, ...]]:
    return list(frame[list(TABLES[twin.name].key)].astype(str).itertuples(index=False, name=None))


@pytest.mark.slow
def test_stored_answers_are_read_offline_and_as_of(twin: Twin, make_client: Make, tmp_path: Path) -> None:
    client = make_client()
    first = twin.fetch_twin(client=client)
    second = twin.fetch_twin(max_age=0, client=client)
    offline = make_client(offline=True)
    assert_frame_equal(twin.fetch_twin(client=offline), second)
    until = (
        first["observed_at"].max() + (second["observed_at"].min() - first["observed_at"].max()) / 2
    ).to_pydatetime()
    assert_frame_equal(twin.fetch_twin(client=make_client(offline=True, as_of=until)), first)
    make_client(store=tmp_path / "empty.sqlite")
    with pytest.raises(kr.NotStoredError, match=r"[0-9] credits?\b"):
        twin.fetch_twin(client=make_client(store=tmp_path / "empty.sqlite", offline=True))


REPLAYED = """
import pickle, sys
import keyapi_research as kr
from test_declare_again import NAMED, TWINS, declare_twin

if sys.argv[3] == "before":
    twins = [declare_twin(*one) for one in TWINS]
kr.replay(sys.argv[1])
if sys.argv[3] == "after":
    twins = [declare_twin(*one) for one in TWINS]
if sys.argv[3] == "never":
    again = {name: kr.fetch_videos(["7300000000000000001"]) for name in ("videos",)}
    again["frozen"] = repr(kr.freeze(sys.argv[1]))
else:
    again = {one.name: one.fetch_twin() for one in twins}
    again["frozen"] = repr(kr.freeze(sys.argv[1]))
with open(sys.argv[2], "wb") as file:
    pickle.dump(again, file)
"""


@pytest.mark.slow
def test_a_frozen_study_is_replayed_in_a_new_process(client: kr.Client, tmp_path: Path) -> None:
    twins = [declare_twin(*one) for one in TWINS]
    frames = {one.name: one.fetch_twin(client=client) for one in twins}
    videos = kr.fetch_videos(["7300000000000000001"], client=client)
    archive = tmp_path / "study.zip"
    frozen = kr.freeze(archive, client=client)
    assert frozen.differing == ()
    assert frozen.credits == client.credits_spent
    for when in ("before", "after", "never"):
        again = run(REPLAYED, archive, tmp_path / when, when)
        assert again.pop("frozen") == repr(frozen), when
        if when == "never":
            assert_frame_equal(again.pop("videos"), videos)
            assert not again
        else:
            assert again.keys() == frames.keys()
            for name, frame in frames.items():
                assert_frame_equal(again[name], frame, obj=f"{name}, declared {when} the replay")


def run(program: str, *arguments: object) -> Any:
    """Run a program of a new process, and return what it pickled into its second argument."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return pickle.loads(Path(str(arguments[1])).read_bytes())
