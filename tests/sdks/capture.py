"""What the official SDKs send: a server that keeps each body and refuses it, so that no answer has to be invented."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import anthropic
import openai
from google import genai
from google.genai import errors, types


class Sent(NamedTuple):
    """A request of an SDK's: its path, and the very bytes of its body."""

    path: str
    body: bytes


@contextmanager
def capturing() -> Iterator[tuple[str, list[Sent]]]:
    """The URL of a server, and what was sent to it."""
    kept: list[Sent] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept.append(Sent(self.path.partition("?")[0], body))
            self.send_response(400)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Nothing: the tests show what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sent_by_openai(call: Callable[[openai.OpenAI], object]) -> Sent:
    """What a call of the SDK's puts on the wire."""
    with (
        capturing() as (url, kept),
        openai.OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0) as sdk,
        suppress(openai.APIStatusError),
    ):
        call(sdk)
    return kept[0]


def sent_by_anthropic(call: Callable[[anthropic.Anthropic], object]) -> Sent:
    """The same of Anthropic's."""
    with (
        capturing() as (url, kept),
        anthropic.Anthropic(api_key="k", base_url=url, max_retries=0) as sdk,
        suppress(anthropic.APIStatusError),
    ):
        call(sdk)
    return kept[0]


def sent_by_google(call: Callable[[genai.Client], object]) -> Sent:
    """The same of Google's."""
    with capturing() as (url, kept):
        sdk = genai.Client(api_key="k", vertexai=False, http_options=types.HttpOptions(base_url=url))
        with suppress(errors.APIError):
            call(sdk)
        sdk.close()
    return kept[0]
