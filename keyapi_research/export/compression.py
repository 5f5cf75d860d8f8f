"""Compressed files, by the ending of their names."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import Final

from ..errors import InvalidArgumentError

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the zip format's earliest: the same content gives the same bytes
# What the libraries raise for a file that is damaged, of another kind, or locked with a password.
_NOT_UNPACKED: Final = (EOFError, OSError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)


def pack(content: bytes, path: Path) -> bytes:
    """Compress what a file with this name holds; the same content always gives the same bytes."""
    match _ending(path):
        case ".gz":
            return gzip.compress(content, mtime=0)
        case ".bz2":
            return bz2.compress(content)
        case ".xz":
            return lzma.compress(content)
        case ".zip":
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                name = path.stem.encode(errors="replace").decode()
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
            return packed.getvalue()
    return content


def unpack(packed: bytes, path: Path) -> bytes:
    """Uncompress what a file with this name holds."""
    readers = {".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress, ".zip": _unzip}
    ending = _ending(path)
    try:
        return readers[ending](packed) if ending in readers else packed
    except _NOT_UNPACKED as error:
        raise InvalidArgumentError(f"it cannot be unpacked as {ending}: {error}") from error


def _unzip(packed: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = archive.infolist()
        if len(members) != 1:
            raise ValueError(f"it holds {len(members)} files. A zip must have only the CSV")
        return archive.read(members[0])


def _ending(path: Path) -> str:
    ending = path.suffix.lower()
    if ending == ".zst":
        raise InvalidArgumentError("files that end in .zst are neither written nor read. Use .gz")
    return ending
