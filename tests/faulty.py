"""A server of scripted bytes, for what no HTTP library would send: it speaks over real sockets and hears everything."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs

Answer = bytes | Callable[[socket.socket], None]
DOCUMENTED = Path(__file__).parent / "data" / "documented" / "trending-hashtag-detail.json"


class Faulty:
    """Gives one scripted answer after the other, the last one again and again.

    Bytes leave the connection open for the next request; a function is given the connection, which is closed after it.
    """

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._answers = answers
        self._port = port
        self._tls = tls
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.heads: list[str] = []  # of the requests
        self.connections = 0

    @property
    def url(self) -> str:
        return f"{'https://localhost' if self._tls else 'http://127.0.0.1'}:{self.port}"

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def inputs(self) -> list[str]:
        """The names of the hashtags requested."""
        return [parse_qs(head.split(" ")[1].partition("?")[2])["hashtag_name"][0] for head in self.heads]

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            everything = [self._listener, *self._open]
        for one in everything:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with self._lock:
                self._open.add(connection)
            while (head := self._hear(connection)) is not None:
                with self._lock:
                    self.heads.append(head)
                    answer = self._answers[min(len(self.heads), len(self._answers)) - 1]
                if isinstance(answer, bytes):
                    connection.sendall(answer)
                else:
                    answer(connection)
                    break
        connection.close()
        with self._lock:
            self._open.discard(connection)

    @staticmethod
    def _hear(connection: socket.socket) -> str | None:
        head = b""
        while b"\r\n\r\n" not in head:
            more = connection.recv(65536)
            if not more:
                return None
            head += more
        return head.decode("latin-1")


# Answers -------------------------------------------------------------------------------------------------------


def envelope(name: str = "ufc324", **changes: Any) -> bytes:
    """The documented answer, about another hashtag."""
    whole = json.loads(DOCUMENTED.read_text("utf-8"))
    whole["data"]["info"].update(hashtag_name=name)
    return json.dumps({**whole, **changes}).encode()


def http(
    body: bytes = b"", *headers: str, status: str = "200 OK", version: str = "1.1", length: int | None = None
) -> bytes:
    """An answer as it is sent; a negative length is left out."""
    length = len(body) if length is None else length
    lines = [f"HTTP/{version} {status}", *headers, *([f"Content-Length: {length}"] if length >= 0 else [])]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return http(b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end,
                "Transfer-Encoding: chunked", length=-1)


def refuse(status: int, *headers: str) -> bytes:
    return http(json.dumps({"code": status, "data": None, "message": "no"}).encode(), *headers, status=f"{status} No")


# Manners of sending --------------------------------------------------------------------------------------------


def then_close(data: bytes) -> Answer:
    return lambda connection: connection.sendall(data)


def then_reset(data: bytes) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing sends a reset

    return answer


def then_wait(data: bytes, seconds: float = 120.0) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.settimeout(seconds)
        connection.recv(1)  # until the other side has had enough

    return answer


def drip(data: bytes, seconds: float = 0.02) -> Answer:
    """A byte at a time, for ever: each one in time."""

    def answer(connection: socket.socket) -> None:
        for at in range(len(data)):
            connection.sendall(data[at : at + 1])
            time.sleep(seconds)

    return answer


def endless(head: bytes, piece: bytes) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)

    return answer


def tunnel(port: int) -> Answer:
    """A proxy that lets through, wherever to."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    def answer(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as target:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(target, connection), daemon=True)
            back.start()
            pump(connection, target)
            target.shutdown(socket.SHUT_RDWR)
            back.join()

    return answer


def certificate(folder: Path, run: Callable[..., Any]) -> tuple[Path, Path]:
    """A self-signed certificate for this machine and for nobody.invalid, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    names = "subjectAltName=DNS:localhost,DNS:nobody.invalid"
    run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", names, "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )
    return cert, key
