"""HTTP on loopback: connections and the threads that serve them, and how an answer is written."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary
from wsgiref.headers import Headers

from ..settings import SANDBOX, SOURCE_HEADER
from .answers import Answer, error

if TYPE_CHECKING:
    from .server import Sandbox

LOOPBACK = "127.0.0.1"
_LOOK_EVERY = 0.05  # seconds: how soon a closing listener is seen to close where nothing wakes it
_CHUNK = 65_536
_RESET_ON_CLOSE = struct.pack("ii" if os.name == "posix" else "hh", 1, 0)  # linger zero


class Listener(ThreadingTCPServer):
    """The listening socket of a sandbox, and its open connections by the thread that serves each."""

    request_queue_size = 256
    allow_reuse_address = os.name == "posix"  # elsewhere it would let two servers share the port

    def __init__(self, port: int, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.connections: WeakKeyDictionary[threading.Thread, socket.socket] = WeakKeyDictionary()
        super().__init__((LOOPBACK, port), _Handler)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(_LOOK_EVERY,), name="keyapi-sandbox", daemon=True
        )
        try:
            self._thread.start()
        except BaseException:
            self.server_close()
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, which `stop` can find."""
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
        open_now = dict(self.connections)
        for connection in open_now.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in open_now.keys() - {threading.current_thread()}:  # a hook may close the sandbox
            thread.join(timeout=5)


class _Handler(BaseHTTPRequestHandler):
    """One connection. Of the base class only the parsing of requests is used: it would send head and body apart."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def do_GET(self) -> None:
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # no endpoint has a body: it would be read as the next request
        self._send(self.server.sandbox.respond(self.command, self.path, self.headers.get("Authorization")))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the base class refuses (another method, a broken request line) as the service would."""
        del explain
        self.close_connection = True
        if code == HTTPStatus.NOT_IMPLEMENTED and self.command:
            self.do_GET()
        else:
            self._send(error(code, message))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Write no log."""

    def _send(self, answer: Answer) -> None:
        self.close_connection = self.close_connection or answer.close is not None
        if answer.close == "before":
            return
        body = b"" if self.command == "HEAD" else answer.body
        cut = answer.close == "mid_body"
        self.wfile.write(self._head(answer) + (body[: len(body) // 2] if cut else body))
        if cut:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        elif self.close_connection:
            self._drain()

    def _head(self, answer: Answer) -> bytes:
        headers = Headers([("Content-Type", "application/json; charset=utf-8"), (SOURCE_HEADER, SANDBOX)])
        headers["Content-Length"] = str(len(answer.body))
        if self.close_connection:
            headers["Connection"] = "close"
        for name, value in {**self.server.sandbox.extra_headers, **answer.headers}.items():
            headers[name] = value
        reason = self.responses.get(answer.status, ("Unknown", ""))[0]
        return f"HTTP/1.1 {answer.status} {reason}\r\n".encode() + bytes(headers)

    def _drain(self) -> None:
        """Read what a client still sends: closing before that would reset the connection, and lose the answer."""
        self.connection.shutdown(socket.SHUT_WR)
        while self.rfile.read(_CHUNK):
            pass
