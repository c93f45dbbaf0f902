"""The HTTP server around the providers: faults on the way, a log of what happened, start and stop."""

import asyncio
import itertools
import json
import re
import signal
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from aiohttp import web

from .anthropic import Anthropic
from .anthropic import error_body as anthropic_error
from .google import Google
from .google import fault_body as google_fault
from .openai import MADE, OpenAI
from .scenario import Fault, Scenario

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_PREFIXES = ("/openai/v1", "/anthropic", "/google")


class _Front:
    """What every request passes through."""

    def __init__(self, scenario: Scenario, log: Path) -> None:
        self.turn(scenario)
        self._log = log
        self._ids = itertools.count(1)

    def turn(self, scenario: Scenario) -> None:
        """Another day: its faults are counted from its beginning."""
        self._faults = scenario.faults
        self._matched = [0] * len(scenario.faults)

    @web.middleware
    async def pass_through(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Let a fault have its way, and note what came of the request: no key, no prompt."""
        request_id = f"req_{next(self._ids):08d}"
        fault = self._next_fault(request)
        answer = await self._with_fault(request, handler, fault)
        note = {"at": time.time(), "method": request.method, "path": request.path, "status": answer.status}
        note |= {"fault": fault.do} if fault else {}
        with self._log.open("a") as log:
            log.write(json.dumps(note | request.get(MADE, {})) + "\n")
        if not answer.prepared:
            answer.headers["x-request-id"] = request_id
        return answer

    def _next_fault(self, request: web.Request) -> Fault | None:
        path = next((request.path.removeprefix(p) for p in _PREFIXES if request.path.startswith(p)), request.path)
        for number, fault in enumerate(self._faults):
            method, _, pattern = fault.match.partition(" ")
            if method != request.method or not re.fullmatch(pattern, path):
                continue
            self._matched[number] += 1
            if fault.after < self._matched[number] <= fault.after + fault.times:
                return fault
        return None

    async def _with_fault(self, request: web.Request, handler: _Handler, fault: Fault | None) -> web.StreamResponse:
        if fault is None:
            return await handler(request)
        match fault.do:
            case "status":
                headers = {"retry-after": fault.retry_after} if fault.retry_after else {}
                return web.json_response(_error_body(request, fault), status=fault.status, headers=headers)
            case "html":
                return web.Response(text="<html><body>Bad gateway</body></html>", content_type="text/html")
            case "delay":
                await asyncio.sleep(fault.seconds)
                return await handler(request)
            case "reset_before":
                _cut(request)
                return web.Response(status=499)
            case "reset_after":
                await handler(request)
                _cut(request)
                return web.Response(status=499)
            case "truncate":
                return await _truncate(request, await handler(request), fault.bytes)
            case "drip":
                return await _drip(request, await handler(request), fault)


def _error_body(request: web.Request, fault: Fault) -> dict[str, Any]:
    """An error in the words of the provider that was asked."""
    message = "The scenario says no."
    if request.path.startswith("/anthropic"):
        return anthropic_error(fault.status, message)
    if request.path.startswith("/google"):
        return {"error": google_fault(fault.status, fault.retry_after)}
    return {"error": {"message": message, "type": "server_error", "param": None, "code": None}}


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _truncate(request: web.Request, answer: web.StreamResponse, length: int) -> web.StreamResponse:
    """Announce the whole answer, send its beginning, and cut the connection."""
    content = await _content(answer)
    short = web.StreamResponse(status=200, headers={"content-length": str(len(content))})
    await short.prepare(request)
    await short.write(content[:length])
    _cut(request)
    return short


class _Site(NamedTuple):
    """A server that runs: where it is, and how its scenario is changed."""

    url: str
    turn: Callable[[Scenario], None]


async def _drip(request: web.Request, answer: web.StreamResponse, fault: Fault) -> web.StreamResponse:
    """The whole answer, slowly."""
    content = await _content(answer)
    slow = web.StreamResponse(status=answer.status, headers={"content-length": str(len(content))})
    slow.content_type = answer.content_type
    await slow.prepare(request)
    for start in range(0, len(content), fault.bytes):
        await asyncio.sleep(fault.seconds)
        await slow.write(content[start : start + fault.bytes])
    return slow


async def _content(answer: web.StreamResponse) -> bytes:
    if isinstance(answer, web.FileResponse):
        return await asyncio.to_thread(answer._path.read_bytes)
    body = getattr(answer, "body", b"")
    return body if isinstance(body, bytes) else b""


@asynccontextmanager
async def _running(scenario: Scenario, folder: Path, host: str, port: int) -> AsyncIterator[_Site]:
    """The server, for as long as the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    front = _Front(scenario, folder / "requests.jsonl")
    openai = OpenAI(scenario, folder / "openai")
    anthropic = Anthropic(scenario, folder / "anthropic")
    google = Google(scenario, folder / "google")
    app = web.Application(middlewares=[front.pass_through], client_max_size=1 << 30)
    app.add_subapp("/openai/v1", openai.application())
    app.add_subapp("/anthropic", anthropic.application())
    app.add_subapp("/google", google.application())

    def turn(changed: Scenario) -> None:
        front.turn(changed)
        for account in (openai, anthropic, google):
            account.scenario = changed

    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound: Any = runner.addresses[0]
        yield _Site(f"http://{host}:{bound[1]}", turn)
    finally:
        await runner.cleanup()


def serve(
    port: int,
    scenario: Scenario,
    directory: Path | None,
    on_ready: Callable[[str], None],
    host: str = "127.0.0.1",
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        port: 0: any free one.
        scenario: how the providers behave.
        directory: where files and the log are kept; None: a temporary one.
        on_ready: is given the URL once it can be called.
        host: this machine only, unless you know better.
    """

    async def run(folder: Path) -> None:
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        async with _running(scenario, folder, host, port) as site:
            on_ready(site.url)
            await ended.wait()

    with tempfile.TemporaryDirectory(prefix="simulator-") as temporary:
        asyncio.run(run(directory or Path(temporary)))


class Simulator:
    """The server in a thread: `with Simulator(scenario) as simulator: simulator.url`."""

    def __init__(self, scenario: Scenario | None = None, directory: Path | None = None) -> None:
        self._scenario = scenario or Scenario()
        self._directory = directory
        self._temporary = tempfile.TemporaryDirectory(prefix="simulator-")
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="simulator", daemon=True)
        self.folder = directory or Path(self._temporary.name)
        self.url = ""

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        try:
            async with _running(self._scenario, self.folder, "127.0.0.1", 0) as site:
                self.url, self._turn = site
                self._ready.set()
                await self._ended.wait()
        finally:
            self._ready.set()

    def turn(self, scenario: Scenario) -> None:
        """From here on a day like this; files and jobs stay, and jobs that run take its course."""
        self._loop.call_soon_threadsafe(self._turn, scenario)
        done = threading.Event()
        self._loop.call_soon_threadsafe(done.set)
        done.wait()

    def requests(self) -> list[dict[str, Any]]:
        """What came in, from the log."""
        log = self.folder / "requests.jsonl"
        return [json.loads(line) for line in log.read_bytes().split(b"\n") if line] if log.exists() else []

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._temporary.cleanup()
