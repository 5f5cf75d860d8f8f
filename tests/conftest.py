"""What the tests share: clients of a sandbox that can be told to misbehave, and an environment without a key."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stores import THIS_CLOCK, Place, Server, each_place, open_server

import keyapi_research as kr
from keyapi_research import model
from keyapi_research.sandbox import Sandbox

# A shell starts what runs in the background with Ctrl-C ignored, and processes inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

DOCUMENTED = Path(__file__).parent / "data" / "documented"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs all notebooks to be run is slow; and what is slow with a store in a file is long on a server."""
    for item in items:
        if "runs" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
        if sum(mark.name == "slow" for mark in item.iter_markers()) > 1 and "server" in item.name:
            item.add_marker(pytest.mark.long)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What is marked `both_stores` runs with stores in files, and again with stores on a server."""
    marked = metafunc.definition.get_closest_marker
    if "kind" in metafunc.fixturenames and marked("both_stores") and not marked("of_a_file"):
        kinds = ["file", pytest.param("server", marks=pytest.mark.slow)]
        metafunc.parametrize("kind", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def kind(request: pytest.FixtureRequest) -> str:
    """Where the stores of a test are: file or server."""
    return getattr(request, "param", "file")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server of the tests; what it has need not survive a power cut."""
    one = open_server()
    yield one
    one.remove()


@pytest.fixture
def address(server: Server) -> Iterator[str]:
    """The address of an empty database on it."""
    made = server.make()
    yield made
    server.drop(made)


@pytest.fixture
def place(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """Where the test's stores are, by name."""
    if kind == "server":
        monkeypatch.setattr("keyapi_research.store.postgres.Postgres.clock", THIS_CLOCK)
    yield from each_place(kind, tmp_path, request.getfixturevalue("server") if kind == "server" else None)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No key, no store and no replay of whoever runs the tests, and a data folder of their own."""
    for name in ("KEYAPI_TOKEN", "KEYAPI_BASE_URL", "KEYAPI_STORE", "KEYAPI_REPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
    monkeypatch.setattr("keyapi_research.client.connection.IN_USE.client", None)
    monkeypatch.setattr("keyapi_research.client.connection.IN_USE.failed", None)


@pytest.fixture(autouse=True)
def no_tables_of_ones_own() -> Iterator[None]:
    """What a test declares ends with it."""
    yield
    for name in [*model._yours]:
        del model._tables[name]
        model._yours.discard(name)
    model._dtypes.clear()
    model._dtypes.update({column.name: column.dtype for table in model.TABLES.values() for column in table.columns})


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A server whose answers, faults and charges a test controls."""
    with Sandbox() as server:
        yield server


@pytest.fixture
def make_client(sandbox: Sandbox, place: Place) -> Iterator[Callable[..., kr.Client]]:
    """Make clients of that server; by default all on one store, unpaced, without progress bars."""
    made = []

    def make(**options: Any) -> kr.Client:
        client = kr.Client(
            **{
                "token": "a-token-of-the-tests",
                "base_url": sandbox.url,
                "store": place(),
                "requests_per_second": None,
                "progress": False,
                **options,
            }
        )
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(make_client: Callable[..., kr.Client]) -> kr.Client:
    """One client of the server."""
    return make_client()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    where = tmp_path / "disk"
    where.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(where)]
    may = mount is not None and os.name == "posix" and os.geteuid() == 0
    if not may or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted here; the tests with SQLite's max_page_count stand in for it")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that is not within pytest's own, which other users may not enter: root reads as nobody, too."""
    with tempfile.TemporaryDirectory(prefix="keyapi_research-tests-") as top:
        Path(top).chmod(0o755)
        yield Path(top)


@pytest.fixture(scope="session")
def documented() -> dict[str, Any]:
    """KeyAPI's five example answers, by the name of their page."""
    return {path.stem: json.loads(path.read_text()) for path in DOCUMENTED.glob("*.json")}
