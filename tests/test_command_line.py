"""``python -m keyapi_research``: what it prints, its exit codes, and that it works from a wheel in an empty folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

import keyapi_research as kr
from keyapi_research.__main__ import main
from keyapi_research.sandbox import Fault, Sandbox

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
TOKEN = "a-token-of-the-tests"
PANEL = """
name = "tags"
every = "1M"
starts = 2020-01-31
credits_per_round = 10
[[fetch]]
function = "fetch_hashtags"
ids = ["perfume", "ufc324"]
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in an empty folder, with a key to the sandbox; return exit code, output and errors."""
    monkeypatch.setenv("KEYAPI_BASE_URL", sandbox.url)
    monkeypatch.setenv("KEYAPI_TOKEN", TOKEN)
    monkeypatch.setenv("KEYAPI_STORE", str(tmp_path / "study.sqlite"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tags.toml").write_text(PANEL)

    def once(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        output, errors = capfd.readouterr()
        assert TOKEN not in output + errors
        return code, output, errors

    return once


@pytest.fixture
def stored(run: Run, tmp_path: Path) -> Path:
    """A store with two answers."""
    with kr.Client(requests_per_second=None) as client:
        kr.fetch_hashtags(["perfume", "ufc324"], client=client)
    return tmp_path / "study.sqlite"


# Reading --------------------------------------------------------------------------------------------------------


def test_status_and_ledger(run: Run, stored: Path, sandbox: Sandbox) -> None:
    code, output, errors = run("status")
    assert (code, errors) == (0, "")
    assert re.search(r"answers +2\n", output)
    code, output, _ = run("status", "--json")
    found = json.loads(output)
    assert (found["answers"], found["credits_in_ledger"], found["store"]) == (2, 4, str(stored))
    code, output, _ = run("ledger", "--last", "1")
    assert code == 0
    assert output.count("\n") == 2
    code, output, _ = run("ledger", "--store", str(stored), "--json")
    rows = json.loads(output)
    assert [(row["credits"], row["endpoint"]) for row in rows] == [(2, "/v1/tiktok/trending/hashtag/detail")] * 2
    assert all(re.fullmatch(r"[-0-9]{10}T[:0-9]{8}\.[0-9]{6}Z", row["sent_at"]) for row in rows)
    assert len(sandbox.requests) == 2


def test_export_adds_what_is_new(run: Run, stored: Path) -> None:
    pytest.importorskip("pyarrow")
    code, output, _ = run("export", "archive", "--json")
    assert code == 0
    assert json.loads(output)["rows"] > 2
    assert len(kr.read_parquet("archive/hashtags")) == 2
    assert json.loads(run("export", "archive", "--json")[1])["rows"] == 0


def test_where_there_is_no_store_it_says_so(run: Run, tmp_path: Path) -> None:
    code, output, errors = run("status")
    assert (code, output) == (1, "")
    assert errors.startswith("StoreError: there is no store at ")
    assert errors.count("\n") == 1
    code, output, errors = run("ledger", "--json")
    assert code == 1
    assert json.loads(output)["error"] == "StoreError"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tags.toml"]
    Path(re.findall(r"no store at (.+?\.sqlite)", errors)[0]).with_name("sandbox-world-4.sqlite").touch()
    assert "Check the path (beside it: sandbox-world-4.sqlite), or" in run("status")[2]


# Panels ---------------------------------------------------------------------------------------------------------


def test_a_panel_from_a_shell(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    code, output, _ = run("panel", "plan", "tags.toml", "--json")
    plan = json.loads(output)
    assert (code, plan["credits"], plan["rounds"], plan["credits_per_year"]) == (0, 4, 12, 48)
    assert run("panel", "status", "tags.toml")[0] == 0
    assert sandbox.requests == []
    code, output, errors = run("panel", "run", "tags.toml")
    assert (code, errors) == (0, "")
    assert "(done)" in output
    assert "credits spent" in output
    code, output, _ = run("panel", "run", "tags.toml", "--json")
    status = json.loads(output)
    assert (code, status["state"], status["credits_spent"]) == (0, "done", 4)
    assert status["rounds"][-1]["state"] == "done"
    assert {one["state"] for one in status["rounds"][:-1]} == {"missed"}
    assert sandbox.charged == 4


def test_a_budget_that_is_met_is_exit_code_3(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "tags.toml").write_text(PANEL.replace("= 10", "= 3"))
    code, output, errors = run("panel", "run", "tags.toml", "--json")
    assert code == 3
    assert json.loads(output)["error"] == "BudgetExceededError"
    assert re.match(r"BudgetExceededError: round \d+ of tags is incomplete: .*at least 4 in ", errors)
    assert sandbox.charged == 2
    (tmp_path / "tags.toml").write_text(PANEL)
    assert run("panel", "run", "tags.toml")[0] == 0
    assert sandbox.charged == 4


def test_what_went_wrong_is_exit_code_1(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.on_request = lambda path, params: Fault(status=400)
    code, output, errors = run("panel", "run", "tags.toml")
    assert (code, output) == (1, "")
    assert errors.startswith("InvalidRequestError: ")
    (tmp_path / "tags.toml").write_text(PANEL.replace("1M", "1H"))
    code, _, errors = run("panel", "run", "tags.toml")
    assert code == 1
    assert 'tags.toml, line 3: every must be days or months, such as "7D"' in errors
    assert run("panel", "run", "other.toml")[0] == 1


def test_warnings_are_lines_for_people(run: Run, sandbox: Sandbox) -> None:
    sandbox.mutate = lambda path, params, envelope: {**envelope, "data": None}
    code, output, errors = run("panel", "run", "tags.toml", "--json")
    assert (code, json.loads(output)["state"]) == (0, "done")
    assert errors.startswith("MissingDataWarning: ")
    assert ".py" not in errors


# The rest -------------------------------------------------------------------------------------------------------


def test_probe_of_the_sandbox(run: Run, sandbox: Sandbox) -> None:
    code, output, _ = run("probe", "--sandbox", "--store", ":memory:", "--credits", "4", "--json")
    assert code == 3  # not all were tried
    assert sum(one["credits"] or 0 for one in json.loads(output)) <= 4
    assert sandbox.requests == []


def test_notebooks_are_copied_and_nothing_is_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / NOTEBOOKS[0]).write_text("my own")
    code, output, _ = run("notebooks", "mine", "--json")
    assert code == 0
    states = {Path(one["notebook"]).name: one["state"] for one in json.loads(output)}
    assert states == {NOTEBOOKS[0]: "was there, and stays as it is", **dict.fromkeys(NOTEBOOKS[1:], "written")}
    assert (tmp_path / "mine" / NOTEBOOKS[0]).read_text() == "my own"
    code, _, errors = run("notebooks", "tags.toml")
    assert (code, errors) == (1, "InvalidArgumentError: tags.toml is a file. Choose a folder\n")
    assert run("notebooks", "new")[1].endswith("Open them with: jupyter lab new\n")


@pytest.mark.parametrize("command", ["status", "ledger", "export", "panel", "probe", "notebooks", "sandbox", ""])
def test_help_says_what_a_command_does_and_its_exit_codes(
    command: str, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"] if command else ["--help"])
    assert ended.value.code == 0
    output = " ".join(capfd.readouterr().out.split())
    if command != "sandbox":
        assert "3 a budget or limit was reached" in output
        assert "KEYAPI_TOKEN" in output
    assert f"usage: python -m keyapi_research {command}".strip() in output


@pytest.mark.parametrize(
    "command", [["paint"], ["ledger", "--last", "0"], ["panel", "go", "tags.toml"], ["sandbox", "--port", "-1"], []]
)
def test_what_is_no_command_is_exit_code_2(command: list[str], run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(command)
    except SystemExit as ended:
        code = int(str(ended.code))
    assert code == 2
    assert "usage: python -m keyapi_research" in "".join(capfd.readouterr())


@pytest.mark.skipif(os.name != "posix", reason="needs signals of POSIX")
def test_the_sandbox_is_served_until_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "keyapi_research", "sandbox", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as served:
        url = re.search(r"at (http://127\.0\.0\.1:\d+)", served.stdout.readline())[1]
        with kr.Client(base_url=url, token=TOKEN, store=":memory:") as client:
            assert len(kr.fetch_hashtags("perfume", client=client)) == 1
        served.send_signal(signal.SIGINT)
        assert "2 credits charged for 1 requests (none of it real)" in served.communicate()[0]
    assert served.returncode == 0


@pytest.mark.skipif(os.name != "posix", reason="needs signals of POSIX")
def test_ctrl_c_is_exit_code_130(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    program: list[subprocess.Popen[str]] = []

    def stop(path: str, params: dict[str, str]) -> None:
        program[0].send_signal(signal.SIGINT)

    sandbox.on_request = stop
    with subprocess.Popen(
        [sys.executable, "-m", "keyapi_research", "panel", "run", "tags.toml"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    ) as one:  # fmt: skip
        program.append(one)
        output, errors = one.communicate()
    assert (one.returncode, output) == (130, ""), errors
    assert errors.endswith("stopped; what was fetched is kept\n")
    sandbox.on_request = None
    assert run("panel", "run", "tags.toml")[0] == 0
    assert sandbox.charged == 4


def test_a_reader_that_has_enough_is_no_traceback(run: Run, stored: Path) -> None:
    for command in ("ledger --json", "status --json --store none.sqlite"):
        line = f"{sys.executable} -m keyapi_research {command} | true; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_output_that_cannot_be_written_is_said(run: Run, stored: Path) -> None:
    line = f"{sys.executable} -m keyapi_research status > /dev/full"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "the output cannot be written: No space left on device\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_log_that_cannot_be_written_stops_no_round(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """A warning in the middle of what is paid for must not end it; and the exit code still says how it went."""
    (tmp_path / "tags.toml").write_text(PANEL.replace("perfume", "missingtag"))
    for command, code in (("panel run tags.toml", 0), ("status --store none.sqlite", 1)):
        line = f"{sys.executable} -m keyapi_research {command} 2> /dev/full"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout
    assert "done               1" in run("panel", "status", "tags.toml")[1]
    assert sandbox.charged == 4


def test_what_goes_wrong_is_not_among_the_output(run: Run) -> None:
    line = f"{sys.executable} -m keyapi_research status --store none.sqlite 2>&-"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_json_is_ascii_whatever_the_terminal(run: Run, stored: Path) -> None:
    stored.rename(stored.with_name("é😀.sqlite"))
    code, output, _ = run("status", "--json", "--store", "é😀.sqlite")
    assert code == 0
    assert output.isascii()
    assert Path(json.loads(output)["store"]).name == "é😀.sqlite"


# A wheel in an empty folder -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_wheel_in_an_empty_folder_has_all_of_it(tmp_path: Path) -> None:
    """Built, installed without its dependencies (those of this environment serve), and used as a user would."""
    pytest.importorskip("setuptools", minversion="77")
    source, place = tmp_path / "source", tmp_path / "empty"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__"))
    place.mkdir()
    build = "from setuptools.build_meta import build_sdist; build_sdist('..')"
    subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, check=True)
    pip, [archive] = [sys.executable, "-m", "pip"], tmp_path.glob("*.tar.gz")
    built = [*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(archive)]
    subprocess.run(built, check=True)
    [wheel] = tmp_path.glob("*.whl")
    there = zipfile.ZipFile(wheel)
    names = [name for name in there.namelist() if name.endswith(".ipynb")]
    assert sorted(Path(name).name for name in names) == NOTEBOOKS
    for name in names:
        notebook = nbformat.reads(there.read(name).decode(), as_version=4)
        nbformat.validate(notebook)
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    assert not [name for name in there.namelist() if name.startswith(("tests", "docs", "benchmarks"))]

    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    [site] = (tmp_path / "env" / "lib").glob("python*/site-packages")
    subprocess.run([*pip, "install", "-q", "--no-deps", "--target", str(site), str(wheel)], check=True)
    (site / "others.pth").write_text("\n".join(one for one in sys.path if one.endswith("site-packages")) + "\n")
    python = tmp_path / "env" / "bin" / "python"

    def command(*arguments: str) -> str:
        done = subprocess.run(
            [python, *arguments], cwd=place, capture_output=True, text=True, check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(place), "MPLBACKEND": "Agg"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = command("-c", "import keyapi_research; print(keyapi_research.__file__)")
    assert where.startswith(str(site))
    assert command("-m", "keyapi_research", "--version").strip() == kr.__version__
    command("-m", "keyapi_research", "notebooks", "examples")
    assert sorted(path.name for path in (place / "examples").iterdir()) == NOTEBOOKS
    (place / "tags.toml").write_text(PANEL.replace("[[fetch]]", "sandbox = true\n[[fetch]]"))
    assert "(done)" in command("-m", "keyapi_research", "panel", "run", "tags.toml")
    assert command("-m", "keyapi_research", "ledger", "--store", "tags.sqlite").count("hashtag/detail") == 2

    run_quickstart = f"""
import nbclient, nbformat
notebook = nbformat.read("examples/{NOTEBOOKS[0]}", as_version=4)
nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
print(sum(1 for cell in notebook.cells if cell.get("outputs")))
"""
    assert int(command("-c", run_quickstart)) > 5
