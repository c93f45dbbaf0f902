"""A receiver of webhooks, as a user has one: what came is verified and read by the OpenAI SDK."""

import base64
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event as Signal
from threading import Thread
from typing import Any

import openai

OLD, NEW = (f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in (1, 2))
#: The path of its URL, which nothing may show.
HOOK = "secret-path"


class Receiver:
    """A real HTTP server: it answers with the statuses in their order, the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = [(204, {})]
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.goes_on = Signal()
        self.goes_on.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
                outer.goes_on.wait(20)
                status, headers = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/{HOOK}"
        Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def messages(self, secret: str = NEW) -> list[tuple[str, Any]]:
        """The ids and the events of what came so far, as the OpenAI SDK verifies and reads it."""
        unwrap = openai.OpenAI(api_key="none").webhooks.unwrap
        return [(_id_of(headers), unwrap(body, headers, secret=secret)) for headers, body in [*self.got]]

    def events(self, secret: str = NEW) -> list[Any]:
        return [event for _, event in self.messages(secret)]

    @property
    def ids(self) -> list[str]:
        return [name for name, _ in self.messages()]

    def close(self) -> None:
        self.goes_on.set()
        self.server.shutdown()
        self.server.server_close()


def _id_of(headers: dict[str, str]) -> str:
    return {name.lower(): value for name, value in headers.items()}["webhook-id"]
