"""Files and folders that a user names: what the system says of them becomes an error that says what to do."""

from __future__ import annotations

import contextlib
import re
import shutil
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from ..errors import InvalidArgumentError, StoreError
from ..settings import read_path, unfinished_name

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def as_path(path: object) -> Path:
    """Return the path of a file or folder on this machine."""
    if isinstance(path, str) and _URL.match(path):
        raise InvalidArgumentError(f"{path[:80]} is a URL, not a path. Download the file and pass its path")
    return read_path("path", path)


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file; a pipe would have to be waited for."""
    try:
        regular = path.is_dir() or stat.S_ISREG(path.stat().st_mode)
        content = path.read_bytes() if regular else b""
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(f"{path} cannot be read: {reason_of(error)}") from error
    if not regular:
        raise InvalidArgumentError(f"{path} cannot be read: it is not a regular file. Save its content to a file first")
    return content


def read_buffer(buffer: Any) -> bytes:
    """Return what is left to read of an open file or buffer, of text or of bytes."""
    try:
        content = buffer.read()
        return content.encode() if isinstance(content, str) else bytes(memoryview(content))
    except (OSError, ValueError, TypeError) as error:
        raise InvalidArgumentError(f"it cannot be read: {reason_of(error)}. Open it again for reading") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file: all of it, or what was there stays as it was."""
    beside = path.with_name(unfinished_name(path))
    try:
        target = path.resolve()  # of a link, what it points to
        beside = target.with_name(beside.name)
        if target.exists() and not target.is_file():  # a pipe or a device is written, never replaced
            target.write_bytes(content)
            return
        beside.write_bytes(content)
        if target.exists():
            beside.chmod(stat.S_IMODE(target.stat().st_mode))
        beside.replace(target)
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} was not written: {reason_of(error)}. Free some space, or choose another path"
        ) from error
    finally:
        with contextlib.suppress(OSError, ValueError):
            beside.unlink(missing_ok=True)


def reason_of(error: Exception) -> str:
    """Return why a file could not be read or written: its name stands beside it."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def write_files(target: Path, contents: Mapping[str, bytes], old: Iterable[str]) -> None:
    """Write files into a folder in the place of old ones: all of them, or everything stays as it was."""
    there = target.is_dir()
    beside = (target if there else target.parent) / unfinished_name(target)
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
            f"{target} was not written: {reason_of(error)}. Free some space, or choose another folder"
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
