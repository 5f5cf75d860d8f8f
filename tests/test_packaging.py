"""What is stated twice must agree: dependencies for pip and for conda, the README's commands, the version."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import keyapi_research as kr

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
CONDA_NAMES = {"matplotlib": "matplotlib-base", "duckdb": "python-duckdb"}


def requirement(text: str) -> tuple[str, str]:
    name, bounds = re.fullmatch(r"([A-Za-z0-9_-]+)(?:\[binary\])?(.*)", text.strip()).groups()  # conda's has it
    return CONDA_NAMES.get(name, name), bounds


def of_extra(name: str) -> list[str]:
    """List what an extra brings, with the extras that it names."""
    found = []
    for one in EXTRAS[name]:
        named = re.fullmatch(r"keyapi-research\[(.*)\]", one)
        found += [each for extra in named[1].split(",") for each in of_extra(extra)] if named else [one]
    return found


def test_conda_has_what_pip_has() -> None:
    text = (ROOT / "environment.yml").read_text()
    listed = dict(requirement(line) for line in re.findall(r"^  - ([a-z0-9_-]+[^:\n]*)$", text, re.MULTILINE)
                  if line not in ("conda-forge", "nodefaults", "pip"))
    wanted = dict(requirement(one) for one in [*PROJECT["dependencies"], *of_extra("lab")])
    assert listed.pop("python") == PROJECT["requires-python"]
    assert listed == wanted
    assert "--no-deps -e ." in text  # the package itself


def test_lab_brings_what_every_extra_for_users_does() -> None:
    assert set(of_extra("lab")) >= {one for name in ("analysis", "excel", "parquet", "sql") for one in EXTRAS[name]}
    assert {requirement(one)[0] for one in of_extra("lab")} >= {"openpyxl", "pyarrow", "python-duckdb", "scipy"}


def test_the_readme_has_the_two_commands_alone_on_a_line() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert 'python -m pip install -e ".[lab]" && jupyter lab notebooks/01_quickstart.ipynb' in lines
    assert 'python -m pip install -e ".[test]" && python -m pytest' in lines


def test_the_code_of_the_readme_runs_and_costs_what_it_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    [session] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names: dict[str, object] = {}
    exec(session.replace("kr.plan(", "planned = kr.plan("), names)
    try:
        assert re.search(r"kr\.plan\(.*# (\d+) credits", session)[1] == str(names["planned"].credits)
        assert re.search(r"counts (\d+) credits for this", text)[1] == str(kr.status().credits_spent)
        top = names["top"]
        shown = top[["position", "category", "category_l1", "posts", "ctr_pct", "cvr_pct", "cpa"]].head(2)
        for row in shown.itertuples(index=False):
            assert f"| {' | '.join(map(str, row))} |" in text
        assert f"seven of {len(top.columns)} columns" in text
        assert sorted(path.name for path in tmp_path.iterdir()) == ["hashtags.csv", "trend.png"]
    finally:
        kr.connect(sandbox=True).close()


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    links = re.findall(r"\]\((?!https:)([^)#]+)", text)
    assert len(links) > 15
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_the_site_is_built_by_the_same_command_everywhere() -> None:
    [command] = re.findall(r"^(.*sphinx-build.*?)(?: +#.*)?$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    install, build = command.split(" && ")
    for page in ("README.md", "CHANGELOG.md"):
        assert f"`{install}`" in (ROOT / page).read_text()
        assert f"`{build}`" in (ROOT / page).read_text()


def test_every_function_the_readme_names_exists() -> None:
    named = set(re.findall(r"\b(?:kr\.([a-z_]+)|(fetch_[a-z_]+))\(?", (ROOT / "README.md").read_text()))
    names = {one or other for one, other in named} - {"fetch_details"}  # a method of df.keyapi
    assert len(names) > 10
    assert [name for name in sorted(names) if not hasattr(kr, name)] == []


def test_the_version_is_the_changelogs_and_who_cites_has_it_too() -> None:
    newest = re.search(r"^## ([0-9.]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE).group(1)
    assert kr.__version__ == version("keyapi-research")
    assert kr.__version__.removesuffix(".dev0") == newest
    cited = dict(re.findall(r"^([a-z]+): (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    assert (cited["version"], cited["license"]) == (kr.__version__, PROJECT["license"])


def test_no_path_of_a_machine_is_in_the_files() -> None:
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("notebooks/*.ipynb")]:
        assert not re.search(r"/(home|root|Users)/\w", path.read_text()), path
