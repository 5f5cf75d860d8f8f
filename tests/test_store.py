"""The store: opened by plain requests-cache, one answer an entity, one source, private to its owner."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests_cache
from stores import Place

import keyapi_research as kr
from keyapi_research.sandbox import Sandbox
from keyapi_research.store import LedgerRow, Observation, Store

pytestmark = pytest.mark.both_stores

TABLES = {
    "hashtags": ("ufc324", ["hashtags", "hashtag_trends", "hashtag_audience", "related_hashtags"]),
    "product_details": ("601583", ["product_details", "product_audience", "product_hashtags", "product_posts"]),
    "music": ("6703723351497508865", ["music", "music_trends", "music_audience", "music_videos"]),
    "videos": ("7117191641181555995", ["videos"]),
}
AGAIN = """
import sys
import keyapi_research as kr
client = kr.Client(token="t", base_url=sys.argv[1], store=sys.argv[2])
for table, one in (("hashtags", "#UFC324"), ("hashtag_trends", "ufc324"), ("videos", "7117191641181555995")):
    assert len(getattr(kr, f"fetch_{table}")(one, client=client))
assert len(kr.fetch_product_insights(limit=1, client=client)) == 1
print(client.credits_spent, client.credits_saved)
"""


@pytest.mark.parametrize("table", TABLES)
def test_what_came_with_an_answer_costs_nothing_more(table: str, client: kr.Client, sandbox: Sandbox) -> None:
    one, tables = TABLES[table]
    for each in tables:
        getattr(kr, f"fetch_{each}")(one, client=client)
    assert len(sandbox.requests) == 1


def test_a_second_call_in_another_process_sends_nothing(client: kr.Client, sandbox: Sandbox, place: Place) -> None:
    kr.fetch_hashtags("ufc324", client=client)
    kr.fetch_videos("7117191641181555995", client=client)
    kr.fetch_product_insights(limit=1, client=client)
    charged = sandbox.charged
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", AGAIN, sandbox.url, place()],
        capture_output=True, text=True, check=False,
    )
    assert result.stderr == ""
    assert result.stdout.split() == ["0", "7"]
    assert sandbox.charged == charged


@pytest.mark.of_a_file
def test_plain_requests_cache_opens_and_lists_it(client: kr.Client, place: Place) -> None:
    ids = ["7117191641181555995", "7300000000000000001"]
    kr.fetch_videos(ids, client=client)
    kr.fetch_hashtags("ufc324", client=client)
    client.close()
    with requests_cache.CachedSession(place(), backend="sqlite", serializer="json", use_cache_dir=False) as session:
        answers = list(session.cache.filter())
        bodies = [answer.json() for answer in answers]
        session.cache.close()
    assert len(answers) == 3  # one for each entity, though both videos came in one response
    assert all(answer.status_code == 200 and answer.expires is None for answer in answers)
    assert {body["data"][0]["video_id"] for body in bodies if isinstance(body["data"], list)} == set(ids)
    assert {body["data"]["info"]["publish_cnt"] for body in bodies if isinstance(body["data"], dict)} == {12142}
    assert all(set(answer.headers) == {"Content-Type"} and not answer.request.headers for answer in answers)
    again = kr.Client(token="t", base_url="http://127.0.0.1:9", store=place())
    assert kr.fetch_videos(ids, client=again)["video_id"].tolist() == ids  # it changed nothing of ours
    again.close()


@pytest.mark.of_a_file
def test_the_file_is_its_owners(client: kr.Client, tmp_path: Path) -> None:
    kr.fetch_hashtags("ufc324", client=client)
    for file in tmp_path.glob("store.sqlite*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


@pytest.mark.of_a_file
def test_an_empty_file_becomes_its_owners(make_client: Callable[..., kr.Client], place: Place) -> None:
    file = place("empty")
    file.touch(mode=0o644)
    make_client(store=file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_cannot_be_read_is_found_before_others_are_paid_for(
    client: kr.Client, sandbox: Sandbox, place: Place
) -> None:
    kr.fetch_hashtags(["cats", "dogs"], client=client)
    place.rows("UPDATE responses SET value = substr(value, 1, 100) WHERE value LIKE '%dogs%'")
    with pytest.raises(kr.StoreError, match=r"cannot be read.*Nothing was requested again"):
        kr.fetch_hashtags(["cats", "dogs", "birds"], client=client)
    assert len(sandbox.requests) == 2


@pytest.mark.of_a_file
@pytest.mark.parametrize("name", ["study", "a b.c", "percent%41#?.sqlite", "ünï.db"])
def test_nothing_is_added_to_the_name(name: str, make_client: Callable[..., kr.Client], tmp_path: Path) -> None:
    client = make_client(store=tmp_path / name)
    kr.fetch_hashtags("ufc324", client=client)
    client.close()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    offline = kr.Client(store=tmp_path / name, offline=True)
    assert len(kr.fetch_hashtags("ufc324", client=offline)) == 1
    offline.close()


def test_memory_stores_are_private(make_client: Callable[..., kr.Client], sandbox: Sandbox) -> None:
    for number in (1, 2):
        kr.fetch_hashtags("ufc324", client=make_client(store=":memory:"))
        assert len(sandbox.requests) == number


def test_sources_never_mix(make_client: Callable[..., kr.Client], sandbox: Sandbox, place: Place) -> None:
    client = make_client()
    kr.fetch_hashtags("ufc324", client=client)
    client.close()
    with pytest.raises(kr.StoreError, match=r"belongs to 'sandbox'.*'keyapi'"):
        kr.Client(token="a-real-token", store=place())


def test_a_paid_store_refuses_synthetic_answers(
    make_client: Callable[..., kr.Client], sandbox: Sandbox, place: Place
) -> None:
    Store(str(place("paid")), source="127.0.0.1", read_only=False).close()
    client = make_client(store=place("paid"))  # that there is a sandbox only its answer tells
    with pytest.raises(kr.StoreError, match="has one source") as caught:
        kr.fetch_hashtags(["ufc324", "cats", "dogs"], client=client)
    assert client.status().answers == 0
    assert caught.value.answer[0]["data"]["info"]["hashtag_name"]
    assert client.source == "127.0.0.1"
    sent = len(sandbox.requests)
    with pytest.raises(kr.StoreError, match="has one source"):
        kr.fetch_hashtags("birds", client=client)
    assert len(sandbox.requests) == sent  # once it is known, nothing is requested and paid again


@pytest.mark.parametrize("belongs_to", ["keyapi", "elsewhere.example"])
def test_a_store_that_cannot_be_of_this_address_is_refused_before_anything_is_paid(
    belongs_to: str, make_client: Callable[..., kr.Client], sandbox: Sandbox, place: Place
) -> None:
    Store(str(place("paid")), source=belongs_to, read_only=False).close()
    with pytest.raises(kr.StoreError, match=f"belongs to '{belongs_to}', .* from '127.0.0.1'.* store="):
        make_client(store=place("paid"))
    assert not sandbox.requests
    assert make_client(store=place("paid"), offline=True).source == belongs_to  # reading is free


@pytest.mark.parametrize("url", ["https://API.KeyAPI.ai", "https://api.keyapi.ai:443/", "https://api.keyapi.ai/"])
def test_the_service_is_one_source_however_its_address_is_written(
    url: str, make_client: Callable[..., kr.Client]
) -> None:
    assert make_client(base_url=url, store=":memory:").source == "keyapi"


def test_frames_say_whose_they_are(make_client: Callable[..., kr.Client], sandbox: Sandbox) -> None:
    assert kr.fetch_hashtags("ufc324", client=make_client())["source"].tolist() == ["sandbox"]


def test_offline_needs_a_store(tmp_path: Path, place: Place) -> None:
    with pytest.raises(kr.StoreError, match="no store in" if place.on_server else "no store at"):
        kr.Client(store=place("none"), offline=True)
    assert not list(tmp_path.iterdir())
    if place.on_server:
        assert place.rows("SELECT nspname FROM pg_namespace WHERE nspname = 'keyapi'", name="none") == []


@pytest.mark.parametrize("where", ["folder", "nowhere/store.sqlite"])
def test_places_that_are_none(where: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(kr.StoreError, match="folder"):
        kr.Client(token="t", store=tmp_path / where)


def test_no_token_names_three_ways_out() -> None:
    with pytest.raises(kr.MissingTokenError, match=r"KEYAPI_TOKEN.*sandbox=True.*offline=True"):
        kr.connect()
    with pytest.raises(kr.MissingTokenError):
        kr.fetch_hashtags("cats")


@pytest.mark.parametrize("option", ["sandbox", "offline", "progress"])
@pytest.mark.parametrize("value", ["no", "False", 0, 1])
def test_switches_are_true_or_false(option: str, value: object) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=f"{option} must be True or False"):
        kr.Client(token="t", store=":memory:", **{option: value})


def test_the_same_token_from_elsewhere_is_the_same_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    one = kr.connect(token="the-same-token", store=":memory:")
    monkeypatch.setenv("KEYAPI_TOKEN", "the-same-token")
    assert kr.connect(store=":memory:") is one
    one.close()


def test_a_data_folder_that_cannot_be_made_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    with pytest.raises(kr.StoreError, match=r"cannot be created.*store="):
        kr.connect(token="t")


def test_connect_returns_the_open_client_with_unchanged_settings() -> None:
    one = kr.connect(sandbox=True, store=":memory:")
    assert kr.connect(sandbox=True, store=":memory:") is one
    other = kr.connect(sandbox=True, store=":memory:", max_credits=5)
    assert other is not one
    other.close()
    assert kr.connect(sandbox=True, store=":memory:", max_credits=5) is not other
    one.close()


def test_defaults_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, place: Place) -> None:
    monkeypatch.setenv("KEYAPI_TOKEN", " from-the-environment\n")
    monkeypatch.setenv("KEYAPI_BASE_URL", sandbox.url + "/")
    monkeypatch.setenv("KEYAPI_STORE", str(place("env")))
    client = kr.connect()
    assert len(kr.fetch_hashtags("ufc324")) == 1
    status = kr.status()
    assert (status.token, status.store) == ("KEYAPI_TOKEN", str(place("env")))
    client.close()


def test_a_wrong_address_in_the_environment_is_named_and_disturbs_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYAPI_BASE_URL", "http://example.org")
    with pytest.raises(kr.InvalidArgumentError, match=r"^KEYAPI_BASE_URL must be https"):
        kr.Client(token="t", store=":memory:")
    assert kr.Client(sandbox=True, store=":memory:").source == "sandbox"


@pytest.mark.parametrize("timeout", [0, -1, (5,), (5, float("inf")), 1e12, "5", (True, 5), float("nan")])
def test_other_timeouts_are_refused(timeout: object) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=r"^timeout must be "):
        kr.Client(sandbox=True, store=":memory:", timeout=timeout)  # type: ignore[arg-type]


@pytest.mark.of_a_file
def test_what_is_paid_is_on_the_disk_before_it_is_counted(place: Place) -> None:
    store = Store(str(place()), source="keyapi", read_only=False)
    assert store._db.rows("PRAGMA synchronous") == [(3,)]  # EXTRA: also a power cut loses nothing that was paid
    store.close()


def observation(number: int, params: str = "{}") -> Observation:
    return Observation(number, f"k1-{number}", "/v1/x", params, 1_770_000_000_000_000, absent=False, request=1, pull=0,
                       page=0, rows=0, fresh=0, more=None)


REQUEST = LedgerRow(1, 1_770_000_000_000_000, "/v1/x", "{}", 1, 1, 200, 0, "success", None, 2, 0.5)
VALUES: dict[str, object] = {
    "whole numbers that fit 64 bits": [2**63 - 1, -(2**63), 2**64 - 1, 0],
    "larger whole numbers": [2**63, 2**64, -(2**63) - 1, 10**40],
    "floats": [0.1, -0.0, 1e22, 5e-324, 1.7976931348623157e308, 123456789.123456789],
    "floats without bounds": [float("inf"), float("-inf")],
    "half a surrogate pair": ["\ud800", "\udc00x"],
    "a surrogate pair and other scripts": ["\U0001f600", "\u0e44", "\u0130"],
    "control characters": ["\x00\x1f\x7f\t\n", "\u2028"],
    "what ends a body, in a text": ['"_decoded_content":{}', ", NaN, ", "}"],
    "nothing": [None, {}, [], ""],
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_a_stored_answer_is_read_with_the_very_values_it_came_with(values: object) -> None:
    store = Store(":memory:", source="sandbox", read_only=False)
    store.restore([REQUEST], [(observation(1), {"code": 0, "data": {"list": values}})], url="https://x")
    (envelope,) = store.envelopes([1])
    assert repr(envelope) == repr({"code": 0, "data": {"list": values}})  # -0.0 and 1.0 too are what they were
    store.close()


def test_a_stored_nan_is_read_as_it_came() -> None:
    store = Store(":memory:", source="sandbox", read_only=False)
    store.restore([REQUEST], [(observation(1), {"code": 0, "data": [float("nan"), 1]})], url="https://x")
    (envelope,) = store.envelopes([1])
    assert repr(envelope["data"]) == "[nan, 1]"
    store.close()


@pytest.mark.parametrize("text", [", NaN, ", "NaN], NaN, [", "\u0e44 \x7f"])
def test_rows_are_told_apart_whatever_is_in_their_texts(text: str) -> None:
    params = json.dumps({"search_keyword": text})
    store = Store(":memory:", source="sandbox", read_only=False)
    answers = [(observation(number, params), {"code": 0, "data": number}) for number in range(1, 4)]
    store.restore([REQUEST], answers, url="https://x")
    assert [one.params for one in store.observations([1, 2, 3])] == [params] * 3
    assert set(store.latest(["k1-1", "k1-3", "k1-9"])) == {"k1-1", "k1-3"}
    assert list(store.envelopes([3, 1])) == [{"code": 0, "data": 3}, {"code": 0, "data": 1}]
    store.close()


def test_the_sandbox_has_a_store_of_its_own() -> None:
    client = kr.connect(sandbox=True)
    assert Path(client.settings.store).name == "sandbox-world-4.sqlite"
    assert client.settings.requests_per_second is None
    assert os.environ["XDG_DATA_HOME"] in client.settings.store
    client.close()
