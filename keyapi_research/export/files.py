"""Files and folders that a user names: what the system says of them becomes an error that says what to do."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import InvalidArgumentError, StoreError


def as_path(path: object) -> Path:
    """Take the path of a file."""
    if not isinstance(path, str | os.PathLike):
        raise InvalidArgumentError(f"path is the path of a file; got {type(path).__name__}")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # the home of somebody who is not there
        raise InvalidArgumentError(f"{path!r} is no path: {error}") from error


def read_bytes(path: Path) -> bytes:
    """Read a file."""
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(f"{path} cannot be read: {reason_of(error)}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file."""
    try:
        path.write_bytes(content)
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} was not written: {reason_of(error)}; make room, or choose another path") from error


def reason_of(error: Exception) -> str:
    """Say why a file could not be read or written: its name stands beside it."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def write_files(target: Path, contents: Mapping[str, bytes], old: Iterable[str]) -> None:
    """Write files into a folder in the place of old ones: all of them, or everything stays as it was."""
    there = target.is_dir()
    beside = (target if there else target.parent) / f".{target.name}.{secrets.token_hex(4)}.part"
    new, aside = beside / "new", beside / "old"
    try:
        new.mkdir(parents=True)
        for name, content in contents.items():
            (new / name).write_bytes(content)
        if there:
            aside.mkdir()
            away = [(target / name, aside / name) for name in old]
            _move(away + [(new / name, target / name) for name in contents])
        else:
            new.rename(target)
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{target} was not written: {reason_of(error)}; make room, or choose another folder"
        ) from error
    else:
        shutil.rmtree(aside, ignore_errors=True)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        with contextlib.suppress(OSError, ValueError):  # not empty where old files could not be put back: they are kept
            aside.rmdir()
        with contextlib.suppress(OSError, ValueError):
            beside.rmdir()


def _move(moves: Iterable[tuple[Path, Path]]) -> None:
    """Move files, and back again where one cannot be."""
    done: list[tuple[Path, Path]] = []
    try:
        for source, place in moves:
            source.rename(place)
            done.append((source, place))
    except BaseException:
        for source, place in reversed(done):
            place.rename(source)
        raise
