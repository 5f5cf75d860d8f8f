"""Paths that are none, a working folder that is gone, and files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research.export.csv import write_csv
from keyapi_research.files import replacing, write_bytes

FRAME = pd.DataFrame({"mine": [1]})
USES: dict[str, Callable[[Any], object]] = {
    "replay": kr.replay,
    "connect(replay=)": lambda path: kr.connect(replay=path),
    "Client(replay=)": lambda path: kr.Client(replay=path),
    "connect(store=)": lambda path: kr.connect(token="t", store=path),
    "Client(store=)": lambda path: kr.Client(offline=True, store=path),
    "to_csv": lambda path: write_csv(FRAME, path),
    "read_csv": kr.read_csv,
    "write_package": lambda path: kr.write_package(path, {"x": FRAME}),
    "read_package": kr.read_package,
    "freeze": kr.freeze,
}


# Paths ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("url", ["https://example.org/p.zip", "s3://bucket/p.zip", Path("https://example.org/p.zip")])
def test_a_url_is_not_taken_for_a_path(use: str, url: str | Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kr.InvalidArgumentError, match=r"is a URL, not a path\. Download the file and pass its path"):
        USES[use](url)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("connect", [kr.connect, kr.Client])
@pytest.mark.parametrize("variable", ["KEYAPI_STORE", "KEYAPI_REPLAY"])
def test_a_url_in_the_environment_is_refused_under_the_name_of_its_variable(
    variable: str, connect: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "https://me:secret@example.org/p.zip?key=secret")
    with pytest.raises(kr.InvalidArgumentError, match=rf"^{variable}: https://\.\.\. is a URL, not a path") as caught:
        connect(token="t")
    assert "secret" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["https", "a:b", "http:x", "c:/a"])
def test_what_only_looks_like_a_url_is_a_path(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    write_csv(FRAME, name)
    assert kr.read_csv(name)["mine"].tolist() == [1]


@pytest.mark.parametrize("use", USES)
def test_a_home_with_a_null_character_is_refused(use: str) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="is not a valid path: it has a null character"):
        USES[use]("~some\0body/p.zip")


@pytest.mark.skipif(sys.platform == "win32", reason="a working folder cannot be removed there")
@pytest.mark.parametrize("use", ["to_csv", "write_package", "freeze", "connect(store=)", "replay"])
@pytest.mark.parametrize("path", ["a.csv", Path("down/a.csv")])
def test_a_path_in_a_working_folder_that_is_gone_is_said(
    use: str, path: str | Path, client: kr.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kr.fetch_hashtags("cats", client=client)
    uses = USES | {"freeze": lambda path: kr.freeze(path, client=client)}
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(kr.StoreError, match=r"is in the working folder, which no longer exists\. Pass the whole path$"):
        uses[use](path)
    if use in ("to_csv", "write_package", "freeze"):
        uses[use](tmp_path / "whole")
        assert (tmp_path / "whole").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_a_file_behind_links_that_form_a_loop_is_not_written(tmp_path: Path) -> None:
    loop = tmp_path / "loop.csv"
    loop.symlink_to(loop)
    with pytest.raises(kr.StoreError, match=r"its links form a loop\. Name the file itself"):
        write_csv(FRAME, loop)
    assert loop.is_symlink()


# Writing ----------------------------------------------------------------------------------------------------


def test_a_new_file_takes_no_place_of_what_came_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "study.zip"
    with pytest.raises(kr.StoreError, match="was created meanwhile and is not overwritten"), replacing(path, new=True):
        path.write_text("mine")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("study.zip", "mine")]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()])
def test_what_is_broken_off_leaves_the_file_as_it_was(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("before")

    def broken_off(file: IO[bytes]) -> None:
        file.write(b"half")
        raise error

    with pytest.raises((kr.StoreError, KeyboardInterrupt)), replacing(path) as file:
        broken_off(file)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.csv", "before")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_written_and_stays_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_bytes(tmp_path / "pipe", b"content")
    assert os.read(reader, 100) == b"content"
    os.close(reader)
    assert [one.name for one in tmp_path.iterdir() if one.is_fifo()] == ["pipe"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_among_the_files_of_a_package_is_not_waited_for(tmp_path: Path) -> None:
    kr.write_package(tmp_path / "study", {"x": FRAME})
    (tmp_path / "study" / "x.csv").unlink()
    os.mkfifo(tmp_path / "study" / "x.csv")
    with pytest.raises(kr.InvalidArgumentError, match=r"x\.csv cannot be read: .*not a regular file"):
        kr.read_package(tmp_path / "study")


@pytest.mark.parametrize("ending", [".zst", ".ZST"])
def test_zstandard_is_refused_rather_than_written_as_plain_text(ending: str, tmp_path: Path) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=r"neither written nor read\. Use \.gz"):
        write_csv(FRAME, tmp_path / f"a.csv{ending}")
    assert not list(tmp_path.iterdir())
    (tmp_path / f"a.csv{ending}").write_bytes(b"\x28\xb5\x2f\xfd")
    with pytest.raises(kr.InvalidArgumentError, match=r"neither written nor read\. Use \.gz"):
        kr.read_csv(tmp_path / f"a.csv{ending}")


def test_what_replaces_a_private_file_is_private_while_it_is_written(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.touch(mode=0o600)
    with replacing(target) as file:
        assert os.fstat(file.fileno()).st_mode & 0o777 == 0o600
        file.write(b"own\n")
    assert target.stat().st_mode & 0o777 == 0o600


def test_freeze_refuses_a_name_that_is_too_long(tmp_path: Path) -> None:
    with kr.connect(sandbox=True, store=":memory:"):
        kr.fetch_hashtags("ufc324")
        with pytest.raises(kr.StoreError, match="was not written: File name too long"):
            kr.freeze(tmp_path / f"{'x' * 300}.zip")


def test_no_file_is_written_over_a_store(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with kr.Client(sandbox=True, store=path) as client:
        frame = kr.fetch_hashtags("cats", client=client)
    for write in (frame.keyapi.to_csv, frame.keyapi.to_parquet):
        with pytest.raises(kr.InvalidArgumentError, match=r"store.sqlite is a database"):
            write(path)
    with kr.Client(store=path, offline=True) as client:
        assert len(kr.fetch_hashtags("cats", client=client)) == 1
