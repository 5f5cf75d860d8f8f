"""Every example answer of the listed endpoints through `fetch_endpoint`, over HTTP.

For all of them: no value is lost, none is invented, dtypes are by the rule, the second call is free. What
comes of 27 of them is written by hand, in data/examples-by-hand.toml.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research.catalogue.listed import listed
from keyapi_research.sandbox import Sandbox
from keyapi_research.sandbox.listed import LISTED

EXAMPLES = Path(__file__).parent.parent / "keyapi_research" / "sandbox" / "examples" / "listed"
PREFIX = "/v1/tiktok/"
PICTURES = {f"avatar_{name}" for name in "url uri 168x168 300x300 large larger medium thumb".split()}  # noqa: SIM905
PERSONAL = {
    "contact_email",
    "signature",
    "bio",
    "nick_name",
    "nickname",
    "search_user_name",
    "gender",
    "avatar",
} | PICTURES
POST = "realtime-product-photo-search"  # the answer to a POST, which this package does not send
DETAIL = "product/detail/analytics"  # answers with the example of the list
NEEDED = {"search/analytics": {"size": 30}}  # required, but not known of the example

# What is called ------------------------------------------------------------------------------------------------


def queries() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield of each example that the sandbox serves: its file, path and parameters, but those of paging."""
    for path, one in LISTED.items():
        for file, query in one.examples.items():
            by = next(iter(listed()[path].batch), None)  # the sandbox's query of a batch has both ids and handles
            params: dict[str, Any] = {by: query[by]} if by else dict(query)
            if "offset" in one.required:
                params["offset"] = one.first_offset
            yield file if one.name != DETAIL else DETAIL, path, params | NEEDED.get(one.name, {})


PHOTOS = {"region": "MY", "photo_search_image_uri": "1", "photo_search_box_detection": "0", "sk": POST}
CALLS = {file: (path, params) for file, path, params in queries()}
CALLS[POST] = (f"{PREFIX}realtime/product/photo-search/page", PHOTOS)  # where a hook answers with it


def example(file: str) -> Any:
    name = "product-list-analytics" if file == DETAIL else file
    return json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))["data"]


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox() as running:
        answer = json.loads((EXAMPLES / f"{POST}.json").read_text("utf-8"))
        running.mutate = lambda path, params, usual: answer if params.get("sk") == POST else usual
        yield running


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("examples") / "store.sqlite"


def make_client(server: Sandbox, store: Path, **options: Any) -> kr.Client:
    settings = {"token": "a-token", "base_url": server.url, "requests_per_second": None, "progress": False}
    return kr.Client(**{**settings, "store": store, **options})


@pytest.fixture(scope="module")
def client(server: Sandbox, store: Path) -> Iterator[kr.Client]:
    with make_client(server, store) as made:
        yield made


@pytest.fixture(scope="module")
def prices() -> dict[str, Any]:
    return kr.endpoints().set_index("path")["credits"].to_dict()


def fetch(file: str, client: kr.Client, prices: dict[str, Any], **options: Any) -> pd.DataFrame:
    """Fetch an example as a user would: by the price of the list, or by one's own where it has none."""
    path, params = CALLS[file]
    price = {} if pd.notna(prices[path]) else {"credits": 1}
    return kr.fetch_endpoint(path, params, **price, **options, client=client)


# Values of answers and of frames ---------------------------------------------------------------------------------


def tagged(name: str, value: Any) -> tuple[str, str]:
    """Return a value as text, with the dtype that it has by the rule: ids and long numbers are text."""
    if isinstance(value, bool):
        return "boolean", str(value)
    if isinstance(value, float):
        return "float64", repr(value)
    if isinstance(value, int):
        is_id = name in ("id", "ids") or name.endswith(("_id", "_ids", "id_str")) or len(str(abs(value))) > 15
        return ("string" if is_id else "Int64"), str(value)
    return "string", value if isinstance(value, str) else json.dumps(value)  # {} and []


def leaves(node: Any, *, without: set[str] = frozenset(), name: str = "value") -> Iterator[tuple[str, str]]:  # type: ignore[assignment]
    if isinstance(node, dict) and node:
        for key, inner in node.items():
            if key not in without:
                yield from leaves(inner, without=without, name=key)
    elif isinstance(node, list) and node:
        for inner in node:
            yield from leaves(inner, without=without, name=name)
    elif node is not None:
        yield tagged(name, node)


def cells(frame: pd.DataFrame, texts: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the values of a frame; a cell that is the JSON text of a list, and no text of the answer, taken apart."""
    for name in frame.columns.drop(["observed_at", "source"]):
        for value in frame[name].dropna():
            if isinstance(value, str) and value[:1] in ("[", "{") and value not in texts:
                yield from leaves(json.loads(value), name=name)
            else:
                yield str(frame.dtypes[name]), str(value)


def texts_of(data: Any) -> set[str]:
    return {text for dtype, text in leaves(data) if dtype == "string"}


# All of them ------------------------------------------------------------------------------------------------------


def test_all_examples_are_here() -> None:
    assert {*CALLS} - {DETAIL} == {path.stem for path in EXAMPLES.glob("*.json")}
    assert len(CALLS) == 50


@pytest.mark.parametrize("personal", [False, True])
@pytest.mark.parametrize("file", CALLS)
def test_no_value_is_lost_and_each_has_its_dtype(
    file: str, personal: bool, client: kr.Client, prices: dict[str, Any]
) -> None:
    data = example(file)
    frame = fetch(file, client, prices, personal=personal)
    expected = Counter(leaves(data, without=set() if personal else PERSONAL))
    found = Counter(cells(frame, texts_of(data)))
    assert expected - found == Counter()
    assert found.keys() <= expected.keys() | {("string", str(value)) for value in CALLS[file][1].values()}
    assert frame.columns.is_unique


@pytest.mark.parametrize("file", CALLS)
def test_what_is_personal_is_in_no_cell(file: str, client: kr.Client, prices: dict[str, Any]) -> None:
    data = example(file)
    kept = {text for _, text in leaves(data, without=PERSONAL)}
    left_out = {text for _, text in leaves(data) if text not in kept and len(text) > 1}
    text = fetch(file, client, prices).drop(columns="observed_at").to_csv()  # its digits may be anything
    assert [one for one in left_out if one in text] == []


@pytest.mark.parametrize("file", CALLS)
def test_the_second_call_sends_nothing_and_offline_gives_the_same(
    file: str, client: kr.Client, prices: dict[str, Any], server: Sandbox, store: Path
) -> None:
    frame = fetch(file, client, prices)
    sent = len(server.requests)
    pd.testing.assert_frame_equal(fetch(file, client, prices), frame)
    with make_client(server, store, offline=True) as offline:
        pd.testing.assert_frame_equal(fetch(file, offline, prices), frame)
    assert len(server.requests) == sent


COLLIDES = pytest.mark.xfail(
    strict=True, reason="its column `comments` is JSON text, but read_csv knows a column of that name as a count"
)


@pytest.mark.parametrize(
    "file", [pytest.param(one, marks=COLLIDES if one == "video-comments-keywords" else ()) for one in CALLS]
)
def test_csv_files_keep_every_cell_and_ids_are_read_as_text(
    file: str, client: kr.Client, prices: dict[str, Any], tmp_path: Path
) -> None:
    frame = fetch(file, client, prices, personal=True)
    frame.keyapi.to_csv(tmp_path / "table.csv")
    text = pd.read_csv(tmp_path / "table.csv", dtype=str, keep_default_na=False).drop(columns="observed_at")
    expected = frame.drop(columns="observed_at")
    for name, dtype in expected.dtypes.items():
        cells = expected[name].astype("string").fillna("")
        assert text[name].tolist() == cells.tolist(), (name, dtype)
    read = kr.read_csv(tmp_path / "table.csv")
    ids = [name for name in frame.columns if frame[name].astype("string").str.fullmatch("[0-9]{16,}").any()]
    pd.testing.assert_frame_equal(read[ids].astype("string"), frame[ids])
    assert all(pd.api.types.is_string_dtype(read[name].dtype) for name in ids)


def test_without_a_known_price_nothing_is_sent(client: kr.Client, prices: dict[str, Any], server: Sandbox) -> None:
    sent = len(server.requests)
    unknown = {path: params for path, params in CALLS.values() if pd.isna(prices[path])}
    assert len(unknown) == 29
    for path, params in unknown.items():
        with pytest.raises(kr.InvalidArgumentError, match=r"the price of .* is not known, so nothing was sent"):
            kr.fetch_endpoint(path, params, client=client)
    assert len(server.requests) == sent


def test_a_package_keeps_every_value_and_dtype(client: kr.Client, prices: dict[str, Any], tmp_path: Path) -> None:
    frames = {f"table{at}": fetch(file, client, prices, personal=True) for at, file in enumerate(CALLS)}
    kr.write_package(tmp_path / "package", frames)
    read = kr.read_package(tmp_path / "package")
    assert len(read) == len(frames) == 50
    for name, frame in frames.items():
        texts = frame.select_dtypes("string").columns
        expected = frame.assign(**{one: frame[one].replace("", pd.NA) for one in texts})  # an empty cell is missing
        pd.testing.assert_frame_equal(read[name], expected)


# By hand ----------------------------------------------------------------------------------------------------------

BY_HAND = tomllib.loads((Path(__file__).parent / "data" / "examples-by-hand.toml").read_text("utf-8"))
DTYPES = {"s": "string", "i": "Int64", "f": "float64", "b": "boolean"}


@pytest.mark.parametrize("file", BY_HAND)
def test_what_comes_by_hand(file: str, client: kr.Client, prices: dict[str, Any]) -> None:
    hand = BY_HAND[file]
    frame = fetch(file, client, prices, rows=hand.get("rows"))
    expected = [name.rpartition(":") for name in hand["columns"].split()]
    assert list(frame.columns) == [*(name for name, _, _ in expected), "observed_at", "source"]
    assert [str(dtype) for dtype in frame.dtypes] == [
        *(DTYPES[letter] for _, _, letter in expected),
        "datetime64[us, UTC]",
        "string",
    ]
    assert len(frame) == hand["count"]
    first = frame.iloc[0]
    assert {name: first[name] for name in hand.get("values", {})} == hand.get("values", {})
    assert first[hand.get("missing", [])].isna().all()


def test_other_rows_than_the_first_by_hand(client: kr.Client, prices: dict[str, Any]) -> None:
    milestones = fetch("influencer-milestones", client, prices)
    assert milestones["milestone"].tolist() == [6, 4, 1]
    assert milestones["creator_info.like_count"].tolist() == [303955500] * 3
    assert milestones["top_3_items"].isna().tolist() == [False, True, True]
    assert milestones["creator_summary.value"].tolist()[1:] == ["No public data to display", ""]
    assert fetch("video-trends", client, prices, rows="14d_interaction.comments[]")["value"].tolist() == [
        339,
        -337,
        -3018,
        3200,
    ]
    comments = fetch("video-comments-keywords", client, prices, rows="key_words[].comments[]")
    assert comments["cid"].tolist() == ["7562169780528513810", "7562084536864391944"]
    [captions] = fetch("video-captions", client, prices)["data"]
    assert captions.startswith("WEBVTT\n\n\n00:00:00.060 --> 00:00:03.500\nIt's Thursday,")


@pytest.mark.parametrize(
    ("file", "lists"),
    [
        ("influencer-search", ["global_doodle_config.feedback_survey[]", "user_list[]"]),
        ("video-search", ["global_doodle_config.feedback_survey[]", "search_item_list[]"]),
        ("hashtag-search", ["challenge_list[]", "global_doodle_config.feedback_survey[]"]),
        ("video-trends", [f"14d_interaction.{name}[]" for name in ("favorites", "comments", "views", "likes")]),
    ],
)
def test_an_answer_of_several_lists_may_be_one_row_and_a_wrong_path_names_them(
    file: str, lists: list[str], client: kr.Client, prices: dict[str, Any], server: Sandbox
) -> None:
    frame = fetch(file, client, prices, rows="")
    assert len(frame) == 1
    assert all(frame[one.removesuffix("[]")].str.startswith("[{").all() for one in lists)
    sent = len(server.requests)
    with pytest.raises(kr.InvalidArgumentError, match="is not in the answer, which is stored") as failed:
        fetch(file, client, prices, rows="wrong[]")
    assert all(one in str(failed.value) for one in lists)
    assert len(server.requests) == sent


def test_the_last_page_of_a_search_has_no_rows_of_another_kind(client: kr.Client) -> None:
    path, params = CALLS["influencer-search"]
    last = kr.fetch_endpoint(path, {**params, "offset": 10}, credits=1, client=client)
    assert "multiple_choices" not in last


@pytest.mark.xfail(strict=True, reason="read_csv infers columns it does not know as pandas does: 601450.0")
def test_a_short_id_with_a_gap_keeps_its_digits_in_a_csv_file(tmp_path: Path) -> None:
    rows = [{"most_category_id": "601450"}, {"most_category_id": None}]
    with Sandbox() as server, make_client(server, tmp_path / "store.sqlite") as client:
        server.mutate = lambda path, params, usual: {**usual, "data": rows}
        frame = kr.fetch_endpoint(*CALLS["video-captions"], client=client)
    frame.keyapi.to_csv(tmp_path / "table.csv")
    assert kr.read_csv(tmp_path / "table.csv")["most_category_id"].astype("string").tolist() == ["601450", pd.NA]


# The page on any endpoint -----------------------------------------------------------------------------------------


READER = """
kr.replay("video-days.zip")
assert fetch_video_days("7600000000000000001").equals(table)
assert kr.status().credits_spent == 0
"""


def test_the_code_of_the_page_prints_what_it_says(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "any-endpoint.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```\n\n```\n(.*?)^```\n", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == page.count("```python") == 4
    # In a process of its own: what it declares is for a session.
    code = "print('---')\n".join(one for one, _ in blocks) + READER
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.stdout.split("---\n") == [output for _, output in blocks], done.stderr
    assert done.returncode == 0, done.stderr
    assert re.findall(r"\w+Warning", done.stderr) == ["MissingDataWarning"]  # the last page of the comments
