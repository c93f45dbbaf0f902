"""The stand-in's `serve`: rows over HTTP. The scenario is read again for each row, so that it can change meanwhile."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from ..answers import answer_or_refusal, prompt_of, refusal_for
from ..scenario import Refusal, Scenario
from .answers import answer
from .engine import CRASH, is_crash, note_received

_ROWS = 100
_PATHS = (
    *("/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/embeddings"),
    *("/score", "/v1/score", "/rerank", "/v1/rerank", "/v2/rerank"),
)


def serve(read: Callable[[], Scenario], arguments: argparse.Namespace, engine: int) -> None:
    """Serve until a signal ends the process.

    Args:
        read: reads the scenario.
        arguments: those of the command line.
        engine: the process that dies with a row that crashes it.
    """
    server = _Server(read, arguments.served_model_name or arguments.model, engine)
    app = web.Application(client_max_size=1 << 28, middlewares=[server.check_key])
    app.add_routes(
        [
            web.get("/health", server.health),
            web.get("/v1/models", server.models),
            *(web.post(path, server.answer) for path in _PATHS),
        ]
    )
    # Like the real one, it closes connections that were idle for that long.
    idle = float(os.environ.get("VLLM_HTTP_TIMEOUT_KEEP_ALIVE", "5"))
    web.run_app(app, host=arguments.host, port=arguments.port, print=None, handle_signals=True, keepalive_timeout=idle)


class _Server:
    def __init__(self, read: Callable[[], Scenario], model: str, engine: int) -> None:
        self._read = read
        self._model = model
        self._engine = engine
        self._turn = asyncio.Lock()
        self._answered = 0

    async def health(self, request: web.Request) -> web.Response:  # noqa: ARG002
        return web.Response()

    @web.middleware
    async def check_key(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check the key like the real one, which takes its own from the environment."""
        own = os.environ.get("VLLM_API_KEY")
        keys = [f"Bearer {key}" for key in (*self._read().keys, *([own] if own else []))]
        if keys and request.path.startswith("/v1") and request.headers.get("Authorization") not in keys:
            return web.json_response({"error": "Unauthorized"}, status=401)
        return await handler(request)

    async def models(self, request: web.Request) -> web.Response:  # noqa: ARG002
        return web.json_response({"object": "list", "data": [{"id": self._model, "object": "model"}]})

    async def answer(self, request: web.Request) -> web.Response:
        body, scenario = await request.json(), self._read()
        note_received(scenario, await request.read())
        row_id = request.headers.get("x-request-id", "row")
        async with self._turn:
            await asyncio.sleep(scenario.latency.in_progress / _ROWS)
        if is_crash(scenario, self._answered, prompt_of(body)):
            self._die()
        self._answered += 1
        if body.get("model") not in (None, self._model):
            return _error(404, f"The model `{body['model']}` does not exist.")
        if body.get("messages") == []:
            return _error(400, "list index out of range")
        answered = refusal_for(scenario, prompt_of(body), row_id) or answer_or_refusal(
            lambda: answer(scenario, request.path, body, row_id, int(time.time()))
        )
        if isinstance(answered, Refusal):
            return _error(answered.status, answered.message)
        return web.json_response(answered)

    def _die(self) -> None:
        sys.stderr.write(f"{CRASH}\n")
        sys.stderr.flush()
        os.kill(self._engine, 9)
        os._exit(1)


def _error(status: int, message: str) -> web.Response:
    known: dict[str, Any] = {"message": message, "type": "BadRequestError", "param": None, "code": status}
    return web.json_response({"error": known}, status=status)
