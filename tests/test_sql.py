"""kr.sql: the stored tables in DuckDB, exactly, and nothing else of the machine."""

from __future__ import annotations

import _thread
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research.export.database import _alike, _create, _explained, _insert, _result, run
from keyapi_research.sandbox import Fault, Sandbox

duckdb = pytest.importorskip("duckdb")

TAGS = ["ufc324", "perfume"]
LONG = 2**53 + 1
MOMENT = pd.Timestamp("2026-01-01T00:00:00.123456Z")


@pytest.fixture
def stored(client: kr.Client) -> kr.Client:
    """A client that fetched two hashtags twice."""
    for _ in range(2):
        kr.fetch_hashtags(TAGS, region="US", period=7, max_age=0, client=client)
    return client


# Tables -----------------------------------------------------------------------------------------------------


def test_a_table_has_all_observations_and_the_declared_dtypes(stored: kr.Client) -> None:
    found = kr.sql("SELECT * FROM hashtags", client=stored)
    assert len(found) == 4
    assert found.dtypes.equals(kr.stored("hashtags", client=stored).dtypes)
    pd.testing.assert_frame_equal(found, kr.stored("hashtags", observations="all", client=stored))


def test_the_newest_of_each_is_what_the_docstring_says(stored: kr.Client) -> None:
    idiom = "QUALIFY row_number() OVER (PARTITION BY hashtag_name ORDER BY observed_at DESC) = 1"
    found = kr.sql(f"SELECT * FROM hashtags {idiom} ORDER BY hashtag_name DESC", client=stored)
    newest = kr.stored("hashtags", client=stored).sort_values("hashtag_name", ascending=False, ignore_index=True)
    pd.testing.assert_frame_equal(found, newest)


def test_a_table_joins_others_and_the_ledger(stored: kr.Client) -> None:
    joined = kr.sql(
        'SELECT count(*) AS n FROM hashtags JOIN hashtag_trends USING (hashtag_name) JOIN "ledger" l '
        "ON l.params LIKE '%ufc324%' WHERE hashtag_name = 'ufc324'",
        client=stored,
    )
    trends = kr.stored("hashtag_trends", observations="all", client=stored)
    n = int((trends["hashtag_name"] == "ufc324").sum())
    assert n > 0
    assert joined["n"].tolist() == [2 * n * 2]  # two observations of the hashtag, two requests for it
    pd.testing.assert_frame_equal(kr.sql("FROM ledger", client=stored), kr.ledger(client=stored))


def test_nothing_is_sent(stored: kr.Client, sandbox: Sandbox) -> None:
    before = len(kr.ledger(client=stored))
    kr.sql("SELECT * FROM hashtags, music, videos", client=stored)
    assert len(kr.ledger(client=stored)) == before == 4


def test_offline_and_as_of(stored: kr.Client, make_client: Callable[..., kr.Client]) -> None:
    first, _, _, last = sorted(kr.stored("hashtags", observations="all", client=stored)["observed_at"])
    offline = make_client(token=None, offline=True, as_of=first)
    assert first < last
    assert kr.sql("SELECT count(*) AS n FROM hashtags", client=offline)["n"].tolist() == [1]
    assert kr.sql("SELECT count(*) AS n FROM ledger", client=offline)["n"].tolist() == [4] == [len(offline.ledger())]


def test_an_empty_table_is_there(client: kr.Client) -> None:
    found = kr.sql("FROM creators", client=client)
    assert found.empty
    assert found.dtypes.equals(kr.stored("creators", client=client).dtypes)


def test_a_path_is_a_table_in_quotes(client: kr.Client, sandbox: Sandbox) -> None:
    def respond(_: str, params: dict[str, str]) -> Fault:
        data = [{"big_id": LONG, "A": 1, "a": True, "n": 2 if params["q"] == "x" else 1.5}]
        return Fault(body=json.dumps({"code": 0, "message": "ok", "data": data}).encode())

    sandbox.on_request = respond
    path = "/v1/any/1"
    for q in "xy":
        kr.fetch_endpoint(path, {"q": q}, credits=1, client=client)
    found = kr.sql(f'SELECT * FROM "{path}" ORDER BY q', client=client)
    assert found["q"].tolist() == ["x", "y"]
    assert found["big_id"].tolist() == [str(LONG)] * 2
    assert found["A"].tolist() == [1, 1]
    assert found["a_1"].tolist() == [True, True]
    assert found["n"].tolist() == [2.0, 1.5]
    assert path in kr.sql("SHOW TABLES", client=client)["name"].tolist()


def test_paths_with_other_columns_are_put_together() -> None:
    one = pd.DataFrame({"a": pd.array([1, None], "Int64"), "observed_at": [MOMENT] * 2, "source": ["s"] * 2})
    other = pd.DataFrame({"a": [1.5], "b": pd.array(["x"], "string"), "observed_at": [MOMENT], "source": ["s"]})
    found = _alike([one, other])
    assert list(found) == ["a", "b", "observed_at", "source"]
    assert found["a"].tolist()[::2] == [1.0, 1.5]
    assert found["b"].isna().tolist() == [True, True, False]
    assert found["b"].dtype == "string"


@pytest.mark.parametrize(
    ("query", "n"),
    [
        ("SELECT count(*) AS n FROM HashTags", 4),
        ('SELECT count(*) AS n FROM main."hashtags"', 4),
        ("WITH hashtags AS (SELECT 1) SELECT count(*) AS n FROM hashtags", 1),
        ("WITH hashtags AS (FROM main.hashtags LIMIT 3) SELECT count(*) AS n FROM hashtags", 3),
        ("SELECT (SELECT count(*) FROM hashtags) AS n", 4),
        ("/* a; b */ -- c\n (SELECT count(*) AS n FROM hashtags);", 4),
        ("SELECT count(*) AS n FROM query('SELECT * FROM hashtags')", 4),
        ("SELECT count(*) AS n FROM query('SELECT * FROM hashtags') JOIN music USING (region)", 0),
        ("SELECT count(*) AS n FROM (PIVOT hashtags ON period USING count(*) GROUP BY hashtag_name)", 2),
        ("VALUES (7)", 7),
        ("SELECT 7; -- done", 7),
        ("SELECT 7;\n-- é; e\n;; /* x */", 7),
        ("SELECT 'é', $$;$$ AS n;", "é"),
        ("PIVOT hashtags ON period USING count(*) GROUP BY hashtag_name ORDER BY ALL; -- done", "perfume"),
        ("/* a /* b */ c */ SELECT 7", 7),
        ("\ufeffSELECT 7", 7),
        ("\u00a0-- x\n(\u00a0/* y */\u00a0SELECT 7)", 7),
    ],
)
def test_queries_of_many_forms(stored: kr.Client, query: str, n: object) -> None:
    assert kr.sql(query, client=stored).iloc[0, 0] == n


def test_tables_and_columns_can_be_listed(stored: kr.Client) -> None:
    assert {"hashtags", "creators", "ledger"} <= set(kr.sql("SHOW TABLES", client=stored)["name"])
    assert "hashtag_id" in set(kr.sql("DESCRIBE hashtags", client=stored)["column_name"])
    assert kr.sql("SUMMARIZE hashtags", client=stored).set_index("column_name")["count"]["views"] == 4


# Values -----------------------------------------------------------------------------------------------------


def test_every_value_arrives_and_comes_back_exactly() -> None:
    rows = 3000  # more than DuckDB looks at to infer a type
    frame = pd.DataFrame(
        {
            "text": pd.array([None] * rows + ["", "😀", "a\x00b", "7117191641181555995"], dtype="string"),
            "whole": pd.array([None] * rows + [LONG, 2**63 - 1, -(2**63), 0], dtype="Int64"),
            "flag": pd.array([None] * rows + [True, False, None, True], dtype="boolean"),
            "number": [float("nan")] * rows + [0.1, 1e308, float("inf"), -0.0],
            "time": pd.Series([pd.NaT] * rows + [MOMENT, MOMENT, pd.Timestamp(0, tz="UTC"), pd.NaT]).astype(
                "datetime64[us, UTC]"
            ),
        }
    )
    with duckdb.connect(":memory:") as base:
        base.execute("SET TimeZone = 'UTC'")
        base.execute("SET pandas_analyze_sample = 0")
        _create(base, "t", dict(frame.dtypes.astype(str)))
        _insert(base, "t", frame.iloc[:rows])
        _insert(base, "t", frame.iloc[rows:])
        pd.testing.assert_frame_equal(_result("FROM t", base), frame)
        with_a_list = _result("SELECT *, [1, NULL] AS list FROM t", base)
        assert with_a_list.pop("list").tolist()[0] == [1, None]
        pd.testing.assert_frame_equal(with_a_list, frame)


@pytest.mark.parametrize(
    ("expression", "value", "dtype"),
    [
        ("count(*) AS n", 1, "Int64"),
        ("count(*) AS views", 1, "Int64"),
        ("avg(3) AS likes", 3.0, "float64"),
        ("7117191641181555995 AS hashtag_id", "7117191641181555995", "string"),
        ("7117191641181555995 AS x", 7117191641181555995, "Int64"),
        ("sum(9007199254740993) AS views", LONG, "Int64"),
        ("170141183460469231731687303715884105727 AS x", "170141183460469231731687303715884105727", "string"),
        ("1.25 AS x", 1.25, "float64"),
        ("true AS x", True, "boolean"),
        ("'x' AS views", "x", "string"),
        ("9 AS like_rate", 9.0, "float64"),
        ("TIMESTAMPTZ '2026-01-01 02:00:00.123456+02' AS x", MOMENT, "datetime64[us, UTC]"),
        ("DATE '2026-01-01' AS x", pd.Timestamp("2026-01-01", tz="UTC"), "datetime64[us, UTC]"),
        ("TIMESTAMP '2026-01-01' AS x", pd.Timestamp("2026-01-01"), "datetime64[us]"),
        ("INTERVAL 36 HOUR AS x", pd.Timedelta(hours=36), "timedelta64[ns]"),
        ("TIME '01:02:03' AS x", "01:02:03", "string"),
        ("{'a': 1} AS x", {"a": 1}, "object"),
        ("current_setting('TimeZone') AS x", "UTC", "string"),
    ],
)
def test_dtypes_of_results(client: kr.Client, expression: str, value: object, dtype: str) -> None:
    [column] = kr.sql(f"SELECT {expression}", client=client).items()
    assert column[1].tolist() == [value]
    assert str(column[1].dtype) == dtype


def test_nothing_has_the_dtype_of_its_name(client: kr.Client) -> None:
    found = kr.sql("SELECT NULL AS views, NULL AS observed_at, NULL AS hashtag_id", client=client)
    assert found.dtypes.astype(str).tolist() == ["Int64", "datetime64[us, UTC]", "string"]
    assert found.isna().all(axis=None)


def test_columns_of_one_name_are_numbered(client: kr.Client) -> None:
    assert list(kr.sql("SELECT 1 AS x, 2 AS x, 4 AS y", client=client)) == ["x", "x_1", "y"]
    names = list(kr.sql("SELECT 1 AS x, 2 AS x_1, 3 AS x, 4 AS X", client=client))
    assert names[:2] == ["x", "x_1"]
    assert len({name.lower() for name in names}) == 4


def test_the_order_of_the_query_is_kept(client: kr.Client) -> None:
    found = kr.sql("SELECT i::HUGEINT AS i FROM range(100000) t(i) ORDER BY i DESC", client=client)
    assert found["i"].tolist() == list(range(99999, -1, -1))


# Doors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM '{file}'",
        'SELECT * FROM "{file}"',
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM read_blob('{file}')",
        "SELECT * FROM read_json('{file}')",
        "SELECT * FROM read_parquet('{file}')",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM sniff_csv('{file}')",
        "SELECT * FROM sqlite_scan('{file}', 'answers')",
        "SELECT * FROM read_csv('http://127.0.0.1:{port}/x.csv')",
        "SELECT * FROM 'http://127.0.0.1:{port}/x.parquet'",
        "SELECT * FROM frame",
        "SELECT getenv('KEYAPI_TOKEN')",
        "COPY hashtags TO '{folder}/out.csv'",
        "COPY (SELECT 1) TO '{folder}/out.csv'",
        "EXPORT DATABASE '{folder}/out'",
        "IMPORT DATABASE '{folder}/out'",
        "ATTACH '{folder}/out.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '{file}'",
        "SET temp_directory = '{folder}/out'",
        "SET enable_external_access = true",
        "RESET enable_external_access",
        "PRAGMA threads = 1",
        "PRAGMA version",
        "CREATE PERSISTENT SECRET s (TYPE s3)",
        "CREATE TABLE x AS SELECT 1",
        "CREATE TYPE e AS ENUM ('a'); SELECT 1",
        "INSERT INTO hashtags BY NAME SELECT 'x' AS hashtag_name",
        "WITH w AS (INSERT INTO hashtags BY NAME SELECT 'x' AS hashtag_name RETURNING *) FROM w",
        "UPDATE hashtags SET views = 0",
        "DELETE FROM hashtags",
        "DROP TABLE hashtags",
        "CALL pragma_version()",
        "BEGIN",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/out.csv'",
        "SELECT 1; COPY (SELECT 1) TO '{folder}/out.csv'",
        "SELECT 1; SELECT 2",
        "SELECT 1; -- x\n COPY (SELECT 1) TO '{folder}/out.csv'",
        "/* SELECT /* */ */ COPY (SELECT 1) TO '{folder}/out.csv'",
        "SELECT 1 /* ; */; /* x */ DROP TABLE hashtags; -- done",
        "\ufeffPRAGMA version; -- SELECT 1",
        "CREATE TABLE x AS PIVOT hashtags ON period USING count(*)",
        "",
        "-- nothing",
        "SELECT ?",
        "SELECT $a",
    ],
)
def test_a_query_sees_and_changes_nothing_else(
    stored: kr.Client, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    frame = pd.DataFrame({"secret": [1]})  # what DuckDB finds by its name, if it may
    monkeypatch.setenv("KEYAPI_TOKEN", "a-token-of-the-tests")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "file.csv"
    file.write_text("secret\n1\n")
    before = sorted(tmp_path.iterdir())
    requests = len(kr.ledger(client=stored))
    port = sandbox.url.rpartition(":")[2].strip("/")
    with pytest.raises(kr.InvalidArgumentError) as caught:
        kr.sql(query.replace("{file}", str(file)).replace("{folder}", str(tmp_path)).replace("{port}", port),
               client=stored)
    assert "a-token" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before
    assert len(kr.ledger(client=stored)) == requests
    assert frame.shape == (1, 1)


def test_settings_are_those_of_a_closed_database(client: kr.Client) -> None:
    names = ("enable_external_access", "lock_configuration", "autoload_known_extensions", "temp_directory")
    chosen = ", ".join(f"current_setting('{name}')::VARCHAR" for name in names)
    assert kr.sql(f"SELECT {chosen}", client=client).iloc[0].tolist() == ["false", "true", "false", ""]


# Errors -----------------------------------------------------------------------------------------------------


def message(client: kr.Client, query: Any) -> str:
    with pytest.raises(kr.InvalidArgumentError) as caught:
        kr.sql(query, client=client)
    return str(caught.value)


def test_errors_say_what_to_do(stored: kr.Client) -> None:
    text = message(stored, "SELECT * FROM hastags")
    assert "Did you mean 'hashtags'?" in text
    assert "ledger" in text
    for nothing in ("", " \n", ";", "-- nothing"):
        assert "must be one SELECT" in message(stored, nothing)
    assert "2 statements" in message(stored, "SELECT 1; SELECT 2")
    assert "CREATE is not a query" in message(stored, "CREATE TABLE x AS SELECT 1")
    assert "files, network and extensions are closed" in message(stored, "SELECT * FROM read_text('/etc/hostname')")
    syntax = message(stored, "SELECT * FRM hashtags")
    assert 'near "hashtags"' in syntax
    assert "must be text" in message(stored, 5)


@pytest.mark.parametrize(
    ("query", "closed", "end"),
    [
        ("SELECT * FROM sqlite_scan('a', 'b')", True, "in the sqlite_scanner extension."),
        ("SELECT st_point(1, 2)", True, "in the spatial extension."),
        ("SELECT current_setting('s3_region')", True, "in the httpfs extension."),
        ("SELECT 1 ORDER BY 'a'", False, "has no effect."),
        ("SELECT (SELECT i FROM range(2) t(i))", False, "can only return a single row."),
    ],
)
def test_no_error_advises_what_is_refused(client: kr.Client, query: str, closed: bool, end: str) -> None:
    text = message(client, query)
    assert ("extensions are closed" in text) == closed
    assert text.endswith(end)


def test_an_error_shows_a_query_that_has_such_a_word(client: kr.Client) -> None:
    text = "syntax error at or near \"FRM\"\n\nLINE 2: 'LOAD x' FRM FRM\n                        ^"
    assert _explained(f"Parser Error: {text}", client).endswith(text)


def test_an_error_in_a_value_is_the_users(stored: kr.Client) -> None:
    assert "ufc324" in message(stored, "SELECT hashtag_name::INT FROM hashtags WHERE hashtag_name = 'ufc324'")


def test_too_much_memory_is_an_error_that_says_so(client: kr.Client) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="needs more memory"):
        run("SELECT count(*) FROM (SELECT list(i) FROM range(20000000) t(i) GROUP BY i)", client, memory="64MB")


def test_ctrl_c_ends_a_query(client: kr.Client) -> None:
    endless = "SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000000) b(i) WHERE hash(a.i) % 7 = b.i % 5"
    timer = threading.Timer(1, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        kr.sql(endless, client=client)
    timer.join()


def test_a_closed_client_and_a_missing_package(client: kr.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(kr.MissingPackageError, match="extras sql"):
        kr.sql("SELECT 1", client=client)
    client.close()
    with pytest.raises(kr.StoreError, match="closed"):
        kr.sql("SELECT 1", client=client)


def test_pyarrow_is_not_needed() -> None:
    code = """
import sys

class NoPyarrow:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pyarrow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoPyarrow())
import keyapi_research as kr
kr.connect(sandbox=True, store=":memory:", progress=False)
kr.fetch_hashtags(["ufc324"])
print(kr.sql("SELECT hashtag_name, [views] AS list FROM hashtags").shape)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["(1,", "2)"], done.stderr


def test_half_of_a_character_is_no_query(client: kr.Client) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="lone surrogate"):
        kr.sql("SELECT '\ud800'", client=client)


@pytest.mark.parametrize("widgets", [False, True])
def test_in_jupyterlab_with_and_without_ipywidgets(widgets: bool) -> None:
    """DuckDB draws its progress with ipywidgets there, and refuses to be told not to where they are missing."""
    code = """
import sys
from types import ModuleType, SimpleNamespace
import IPython

IPython.get_ipython = lambda: SimpleNamespace(config={"IPKernelApp": {}})  # how DuckDB recognizes a kernel
sys.modules["ipywidgets"] = ModuleType("ipywidgets") if sys.argv[1] == "True" else None
import keyapi_research as kr
kr.connect(sandbox=True, store=":memory:", progress=False)
print(kr.sql("SELECT current_setting('enable_progress_bar') AS shown").shown[0])
"""
    done = subprocess.run([sys.executable, "-c", code, str(widgets)], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["False"], done.stderr
