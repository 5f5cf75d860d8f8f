"""Data packages: CSVs and a descriptor that says what is in them, where it came from, and no more than holds."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import keyapi_research as kr
from keyapi_research.export import read_package, write_package
from keyapi_research.model import TABLES
from keyapi_research.sandbox import Sandbox

VIDEOS = ["7117191641181555995", *(str(7300000000000000001 + n) for n in range(11))]
IDS_OF: dict[str, Any] = {
    "video_analytics": VIDEOS,
    "hashtag_detail": ["ufc324", "cats", "dogs"],
    "product_detail": ["601583", "601450"],
    "music_detail": ["6703723351497508865", "7300000000000000001"],
}
MORE_OF: dict[str, dict[str, Any]] = {
    **{name: {"region": "US"} for name in ("creator_rankings", "product_rankings", "product_search", "video_rankings")},
    **{name: {"start": "14D"} for name in ("creator_days", "product_days")},
}


def every_table(client: kr.Client) -> dict[str, pd.DataFrame]:
    """Fetch all tables there are."""
    frames = {}
    found = {
        "user_ids": kr.fetch_creator_rankings(region="US", cycle="week", limit=3, client=client)["user_id"],
        "product_ids": kr.fetch_product_rankings(region="US", cycle="week", limit=3, client=client)["product_id"],
    }
    for name in TABLES:
        fetch, endpoint = getattr(kr, f"fetch_{name}"), TABLES[name].endpoint
        ids = IDS_OF.get(endpoint.name, found.get(endpoint.entity.argument) if endpoint.entity else None)
        more = MORE_OF.get(name, {})
        frames[name] = fetch(limit=25, **more, client=client) if ids is None else fetch(ids, **more, client=client)
    return frames


def descriptor_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))


def resource_of(folder: Path, name: str) -> dict[str, Any]:
    return {one["name"]: one for one in descriptor_of(folder)["resources"]}[name]


# Written ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_all_tables_come_back(client: kr.Client, tmp_path: Path) -> None:
    frames = every_table(client)
    write_package(tmp_path / "all", frames, client=client)
    back = read_package(tmp_path / "all")
    assert list(back) == list(frames) == list(TABLES)
    for name, frame in frames.items():
        assert_frame_equal(back[name], frame)
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == sorted(
        ["datapackage.json", *(f"{name}.csv" for name in TABLES)]
    )
    for resource in descriptor_of(tmp_path / "all")["resources"]:
        content = (tmp_path / "all" / resource["path"]).read_bytes()
        assert resource["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert resource["bytes"] == len(content)


def test_the_descriptor_says_what_the_dictionary_says(client: kr.Client, tmp_path: Path) -> None:
    write_package(tmp_path / "My Study", {"tags": kr.fetch_hashtags(["cats"], client=client)}, client=client)
    descriptor = descriptor_of(tmp_path / "My Study")
    assert descriptor["name"] == "my-study"
    assert descriptor["$schema"] == "https://datapackage.org/profiles/2.0/datapackage.json"
    assert set(descriptor["versions"]) == {"keyapi-research", "pandas"}
    assert "licenses" not in descriptor  # that is for the user to say
    resource = resource_of(tmp_path / "My Study", "tags")
    assert (resource["path"], resource["format"], resource["encoding"]) == ("tags.csv", "csv", "utf-8")
    assert (resource["title"], resource["description"]) == ("hashtags", "One row per hashtag.")
    assert resource["sources"][0]["title"].startswith("KeyAPI, GET /v1/tiktok/trending/hashtag/detail")
    assert resource["schema"]["missingValues"] == [""]
    fields = {field["name"]: field for field in resource["schema"]["fields"]}
    types = {name: field["type"] for name, field in fields.items()}
    assert {types[name] for name in ("region", "hashtag_id", "industry")} == {"string"}
    assert {types[name] for name in ("period", "views_all", "n_related")} == {"integer"}
    assert (types["promoted"], types["observed_at"]) == ("boolean", "datetime")
    assert fields["views_all"]["unit"] == "views"
    assert fields["views_all"]["description"] == "Views overall."
    assert fields["views_all"]["source"] == "data.info.video_views_all"
    assert fields["views_all"]["status"] == "inferred"
    assert fields["views_all"]["reason"].startswith("overall by its name; whether worldwide")
    assert "unit" not in fields["hashtag_id"]
    assert all("dtype" not in field for field in fields.values())


def test_the_same_tables_give_the_same_bytes_on_every_call(client: kr.Client, tmp_path: Path) -> None:
    frames = {"tags": kr.fetch_hashtags(["cats"], client=client), "videos": kr.fetch_videos([5], client=client)}
    for folder in ("one", "two"):
        write_package(tmp_path / folder / "study", frames, client=client)
    for path in (tmp_path / "one" / "study").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / "study" / path.name).read_bytes()


# Keys -------------------------------------------------------------------------------------------------------


def keys_of(folder: Path, tables: dict[str, pd.DataFrame]) -> dict[str, tuple[Any, Any]]:
    write_package(folder, tables)
    schemas = {one["name"]: one["schema"] for one in descriptor_of(folder)["resources"]}
    return {name: (schema.get("primaryKey"), schema.get("foreignKeys")) for name, schema in schemas.items()}


def test_keys_where_they_hold(client: kr.Client, tmp_path: Path) -> None:
    tags, trends = kr.fetch_hashtags(["cats", "dogs"], client=client), kr.fetch_hashtag_trends(["dogs"], client=client)
    key = ["region", "period", "hashtag_name"]
    refers = [{"fields": key, "reference": {"resource": "tags", "fields": key}}]
    whole = keys_of(tmp_path / "whole", {"trends": trends, "tags": tags})
    assert whole == {"trends": ([*key, "date"], refers), "tags": (key, None)}
    alone = keys_of(tmp_path / "alone", {"trends": trends})
    assert alone == {"trends": ([*key, "date"], None)}
    parentless = keys_of(tmp_path / "parentless", {"trends": trends, "tags": tags[tags["hashtag_name"] == "cats"]})
    assert parentless["trends"] == ([*key, "date"], None), "dogs have trends, but no row to refer to"
    empty = keys_of(tmp_path / "empty", {"trends": trends.iloc[:0], "tags": tags.iloc[:0]})
    assert empty == whole


def test_a_key_has_neither_missing_values_nor_a_row_twice(client: kr.Client, tmp_path: Path) -> None:
    ranking = kr.fetch_product_insights(region="US", limit=5, client=client)
    filtered = kr.fetch_product_insights(region="US", search="a", limit=5, client=client)
    tags = kr.fetch_hashtags(["cats"], client=client)
    twice = pd.concat([tags, kr.fetch_hashtags(["cats"], max_age=0, client=client)])
    keys = keys_of(
        tmp_path / "keys",
        {
            "ranking": ranking,
            "filtered": filtered,
            "mixed": pd.concat([ranking, filtered]),
            "history": twice,
            "doubled": pd.concat([tags, tags]),
            "keyless": tags.drop(columns="hashtag_name"),
        },
    )
    assert ranking["search"].isna().all()
    assert keys["ranking"][0] == ["region", "time_scope", "category_id"]
    assert keys["filtered"][0] == ["region", "time_scope", "search", "category_id"]
    assert keys["mixed"][0] is None
    assert keys["history"][0] == ["region", "period", "hashtag_name", "observed_at"]
    assert keys["doubled"][0] is None
    assert keys["keyless"][0] is None


# Provenance -------------------------------------------------------------------------------------------------


def test_provenance_names_each_request_once(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
    videos = kr.fetch_videos(VIDEOS, client=client)
    kr.fetch_videos([99], client=client)
    tags = kr.fetch_hashtags(["cats", "dogs"], region="US", period=30, client=client)
    write_package(tmp_path / "study", {"videos": videos, "tags": tags.tail(1)}, client=client)
    of_videos = resource_of(tmp_path / "study", "videos")["provenance"]
    ledger = kr.ledger(client=client)
    assert [one["request_id"] for one in of_videos["requests"]] == ledger["request_id"].tolist()[:2]
    assert {one["params"]["video_ids"].count(",") for one in of_videos["requests"]} == {9, 1}  # sent side by side
    assert [one["credits"] for one in of_videos["requests"]] == [1, 1]
    assert (of_videos["credits"], of_videos["source"]) == (2, ["sandbox"])
    assert of_videos["endpoint"] == "/v1/tiktok/video/detail/analytics"
    assert pd.Timestamp(of_videos["observed_at"]["last"]) == videos["observed_at"].max()
    of_tags = resource_of(tmp_path / "study", "tags")["provenance"]
    assert of_tags["parameters"] == {"region": ["US"], "period": ["30"]}
    assert [one["params"]["hashtag_name"] for one in of_tags["requests"]] == ["dogs"]
    assert of_tags["credits"] == 2
    assert of_tags["requests"][0]["observed_at"] == f"{tags['observed_at'].iloc[1]:%Y-%m-%dT%H:%M:%S.%f}Z"


def test_provenance_after_csv_and_without_the_store(
    client: kr.Client, make_client: Callable[..., kr.Client], tmp_path: Path
) -> None:
    page = kr.fetch_trending_hashtags(limit=25, client=client).tail(3)
    kr.export.write_csv(page, tmp_path / "page.csv")
    again = kr.read_csv(tmp_path / "page.csv")
    write_package(tmp_path / "known", {"list": again}, client=client)
    [request] = resource_of(tmp_path / "known", "list")["provenance"]["requests"]
    assert request["params"]["page"] == "2"
    foreign_client = make_client(store=tmp_path / "other.sqlite")
    write_package(tmp_path / "unknown", {"list": again}, client=foreign_client)
    unknown = resource_of(tmp_path / "unknown", "list")["provenance"]
    assert (unknown["requests"], unknown["credits"]) == ([], None)
    assert unknown["parameters"]["industry_id"] == ["nothing"]
    assert pd.Timestamp(unknown["observed_at"]["first"]) == page["observed_at"].min()


def test_no_connection_is_made_for_it(client: kr.Client, tmp_path: Path) -> None:
    frame = kr.fetch_hashtags(["cats"], client=client)
    write_package(tmp_path / "study", {"hashtags": frame})  # no token, no default connection
    assert resource_of(tmp_path / "study", "hashtags")["provenance"]["requests"] == []


# Frames of the user's own -----------------------------------------------------------------------------------


def test_columns_of_the_users_own_keep_their_dtypes(client: kr.Client, tmp_path: Path) -> None:
    frame = kr.fetch_videos(VIDEOS[:2], client=client)
    frame["text"] = ["007", "NA"]
    frame["nothing"] = pd.Series([np.nan, np.nan], dtype=pd.Series(["text"]).dtype)
    frame["nullable"] = pd.array([1, None], dtype="Int64")
    frame["strings"] = pd.array(["5", None], dtype="string")
    frame["small"] = pd.array([1, 2], dtype="int8")
    frame["group"] = pd.Categorical(["a", "b"])
    frame["day"] = pd.Series(pd.to_datetime(["2026-02-03", None])).dt.as_unit("us")
    frame["moment"] = pd.Series(pd.to_datetime(["2026-02-03 10:00", None], utc=True)).dt.as_unit("us")
    frame["rate"] = [0.1, np.nan]
    frame["infinite"] = [np.inf, -np.inf]
    write_package(tmp_path / "study", {"mine": frame, "other": pd.DataFrame({"x": [1, 2], "y": ["a", "b"]})})
    back = read_package(tmp_path / "study")
    assert_frame_equal(back["mine"], frame)
    assert_frame_equal(back["other"], pd.DataFrame({"x": [1, 2], "y": ["a", "b"]}))
    fields = {one["name"]: one["type"] for one in resource_of(tmp_path / "study", "mine")["schema"]["fields"]}
    assert {name: fields[name] for name in list(frame)[-10:]} == {
        "text": "string", "nothing": "string", "nullable": "integer", "strings": "string", "small": "integer",
        "group": "string", "day": "datetime", "moment": "datetime", "rate": "number", "infinite": "number",
    }  # fmt: skip
    assert resource_of(tmp_path / "study", "mine")["title"] == "videos"
    assert "title" not in resource_of(tmp_path / "study", "other")


def test_apostrophes_stay_in_a_package(tmp_path: Path) -> None:
    frame = pd.DataFrame({"mine": ["'=1", "'7117191641181555995"]})
    write_package(tmp_path / "study", {"mine": frame})
    assert_frame_equal(read_package(tmp_path / "study")["mine"], frame)


def test_columns_that_took_a_name_of_the_dictionary_keep_their_dtypes(client: kr.Client, tmp_path: Path) -> None:
    videos = kr.fetch_videos(VIDEOS[:3], client=client)
    texts = pd.Series(["007", "x", np.nan], dtype=pd.Series(["text"]).dtype)
    summary = pd.DataFrame(
        {
            "creator_region": texts,
            "views": [2.0, np.nan, 4.0],
            "likes": pd.array([2, None, 4], dtype="Float64"),
            "comments": pd.array([1, 2, 3], dtype="int64"),
            "shares": texts,
            "favorites": [True, False, True],
            "title": [False, True, False],
            "gmv_est": pd.array([1, None, 3], dtype="Int64"),
            "video_id": [7117191641181555995, 5, -1],
            "like_rate": pd.array([0.5, 0.25, 1.0], dtype="float32"),
            "promoted": pd.array([1, None, 0], dtype="Int8"),
            "date": pd.Series(["2026-02-03", None, "NA"], dtype="string"),
            "created_at": pd.Series(pd.to_datetime(["2026-02-03 04:05", None, "2026-02-03 00:00"])).dt.as_unit("us"),
            "observed_at": videos["observed_at"].dt.tz_convert("Asia/Tokyo").dt.as_unit("ns"),
            "mine": videos["observed_at"].dt.tz_convert("America/New_York"),
            "other": [7117191641181555995, 5, -1],
        }
    )
    regrouped = videos.groupby("source", as_index=False).agg(views=("views", "mean"), likes=("likes", "sum"))
    changed = videos.astype({"views": "float64", "creator_region": "category"})
    frames = {"summary": summary, "regrouped": regrouped, "videos": changed}
    write_package(tmp_path / "study", frames, client=client)
    back = read_package(tmp_path / "study")
    as_text = pd.array(["7117191641181555995", "5", "-1"], dtype="string")  # an id is never a number
    for name, frame in (frames | {"summary": summary.assign(video_id=as_text)}).items():
        assert_frame_equal(back[name], frame)
    fields = {name: {f["name"]: f.get("dtype") for f in resource_of(tmp_path / "study", name)["schema"]["fields"]}
              for name in frames}  # fmt: skip
    assert list(fields["summary"].values()) == [
        "str", "float64", "Float64", "int64", "str", "bool", "bool", "Int64", "int64", "float32", "Int8", "string",
        "datetime64[us]", "datetime64[ns, Asia/Tokyo]", "datetime64[us, America/New_York]", "int64",
    ]  # fmt: skip
    assert fields["regrouped"] == {"source": None, "views": str(regrouped["views"].dtype), "likes": None}
    assert {name: dtype for name, dtype in fields["videos"].items() if dtype} == {
        "creator_region": "category[string]",
        "views": "float64",
    }


def test_a_merged_frame_has_the_descriptions_of_both_tables_and_claims_to_be_neither(
    client: kr.Client, tmp_path: Path
) -> None:
    posts = kr.fetch_product_posts("601583", client=client).head(3)
    videos = kr.fetch_videos(posts["video_id"], client=client).drop(columns=["observed_at", "source"])
    write_package(tmp_path / "study", {"both": posts.merge(videos, on="video_id")}, client=client)
    both = resource_of(tmp_path / "study", "both")
    assert "title" not in both
    assert "primaryKey" not in both["schema"]
    assert both["provenance"] == {}
    fields = {field["name"]: field for field in both["schema"]["fields"]}
    assert fields["position"]["description"] == "Place in the answer's list."
    assert fields["views"]["unit"] == "views, total"


@pytest.mark.parametrize(
    ("column", "values"),
    [("observed_at", ["yesterday"]), ("observed_at", [[1, 2]]), ("region", [["US"]]), ("region", ["Germany"]),
     ("source", [["sandbox"]])],
)  # fmt: skip
def test_rows_changed_by_hand_tell_no_requests(
    column: str, values: list[Any], client: kr.Client, tmp_path: Path
) -> None:
    tags = kr.fetch_hashtags(["cats"], client=client)
    trends = kr.fetch_hashtag_trends(["cats"], client=client)
    spoilt = tags.assign(**{column: pd.Series(values, dtype=object)})
    write_package(tmp_path / "study", {"tags": spoilt, "trends": trends}, client=client)
    told = resource_of(tmp_path / "study", "tags")["provenance"]
    assert len(told["requests"]) == (column == "source")
    assert read_package(tmp_path / "study")["tags"][column].tolist() == [str(values[0])]


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({}, "map names to frames"),
        ([1], "map names to frames"),
        ({"A B": pd.DataFrame({"x": [1]})}, "'A B' is not a valid table name"),
        ({"../x": pd.DataFrame({"x": [1]})}, "is not a valid table name"),
        ({5: pd.DataFrame({"x": [1]})}, "is not a valid table name"),
        ({"x": [1]}, "must be a DataFrame"),
        ({"x": pd.DataFrame([[1, 2]], columns=["a", "a"])}, "'a' twice"),
        ({"x": pd.DataFrame()}, "must have columns"),
    ],
)
def test_what_cannot_be_a_package_is_refused_before_anything_is_written(tables: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=said):
        write_package(tmp_path / "study", tables)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(kr.InvalidArgumentError, match="Nothing is overwritten"):
            write_package(path, {"x": pd.DataFrame({"x": [1]})})
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    write_package(tmp_path / "empty", {"x": pd.DataFrame({"x": [1]})})
    assert read_package(tmp_path / "empty" / "datapackage.json")["x"]["x"].tolist() == [1]


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_package_is_written_again_as_a_notebook_is_run_again(client: kr.Client, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    tags, videos = kr.fetch_hashtags(["cats"], client=client), kr.fetch_videos([5], client=client)
    write_package(folder, {"tags": tags, "videos": videos}, client=client)
    (folder / ".DS_Store").write_text("finder")
    (folder / ".ipynb_checkpoints").mkdir()
    before = everything_in(folder)
    write_package(folder, {"tags": tags, "videos": videos}, client=client)
    assert everything_in(folder) == before
    descriptor = descriptor_of(folder)
    (folder / "datapackage.json").write_text(json.dumps({"licenses": [{"name": "CC0-1.0"}], **descriptor}))
    write_package(folder, {"tags": tags.assign(mine=1)}, client=client)
    assert list(read_package(folder)) == ["tags"]
    assert read_package(folder)["tags"]["mine"].tolist() == [1]
    assert descriptor_of(folder)["licenses"] == [{"name": "CC0-1.0"}]  # the user's own words stay
    assert sorted(path.name for path in folder.iterdir()) == [
        ".DS_Store", ".ipynb_checkpoints", "datapackage.json", "tags.csv",
    ]  # fmt: skip
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_replay_beside_the_shipped_package_runs_unchanged(client: kr.Client, tmp_path: Path) -> None:
    write_package(tmp_path / "study", {"tags": kr.fetch_hashtags(["cats"], client=client)}, client=client)
    kr.freeze(tmp_path / "study.zip", client=client)
    before = everything_in(tmp_path / "study")
    with kr.replay(tmp_path / "study.zip") as reader:
        write_package(tmp_path / "study", {"tags": kr.fetch_hashtags(["cats"], client=reader)}, client=reader)
    after = everything_in(tmp_path / "study")
    assert after["tags.csv"] == before["tags.csv"]
    assert after.keys() == before.keys()


def spoil(folder: Path, what: str) -> None:
    path = folder / "x.csv"
    match what:
        case "another file":
            (folder / "notes.md").write_text("mine")
        case "a table changed":
            path.write_text("x\n2\n")
        case "a table that is a link":
            path.rename(folder.parent / "x.csv")
            path.symlink_to(folder.parent / "x.csv")
        case "a table that is a folder":
            path.unlink()
            path.mkdir()
        case "no descriptor":
            (folder / "datapackage.json").unlink()
        case "a descriptor of others":
            descriptor = {**descriptor_of(folder), "versions": {"frictionless": "5"}}
            (folder / "datapackage.json").write_text(json.dumps(descriptor))


@pytest.mark.parametrize(
    "what",
    ["another file", "a table changed", "a table that is a link", "a table that is a folder", "no descriptor",
     "a descriptor of others"],
)  # fmt: skip
def test_only_an_untouched_package_is_replaced(what: str, tmp_path: Path) -> None:
    write_package(tmp_path / "study", {"x": pd.DataFrame({"x": [1]})})
    spoil(tmp_path / "study", what)
    before = everything_in(tmp_path)
    with pytest.raises(kr.InvalidArgumentError, match="Nothing is overwritten; choose another folder"):
        write_package(tmp_path / "study", {"x": pd.DataFrame({"x": [3]})})
    assert everything_in(tmp_path) == before


def test_a_forged_package_leads_to_no_file_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("mine")
    forged(tmp_path / "study", path="../mine.csv")
    (tmp_path / "study" / "x.csv").unlink()
    write_package(tmp_path / "study", {"x": pd.DataFrame({"x": [2]})})
    assert (tmp_path / "mine.csv").read_text() == "mine"


@pytest.mark.parametrize("there", ["nothing", "a package", "an empty folder"])
@pytest.mark.parametrize("step", [*range(1, 8), None])
def test_a_package_is_written_whole_or_not_at_all(
    there: str, step: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "study"
    if there == "a package":
        write_package(folder, {"x": pd.DataFrame({"x": [1]}), "y": pd.DataFrame({"y": [1]})})
    elif there == "an empty folder":
        folder.mkdir()
    before = everything_in(tmp_path)
    steps = iter(range(1, 100))

    def failing(method: Any) -> Any:
        def change(self: Any, *args: Any) -> Any:
            if next(steps) == step:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return method(self, *args)

        return change

    monkeypatch.setattr(os, "fsync", failing(os.fsync))
    monkeypatch.setattr(Path, "rename", failing(Path.rename))
    told = ""
    try:
        write_package(folder, {"x": pd.DataFrame({"x": [2]})})
    except kr.StoreError as error:
        told = str(error)
    monkeypatch.undo()
    taken = next(steps) - 1
    if step is not None and step <= taken:
        assert "study was not written: No space left on device. Free some space" in told
        assert everything_in(tmp_path) == before
    else:
        assert told == ""
        assert read_package(folder)["x"]["x"].tolist() == [2]
        assert len(everything_in(tmp_path)) == 2
    assert step is not None or taken == {"nothing": 3, "an empty folder": 4, "a package": 7}[there]
    assert {path.name for path in tmp_path.iterdir()} <= {"study"}
    assert not folder.exists() or not any(path.name.startswith(".") for path in folder.iterdir())


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(kr.StoreError, match=r"was not written: Not a directory\. Free some space, or choose another"):
        write_package(tmp_path / "file" / "study", {"x": pd.DataFrame({"x": [1]})})
    with pytest.raises(kr.InvalidArgumentError, match=r"File name too long.*choose another folder"):
        write_package(tmp_path / ("x" * 300), {"x": pd.DataFrame({"x": [1]})})
    write_package(tmp_path / "deep" / "down", {"x": pd.DataFrame({"x": [1]})})
    assert read_package(tmp_path / "deep" / "down")["x"]["x"].tolist() == [1]


def test_a_closed_client_says_so(make_client: Callable[..., kr.Client], tmp_path: Path) -> None:
    closed = make_client()
    frame = kr.fetch_hashtags(["cats"], client=closed)
    closed.close()
    with pytest.raises(kr.StoreError, match="this client is closed; connect again"):
        write_package(tmp_path / "study", {"tags": frame}, client=closed)
    assert not (tmp_path / "study").exists()


# Read -------------------------------------------------------------------------------------------------------


def forged(folder: Path, **changes: Any) -> Path:
    write_package(folder, {"x": pd.DataFrame({"x": [1]})})
    descriptor = descriptor_of(folder)
    descriptor["resources"][0].update(changes)
    (folder / "datapackage.json").write_text(json.dumps(descriptor))
    return folder


@pytest.mark.parametrize(
    "path",
    ["../secret.csv", "/etc/hostname", "a/../../secret.csv", "..\\secret.csv", "http://x", "C:x", ["a"], "link.csv"],
)
def test_a_package_reads_nothing_outside_its_folder(path: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("x\nsecret\n")
    folder = forged(tmp_path / "study", path=path, hash="")
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(kr.InvalidArgumentError, match=r"outside the package|cannot be read"):
        read_package(folder)


def test_a_file_that_was_changed_is_not_taken_for_what_was_written(tmp_path: Path) -> None:
    folder = forged(tmp_path / "study")
    (folder / "x.csv").write_text("x\n2\n")
    with pytest.raises(kr.InvalidArgumentError, match=r'was changed since.*remove its "hash"'):
        read_package(folder)


def test_a_dtype_of_a_foreign_package_is_a_word_of_ours_or_nothing(tmp_path: Path) -> None:
    schema = {"fields": [{"name": "x", "type": "string", "dtype": "object"}, {"name": "y"}, 5]}
    assert read_package(forged(tmp_path / "one", schema=schema))["x"]["x"].tolist() == ["1"]
    schema = {"fields": [{"name": "x", "type": "boolean", "dtype": "datetime64[us]"}]}
    folder = forged(tmp_path / "two", schema=schema, hash="")
    (folder / "x.csv").write_text("x\nyesterday\n")
    with pytest.raises(kr.InvalidArgumentError, match="x cannot be read as datetime64"):
        read_package(folder)
    assert read_package(forged(tmp_path / "three", schema=None))["x"]["x"].tolist() == [1]
    schema = {"fields": [{"name": ["x"], "dtype": "int8"}, {"name": "x", "dtype": ["int8"]}, {"name": {}}]}
    assert read_package(forged(tmp_path / "four", schema=schema))["x"]["x"].dtype == "int64"
    schema = {"fields": [{"name": "x", "dtype": "datetime64[us, No/Where]"}]}
    with pytest.raises(kr.InvalidArgumentError, match="x cannot be read as datetime64"):
        read_package(forged(tmp_path / "five", schema=schema))


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"resources": [5]}', '{"resources": [{}]}'])
def test_a_folder_without_a_valid_descriptor_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "datapackage.json").write_text(text)
    with pytest.raises(kr.InvalidArgumentError, match="not a valid data package descriptor"):
        read_package(tmp_path)
    with pytest.raises(kr.InvalidArgumentError, match="is not a data package"):
        read_package(tmp_path / "nowhere")


def foreign(folder: Path, content: str, fields: list[dict[str, Any]], **facts: Any) -> Path:
    """Write a data package as another program does."""
    folder.mkdir()
    (folder / "x.csv").write_text(content)
    resource = {"name": "x", "path": "x.csv", "schema": {"fields": fields}, **facts}
    (folder / "datapackage.json").write_text(json.dumps({"resources": [resource]}))
    return folder


def test_text_of_a_foreign_package_stays_text(tmp_path: Path) -> None:
    fields = [{"name": name, "type": "string"} for name in ("zip", "n")] + [{"name": "m", "type": "integer"}]
    frame = read_package(foreign(tmp_path / "a", "zip,n,m,views\n00123,7,7,5\n123,NA,8,\n", fields))["x"]
    assert frame["zip"].tolist() == ["00123", "123"]
    assert frame["n"].tolist() == ["7", "NA"]
    assert frame["m"].tolist() == [7, 8]
    assert frame["views"].tolist() == [5, pd.NA]


@pytest.mark.parametrize(
    ("name", "cell", "dtype"),
    [("video_id", "7438642366417734920", "float64"), ("video_id", "5", "float64"), ("video_id", "7", "bool"),
     ("x", "7438642366417734920", "float64"), ("x", "300", "int8"), ("x", "-1", "uint8"), ("x", "abc", "bool"),
     ("x", "2", "bool"), ("x", "1.5", "Int64"), ("x", "00123", "int64"), ("x", "0.1", "float32"),
     ("x", "2026-02-03T10:00:00.5", "datetime64[s]")],
)  # fmt: skip
def test_a_dtype_that_would_change_a_value_is_refused(name: str, cell: str, dtype: str, tmp_path: Path) -> None:
    folder = foreign(tmp_path / "a", f"{name}\n{cell}\n", [{"name": name, "dtype": dtype}])
    with pytest.raises(kr.InvalidArgumentError, match=rf"{name} cannot be read as {re.escape(dtype)}, as datapackage"):
        read_package(folder)


@pytest.mark.parametrize(("name", "values"), [("views", ["00123", "NA"]), ("date", ["2026-02-03", "never"])])
def test_text_that_a_foreign_package_declares_stays_text_whatever_its_name(
    name: str, values: list[str], tmp_path: Path
) -> None:
    content = f"{name},video_id\n" + "".join(f"{value},007\n" for value in values)
    fields = [{"name": name, "type": "string"}, {"name": "video_id", "type": "string"}]
    frame = read_package(foreign(tmp_path / "a", content, fields))["x"]
    assert frame[name].tolist() == values
    assert frame["video_id"].tolist() == ["007", "007"]
    assert str(frame["video_id"].dtype) == "string"


def test_values_that_no_type_of_a_foreign_package_explains_are_named(tmp_path: Path) -> None:
    folder = foreign(tmp_path / "a", "views,likes\nmany,5\n", [{"name": "views"}, {"name": "likes", "type": "integer"}])
    with pytest.warns(kr.SchemaDriftWarning, match="views .'many' in row 2 is not a valid Int64"):
        frame = read_package(folder)["x"]
    assert frame["views"].tolist() == ["many"]
    assert frame["likes"].tolist() == [5]


@pytest.mark.parametrize("declared", [{"dtype": "int64"}, {"dtype": "Int64"}, {"type": "integer"}])
def test_ids_that_a_package_declares_whole_numbers_are_exact_text(declared: dict[str, str], tmp_path: Path) -> None:
    ids = ["7438642366417734920", "0012", "12345678901234567890123"]
    content = "video_id,mine\n" + "".join(f"{one},5\n" for one in ids)
    folder = foreign(tmp_path / "a", content, [{"name": "video_id", **declared}, {"name": "mine", **declared}])
    frame = read_package(folder)["x"]
    assert frame["video_id"].tolist() == ids
    assert str(frame["video_id"].dtype) == "string"
    assert frame["mine"].tolist() == [5, 5, 5]


@pytest.mark.parametrize("cell", ["7.438642366417735e+18", "7438642366417734920.0", "abc"])
def test_ids_without_all_their_digits_are_refused_as_whole_numbers(cell: str, tmp_path: Path) -> None:
    folder = foreign(tmp_path / "a", f"video_id\n{cell}\n", [{"name": "video_id", "dtype": "int64"}])
    with pytest.raises(kr.InvalidArgumentError, match="video_id cannot be read as int64, as datapackage"):
        read_package(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_the_place_of_a_table_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    folder = foreign(tmp_path / "a", "a\n1\n", [])
    (folder / "x.csv").unlink()
    os.mkfifo(folder / "x.csv")
    with pytest.raises(kr.InvalidArgumentError, match=r"x\.csv cannot be read: it is a pipe"):
        read_package(folder)


def test_two_resources_of_one_name_are_refused(tmp_path: Path) -> None:
    resource = {"name": "x", "path": "x.csv"}
    (tmp_path / "x.csv").write_text("a\n1\n")
    (tmp_path / "datapackage.json").write_text(json.dumps({"resources": [resource, resource]}))
    with pytest.raises(kr.InvalidArgumentError, match="two resources named 'x'"):
        read_package(tmp_path)


@pytest.mark.parametrize(
    "spelt", ["sha256:{sha256}", "SHA256:{SHA256}", "{sha256}", "md5:{md5}", "{md5}", "sha1:{sha1}"]
)
def test_hashes_are_checked_however_they_are_spelt(spelt: str, tmp_path: Path) -> None:
    hashes = {name: hashlib.new(name, b"a\n1\n").hexdigest() for name in ("sha256", "md5", "sha1")}
    written = spelt.format(**hashes, SHA256=hashes["sha256"].upper())
    folder = foreign(tmp_path / "a", "a\n1\n", [], hash=written)
    assert read_package(folder)["x"]["a"].tolist() == [1]
    (folder / "x.csv").write_text("a\n2\n")
    with pytest.raises(kr.InvalidArgumentError, match="was changed since"):
        read_package(folder)


@pytest.mark.parametrize("spelt", ["crc32:3610a686", "blake9:00", "abc"])
def test_a_hash_of_an_unknown_kind_is_said_to_be_unchecked(spelt: str, tmp_path: Path) -> None:
    with pytest.warns(kr.KeyAPIWarning, match="was not checked for changes.*Known kinds: md5"):
        frames = read_package(foreign(tmp_path / "a", "a\n1\n", [], hash=spelt))
    assert frames["x"]["a"].tolist() == [1]


ASCII_ONLY = """
import sys, pandas as pd, keyapi_research as kr
folder = sys.argv[1] + "/" + chr(252) + "bung"
frames = {"x": pd.DataFrame({"a": [chr(26481)]})}
for attempt in (lambda: kr.write_package(folder, frames), lambda: kr.read_package(folder)):
    try:
        attempt()
    except kr.KeyAPIError as error:
        print(type(error).__name__)
    else:
        print("done")
"""


def test_a_name_that_the_locale_cannot_write_is_a_typed_error(tmp_path: Path) -> None:
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "utf-8"}
    result = subprocess.run(
        [sys.executable, "-c", ASCII_ONLY, str(tmp_path)], env=plain, capture_output=True, text=True, check=False
    )
    assert result.stderr == ""
    assert result.stdout.split() in (["InvalidArgumentError", "InvalidArgumentError"], ["done", "done"])


# The reference tool -----------------------------------------------------------------------------------------

FRICTIONLESS = shutil.which("frictionless", path=f"{Path(sys.executable).parent}") or shutil.which("frictionless")


@pytest.mark.slow
@pytest.mark.skipif(FRICTIONLESS is None, reason="needs the command frictionless (pip install frictionless)")
def test_frictionless_finds_them_valid(client: kr.Client, tmp_path: Path) -> None:
    frames = every_table(client)
    frames["mine"] = frames["videos"].assign(
        day=pd.Timestamp("2026-02-03"), moment=pd.Timestamp("2026-02-03", tz="UTC"), infinite=np.inf,
        text="=1", flag=True, n=pd.array([1, None] * 6, dtype="Int64"), nothing=np.nan,
    )  # fmt: skip
    texts = ["", "NA", 'a "quoted", text', "two\nlines", "\r\n", " x ", "😀", "٣"]
    frames["nasty"] = pd.DataFrame({"description": texts, "mine": texts, "n": range(len(texts))})
    frames["empty"] = frames["videos"].iloc[:0]
    frames["history"] = pd.concat([frames["hashtags"], kr.fetch_hashtags(["cats"], max_age=0, client=client)])
    write_package(tmp_path / "study", frames, client=client)

    def validate() -> dict[str, Any]:
        result = subprocess.run(
            [str(FRICTIONLESS), "validate", "datapackage.json", "--json"], cwd=tmp_path / "study",
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return json.loads(result.stdout)

    report = validate()
    assert report["valid"], [task["errors"] for task in report["tasks"] if not task["valid"]]
    assert len(report["tasks"]) == len(frames)
    videos = tmp_path / "study" / "videos.csv"
    videos.write_text(videos.read_text().replace(",sandbox\n", ",sandbox,\n", 1))
    assert not validate()["valid"], "the judge sees what is wrong"


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT])
@pytest.mark.parametrize("table", ["videos", "hashtags", "product_details"])
def test_a_table_whose_key_is_missing_throughout_is_written_without_a_key(
    table: str, missing: object, client: kr.Client, tmp_path: Path
) -> None:
    ids = {"videos": "7117191641181555995", "hashtags": "ufc324", "product_details": "601583"}
    frame = getattr(kr, f"fetch_{table}")(ids[table], client=client)
    own = [name for name in TABLES[table].key if name in frame]
    frame[own] = missing
    kr.write_package(tmp_path / "study", {table: frame}, client=client)
    [resource] = json.loads((tmp_path / "study" / "datapackage.json").read_text())["resources"]
    assert "primaryKey" not in resource["schema"]
    back = kr.read_package(tmp_path / "study")[table]
    assert back[own].isna().to_numpy().all()
    assert len(back) == 1


@pytest.mark.parametrize("values", [["NA"], ["NA", "1"], ["1.0", "2"], ["null", "True"], ["a", None]])
def test_categories_of_text_stay_text(values: list[str | None], tmp_path: Path) -> None:
    frame = pd.DataFrame({"country": pd.Categorical(values)})
    write_package(tmp_path / "a", {"mine": frame})
    back = read_package(tmp_path / "a")["mine"]["country"]
    assert back.dtype == "category"
    assert back.astype(object).where(back.notna(), None).tolist() == values


def test_other_categories_and_offsets_come_back(tmp_path: Path) -> None:
    frame = pd.DataFrame({
        "number": pd.Categorical([2, 1]), "flag": pd.Categorical([True, False]),
        "at": pd.to_datetime(["2026-02-03T04:05+01:00"] * 2).as_unit("us"),
    })  # fmt: skip
    write_package(tmp_path / "a", {"mine": frame})
    assert_frame_equal(read_package(tmp_path / "a")["mine"], frame)


def test_two_columns_of_one_name_in_the_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="mine has the column '1' twice"):
        write_package(tmp_path / "a", {"mine": pd.DataFrame([[1, 2]], columns=[1, "1"])})


def test_a_mark_of_byte_order_takes_no_apostrophe_off_in_a_package(tmp_path: Path) -> None:
    foreign(tmp_path / "a", "\ufeffmine\n'=1\n", [{"name": "mine", "type": "string"}])
    assert read_package(tmp_path / "a")["x"]["mine"].tolist() == ["'=1"]


def test_files_of_a_package_keep_their_modes(tmp_path: Path) -> None:
    for value in (1, 2):
        write_package(tmp_path / "a", {"mine": pd.DataFrame({"own": [value]})})
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a").iterdir()}
        if value == 1:
            for path in (tmp_path / "a").iterdir():
                path.chmod(0o600)
    assert set(modes.values()) == {0o600}
