"""Archives: what a study read, in one file that anybody can replay.

An archive is a zip with three members, in this order and not compressed: `manifest.json`, `ledger.csv`,
`answers.jsonl`. Every byte of it follows from the content, the zip's own fields included: so the same study gives the
same bytes on every machine, and a reader can hold every byte of a file from a stranger against what it must be. What
is promised: a file that was damaged or was not written by `freeze` is refused, nothing in it is ever executed, unpacked
to disk or read beyond what its manifest promises, and each of its answers is about what it says it was asked for.
Whether the figures are true nobody can tell from a file.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final, Self, TypeVar

from .endpoints import BY_PATH, query_of
from .envelope import Found, match, open_envelope
from .errors import KeyAPIError, StoreError
from .settings import DEFAULT_BASE_URL, MEMORY, Settings, unfinished_name
from .store import LEDGER_COLUMNS, Observation, Store, compact_json, microseconds_of, when
from .version import __version__

FORMAT: Final = "keyapi_research archive"
FORMAT_VERSION: Final = 1
MANIFEST, LEDGER, ANSWERS = MEMBERS = ("manifest.json", "ledger.csv", "answers.jsonl")
LONGEST_LINE: Final = 4_000_000  # bytes; an answer has some thousands
LARGEST_MANIFEST: Final = 4_000_000
_LARGEST: Final = 2**32 - 2**26  # bytes; beyond it zip has another format
_LARGEST_NUMBER: Final = 2**63
_LARGEST_DIAGNOSED: Final = 8_000_000
_STRANGE: Final = "it is no archive of keyapi_research, or was damaged or packed again since"
_MOST_PAGES: Final = 10**6
_LINK: Final = 0o12  # a symbolic link's mode, the highest four of its bits

_REQUEST: Final = ("request", *LEDGER_COLUMNS)  # columns of the ledger, each request with its number
_LEDGER_HEAD: Final = f"{','.join(_REQUEST)}\n".encode()
_ENDPOINT, _CREDITS = _REQUEST.index("endpoint"), _REQUEST.index("credits")
_MANIFEST_KINDS: Final[Mapping[str, type]] = {
    "absences": int, "answers": int, "calls": list, "credits": int, "format": str, "format_version": int,
    "members": dict, "package_version": str, "requests": int, "source": str,
}  # fmt: skip
_PROMISE_KINDS: Final[Mapping[str, type]] = {"bytes": int, "lines": int, "longest_line": int, "sha256": str}
_SOURCE: Final = re.compile(r"[A-Za-z0-9.:_-]{1,255}")

Row = tuple[Any, ...]  # of the ledger, as the store has it
Result = TypeVar("Result")


class _OddError(Exception):
    """What is wrong with a file; becomes a StoreError that names it."""


# What is in it ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Study:
    """What a study read: its answers and the requests that brought them, numbered by themselves, not by a store.

    `origins` has the store's own id of each answer.
    """

    source: str
    answers: tuple[Observation, ...]
    origins: tuple[int, ...]
    ledger: tuple[Row, ...]

    @property
    def absences(self) -> int:
        """Entities that KeyAPI had nothing for."""
        return sum(one.absent for one in self.answers)

    @property
    def credits(self) -> int:
        """What the requests cost, as far as it is known."""
        return sum(row[_CREDITS] or 0 for row in self.ledger)


def gather(store: Store, ids: Iterable[int]) -> Study:
    """Gather observations and the requests that brought them; of a ranking also the pages before.

    Parameters
    ----------
    store : Store
        Where they are.
    ids : iterable of int
        Ids of the observations, in any order.

    Returns
    -------
    Study
        The same for the same content, whatever the order of ids and whatever else the store has.
    """
    read = {one.id: one for one in store.observations(ids)}
    last: dict[int, int] = {}  # page of each pull
    for one in read.values():
        last[one.pull] = max(one.page, last.get(one.pull, 0))
    for entity in {one.entity for one in read.values() if one.page}:
        read |= {page.id: page for pull in store.pulls(entity) for page in pull if page.page <= last.get(page.pull, 0)}
    rows = [row[: len(_REQUEST)] for row in store.ledger(one.request for one in read.values())]
    requests = {row[0]: number for number, row in enumerate(rows, start=1)}
    pulls = {pull: number for number, pull in enumerate(sorted({one.pull for one in read.values()} - {0}), start=1)}
    ordered = sorted(read.values(), key=_order)
    answers = [
        one._replace(id=number, request=requests[one.request], pull=pulls.get(one.pull, 0))
        for number, one in enumerate(ordered, start=1)
    ]
    ledger = [(requests[row[0]], *row[1:]) for row in rows]
    return Study(store.source or "", tuple(answers), tuple(one.id for one in ordered), tuple(ledger))


def _order(one: Observation) -> tuple[str, str, int]:
    return one.endpoint, one.params, one.observed_at


def index(study: Study) -> Store:
    """Make a store that knows what a study has, without the answers themselves."""
    store = Store(MEMORY, source=study.source, read_only=False)
    store.restore(study.ledger, ((one, {}) for one in study.answers), url="")
    return store


def replay_settings(source: str) -> Settings:
    """Make the settings of a client that replays: offline, without a token, whatever the environment says."""
    return Settings(
        token=None,
        token_origin="none",  # noqa: S106 - there is none
        base_url=DEFAULT_BASE_URL,
        sandbox=False,
        store=MEMORY,
        offline=True,
        as_of=None,
        max_age=None,
        max_credits=None,
        max_call_credits=None,
        requests_per_second=None,
        max_workers=1,
        timeout=(5, 30),
        retries=0,
        progress=None,
        source=source,
    )


# How it is spelled ------------------------------------------------------------------------------------------


def stamp(microseconds: int) -> str:
    """Write a moment: ISO 8601, UTC, microseconds."""
    return f"{when(microseconds).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    return (json.dumps(manifest, sort_keys=True, indent=1) + "\n").encode()


def _answer_line(one: Observation, envelope: Mapping[str, Any]) -> bytes:
    page = {"fresh": one.fresh, "more": one.more, "number": one.page, "rows": one.rows, "walk": one.pull}
    record = {
        "absent": one.absent,
        "endpoint": one.endpoint,
        "envelope": envelope,  # as it arrived, in its own order
        "observed_at": stamp(one.observed_at),
        "page": page if one.page else None,
        "params": json.loads(one.params),
        "request": one.request,
    }
    return f"{compact_json(record)}\n".encode()


def _ledger_row(row: Row) -> bytes:
    text = io.StringIO(newline="")
    number, sent_at, *rest = row
    csv.writer(text, lineterminator="\n").writerow([number, stamp(sent_at), *rest])
    return text.getvalue().encode()


@dataclass(frozen=True, slots=True)
class _Member:
    """A member of the zip, as its directory has it."""

    name: str
    size: int
    crc: int

    @property
    def header(self) -> bytes:
        """What stands before its bytes."""
        name = self.name.encode()
        fields = (20, 0, 0, 0, _1980, self.crc, self.size, self.size, len(name), 0)
        return struct.pack("<4s5H3L2H", b"PK\x03\x04", *fields) + name

    def entry(self, offset: int) -> bytes:
        """Its line in the zip's directory."""
        name = self.name.encode()
        fields = (20, 3, 20, 0, 0, 0, 0, _1980, self.crc, self.size, self.size, len(name), 0, 0, 0, 0, _MODE, offset)
        return struct.pack("<4s4B4H3L5H2L", b"PK\x01\x02", *fields) + name


_1980: Final = 0x21  # the first day a zip can name: an archive has no clock
_MODE: Final = 0o100644 << 16
_HEADER: Final = len(_Member(MANIFEST, 0, 0).header)


def _directory(members: Sequence[_Member], manifest: bytes) -> bytes:
    """Write what ends the zip: its directory, and the manifest's checksum as its comment."""
    entries, offset = [], 0
    for member in members:
        entries.append(member.entry(offset))
        offset += len(member.header) + member.size
    listed = b"".join(entries)
    comment = f"{MANIFEST} sha256 {hashlib.sha256(manifest).hexdigest()}".encode()
    ending = (b"PK\x05\x06", 0, 0, len(entries), len(entries), len(listed), offset, len(comment))
    return listed + struct.pack("<4s4H2LH", *ending) + comment


# Writing ----------------------------------------------------------------------------------------------------


def write(path: Path, study: Study, store: Store, calls: Sequence[Mapping[str, Any]]) -> None:
    """Write an archive; all of it or nothing.

    Parameters
    ----------
    path : Path
        Where to; nothing may be there.
    study : Study
        What was gathered of the store.
    store : Store
        Where the answers are.
    calls : sequence of dict
        The calls, for the manifest.

    Raises
    ------
    StoreError
        It cannot be written, or is larger than an archive may be.
    """
    contents: dict[str, Callable[[], Iterable[bytes]]] = {
        LEDGER: lambda: chain([_LEDGER_HEAD], map(_ledger_row, study.ledger)),
        ANSWERS: lambda: map(_answer_line, study.answers, store.envelopes(study.origins)),
    }
    # Measured first and written then, so that never all answers are in memory.
    measures = {name: _Measure.of(lines()) for name, lines in contents.items()}
    manifest = _manifest_bytes(
        {
            "absences": study.absences,
            "answers": len(study.answers) - study.absences,
            "calls": list(calls),
            "credits": study.credits,
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "members": {name: measure.promise for name, measure in measures.items()},
            "package_version": __version__,
            "requests": len(study.ledger),
            "source": study.source,
        }
    )
    contents = {MANIFEST: lambda: [manifest], **contents}
    measures = {MANIFEST: _Measure.of([manifest]), **measures}
    _check_sizes(path, measures)
    members = [_Member(name, measure.size, measure.crc) for name, measure in measures.items()]
    with _all_or_nothing(path) as file:
        for member in members:
            file.write(member.header)
            file.writelines(contents[member.name]())
        file.write(_directory(members, manifest))


@dataclass
class _Measure:
    """Size and checksums of what passed by."""

    size: int = 0
    crc: int = 0
    lines: int = 0
    longest: int = 0

    def __post_init__(self) -> None:
        self._hash = hashlib.sha256()

    @classmethod
    def of(cls, lines: Iterable[bytes]) -> Self:
        """Measure all of some lines."""
        measure = cls()
        for line in lines:
            measure.add(line)
        return measure

    def add(self, line: bytes) -> None:
        """Count one more."""
        self.size += len(line)
        self.crc = zlib.crc32(line, self.crc)
        self.lines += 1
        self.longest = max(self.longest, len(line))
        self._hash.update(line)

    @property
    def promise(self) -> dict[str, Any]:
        """What a manifest says of it."""
        digest = self._hash.hexdigest()
        return {"bytes": self.size, "lines": self.lines, "longest_line": self.longest, "sha256": digest}


def _check_sizes(path: Path, measures: Mapping[str, _Measure]) -> None:
    limits = {MANIFEST: LARGEST_MANIFEST, LEDGER: LONGEST_LINE, ANSWERS: LONGEST_LINE}
    for name, measure in measures.items():
        if measure.longest > limits[name]:
            raise StoreError(f"{path} was not written: a part of its {name} is larger than {limits[name]:,} bytes")
    if sum(measure.size for measure in measures.values()) > _LARGEST:
        raise StoreError(f"{path} was not written: the study has more than 4 GB; freeze it in parts")


@contextlib.contextmanager
def _all_or_nothing(path: Path) -> Iterator[IO[bytes]]:
    """Write beside the path, and put it in its place when all of it is on the disk."""
    beside = path.with_name(unfinished_name(path))
    try:
        with beside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            raise StoreError(f"{path} has appeared meanwhile and is not overwritten")
        beside.replace(path)
    except OSError as error:
        raise StoreError(f"{path} was not written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


# Reading ----------------------------------------------------------------------------------------------------


def load(path: str) -> tuple[Store, Settings]:
    """Load an archive into memory, holding every byte against what it must be.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    Store
        Its answers, in memory.
    Settings
        What a client that replays it needs.

    Raises
    ------
    StoreError
        It is not what `freeze` wrote; it says why.
    """
    return _read_file(path, _load)


def read_manifest(path: str) -> dict[str, Any]:
    """Read what an archive says is in it, without its answers.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    dict
        Its manifest.

    Raises
    ------
    StoreError
        It is not what `freeze` wrote; it says why.
    """
    return _read_file(path, lambda file: _open_manifest(file)[2])


def _read_file(path: str, read: Callable[[IO[bytes]], Result]) -> Result:
    try:
        with Path(path).open("rb") as file:
            return read(file)
    except OSError as error:
        raise StoreError(f"the archive cannot be read: {error.strerror or error}: {path}") from error
    except _OddError as error:
        raise StoreError(f"{path} is not replayed: {error}") from None


def _open_manifest(file: IO[bytes]) -> tuple[_Member, bytes, dict[str, Any]]:
    """Read the manifest, as it is written and what it says."""
    head = _read_head(file, MANIFEST)
    if head.size > LARGEST_MANIFEST:
        raise _OddError(f"its manifest has {head.size:,} bytes, which no study has")
    written = file.read(head.size)
    if len(written) < head.size:
        raise _OddError("it is cut short, within its manifest")
    if zlib.crc32(written) != head.crc:
        raise _OddError("its manifest was changed after it was written")
    return head, written, _read_manifest(written)


def _load(file: IO[bytes]) -> tuple[Store, Settings]:
    head, written, manifest = _open_manifest(file)
    promised = manifest["members"]
    empty = [_Member(name, 0, 0) for name in MEMBERS]
    frame = sum(len(member.header) for member in empty) + len(_directory(empty, written))
    expected = frame + head.size + sum(promise["bytes"] for promise in promised.values())
    there = os.fstat(file.fileno()).st_size
    if there != expected:
        how = "cut short" if there < expected else "longer than it should be"
        raise _OddError(_diagnosis(file, f"it is {how}: {there:,} bytes, its manifest promises {expected:,}"))
    store = Store(MEMORY, source=manifest["source"], read_only=False)
    try:
        members = [head]
        ledger = _read_ledger(_lines(file, LEDGER, promised[LEDGER], members))
        base_url = DEFAULT_BASE_URL if store.source == "keyapi" else f"https://{store.source}"
        store.restore(ledger, _read_answers(_lines(file, ANSWERS, promised[ANSWERS], members), ledger), url=base_url)
        _check_end(file, _directory(members, written), manifest, store.counts())
    except BaseException:
        store.close()
        raise
    return store, replay_settings(manifest["source"])


def _check_end(file: IO[bytes], directory: bytes, manifest: Mapping[str, Any], counts: Mapping[str, int]) -> None:
    if file.read() != directory:
        raise _OddError(_diagnosis(file, _STRANGE))
    wrong = [name for name in ("answers", "absences", "requests", "credits") if counts[name] != manifest[name]]
    if wrong:
        raise _OddError(f"its manifest counts other {wrong[0]} than it has")


def _read_head(file: IO[bytes], name: str) -> _Member:
    """Read what stands before a member; it may be spelled in one way only."""
    written = file.read(len(_Member(name, 0, 0).header))
    crc, size = struct.unpack_from("<2L", written.ljust(_HEADER, b"\0"), 14)
    member = _Member(name, size, crc)
    if written != member.header:
        raise _OddError(_diagnosis(file, _STRANGE))
    return member


def _diagnosis(file: IO[bytes], otherwise: str) -> str:
    """Say how a file differs from what freeze writes, as far as its directory tells."""
    small = file.seek(0, os.SEEK_END) <= _LARGEST_DIAGNOSED
    try:
        members = zipfile.ZipFile(file).infolist() if small else []
    except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError, EOFError):
        members = []
    if not members:
        return otherwise
    names = [member.filename for member in members]
    odd: dict[str, Callable[[zipfile.ZipInfo], object]] = {
        "points out of the archive": lambda one: re.search(r"\.\.|^[/\\]|:", one.filename),
        "is there more than once": lambda one: names.count(one.filename) > 1,
        "is a symbolic link": lambda one: one.external_attr >> 28 == _LINK,
        "is none that freeze writes": lambda one: one.filename not in MEMBERS,
        "is encrypted": lambda one: one.flag_bits & 1,
        "is compressed, which freeze never does": lambda one: one.compress_type,
    }
    for what, holds in odd.items():
        for member in members:
            if holds(member):
                return f"its member {member.filename[:60]!r} {what}"
    lacking = [name for name in MEMBERS if name not in names]
    return f"it has no {lacking[0]}" if lacking else otherwise


def _read_json(written: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(written)
    except (ValueError, RecursionError):
        raise _OddError(f"{what} is no JSON") from None
    if not isinstance(value, dict):
        raise _OddError(f"{what} is no JSON object")
    return value


def _has_kinds(value: object, kinds: Mapping[str, type]) -> bool:
    """Whether a JSON object has these members, of these kinds, and no others; no number is below 0."""
    return (
        isinstance(value, dict)
        and value.keys() == kinds.keys()
        and all(type(value[name]) is kind for name, kind in kinds.items())
        and all(number >= 0 for number in value.values() if isinstance(number, int))
    )


def _read_manifest(written: bytes) -> dict[str, Any]:
    manifest = _read_json(written, "its manifest")
    if manifest.get("format") != FORMAT:
        raise _OddError("its manifest is not one of a keyapi_research archive")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise _OddError(
            f"it has format {str(manifest.get('format_version'))[:20]}, this version of keyapi_research reads "
            f"{FORMAT_VERSION}: update the package"
        )
    members = manifest.get("members")
    if (
        not _has_kinds(manifest, _MANIFEST_KINDS)
        or not _has_kinds(members, dict.fromkeys((LEDGER, ANSWERS), dict))
        or not all(_has_kinds(promise, _PROMISE_KINDS) for promise in manifest["members"].values())
        or manifest["members"][LEDGER]["lines"] > manifest["members"][ANSWERS]["lines"] + 1
        or _SOURCE.fullmatch(manifest["source"]) is None
        or _manifest_bytes(manifest) != written
    ):
        raise _OddError("its manifest is not as freeze writes it")
    for name, promise in manifest["members"].items():
        if promise["longest_line"] > LONGEST_LINE:
            raise _OddError(f"its {name} has a line of {promise['longest_line']:,} bytes, which no answer has")
    return manifest


def _lines(file: IO[bytes], name: str, promise: Mapping[str, Any], members: list[_Member]) -> Iterator[bytes]:
    """Read a member line by line, no more than its manifest promises, and check that it was all of that."""
    head = _read_head(file, name)
    measure = _Measure()
    while measure.size < promise["bytes"]:
        line = file.readline(min(promise["longest_line"], promise["bytes"] - measure.size))
        if not line.endswith(b"\n"):
            raise _OddError(f"line {measure.lines + 1} of its {name} is longer than the manifest promises")
        measure.add(line)
        yield line
    if measure.promise != promise or (head.size, head.crc) != (measure.size, measure.crc):
        raise _OddError(f"its {name} was changed after it was written: the checksum differs")
    members.append(head)


def _read_ledger(lines: Iterable[bytes]) -> list[Row]:
    taken: list[bytes] = []  # since the last row: a message may go over several lines
    rows: list[Row] = []
    try:
        for number, fields in enumerate(csv.reader((_noted(line, taken) for line in lines), strict=True)):
            head = number == 0
            row = () if head else _read_request(fields)
            if b"".join(taken) != (_LEDGER_HEAD if head else _ledger_row(row)) or not (head or row[0] == number):
                raise _OddError(f"row {number} of its {LEDGER} is not as freeze writes it")
            taken.clear()
            rows += [] if head else [row]
    except (csv.Error, ValueError, OverflowError):
        raise _OddError(f"row {len(rows) + 1} of its {LEDGER} is no request") from None
    return rows


def _noted(line: bytes, taken: list[bytes]) -> str:
    taken.append(line)
    return line.decode()


def _read_request(fields: Sequence[str]) -> Row:
    number, *rest = fields
    return int(number), *(_read_cell(name, text) for name, text in zip(LEDGER_COLUMNS, rest, strict=True))


def _read_cell(name: str, text: str) -> object:
    if name == "sent_at":
        return microseconds_of(datetime.fromisoformat(text))
    kind, *needed = LEDGER_COLUMNS[name].split()
    if kind == "TEXT" or not text:
        return text if text or needed else None
    return float(text) if kind == "REAL" else _integer(text)


def _integer(text: str) -> int:
    number = int(text)
    if abs(number) >= _LARGEST_NUMBER:
        raise ValueError(text)
    return number


def _read_answers(lines: Iterator[bytes], ledger: Sequence[Row]) -> Iterator[tuple[Observation, dict[str, Any]]]:
    """Read the answers; each must be about what it says was asked, and spelled as freeze spells it."""
    last = ("", "", 0)
    moments: set[tuple[str, int]] = set()
    used: set[int] = set()
    for number, line in enumerate(lines, start=1):
        what = f"line {number} of its {ANSWERS}"
        record = _read_json(line, what)
        try:
            one = _read_answer(number, record, ledger)
            as_frozen = _answer_line(one, record["envelope"]) == line
        except (_OddError, KeyAPIError) as error:
            reason, _, _ = str(error).partition(". ")
            raise _OddError(f"{what} is no answer to what it says was asked: {reason}") from None
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
            raise _OddError(f"{what} is no answer") from None
        if not as_frozen or _order(one) <= last or (one.entity, one.observed_at) in moments:
            raise _OddError(f"{what} is not as freeze writes it")
        last = _order(one)
        moments.add((one.entity, one.observed_at))
        used.add(one.request)
        yield one, record["envelope"]
    if len(used) < len(ledger):
        raise _OddError(f"its {LEDGER} has requests that brought none of its answers")


def _read_answer(number: int, record: Mapping[str, Any], ledger: Sequence[Row]) -> Observation:
    """Read one answer. Values are taken for what they should be: where one is not, the line reads otherwise again."""
    if record["endpoint"] not in BY_PATH:
        raise _OddError("this version of the package knows no such endpoint")
    query = query_of(record["endpoint"], record["params"])
    endpoint = query.endpoint
    page = {name: int(value) for name, value in record["page"].items() if name != "more"} if endpoint.ranking else {}
    more = record["page"]["more"] if page else None
    params = query.params | ({"page": str(page["number"])} if page else {})
    request = int(record["request"])
    one = Observation(
        id=number,
        entity=query.key,
        endpoint=endpoint.path,
        params=compact_json(params),
        observed_at=microseconds_of(datetime.fromisoformat(record["observed_at"])),
        absent=bool(record["absent"]),
        request=request,
        pull=page.get("walk", 0),
        page=page.get("number", 0),
        rows=page.get("rows", 0),
        fresh=page.get("fresh", 0),
        more=None if more is None else bool(more),
    )
    envelope = open_envelope(200, b"", record["envelope"], retry_after=None)
    [found] = match(endpoint, (query,), envelope)
    if not isinstance(found, Found):
        raise found
    agree = {
        "what it holds is not all about that": found.envelope == record["envelope"] and found.absent == one.absent,
        "its place in the ranking cannot be right": (found.more, len(found.ids)) == (one.more, one.rows)
        and 0 <= one.fresh <= one.rows
        and (not page or (0 < one.page < _MOST_PAGES and 0 < one.pull <= len(ledger))),
        f"no such request is in its {LEDGER}": 0 < request <= len(ledger)
        and ledger[request - 1][_ENDPOINT] == endpoint.path,
    }
    wrong = [what for what, holds in agree.items() if not holds]
    if wrong:
        raise _OddError(wrong[0])
    return one
