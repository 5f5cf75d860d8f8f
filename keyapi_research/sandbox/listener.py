"""HTTP on loopback: connections and the threads that serve them, and how an answer is written."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any

from ..settings import SANDBOX, SOURCE_HEADER
from .answers import Answer, error

if TYPE_CHECKING:
    from .server import Sandbox

LOOPBACK = "127.0.0.1"
_LOOK_EVERY = 0.05  # seconds: how soon a closing listener is seen to close where nothing wakes it
_CHUNK = 65_536
_HEX = re.compile(rb"[0-9A-Fa-f]{1,15}")
_STATUSES = frozenset(HTTPStatus)
_RESET_ON_CLOSE = struct.pack("ii" if os.name == "posix" else "hh", 1, 0)  # linger zero


class Listener(ThreadingHTTPServer):
    """The listening socket of a sandbox, and its open connections by the thread that serves each."""

    request_queue_size = 256
    allow_reuse_address = os.name == "posix"  # elsewhere it would let two servers share the port
    allow_reuse_port = False  # for the same reason; some Pythons set it

    def __init__(self, port: int, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.connections: dict[threading.Thread, socket.socket] = {}
        super().__init__((LOOPBACK, port), _Handler)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(_LOOK_EVERY,), name="keyapi-sandbox", daemon=True
        )

    def server_bind(self) -> None:
        """Bind without looking up the machine's name, which can take seconds."""
        TCPServer.server_bind(self)

    def start(self) -> None:
        """Start accepting connections."""
        try:
            self._thread.start()
        except BaseException:
            self.server_close()
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, which `stop` can find."""
        self.connections = {thread: open_ for thread, open_ in self.connections.items() if thread.is_alive()}
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name="keyapi-sandbox-connection",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError:  # no more threads: this client sees a closed connection, others are served
            self.shutdown_request(request)
        else:
            self.connections[thread] = request

    def shutdown_request(self, request: Any) -> None:
        """Close a connection. An orderly end before it would hide the reset of ``mid_body``."""
        request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what went wrong, but not that a client has gone."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """Stop listening, close every connection, and wait for the threads. In a forked child: only let go."""
        if not self._thread.is_alive():
            self.server_close()
            return
        with contextlib.suppress(OSError):  # wakes the listener at once on Linux
            self.socket.shutdown(socket.SHUT_RDWR)
        self.shutdown()
        self._thread.join()
        self.server_close()
        for connection in self.connections.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.connections:
            if thread is not threading.current_thread():  # of a hook that closes the sandbox
                thread.join(timeout=5)


class _Handler(BaseHTTPRequestHandler):
    """One connection. Of the base class only the parsing of requests is used: it would send head and body apart."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def do_GET(self) -> None:
        self._drain()
        self._send(self.server.sandbox.respond(self.command, self.path, self.headers.get("Authorization")))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the base class refuses (another method, a broken request line) as the service would."""
        del explain
        self.close_connection = True
        if code == HTTPStatus.NOT_IMPLEMENTED and self.command:
            self.do_GET()
        else:
            answer = error(code, message)
            answer.headers.update(self.server.sandbox.extra_headers)
            self._send(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Write no log."""

    def _drain(self) -> None:
        """Read the body of a request, which no endpoint has: what is left of it would be read as the next request."""
        length = self.headers.get("Content-Length", "0").strip()
        if "Transfer-Encoding" not in self.headers and length.isascii() and length.isdigit():
            self._skip(int(length))
            return
        self.close_connection = True  # where it ends is not known for sure
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            self._skip_chunks()

    def _skip_chunks(self) -> None:
        """Read a body in chunks: unread, it would be answered with a reset that overtakes the answer."""
        size = -1
        while size:
            written = self.rfile.readline(_CHUNK).partition(b";")[0].strip()
            if not _HEX.fullmatch(written):
                return
            size = int(written, 16)
            self._skip(size + len(b"\r\n"))

    def _skip(self, left: int) -> None:
        while left > 0 and (chunk := self.rfile.read(min(left, _CHUNK))):
            left -= len(chunk)

    def _send(self, answer: Answer) -> None:
        self.close_connection = self.close_connection or answer.close is not None
        if answer.close == "before":
            return
        body = b"" if self.command == "HEAD" else answer.body
        if answer.close == "mid_body":
            self.wfile.write(self._head(answer) + body[: len(body) // 2])
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        else:
            self.wfile.write(self._head(answer) + body)

    def _head(self, answer: Answer) -> bytes:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            SOURCE_HEADER: SANDBOX,
            "Content-Length": str(len(answer.body)),
        }
        if self.close_connection:
            headers["Connection"] = "close"
        usual = {name.lower(): name for name in headers}
        headers |= {usual.get(name.lower(), name): value for name, value in answer.headers.items()}
        reason = HTTPStatus(answer.status).phrase if answer.status in _STATUSES else "Unknown"
        lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")
