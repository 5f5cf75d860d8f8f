"""The options of `connect`: checked, completed from the environment, and comparable."""

from __future__ import annotations

import contextlib
import numbers
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pandas as pd
from platformdirs import user_data_path

from .errors import InvalidArgumentError, KeyAPIWarning, MissingTokenError, StoreError, shown, warn
from .files import as_path, real_path, whole_path

DEFAULT_BASE_URL = "https://api.keyapi.ai"
KEYAPI = "keyapi"  # how the service itself is called as a source
SANDBOX = "sandbox"  # and how synthetic data are
SOURCE_HEADER = "X-KeyAPI-Source"  # how the sandbox names itself
SANDBOX_TODAY = date(2026, 2, 3)  # the day of the documented answers; time stands still there
SANDBOX_WORLD = "4"  # another world, another store: synthetic answers of two worlds never mix
DEFAULT_PACE = float(5)  # an object of its own, distinct from a 5 that is passed; the sandbox needs no pace
MEMORY = ":memory:"
NOT_A_FILE = "Download the file and pass its path, or a server's address as text: postgresql://user@host/database"
_SERVER = re.compile(r"\s*postgres(?:ql)?://", re.IGNORECASE)  # how the address of a store on a server begins
# What libpq itself hides of an address, and what is as good as a password.
_SECRETS = {"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}
_HOST = re.compile(r"[A-Za-z0-9.:_-]{1,255}")  # letters of other scripts are written as xn--...
_NUMBER = re.compile(r"\s*[+-]?[0-9]+\.?[0-9]*\s*")
_DAY = r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}"
_CLOCK = r"[0-9]{2}(?::?[0-9]{2}){0,2}(?:\.[0-9]+)?"
_ISO = re.compile(rf"\s*{_DAY}(?:[T ]{_CLOCK}\s*(?:Z|UTC|[+-][0-9]{{2}}(?::?[0-9]{{2}})?)?)?\s*")
_LONGEST_WAIT = 86_400  # seconds
_SHORTEST_SECRET = 8  # characters
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_BEARER = re.compile(r"(?:authorization\s*:\s*)?bearer(?::\s*|\s+|$)", re.IGNORECASE)
_QUOTES = "\"'`\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a"


class _CallCredits(int):
    """A default: it equals the same number passed, and can be distinguished from it."""


DEFAULT_CALL_CREDITS = _CallCredits(100)  # the sandbox, where nothing costs, has no such limit unless one is given


class Secret:
    """A token that cannot be shown, copied into a pickle or written by accident."""

    __slots__ = ("_text", "kind")

    def __init__(self, given: object) -> None:
        self.kind = type(given).__name__
        self._text = given if isinstance(given, str) else ""

    def is_in(self, text: str) -> bool:
        """Whether a text contains it, in any case: handles and hashtags are sent in lower case.

        A short word is not taken for a secret.
        """
        return len(self._text) >= _SHORTEST_SECRET and self._text.casefold() in text.casefold()

    def reveal(self) -> str:
        """Return the text, for the one place that puts it into a header."""
        return self._text

    def __repr__(self) -> str:
        return "<token hidden>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> Any:
        raise TypeError(
            "a token, or an object that holds one, cannot be pickled. Instead, connect in the worker: kr.connect(...) "
            "in its function or initializer, with KEYAPI_TOKEN set there"
        )


def read_token(given: object) -> tuple[Secret | None, str]:
    """Read the token of the argument or the environment, and where it came from."""
    origin = "argument" if given is not None else "KEYAPI_TOKEN"
    given = hide(os.environ.get("KEYAPI_TOKEN") if given is None else given)
    if given is None:
        return None, "none"
    if given.kind != "str":
        raise _must("token", "text", given.kind)
    secret, removed = _unwrap(given)
    if removed:
        name = "token" if origin == "argument" else origin
        warn(f"{name}: {' and '.join(removed)} around the key were removed. Pass the key alone", KeyAPIWarning)
    if not secret.reveal():
        if not removed:
            return None, "none"
        raise InvalidArgumentError("the token is only the word Bearer or quotes. Copy the key itself")
    if _PRINTABLE.fullmatch(secret.reveal()) is None:
        raise InvalidArgumentError(
            "the token has a character that is not allowed in an HTTP header. Copy it again from your KeyAPI account"
        )
    return secret, origin


def _unwrap(given: Secret) -> tuple[Secret, list[str]]:
    """Remove white space, and once the word Bearer and quotes, from a token; list what was there."""
    text = given.reveal().strip()
    removed: list[str] = []
    for _ in range(2):  # quotes around all of it, and within
        if len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
            text, removed = text[1:-1].strip(), [*removed, "quotes"]
        found = _BEARER.match(text)
        if found and "the word Bearer" not in removed:
            text, removed = text[found.end() :], [*removed, "the word Bearer"]
    return Secret("".join(text.split())), list(dict.fromkeys(removed))


@dataclass(frozen=True)
class Settings:
    """The options of a client, checked; two equal ones need only one client. Their defaults are those of a replay."""

    token: Secret | None = field(default=None, repr=False)
    token_origin: str = field(default="none", compare=False)  # the same token from elsewhere is the same connection
    base_url: str = DEFAULT_BASE_URL
    sandbox: bool = False
    store: str = MEMORY
    offline: bool = True
    as_of: datetime | None = None
    max_age: timedelta | str | None = None
    max_credits: int | None = None
    max_call_credits: int | None = None
    requests_per_second: float | None = None
    max_workers: int = 1
    timeout: tuple[float, float] = (5, 30)
    retries: int = 0
    progress: bool | None = None
    source: str | None = None  # None: the first answer has it
    today: date | None = None  # of a replay: the day on which the archived calls were made
    call_credits_passed: bool = False  # whether max_call_credits is a number that was passed


def needed_token(settings: Settings) -> Secret:
    """Return the token, or raise MissingTokenError."""
    if settings.token is None:
        raise MissingTokenError(
            "no token was found. Set KEYAPI_TOKEN (or connect(token=...)) to your key, use the sandbox without a key "
            "with connect(sandbox=True), or read stored answers with connect(offline=True)"
        )
    return settings.token


def _must(name: str, be: str, got: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{name} must be {be}; got {got}")


def hide(token: object) -> Secret | None:
    """Wrap a token at once: a traceback that prints local variables must not print it."""
    return token if token is None or isinstance(token, Secret) else Secret(token)


def _from_environment(name: str, given: object) -> tuple[object, str]:
    """Return an option, else its environment variable if that is set, and the name of the one or the other."""
    variable = f"KEYAPI_{name.upper()}"
    found = os.environ.get(variable) if given is None else None
    return (found, variable) if found else (given, name)


def read_base_url(given: object) -> str:
    """Read the base URL given, else that of KEYAPI_BASE_URL, else KeyAPI's own."""
    given, name = _from_environment("base_url", None if isinstance(given, str) and not given else given)
    return DEFAULT_BASE_URL if given is None else check_base_url(given, name)


def check_base_url(url: object, name: str = "base_url") -> str:
    """Check that the token may travel there: https, or this machine."""
    advice = (
        f"{name} must be https://host[:port][/path]; plain http is allowed for this machine only (127.0.0.1, localhost)"
    )
    if not isinstance(url, str):
        raise InvalidArgumentError(f"{advice}; got {type(url).__name__}")
    url = url.strip()
    if not url.isprintable() or " " in url:  # urlsplit leaves some of these out without a word
        raise InvalidArgumentError(f"{advice}; got one with white space or control characters inside")
    try:
        parts = urlsplit(url)
        host = str(parts.hostname or "").removesuffix(".")  # the root of all names, which may be written or not
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        raise InvalidArgumentError(advice) from None
    unwanted = "@" in parts.netloc or parts.query or parts.fragment
    # Some letters of other scripts are lower-cased to ASCII.
    named = parts.netloc.isascii() and _HOST.fullmatch(host) and not host.endswith(".")
    if unwanted or not port_is_fine or not named:
        raise InvalidArgumentError(advice)
    if host in (SANDBOX, KEYAPI):
        hint = " (connect(sandbox=True) starts the sandbox)" if host == SANDBOX else ""
        raise InvalidArgumentError(f"{advice}; {host!r} is the name of a source, not of a host{hint}")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise InvalidArgumentError(f"{advice}; got {parts.scheme}://{host}")
    netloc = re.sub(r"\.(?=(:[0-9]*)?$)", "", parts.netloc)
    return f"{parts.scheme}://{netloc}{parts.path}".rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def source_of(base_url: str) -> str:
    """Name a source by its host: `keyapi` for the service itself, however its address is written."""
    host = str(urlsplit(base_url).hostname).removesuffix(".")
    return KEYAPI if host == urlsplit(DEFAULT_BASE_URL).hostname else host


def address_of(source: str) -> str:
    """Return the address that stored answers of a source have."""
    return DEFAULT_BASE_URL if source == KEYAPI else f"https://{source}"


def data_folder() -> Path:
    """Return the folder of the user's stores; RuntimeError where the user has no home."""
    folder = user_data_path("keyapi_research", appauthor=False)
    if not folder.is_absolute():  # older releases of platformdirs return "~/..." as it is
        raise RuntimeError("the home directory is not known")
    return folder


def is_address(store: object) -> bool:
    """Whether a store is on a PostgreSQL server, not in a file."""
    return isinstance(store, str) and _SERVER.match(store) is not None


def without_user(address: str) -> str:
    """Return where a store is, without who opens it and its options: what a published notebook may show."""
    where = _SERVER.sub("", address, count=1).partition("?")[0]
    return f"postgresql://{where.rpartition('@')[2]}"


def read_address(address: str, name: str = "store") -> str:
    """Check the address of a store on a server: libpq's, without a password."""
    where = _SERVER.sub("", address.strip(), count=1)
    before, _, options = where.partition("?")
    # A password may have a ? or a / in it: where nothing before the first ? shows where it ends, what is behind counts.
    who = (before if "@" in before or "/" in before else where).rpartition("@")[0]
    names = {key.casefold() for key, _ in parse_qsl(options, keep_blank_values=True)}
    if ":" in who or "@" in who or names & _SECRETS:
        raise InvalidArgumentError(
            f"{name}: the address has a password in it, or an @ other than the one before the host. Leave a password "
            "out: it is read from PGPASSWORD or from your password file (~/.pgpass). Write any other @ as %40"
        )
    if not address.isprintable() or " " in where:
        raise InvalidArgumentError(f"{name}: the address has white space or control characters inside")
    return f"postgresql://{where}"


def shown_path(path: str) -> str:
    """Write where a store is for a reader of a published notebook, who need not know whose machine it was."""
    if path == MEMORY:
        return "in memory"
    if is_address(path):
        return without_user(path)
    for name, find in (("your data folder", data_folder), (".", Path.cwd), ("~", Path.home)):
        with contextlib.suppress(OSError, RuntimeError):  # a working folder that is gone, a user without a home
            for folder in (find(), find().resolve()):  # the path of a store has no links in it
                if Path(path).is_relative_to(folder):
                    return f"{name}/{Path(path).relative_to(folder).as_posix()}"
    return path


def read_as_of(moment: object) -> datetime | None:
    """Read a moment: naive is UTC, a bare date includes its day."""
    if moment is None:
        return None
    if isinstance(moment, str):  # 03/02 is March to some and February to others
        clear, is_day = bool(_ISO.fullmatch(moment)), bool(re.fullmatch(_DAY, moment.strip()))
    elif isinstance(moment, np.datetime64):  # a month is not a day
        unit, _ = np.datetime_data(moment)
        clear, is_day = unit not in "YM", unit in "WD"
    else:  # a number could be of any unit
        clear = not isinstance(moment, int | float | np.number)
        is_day = isinstance(moment, date) and not isinstance(moment, datetime)
    try:
        stamp = pd.Timestamp(moment) if clear else pd.NaT  # type: ignore[arg-type]
        if pd.isna(stamp):
            raise ValueError("missing, or not clear")  # noqa: TRY301 - refused as the others are
        if is_day:
            return datetime.combine(stamp.date(), time.max, tzinfo=UTC)
        when: datetime = stamp.to_pydatetime(warn=False)
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, NotImplementedError) as error:  # also what no calendar has
        raise _must("as_of", 'a date or a time, such as "2026-02-03" or "2026-02-03 12:00"', shown(moment)) from error


def read_max_age(age: object) -> timedelta | str | None:
    """Read how old an answer may be: None, 0, "any", or a length of time."""
    advice = 'max_age must be a duration such as "1D" or "6h", 0 (always pay), "any" (never warn) or None'
    if age is None or (isinstance(age, str) and age == "any"):
        return age
    # To pandas a number, also one in a text, is nanoseconds.
    if (is_number(age) and age != 0) or (isinstance(age, str) and _NUMBER.fullmatch(age) and float(age) != 0):
        number = age.strip() if isinstance(age, str) else shown(age)
        raise InvalidArgumentError(
            f'{advice}; the only number allowed is 0, got {shown(age)} (write "{number}D" or "{number}h")'
        )
    try:
        length = pd.NaT if isinstance(age, bool | np.bool_) else pd.Timedelta(age).to_pytimedelta()  # type: ignore[arg-type]
        if pd.isna(length) or length < timedelta(0):
            raise ValueError("missing, or negative")  # noqa: TRY301 - refused as the others are
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        raise InvalidArgumentError(f"{advice}; got {shown(age)}") from error
    return length


def read_replay(given: object) -> str | None:
    """Return the path of the archive to replay: the one given, else that of KEYAPI_REPLAY; False is none."""
    given, name = _from_environment("replay", given)
    if given is None or given is False:
        return None
    return str(whole_path(as_path(given, name, "an archive written by kr.freeze, or False"), name))


def is_number(value: object, *, whole: bool = False) -> bool:
    """Whether a value is a (whole) number: to Python a flag is one too, and to NumPy a length of time."""
    kind = numbers.Integral if whole else numbers.Real
    return isinstance(value, kind) and not isinstance(value, bool | np.timedelta64)


def _number(name: str, value: object, *, least: float, whole: bool = False) -> Any:
    if not is_number(value, whole=whole) or not value >= least:  # type: ignore[operator]
        raise _must(name, f"a {'whole ' * whole}number of at least {least:g}", shown(value))
    return int(value) if whole else value  # type: ignore[call-overload]


def read_flag(name: str, value: object) -> bool:
    """Read True or False, also as a cell of a column of flags has it."""
    if not isinstance(value, bool | np.bool_):
        raise _must(name, "True or False", shown(value))
    return bool(value)


def read_timeout(given: object) -> tuple[float, float]:
    """Read seconds to connect and to wait for data, or one number for both."""
    both = (given, given) if is_number(given) else given
    if not isinstance(both, tuple | list) or len(both) != 2:  # noqa: PLR2004 - connect and read
        raise _must("timeout", "(seconds to connect, seconds to wait for data), such as (5, 30)", shown(given))
    connect, read = (_number("timeout", seconds, least=0.001) for seconds in both)
    if max(connect, read) > _LONGEST_WAIT:
        raise _must("timeout", f"at most a day, {_LONGEST_WAIT} seconds", shown(given))
    return connect, read


def _default_store(source: str, *, sandbox: bool) -> Path:
    """Return the path of a source's store in the user's data folder, which is made where it is not there yet."""
    advice = 'Name a file with store=, such as store="study.sqlite", or in KEYAPI_STORE'
    try:
        folder = data_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        reason = error if isinstance(error, OSError) else "this user has no home"
        raise StoreError(f"your data folder for answers cannot be created: {reason}. {advice}") from error
    return folder / f"{source}{f'-world-{SANDBOX_WORLD}' if sandbox else ''}.sqlite"


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Return the options of `connect` or `Client`, checked and completed from the environment."""
    sandbox, offline = read_flag("sandbox", given["sandbox"]), read_flag("offline", given["offline"])
    token, origin = read_token(given["token"])
    if sandbox and given["base_url"] is not None:
        raise InvalidArgumentError("sandbox=True has its own base_url. Pass only one of the two")
    url = "" if sandbox else read_base_url(given["base_url"])
    source = SANDBOX if sandbox else source_of(url)
    moment = read_as_of(given["as_of"])
    offline = offline or moment is not None
    rate, most = given["requests_per_second"], given["max_call_credits"]
    call_credits_passed = most is not None and not isinstance(most, _CallCredits)
    if sandbox:
        rate, most = None if rate is DEFAULT_PACE else rate, most if call_credits_passed else None
    return Settings(
        token=token,
        token_origin=origin,
        base_url=url,
        sandbox=sandbox,
        store=_read_store(given["store"], source, sandbox=sandbox, offline=offline),
        offline=offline,
        as_of=moment,
        max_age=read_max_age(given["max_age"]),
        max_credits=_read_credits("max_credits", given["max_credits"]),
        max_call_credits=_read_credits("max_call_credits", most),
        requests_per_second=None if rate is None else float(_number("requests_per_second", rate, least=0.001)),
        max_workers=_number("max_workers", given["max_workers"], least=1, whole=True),
        timeout=read_timeout(given["timeout"]),
        retries=_number("retries", given["retries"], least=0, whole=True),
        progress=None if given["progress"] is None else read_flag("progress", given["progress"]),
        source=source if source in (SANDBOX, KEYAPI) else None,
        call_credits_passed=call_credits_passed,
    )


def _read_store(given: object, source: str, *, sandbox: bool, offline: bool) -> str:
    given, name = _from_environment("store", given)
    if given is None:
        given = _default_store(source, sandbox=sandbox)
    if is_address(given):
        return read_address(str(given), name)
    if str(given) != MEMORY:
        return str(real_path(as_path(given, name, f"a file, or {MEMORY!r}", NOT_A_FILE), name))
    if offline:
        raise StoreError(f"offline needs an existing store, but {MEMORY!r} is new and empty. Name a file with store=")
    return MEMORY


def _read_credits(name: str, value: object) -> int | None:
    return None if value is None else int(_number(name, value, least=0, whole=True))
