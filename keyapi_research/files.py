"""Files and folders that a user names: whatever is written to a disk is written here, or by the store.

What the system says of them becomes an error that says what to do.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import secrets
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

from .errors import InvalidArgumentError, StoreError, shown

# A Path has one slash left.
_URL: Final = re.compile(
    r"[\s\"']*(?:[a-z][a-z0-9+.-]+://|https?:[/\\]|(?:jdbc:)?postgres(?:ql)?(?:\+\w+)?:)", re.IGNORECASE
)
_PASSWORD: Final = re.compile(r"password\s*=", re.IGNORECASE)  # of a connection string, which is no path
_LOG: Final = logging.getLogger("keyapi_research")
_LOOKS_AGAIN: Final = 0.1  # seconds, where another program holds a lock
_DATABASE: Final = b"SQLite format 3\0"  # how its file begins
_LONGEST_NAME: Final = 200  # bytes; with what is added to it a file system takes it
_FIRST: Final = {errno.ENOSPC: "Free some space", errno.EDQUOT: "Free some space", errno.ENOENT: "Create its folder"}


# Paths ------------------------------------------------------------------------------------------------------


def as_path(
    given: object,
    name: str = "path",
    of: str = "a file or folder",
    instead: str = "Download the file and pass its path",
) -> Path:
    """Return the path of a file or folder on this machine; `name` is that of the option it was given as.

    `instead` is what to do where it is a URL.
    """
    if not isinstance(given, str | os.PathLike) or not str(given):
        raise InvalidArgumentError(f"{name} must be the path of {of}; got {shown(given)}")
    text = os.fsdecode(given)
    url = _URL.match(text)
    if url:  # the rest of it may have a password
        raise InvalidArgumentError(f"{name}: {url[0]}... is a URL, not a path. {instead}")
    if _PASSWORD.search(text):
        raise InvalidArgumentError(f"{name} has a password in it, and is not a path. {instead}")
    if "\0" in text:
        raise InvalidArgumentError(f"{name}: {shown(given)} is not a valid path: it has a null character")
    try:
        path = Path(text).expanduser()
        os.fsencode(path)
    except RuntimeError as error:  # the home of somebody who is not there
        raise InvalidArgumentError(f"{name}: {shown(given)} is not a valid path: {error}") from error
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(
            f"{name}: {given!a:.80} cannot be written in the file system's encoding ({error.encoding}). If that is "
            "ascii, start Python with PYTHONUTF8=1"
        ) from error
    return path


def whole_path(path: Path, name: str = "path") -> Path:
    """Complete a path by the working folder."""
    try:
        return path.absolute()
    except OSError as error:
        raise StoreError(
            f"{name}: {path} is in the working folder, which no longer exists. Pass the whole path"
        ) from error


def real_path(path: Path, name: str = "path") -> Path:
    """Complete a path and follow its links: what is written beside a file must be beside the file itself."""
    whole = whole_path(path, name)
    try:
        whole.stat()
    except OSError as error:  # what is not there will be made
        if error.errno == errno.ELOOP:
            raise StoreError(f"{path}: its links form a loop. Name the file itself") from error
    return Path(os.path.realpath(whole))


def reason_of(error: Exception) -> str:
    """Return why a file could not be read or written: its name stands beside it."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


# Reading ----------------------------------------------------------------------------------------------------


def open_file(path: Path) -> IO[bytes]:
    """Open a regular file for reading; a pipe would have to be waited for."""
    if path.exists() and not (path.is_file() or path.is_dir()):  # of a folder the system says what it is
        raise InvalidArgumentError("it is a pipe or a device, not a regular file. Save its content to a file first")
    return path.open("rb")


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file."""
    try:
        with open_file(path) as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(f"{path} cannot be read: {reason_of(error)}") from error


def read_buffer(buffer: Any) -> bytes:
    """Return what is left to read of an open file or buffer, of text or of bytes."""
    try:
        content = buffer.read()
        return content.encode() if isinstance(content, str) else bytes(memoryview(content))
    except Exception as error:  # whatever somebody else's reader raises
        raise InvalidArgumentError(f"it cannot be read: {reason_of(error)}. Open it again for reading") from error


# Writing ----------------------------------------------------------------------------------------------------


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_DATABASE)) == _DATABASE
    except OSError:  # it is not there, or cannot be read
        return False


@contextlib.contextmanager
def replacing(path: Path, *, new: bool = False) -> Iterator[IO[bytes]]:
    """Write a file: all of it, or what was there stays as it was; a new one takes nothing's place."""
    target = real_path(path)
    beside = target.parent / unfinished_name(target)
    try:
        if target.exists() and not target.is_file():  # a pipe or a device is written, never replaced
            with target.open("wb") as file:
                yield file
            return
        if _is_database(target):  # what was paid for may be in it
            raise InvalidArgumentError(f"{target} is a database, such as a store: it stays. Choose another path")
        with _opened(beside, target) as file:
            yield file
        if new and target.exists():
            raise StoreError(f"{path} was created meanwhile and is not overwritten. Choose another path")
        beside.replace(target)
    except OSError as error:
        first = _FIRST.get(error.errno or 0)
        advice = f"{first}, or choose another path" if first else "Choose another path"
        raise StoreError(f"{path} was not written: {reason_of(error)}. {advice}") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


@contextlib.contextmanager
def _opened(beside: Path, target: Path) -> Iterator[IO[bytes]]:
    """Open what takes a file's place, with its mode from the beginning; it is on the disk when that ends."""
    with beside.open("xb") as file:
        if target.exists():
            beside.chmod(stat.S_IMODE(target.stat().st_mode))
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file: all of it, or what was there stays as it was."""
    with replacing(path) as file:
        file.write(content)


def is_locked(error: Exception) -> bool:
    """Whether an SQLite file cannot be used because another program keeps it locked."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@contextlib.contextmanager
def locked(path: Path, busy: str = "", *, wait: bool = False) -> Iterator[None]:
    """Hold a file that one program at a time can hold; it is free again when that ends, however it ends.

    If another program holds it, wait, or raise a StoreError with the text `busy`.
    """
    try:
        lock = sqlite3.connect(path, timeout=0, isolation_level=None)
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be made: {error}. Make its folder writable, or choose another") from error
    waited = False
    with contextlib.closing(lock):
        while True:
            try:
                lock.execute("BEGIN EXCLUSIVE")
                lock.execute("PRAGMA user_version = 1")  # a file that is only read was not locked: this says so
                break
            except sqlite3.Error as error:
                if not is_locked(error):
                    advice = "Make it writable, or choose another folder"
                    raise StoreError(f"{path} cannot be locked: {error}. {advice}") from error
                if not wait:
                    raise StoreError(busy) from error
            if not waited:
                _LOG.warning("waiting for another program, which holds %s", path)
            waited = True
            time.sleep(_LOOKS_AGAIN)
        yield


def unfinished_name(path: Path) -> str:
    """Name what is written beside a path, to be put in its place when all of it is there."""
    start = os.fsencode(path.name)[:_LONGEST_NAME].decode(errors="ignore")
    return f".{start}.{secrets.token_hex(4)}.part"


def write_files(folder: Path, contents: Mapping[str, bytes], old: Iterable[str]) -> None:
    """Write files into a folder in the place of old ones: all of them, or everything stays as it was."""
    target = whole_path(folder)
    there = target.is_dir()
    beside = (target if there else target.parent) / unfinished_name(target)
    new, aside = beside / "new", beside / "old"
    try:
        new.mkdir(parents=True)
        for name, content in contents.items():
            with _opened(new / name, target / name) as file:
                file.write(content)
        if there:
            aside.mkdir()
            moves = [(target / name, aside / name) for name in old] + [(new / name, target / name) for name in contents]
        else:
            moves = [(new, target)]
        with contextlib.ExitStack() as undo:
            for source, place in moves:
                undo.callback(_put_back, place, source)
                source.rename(place)
            undo.pop_all()
        shutil.rmtree(aside, ignore_errors=True)
    except (OSError, ValueError) as error:  # also a name that the file system cannot write
        raise StoreError(
            f"{folder} was not written: {reason_of(error)}. Free some space, or choose another folder"
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
        for emptied in (aside, beside):  # not empty where old files could not be put back: they are kept
            with contextlib.suppress(OSError):
                emptied.rmdir()


def _put_back(place: Path, source: Path) -> None:
    if not source.exists():  # it was moved
        place.rename(source)
