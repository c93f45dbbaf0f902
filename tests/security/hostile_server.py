"""A server of HTTP that answers as a test wants, byte by byte, and remembers what it was sent."""

import socketserver
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple, Self


class Asked(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    head: bytes
    body: bytes


Answer = Callable[[Asked], bytes | Iterable[bytes]]


def reply(status: int = 200, body: bytes = b"{}", **headers: str) -> bytes:
    """An answer with these headers: `content_type="..."`."""
    given = {"content-length": str(len(body))} | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class HostileServer:
    """Answers each request with bytes, as many as an iterator has and for as long as the client takes them.

    Args:
        answer: what to say to a request.
        tls: the context to serve `https` with.
    """

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        asked = self.asked

        class Handler(socketserver.StreamRequestHandler):
            def setup(self) -> None:
                if tls is not None:
                    self.request = tls.wrap_socket(self.request, server_side=True)
                super().setup()

            def finish(self) -> None:
                super().finish()
                self.request.close()  # the server closes the connection below TLS only

            def handle(self) -> None:
                while (request := self._read()) is not None:
                    asked.append(request)
                    said = answer(request)
                    for piece in [said] if isinstance(said, bytes) else said:
                        self.request.sendall(piece)

            def _read(self) -> Asked | None:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    if not (line := self.rfile.readline()):
                        return None
                    head += line
                method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
                names = (line.lower().partition(b":")[::2] for line in head.split(b"\r\n"))
                length = next((int(value) for name, value in names if name == b"content-length"), 0)
                return Asked(method, path, head, self.rfile.read(length) if length else self._chunks(head))

            def _chunks(self, head: bytes) -> bytes:
                if b"transfer-encoding: chunked" not in head.lower():
                    return b""
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: object) -> None:
                """A client that goes away is the end of a test."""

        self._server = Server(("127.0.0.1", 0), Handler)
        scheme = "http" if tls is None else "https"
        self.port = self._server.server_address[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._server.shutdown()
        self._server.server_close()
