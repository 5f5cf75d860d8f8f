"""What users' notebooks are written against: names, signatures, docstrings, types, and where warnings point."""

from __future__ import annotations

import doctest
import importlib
import inspect
import io
import json
import pickle
import pkgutil
import re
import subprocess
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research.accessor import methods
from keyapi_research.accessor.pictures import PICTURES
from keyapi_research.sandbox import Fault, Sandbox

HERE = Path(__file__).parent

# Names and signatures, by hand -----------------------------------------------------------------------------------

HASHTAGS = "hashtag_names, *, region='all_regions', period=7, max_age=None, errors='raise', client=None"
MUSIC = "clip_ids, *, region='US', period=7, max_age=None, errors='raise', client=None"
PRODUCTS = "category_ids, *, region='all_regions', time_scope=1, max_age=None, errors='raise', client=None"
TOP_HASHTAGS = (
    "*, region='all_regions', period=7, industry=None, new_only=False, limit=20, max_age=None, client=None"
)
TOP_MUSIC = (
    "*, region='US', period=7, search=None, new_only=False, commercial_only=False, limit=20, max_age=None, client=None"
)
CREATORS = "user_ids, *, by='user_id', max_age=None, errors='raise', client=None"
SOLD = "product_ids, *, max_age=None, errors='raise', client=None"
DAYS = "*, start, end=None, max_age=None, errors='raise', client=None"
LIST = "limit=20, max_age=None, errors='raise', client=None"
RANKING = "*, region, date=None, cycle='day'"
CATEGORIES = "category_l1_id=None, category_l2_id=None, category_l3_id=None"
OPTIONS = (
    "*, token=None, base_url=None, sandbox=False, store=None, offline=False, as_of=None, max_age=None, "
    "max_credits=None, max_call_credits=100, requests_per_second=5.0, max_workers=4, timeout=(5, 30), retries=2, "
    "progress=None, replay=None"
)
SIGNATURES = {
    "Client": OPTIONS,
    "audience_similarity": "df, *, dimension='country'",
    "budget": "credits, *, client=None",
    "connect": OPTIONS,
    "declare": (
        "table, path, *, credits, by=None, batch=1, params=None, paging=None, rows, key, columns, identity=None"
    ),
    "describe": "table",
    "endpoints": "",
    "fetch_creator_categories": CREATORS,
    "fetch_creator_days": f"user_ids, {DAYS}",
    "fetch_creator_posting": CREATORS,
    "fetch_creator_products": f"user_ids, *, sort='showcase', {LIST}",
    "fetch_creator_rankings": f"{RANKING}, ranked_by='sales', category_id=None, niche=None, limit=20, max_age=None, "
                              "client=None",
    "fetch_creator_videos": f"user_ids, *, sort='posted', {LIST}",
    "fetch_creator_windows": CREATORS,
    "fetch_creators": CREATORS,
    "fetch_endpoint": (
        "path, params=None, *, rows=None, credits=None, paging=None, limit=20, personal=False, max_age=None, "
        "client=None"
    ),
    "fetch_hashtag_audience": HASHTAGS,
    "fetch_hashtag_trends": HASHTAGS,
    "fetch_hashtags": HASHTAGS,
    "fetch_music": MUSIC,
    "fetch_music_audience": MUSIC,
    "fetch_music_trends": MUSIC,
    "fetch_music_videos": MUSIC,
    "fetch_product_audience": PRODUCTS,
    "fetch_product_creators": f"product_ids, *, sort='gmv', {LIST}",
    "fetch_product_days": f"product_ids, {DAYS}",
    "fetch_product_details": PRODUCTS,
    "fetch_product_hashtags": PRODUCTS,
    "fetch_product_insights": "*, region='all_regions', time_scope=1, search=None, category_id=None, limit=20, "
                              "max_age=None, client=None",
    "fetch_product_posts": PRODUCTS,
    "fetch_product_rankings": f"{RANKING}, ranked_by='units', {CATEGORIES}, limit=20, max_age=None, client=None",
    "fetch_product_search": f"*, region, {CATEGORIES}, min_price=None, max_price=None, on_sale=True, "
                            "sort='units_30d', limit=20, max_age=None, client=None",
    "fetch_product_windows": SOLD,
    "fetch_products": SOLD,
    "fetch_related_hashtags": HASHTAGS,
    "fetch_trending_hashtag_creators": TOP_HASHTAGS,
    "fetch_trending_hashtag_trends": TOP_HASHTAGS,
    "fetch_trending_hashtags": TOP_HASHTAGS,
    "fetch_trending_music": TOP_MUSIC,
    "fetch_trending_music_trends": TOP_MUSIC,
    "fetch_video_products": "video_ids, *, max_age=None, errors='raise', client=None",
    "fetch_video_rankings": f"{RANKING}, ranked_by='views', category_id=None, ai_only=False, limit=20, max_age=None, "
                            "client=None",
    "fetch_videos": "video_ids, *, max_age=None, errors='raise', client=None",
    "audit": "table=None, *, thresholds=None, client=None",
    "bursts": "trends",
    "export_store": "folder, *, tables=None, client=None",
    "find": "text",
    "freeze": "path, *, partial=False, personal=False, client=None",
    "half_times": "trends",
    "import_store": "path, *, client=None",
    "ledger": "*, client=None",
    "panel": "path, *, client=None",
    "limit_store": "credits, *, per='month', client=None",
    "plan": "fetch, *args, **kwargs",
    "plots.audience": "df, dimension=None, *, ax=None",
    "plots.categories": "df, *, measure='impressions', level=2, lowest=False, ax=None",
    "plots.days": "df, *, measure='gmv_day_est', small_multiples=None, ax=None",
    "plots.engagement": "df, *, ax=None",
    "plots.findings": "df, *, ax=None",
    "plots.overlap": "df, *, dimension='country', ax=None",
    "plots.products": "df, *, labels=15, ax=None",
    "plots.spending": "df, *, by='endpoint', ax=None",
    "plots.stamp": "ax, df",
    "plots.trend": "df, *, ax=None, small_multiples=None",
    "plots.windows": "df, *, measure=None, ax=None",
    "probe": "max_credits=25, *, client=None",
    "read_csv": "path",
    "read_excel": "path",
    "read_package": "folder",
    "read_parquet": "path",
    "replay": "path",
    "sql": "query, *, client=None",
    "status": "*, client=None",
    "stitch_trends": "trends, *, decimals=2",
    "stored": "table=None, *, observations='latest', client=None",
    "tables": "",
    "write_package": "folder, tables, *, client=None",
}
PANEL = {"plan": "self", "run": "self", "status": "self", "table": "self, name"}
OF = "self, *, of=None, client=None"
METHODS = {name: one for name, one in methods.METHODS.items() if name != "plot"}
METHOD_SIGNATURES = {
    "trend": OF,
    "audience": "self, dimension=None, *, of=None, client=None",
    "posts": OF,
    "hashtags": OF,
    "related": OF,
    "example_videos": OF,
    "windows": OF,
    "posting": OF,
    "categories": OF,
    "products": OF,
    "fill_days": "self, *, gains=None, of=None, client=None",
    "fetch_details": "self, *, period=None, max_age=None, errors='raise', of=None, client=None",
    "fetch_videos": "self, *, max_age=None, errors='raise', of=None, client=None",
    "fetch_hashtags": "self, period=7, *, max_age=None, errors='raise', of=None, client=None",
    "fetch_creators": "self, *, max_age=None, errors='raise', of=None, client=None",
    "fetch_products": "self, *, max_age=None, errors='raise', of=None, client=None",
    "fetch_days": "self, start, end=None, *, max_age=None, errors='raise', of=None, client=None",
    "fetch_creator_videos": "self, sort='posted', *, limit=20, max_age=None, errors='raise', of=None, client=None",
    "fetch_creator_products": "self, sort='showcase', *, limit=20, max_age=None, errors='raise', of=None, client=None",
    "fetch_product_creators": "self, sort='gmv', *, limit=20, max_age=None, errors='raise', of=None, client=None",
    "engagement": OF,
    "history": OF,
    "raw": OF,
    "provenance": OF,
    "audit": "self, *, thresholds=None, of=None, client=None",
    "validate": OF,
    "to_csv": "self, path, *, excel=False, index=False, client=None",
    "to_excel": "self, path, *, client=None",
    "to_parquet": "self, path, *, client=None",
}
ERRORS = {
    "InvalidArgumentError": ValueError, "MissingTokenError": None, "InvalidRequestError": None,
    "AuthenticationError": None, "CreditsExhaustedError": None, "AccessDeniedError": None, "NotFoundError": None,
    "RateLimitedError": None, "ServerError": None, "NetworkError": None, "UnexpectedResponseError": None,
    "BudgetExceededError": None, "NotStoredError": None, "StoreError": None, "FetchIncompleteError": None,
    "MissingPackageError": ImportError,
}
WARNINGS = ["MissingDataWarning", "IncompleteDataWarning", "StaleDataWarning", "SchemaDriftWarning",
            "TrendConflictWarning", "UnexpectedMarketWarning"]


def find(name: str) -> Any:
    found: Any = kr
    for part in name.split("."):
        found = getattr(found, part)
    return found


def written(function: Callable[..., Any]) -> str:
    """A signature without its types."""
    signature = inspect.signature(function)
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))[1:-1]


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name: str) -> None:
    assert written(find(name)) == SIGNATURES[name]


def test_signatures_of_the_accessor() -> None:
    assert {name: written(method) for name, method in METHODS.items()} == METHOD_SIGNATURES
    assert set(PICTURES) == set(kr.plots.__all__) - {"stamp"}


def test_signatures_of_a_panel() -> None:
    public = {name: one for name, one in vars(kr.Panel).items() if not name.startswith("_")}
    assert {name: written(method) for name, method in public.items()} == PANEL


def test_all_names_are_public_and_no_others() -> None:
    names = {name.partition(".")[0] for name in SIGNATURES} | set(ERRORS) | set(WARNINGS)
    names |= {"KeyAPIError", "KeyAPIWarning", "Panel", "Plan"}
    assert kr.__all__ == sorted(names)
    assert dir(kr) == sorted(names)
    assert all(getattr(kr, name) is getattr(kr, name) for name in names)
    modules = {name for name, value in vars(kr).items() if isinstance(value, types.ModuleType)}
    assert {name for name in vars(kr) if not name.startswith("_")} - modules == names - {"plots"}
    with pytest.raises(AttributeError, match="has no attribute 'frees'"):
        kr.frees  # noqa: B018 - looked up, not used
    assert kr.plots.__all__ == sorted(name.partition(".")[2] for name in SIGNATURES if name.startswith("plots."))


def test_errors_share_one_base_and_its_fields() -> None:
    fields = {"status_code": 200, "code": 402, "request_id": "r", "endpoint": "/e", "params": {"a": "b"},
              "retry_after": 1.5, "frame": pd.DataFrame({"a": [1]}), "failures": pd.DataFrame({"id": ["1"]}),
              "answer": {"code": 402}}
    for name, also in ERRORS.items():
        kind = getattr(kr, name)
        assert issubclass(kind, kr.KeyAPIError)
        assert also is None or issubclass(kind, also)
        bare = kind("text")
        assert [getattr(bare, field) for field in fields] == [None] * len(fields)
        assert bare.retryable is (name in {"RateLimitedError", "ServerError", "NetworkError"})
        assert bare.message == "text"
        copy = pickle.loads(pickle.dumps(kind("text", message="m", retryable=True, **fields)))
        assert (type(copy), str(copy), copy.message, copy.retryable) == (kind, "text", "m", True)
        for field, value in fields.items():
            kept = getattr(copy, field)
            assert kept.equals(value) if isinstance(value, pd.DataFrame) else kept == value
    assert all(issubclass(getattr(kr, name), kr.KeyAPIWarning) for name in WARNINGS)
    assert issubclass(kr.KeyAPIWarning, UserWarning)


# Importing -------------------------------------------------------------------------------------------------------


def test_importing_is_light_and_silent(tmp_path: Path) -> None:
    heavy = ["matplotlib", "IPython", "ipywidgets", "keyapi_research.sandbox", "tqdm.auto", "tqdm.notebook"]
    code = (
        "import sys; import keyapi_research as kr; kr.Client(sandbox=True, store=':memory:').close(); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (result.stdout, result.stderr) == ("[]\n", "")
    assert list(tmp_path.iterdir()) == []


def test_what_most_cells_do_not_need_is_imported_late() -> None:
    late = ["keyapi_research.plots", "keyapi_research.export", "keyapi_research.archive_format",
            "keyapi_research.accessor.methods"]
    code = (
        "import sys; import keyapi_research as kr, pandas as pd; assert hasattr(pd.DataFrame, 'keyapi'); "
        f"print([name for name in {late} if name in sys.modules]); "
        "from keyapi_research import plots, freeze; from keyapi_research import *; "
        "print(plots.trend.__name__, freeze.__name__, kr.read_csv is read_csv)"
    )
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("[]\ntrend freeze True\n", "")


# Types -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_users_code_type_checks() -> None:
    pytest.importorskip("mypy")
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "tests/typing_usage.py"],
        capture_output=True, text=True, check=False, cwd=HERE.parent,
    )
    told = [line for line in result.stdout.splitlines() if line.startswith("tests/")]
    assert told == [], result.stdout


def test_the_type_checker_finds_types() -> None:
    assert (Path(kr.__file__).parent / "py.typed").exists()
    for name in SIGNATURES:
        hints = inspect.signature(find(name))
        assert all(p.annotation is not inspect.Parameter.empty for p in hints.parameters.values()), name


@pytest.mark.parametrize("name", SIGNATURES)
def test_tooltips_show_types_as_a_reader_knows_them(name: str) -> None:
    """Not as they are written in the code: quoted, or by names that only this package has."""
    signature = inspect.signature(find(name))
    shown = [str(one.annotation) for one in signature.parameters.values()] + [str(signature.return_annotation)]
    assert not [one for one in shown if one not in str(signature)]
    ours = {"Ids", "MaxAge", "Errors", "Sent", "Start", "Day", "Which", "Spec", "AxesOrMany", "pd", "npt", "np"}
    assert not {word for one in shown for word in re.findall(r"\w+", one)} & ours


# Docstrings ------------------------------------------------------------------------------------------------------

METHOD = "keyapi_research.accessor.methods.Methods."
OF_PANEL = "keyapi_research.Panel."
DOCUMENTED = {
    **{f"keyapi_research.{name}": find(name) for name in SIGNATURES},
    **{f"{METHOD}{name}": method for name, method in METHODS.items()},
    **{f"{OF_PANEL}{name}": getattr(kr.Panel, name) for name in PANEL},
}


def sections(text: str) -> dict[str, list[str]]:
    """The sections of a numpydoc docstring and what is at their margin."""
    parts = re.split(r"^(\w[\w ]+)\n-{3,}\n", inspect.cleandoc(text), flags=re.MULTILINE)
    names = ["Summary", *parts[1::2]]
    return {name: re.findall(r"^\S.*", part, flags=re.MULTILINE) for name, part in zip(names, parts[::2], strict=True)}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_docstrings_list_all_parameters_and_what_comes_back(name: str) -> None:
    function = DOCUMENTED[name]
    found = sections(function.__doc__ or "")
    assert found["Summary"], "a sentence first"
    assert re.search(r"[.;]$|[.] ", found["Summary"][0] + " "), found["Summary"]
    lines = [line for line in found.get("Parameters", []) if " : " in line or "\\" not in line]
    told = [one.strip().lstrip("*") for line in lines for one in line.partition(" : ")[0].split(",")]
    wanted = list(inspect.signature(function).parameters)
    assert [one for one in told if one] == wanted[name.startswith((METHOD, OF_PANEL)) :]  # self goes without
    if function is not kr.Client:
        assert all(" : " in line or line.startswith("*") for line in lines), lines
        hint = inspect.signature(function).return_annotation
        assert ("Returns" in found) is (hint not in ("None", None)), name


@pytest.mark.parametrize("name", [name for name in DOCUMENTED if ".fetch_" in name or ".plots." in name])
def test_fetch_functions_and_plots_have_an_example_of_themselves(name: str) -> None:
    short = name.rpartition(".")[2]
    assert re.search(rf"(>>>|\.\.\.) .*\b{short}\b", DOCUMENTED[name].__doc__ or "")


FETCH_TABLES = [name for name in SIGNATURES if name.startswith("fetch_") and name != "fetch_endpoint"]


@pytest.mark.parametrize("name", FETCH_TABLES)
def test_docstrings_of_fetch_functions_have_columns_price_errors_and_source(name: str) -> None:
    text = inspect.cleandoc(find(name).__doc__ or "")
    found = sections(text)
    assert {"Parameters", "Returns", "Raises", "Notes", "Examples"} <= set(found)
    returned = " ".join(text.split("Returns\n")[1].split("Raises\n")[0].split())
    for column in kr.describe(name.removeprefix("fetch_")).itertuples():
        assert f"{column.column} ({column.dtype}" in returned, column.column
    assert re.match(r"Price: [12] credits? ", text.split("\n\n")[1]), "on the first screen of a tooltip"
    assert re.search(r"GET /v1/tiktok/\S+, page", text)


def test_help_of_a_fetch_function_is_short_enough_to_read() -> None:
    """It was 107 lines with the signature; what each column means is in `kr.describe`."""
    lines = (inspect.getdoc(kr.fetch_hashtags) or "").splitlines()
    assert 30 < len(lines) <= 52
    assert max(map(len, lines)) <= 116


def test_docstrings_are_numpydoc() -> None:
    validate = pytest.importorskip("numpydoc.validate", reason="numpydoc is not installed").validate
    # An extended summary, See Also and an example everywhere would be noise; a frame's columns begin in lower case,
    # and a full stop may stand before a bracket.
    excused = {"ES01", "SA01", "EX01", "RT04", "PR09"}
    breaches = [
        f"{name}: {code} {text}"
        for name in DOCUMENTED
        for code, text in validate(name)["errors"]
        if code not in excused
        and not (name.endswith(".Client") and code.startswith("PR"))  # as for connect
    ]
    assert breaches == []


def all_doctests() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for module in pkgutil.walk_packages(kr.__path__, "keyapi_research."):
        if not module.name.endswith("__main__"):
            found = finder.find(importlib.import_module(module.name), extraglobs={"kr": kr})
            yield from (test for test in found if test.examples)


@pytest.mark.parametrize("test", [pytest.param(test, id=test.name.partition(".")[2]) for test in all_doctests()])
def test_examples(test: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    report = io.StringIO()
    if not any("kr.connect(" in example.source for example in test.examples):
        kr.connect(sandbox=True, store=":memory:")
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.write, clear_globs=False)
    if kr.client.connection.IN_USE.client is not None:
        kr.client.connection.IN_USE.client.close()
    assert result.failed == 0, report.getvalue()
    assert result.attempted > 0


# Where warnings point --------------------------------------------------------------------------------------------


def missing(client: kr.Client, server: Sandbox) -> None:
    server.mutate = lambda path, params, envelope: {**envelope, "data": None}
    kr.fetch_hashtags("ufc324", client=client)


def incomplete(client: kr.Client, server: Sandbox) -> None:
    server.faults.put(Fault(status=400))
    kr.fetch_hashtags("ufc324", errors="warn", client=client)


def stale(client: kr.Client, server: Sandbox) -> None:
    server.extra_headers = {"X-KeyAPI-Source": "127.0.0.1"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keyapi_research.client.transport.now_us", lambda: 1_700_000_000_000_000)
        kr.fetch_hashtags("ufc324", max_age="any", client=client)
    kr.fetch_hashtag_trends("ufc324", client=client)


def drift(client: kr.Client, server: Sandbox) -> None:
    server.mutate = lambda path, params, envelope: {**envelope, "data": {**envelope["data"], "new": 1}}
    kr.fetch_hashtags("ufc324", client=client)


def market(client: kr.Client, server: Sandbox) -> None:
    server.mutate = lambda *call: json.loads(json.dumps(call[2]).replace('"ALL"', '"BR"'))
    kr.fetch_hashtags("ufc324", client=client)


def by_accessor(client: kr.Client, server: Sandbox) -> None:
    frame = kr.fetch_product_posts("601583", client=client).head(2)
    server.mutate = lambda path, params, envelope: {**envelope, "data": []}
    frame.keyapi.fetch_videos(client=client)


def by_page(client: kr.Client, server: Sandbox) -> None:
    server.mutate = lambda path, params, envelope: {**envelope, "data": {**envelope["data"], "new": 1}}
    kr.fetch_product_insights(limit=1, client=client)


@pytest.mark.parametrize(
    ("user", "category"),
    [(missing, kr.MissingDataWarning), (incomplete, kr.IncompleteDataWarning), (stale, kr.StaleDataWarning),
     (drift, kr.SchemaDriftWarning), (market, kr.UnexpectedMarketWarning), (by_accessor, kr.MissingDataWarning),
     (by_page, kr.SchemaDriftWarning)],
)
def test_warnings_point_at_the_users_line(
    user: Callable[[kr.Client, Sandbox], None], category: type[kr.KeyAPIWarning], client: kr.Client, sandbox: Sandbox
) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        user(client, sandbox)
    assert [(one.category, one.filename) for one in told] == [(category, __file__)]
    lines, first = inspect.getsourcelines(user)
    assert "client=client" in lines[told[0].lineno - first]
    assert told[0].lineno == first + len(lines) - 1


def test_each_warning_comes_once_a_call(client: kr.Client, sandbox: Sandbox) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(3):
            missing(client, sandbox)
    assert len(told) == 3
