"""Archives: what `freeze` writes and `replay` reads, one file that has what a study read.

An archive is a zip of `manifest.json`, `ledger.csv` and `answers.jsonl`, in this order, not compressed and without a
clock, so that the same study gives the same bytes on every machine. The manifest has the checksums of the two others,
and every answer passes the checks of an answer that arrives from KeyAPI. So a damaged file is refused, and one that
another program packed again is read as long as its contents are unchanged. Nothing in a file is executed, unpacked to
disk or read beyond what its manifest promises. Whether the figures are true, no file can show.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import IO, Any, Final

from .arguments import check_path
from .envelope import Envelope, Found, match, open_envelope
from .errors import InvalidArgumentError, KeyAPIError, StoreError
from .files import open_file, reason_of, replacing
from .model import endpoints
from .queries import Query, query_of, split_page
from .rows import blank_out
from .settings import MEMORY, Settings, address_of
from .spelling import normal_day
from .store import LEDGER_COLUMNS, LedgerRow, Observation, Store, compact_json, microseconds_of, when
from .version import __version__

FORMAT: Final = "keyapi_research archive"
FORMAT_VERSION: Final = 2
_OLDEST_VERSION: Final = 1  # did not know how many rows a page was requested for
MANIFEST, LEDGER, ANSWERS = MEMBERS = ("manifest.json", "ledger.csv", "answers.jsonl")
COUNTS: Final = ("answers", "absences", "requests", "credits")
_LARGEST_PART: Final = 4_000_000  # bytes of a line; an answer has some thousands
_LARGEST_MANIFEST: Final = 64_000_000  # bytes; each id that was asked for takes 29 of them
_MOST_ROWS: Final = 1_000_000  # of a page
_MOST_STORED: Final = 20  # answers of one request: ten usernames, and their ids
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MOST_UNPACKED: Final = 200  # bytes of each packed one; archives pack to a tenth

_COLUMNS: Final = ("request", *LEDGER_COLUMNS)
_SOURCE: Final = re.compile(r"[A-Za-z0-9.:_-]{1,255}")

_AGAIN: Final = "Copy or download it again"
_OURS: Final = "Replay a file that kr.freeze wrote"
# What comes in the place of an archive, by its first bytes (in lower case, without white space before).
_BEGINNINGS: Final[Mapping[bytes, str]] = {
    b"version https://git-lfs": "it is a Git LFS pointer, not the archive itself. Run `git lfs pull` in its repository",
    b"<": "it is a web page, not an archive. Download the file itself",
    b"\x1f\x8b": "it is packed with gzip. Unpack it (gunzip) and replay the file inside",
    b"sqlite format 3": "it is a store, not an archive. Open it with kr.connect(store=..., offline=True)",
    b"{": "it is only one file from an unpacked archive. Replay the .zip itself",
    b"": f"it is not an archive of keyapi_research. {_OURS}",
}
_NOT_OURS: Final = re.compile(r"(^|/)(__MACOSX/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$)|/$")  # systems add it
_FAILURES: Final = (  # of zipfile, on a damaged file, and of the system
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, OSError, OverflowError, ValueError,
)  # fmt: skip

Members = dict[str, zipfile.ZipInfo]


# Content ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Study:
    """The answers of a study and the requests that brought them, numbered by themselves, not by a store.

    `origins` has the store's own id of each answer.
    """

    source: str
    answers: tuple[Observation, ...]
    origins: tuple[int, ...]
    ledger: tuple[LedgerRow, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Number of answers, of entities that KeyAPI had nothing for, of requests, and their credits where known."""
        absences = sum(one.absent for one in self.answers)
        paid = sum(row.credits or 0 for row in self.ledger)
        return dict(zip(COUNTS, (len(self.answers) - absences, absences, len(self.ledger), paid), strict=True))


def gather(store: Store, ids: Iterable[int]) -> Study:
    """Return observations (of a ranking also the pages before) and their requests, the same for any order of ids."""
    read = {one.id: one for one in store.observations(ids)}
    last: dict[int, int] = {}  # page of each pull
    for one in read.values():
        last[one.pull] = max(one.page, last.get(one.pull, 0))
    for entity in {one.entity for one in read.values() if one.page}:
        read |= {page.id: page for pull in store.pulls(entity) for page in pull if page.page <= last.get(page.pull, 0)}
    read |= _answers_by_id(store, read.values())
    rows = store.ledger(one.request for one in read.values())
    requests = {row.id: number for number, row in enumerate(rows, start=1)}
    pulls = _number_pulls(store, read.values())
    ordered = sorted(read.values(), key=_order)
    answers = [
        one._replace(id=number, request=requests[one.request], pull=pulls.get(one.pull, 0))
        for number, one in enumerate(ordered, start=1)
    ]
    ledger = [row._replace(id=requests[row.id], client=None, imported=0) for row in rows]
    return Study(store.source or "", tuple(answers), tuple(one.id for one in ordered), tuple(ledger))


def _number_pulls(store: Store, read: Collection[Observation]) -> dict[int, int]:
    """Return numbers of pulls; of one ranking the newest has the highest, though an older one may be imported later."""
    numbers = {pull: number for number, pull in enumerate(sorted({one.pull for one in read} - {0}), start=1)}
    for entity in {one.entity for one in read if one.page}:
        oldest_first = [pull[0].pull for pull in reversed(store.pulls(entity)) if pull[0].pull in numbers]
        numbers |= dict(zip(oldest_first, sorted(numbers[one] for one in oldest_first), strict=True))
    return numbers


def _answers_by_id(store: Store, read: Iterable[Observation]) -> dict[int, Observation]:
    """Return what answers to usernames answered, too: the queries by id, which were stored right after them."""
    ways = {way.path: way.entity.api_name for way in endpoints(yours=False) if way.also and way.entity}
    named = [one for one in read if one.endpoint in ways and ways[one.endpoint] in json.loads(one.params)]
    last = store.last_ids()[0]
    near = {number for one in named for number in range(one.id + 1, min(one.id + _MOST_STORED, last) + 1)}
    same = {(one.request, one.data) for one in named}
    return {one.id: one for one in store.observations(near) if (one.request, one.data) in same}


def _order(one: Observation) -> tuple[str, str, int]:
    return one.endpoint, one.params, one.observed_at


def stamp(microseconds: int) -> str:
    """Return a time as text: ISO 8601, UTC, microseconds."""
    return f"{when(microseconds).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


# Writing ----------------------------------------------------------------------------------------------------


def write(
    path: Path,
    study: Study,
    store: Store,
    calls: Sequence[Mapping[str, Any]],
    *,
    today: date | None = None,
    personal: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> None:
    """Write an archive of a study whose answers are in a store; all of it, or nothing.

    `today` is the day to which relative dates of its calls are relative. `personal` are fields, by endpoint, that are
    left blank in its answers.
    """
    blanked: set[str] = set()

    def answer_line(one: Observation, envelope: Mapping[str, Any]) -> bytes:
        data = blank_out(envelope["data"], personal.get(one.endpoint, ()), blanked)
        return f"{compact_json(_record(one, {**envelope, 'data': data}))}\n".encode()

    contents: dict[str, Callable[[], Iterable[bytes]]] = {
        LEDGER: lambda: _ledger_lines(study.ledger),
        ANSWERS: lambda: map(answer_line, study.answers, store.envelopes(study.origins)),
    }
    # Measured first and written then, so that never all answers are in memory.
    promises = {name: _measure(lines()) for name, lines in contents.items()}
    manifest = {
        **study.counts,
        "calls": list(calls),
        "format": FORMAT,
        # The oldest that can have it, so that earlier versions read it, too.
        "format_version": FORMAT_VERSION if any(one.wanted for one in study.answers) else _OLDEST_VERSION,
        "members": promises,
        "package_version": __version__,
        "source": study.source,
        **({} if today is None else {"today": today.isoformat()}),
        **({"blanked": sorted(blanked)} if blanked else {}),
    }
    written = (json.dumps(manifest, sort_keys=True, indent=1) + "\n").encode()
    largest = {MANIFEST: len(written)} | {name: promise["longest_line"] for name, promise in promises.items()}
    for name, size in largest.items():
        most = _LARGEST_MANIFEST if name == MANIFEST else _LARGEST_PART
        if size > most:
            advice = "Freeze a study of fewer ids" if name == MANIFEST else "Freeze a study without that answer"
            raise StoreError(f"{path} was not written: a part of its {name} is larger than {most:,} bytes. {advice}")
    with replacing(path, new=True) as file, zipfile.ZipFile(file, "w") as packed:
        packed.comment = _seal(written)
        _pack(packed, MANIFEST, len(written), [written])
        for name, lines in contents.items():
            _pack(packed, name, promises[name]["bytes"], lines())


def _ledger_lines(ledger: Iterable[LedgerRow]) -> Iterator[bytes]:
    for cells in (_COLUMNS, *((row.id, stamp(row.sent_at), *row[2 : len(_COLUMNS)]) for row in ledger)):
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerow(cells)
        yield text.getvalue().encode()


def _record(one: Observation, envelope: Mapping[str, Any]) -> dict[str, Any]:
    page = {"fresh": one.fresh, "more": one.more, "number": one.page, "rows": one.rows, "walk": one.pull}
    page |= {} if one.wanted is None else {"wanted": one.wanted}
    return {
        "absent": one.absent,
        "endpoint": one.endpoint,
        "envelope": envelope,  # as it arrived, in its own order
        "observed_at": stamp(one.observed_at),
        "page": page if one.page else None,
        "params": json.loads(one.params),
        "request": one.request,
    }


def _measure(lines: Iterable[bytes]) -> dict[str, Any]:
    """Return what a manifest promises of a member."""
    digest, size, number, longest = hashlib.sha256(), 0, 0, 0
    for number, line in enumerate(lines, start=1):  # noqa: B007 - the last number is how many
        digest.update(line)
        size += len(line)
        longest = max(longest, len(line))
    return {"bytes": size, "lines": number, "longest_line": longest, "sha256": digest.hexdigest()}


def _seal(manifest: bytes) -> bytes:
    """Return the comment of the zip, which has the checksum of the manifest itself."""
    return f"{MANIFEST} sha256 {hashlib.sha256(manifest).hexdigest()}".encode()


def _pack(packed: zipfile.ZipFile, name: str, size: int, lines: Iterable[bytes]) -> None:
    member = zipfile.ZipInfo(name)  # its date is the first that a zip can have
    member.create_system, member.external_attr, member.file_size = 3, 0o100644 << 16, size
    with packed.open(member, "w") as file:
        file.writelines(lines)


# Reading ----------------------------------------------------------------------------------------------------


def load(path: str) -> tuple[Store, Settings]:
    """Return the answers of an archive as a store in memory, and the settings of a client that replays them."""
    with _opened(path) as (packed, members):
        manifest = _read_manifest(packed, members)
        source, promises = manifest["source"], manifest["members"]
        store = Store(MEMORY, source=source, read_only=False)
        try:
            ledger = _read_ledger(_lines(packed, members[LEDGER], promises[LEDGER]))
            answers = _read_answers(_lines(packed, members[ANSWERS], promises[ANSWERS]), ledger)
            store.restore(ledger, answers, url=address_of(source))
            counted = store.counts().items() >= {name: manifest[name] for name in COUNTS}.items()
            _require(counted, f"the counts in its manifest do not match its answers. {_AGAIN}")
        except BaseException:
            store.close()
            raise
        return store, Settings(source=source, today=manifest.get("today") and date.fromisoformat(manifest["today"]))


def read_manifest(path: str) -> dict[str, Any]:
    """Return the manifest of an archive."""
    with _opened(path) as (packed, members):
        return _read_manifest(packed, members)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[tuple[zipfile.ZipFile, Members]]:
    """Open a file that should be an archive; a StoreError says what it is instead, and what to do."""
    try:
        unpacked = "it is a folder, perhaps an archive unpacked by the browser. Replay the .zip itself, or zip it again"
        _require(not Path(path).is_dir(), unpacked)
        with open_file(Path(path)) as file:
            _check_kind(file)
            with zipfile.ZipFile(file) as packed:
                yield packed, _members(packed)
    except (StoreError, InvalidArgumentError) as error:
        raise StoreError(f"{path} cannot be replayed: {error}") from None
    except _FAILURES as error:
        reason = reason_of(error) or "it is cut short"
        raise StoreError(
            f"{path} cannot be replayed: it cannot be read ({reason}). Check the path, or copy it again"
        ) from error


def _require(holds: object, what: str) -> None:
    if not holds:
        raise StoreError(what)


def _check_kind(file: IO[bytes]) -> None:
    """Refuse what does not begin and end as a zip does."""
    start = file.read(64)
    _require(start, f"it is empty. {_AGAIN}")
    if not start.startswith(b"PK"):
        start = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
        raise StoreError(next(what for first, what in _BEGINNINGS.items() if start.startswith(first)))
    _require(zipfile.is_zipfile(file), f"it is incomplete. {_AGAIN}")


def _members(packed: zipfile.ZipFile) -> Members:
    """Return the three members, whatever folder another program put them into."""
    found: Members = {}
    for member in packed.infolist():
        name = PurePosixPath(member.filename).name
        if _NOT_OURS.search(member.filename):
            continue
        wrong = {
            "is itself a zip. Unpack the outer one and replay the inner one": name.endswith(".zip"),
            f"is not part of an archive. {_OURS}": name not in MEMBERS,
            f"appears more than once. {_OURS}": name in found,
            "is encrypted. Unpack it with its password and zip it again": member.flag_bits & 1,
            "has an unsupported compression. Unpack it and zip it again": member.compress_type not in _METHODS,
            f"would unpack to {member.file_size:,} bytes, too many for a study": member.file_size
            > _MOST_UNPACKED * max(member.compress_size, 1),
        }
        for what, holds in wrong.items():
            _require(not holds, f"its member {member.filename[:60]!a} {what}")
        found[name] = member
    for name in MEMBERS:
        _require(name in found, f"it has no {name}. {_OURS}")
    return found


def _read_manifest(packed: zipfile.ZipFile, members: Members) -> dict[str, Any]:
    size = members[MANIFEST].file_size
    _require(size <= _LARGEST_MANIFEST, f"its manifest has {size:,} bytes, too many for a study")
    with packed.open(members[MANIFEST]) as file:
        written = file.read(size)
    # Who packs it again drops the comment.
    _require(packed.comment in (b"", _seal(written)), f"its manifest was changed, or the file is incomplete. {_AGAIN}")
    manifest = _read_json(written, "its manifest")
    version = manifest.get("format_version")
    _require(manifest.get("format") == FORMAT, f"its manifest is not from keyapi_research. {_OURS}")
    _require(
        type(version) is int and _OLDEST_VERSION <= version <= FORMAT_VERSION,
        f"it has format {version!s:.20}, but this version of keyapi_research reads {_OLDEST_VERSION} to "
        f"{FORMAT_VERSION}. Update the package",
    )
    _require(_has_fields(manifest), f"its manifest does not have the expected fields. {_AGAIN}")
    return manifest


def _has_fields(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest has what is read of it."""
    try:
        promises = [manifest["members"][name] for name in (LEDGER, ANSWERS)]
        numbers = [manifest[name] for name in COUNTS] + [promise["bytes"] for promise in promises]
        texts = [manifest["source"], *(promise["sha256"] for promise in promises)]
    except (LookupError, TypeError):
        return False
    day = manifest.get("today")
    if day is not None and normal_day(day) != day:
        return False
    whole = all(type(number) is int for number in numbers) and all(isinstance(text, str) for text in texts)
    return whole and isinstance(manifest.get("calls"), list) and _SOURCE.fullmatch(texts[0]) is not None


def _read_json(written: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(written)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise StoreError(f"{what} is not a JSON object. {_AGAIN}")
    return value


def _lines(packed: zipfile.ZipFile, member: zipfile.ZipInfo, promise: Mapping[str, Any]) -> Iterator[bytes]:
    """Read a member line by line, no more than its manifest promises, and check that it was all of that."""
    name, digest = PurePosixPath(member.filename).name, hashlib.sha256()
    size, promised = member.file_size, promise["bytes"]
    _require(size == promised, f"its {name} has {size:,} bytes, not the expected {promised:,}. {_AGAIN}")
    with packed.open(member) as unbuffered, io.BufferedReader(unbuffered) as file:  # type: ignore[type-var]
        for number, line in enumerate(iter(lambda: file.readline(_LARGEST_PART), b""), start=1):
            _require(line.endswith(b"\n"), f"line {number} of its {name} is longer than {_LARGEST_PART:,} bytes")
            digest.update(line)
            yield line
    intact = digest.hexdigest() == promise["sha256"]
    _require(intact, f"its {name} has another checksum, so it was changed. {_AGAIN}")


def _read_ledger(lines: Iterable[bytes]) -> list[LedgerRow]:
    rows: list[LedgerRow] = []
    try:
        cells = csv.reader((line.decode() for line in lines), strict=True)
        in_order = tuple(next(cells, ())) == _COLUMNS
        for number, row in enumerate(cells, start=1):
            in_order = in_order and row[:1] == [str(number)]
            rows.append(LedgerRow(number, *(_read_cell(*pair) for pair in zip(LEDGER_COLUMNS, row[1:], strict=True))))
    except (csv.Error, TypeError, ValueError, OverflowError):
        raise StoreError(f"row {len(rows) + 1} of its {LEDGER} is not a valid request") from None
    _require(in_order, f"the rows of its {LEDGER} do not have the expected columns or order")
    return rows


def _read_cell(name: str, text: str) -> Any:
    if name == "sent_at":
        return microseconds_of(datetime.fromisoformat(text))
    kind, *needed = LEDGER_COLUMNS[name].split()
    if not (text or needed):
        return None
    return {"INTEGER": int, "REAL": float, "TEXT": str}[kind](text)


def _read_answers(lines: Iterator[bytes], ledger: Sequence[LedgerRow]) -> Iterator[tuple[Observation, dict[str, Any]]]:
    """Read the answers; each must be about what its own query names, and there once."""
    last = ("", "", 0)
    used: set[int] = set()
    for number, line in enumerate(lines, start=1):
        what = f"line {number} of its {ANSWERS}"
        record = _read_json(line, what)
        try:
            one = _read_answer(number, record, ledger)
        except KeyAPIError as error:
            reason, _, _ = str(error).partition(". ")
            raise StoreError(f"{what} is not an answer to its query: {reason}") from None
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
            raise StoreError(f"{what} is not a valid answer") from None
        _require(_order(one) > last, f"{what} appears twice or is not in order")
        last = _order(one)
        used.add(one.request)
        yield one, record["envelope"]
    _require(len(used) == len(ledger), f"its {LEDGER} has requests without an answer")


def _read_answer(number: int, record: Mapping[str, Any], ledger: Sequence[LedgerRow]) -> Observation:
    """Read an answer like one that arrives: what is written about it must be what it shows."""
    params, page = record["params"], record["page"] or {"fresh": 0, "number": 0, "walk": 0}
    texts = all(isinstance(text, str) for text in params.values())
    _require(texts and check_path(record["endpoint"]), "its endpoint or parameters are not valid")
    query = query_of(record["endpoint"], *(split_page(params) if record["page"] else (params, None)))
    envelope = open_envelope(200, b"", record["envelope"], retry_after=None)
    found = _find(query, envelope, record["absent"], record["page"])
    one = Observation(
        id=number,
        entity=query.key,
        endpoint=query.endpoint.path,
        params=compact_json(params),
        observed_at=microseconds_of(datetime.fromisoformat(record["observed_at"])),
        absent=found.absent and page["number"] in (0, 1),  # an empty page after others is their end
        request=int(record["request"]),
        pull=int(page["walk"]),
        page=int(page["number"]),
        rows=len(found.ids),
        fresh=int(page["fresh"]),
        more=found.more,
        wanted=page.get("wanted"),
    )
    numbers = 0 <= one.fresh <= one.rows and 0 <= one.pull <= len(ledger) and type(one.wanted) in (int, type(None))
    as_shown = numbers and _record(one, found.envelope) == record
    _require(as_shown, "its record does not match its content")
    requested = 0 < one.request <= len(ledger) and ledger[one.request - 1].endpoint == one.endpoint
    _require(requested, f"its request is not in {LEDGER}")
    return one


def _find(query: Query, envelope: Envelope, absent: object, page: Mapping[str, Any] | None) -> Found:
    """Return what an answer has. Where no declaration knows its id, what the archive says of it counts."""
    if query.endpoint.identity is None or query.endpoint.ranking != bool(page):
        rows = int(page["rows"]) if page else 0
        _require(0 <= rows <= _MOST_ROWS, "its page has too many rows")
        return Found(query, envelope.whole, bool(absent), (None,) * rows, page["more"] if page else None)
    [found] = match(query.endpoint, (query,), envelope)
    if not isinstance(found, Found):
        raise found
    return found
