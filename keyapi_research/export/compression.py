"""Compressed files, by the ending of their names."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

from ..errors import InvalidArgumentError

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the zip format's earliest: the same content gives the same bytes

# What the libraries raise for a file that is damaged, of another kind, or locked with a password.
_NOT_UNPACKED: Final = (EOFError, OSError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)


def pack(content: bytes, path: Path) -> bytes:
    """Compress what a file with this name holds; the same content always gives the same bytes."""
    match path.suffix.lower():
        case ".gz":
            return gzip.compress(content, mtime=0)
        case ".bz2":
            return bz2.compress(content)
        case ".xz":
            return lzma.compress(content)
        case ".zip":
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                archive.writestr(zipfile.ZipInfo(path.stem, _EPOCH), content, zipfile.ZIP_DEFLATED)
            return packed.getvalue()
        case ".zst":
            return bytes(_zstandard().ZstdCompressor().compress(content))
    return content


def unpack(packed: bytes, path: Path) -> bytes:
    """Uncompress what a file with this name holds."""
    try:
        match path.suffix.lower():
            case ".gz":
                return gzip.decompress(packed)
            case ".bz2":
                return bz2.decompress(packed)
            case ".xz":
                return lzma.decompress(packed)
            case ".zip":
                return _unzip(packed)
            case ".zst":
                return _unpack_zstandard(packed)
    except InvalidArgumentError:
        raise
    except _NOT_UNPACKED as error:
        raise InvalidArgumentError(f"it cannot be unpacked as {path.suffix}: {error}") from error
    return packed


def _unzip(packed: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = archive.infolist()
        if len(members) != 1:
            raise InvalidArgumentError(f"it holds {len(members)} files. A zip must have only the CSV")
        return archive.read(members[0])


def _unpack_zstandard(packed: bytes) -> bytes:
    library = _zstandard()
    try:
        return bytes(library.ZstdDecompressor().decompress(packed))
    except library.ZstdError as error:
        raise RuntimeError(str(error)) from error


def _zstandard() -> Any:
    try:
        return importlib.import_module("zstandard")
    except ImportError:
        raise InvalidArgumentError(
            "files that end in .zst need the package zstandard. Install it, or use .gz"
        ) from None
