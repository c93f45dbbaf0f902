"""The HTTP server: all providers below one address, in the foreground (`serve`) or in a thread (`Simulator`)."""

import asyncio
import signal
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
from aiohttp import web

from .account import Account
from .anthropic import Anthropic
from .bill import Charge
from .faults import BILL, Faults
from .google import Google
from .log import RequestLog
from .openai import OpenAI
from .received import ReceivedRow, received_rows
from .scenario import Scenario

_LOG = "requests.jsonl"
_RECEIVED = "received"


class _Site(NamedTuple):
    """A server that runs: its URL, how to change its scenario, and its bill."""

    url: str
    change: Callable[[Scenario], None]
    bill: Callable[[], list[Charge]]


def _open_accounts(scenario: Scenario, folder: Path) -> dict[str, Account]:
    received = folder / _RECEIVED
    return {
        "/openai/v1": OpenAI(scenario, folder / "openai", received / "openai"),
        "/anthropic": Anthropic(scenario, folder / "anthropic", received / "anthropic"),
        "/google": Google(scenario, folder / "google", received / "google"),
    }


@asynccontextmanager
async def _running(scenario: Scenario, folder: Path, host: str, port: int) -> AsyncIterator[_Site]:
    """The server, for as long as the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    accounts = _open_accounts(scenario, folder)
    faults = Faults(scenario, accounts, RequestLog(folder / _LOG))
    app = web.Application(middlewares=[faults.handle], client_max_size=1 << 30)
    for prefix, account in accounts.items():
        app.add_subapp(prefix, account.application())

    def change(changed: Scenario) -> None:
        faults.start(changed)
        for account in accounts.values():
            account.change(changed)

    def bill() -> list[Charge]:
        return [charge for account in accounts.values() for charge in account.charges()]

    async def show_bill(_: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(bill()), content_type="application/json")

    app.router.add_get(BILL, show_bill)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound: Any = runner.addresses[0]
        yield _Site(f"http://{host}:{bound[1]}", change, bill)
    finally:
        await runner.cleanup()
        for account in accounts.values():
            for kept in account.kept:
                kept.save()


def serve(
    port: int,
    scenario: Scenario,
    directory: Path | None,
    on_ready: Callable[[str], None],
    host: str = "127.0.0.1",
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        port: 0 takes any free one.
        scenario: how the providers behave.
        directory: where files and the log are kept; None: a temporary folder.
        on_ready: called with the URL when the server answers.
        host: the address to listen on; the default is reachable from this machine only.
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
                self.url, self._change, self._bill = site
                self._ready.set()
                await self._ended.wait()
        finally:
            self._ready.set()

    def change(self, scenario: Scenario) -> None:
        """Behave like this from here on; files and jobs stay, and running jobs follow the new scenario."""
        changed = threading.Event()
        self._loop.call_soon_threadsafe(self._change, scenario)
        self._loop.call_soon_threadsafe(changed.set)
        changed.wait()

    def requests(self) -> list[dict[str, Any]]:
        """The requests so far, from the log."""
        return RequestLog(self.folder / _LOG).read()

    def received(self) -> list[ReceivedRow]:
        """The rows of all jobs so far, byte for byte as they came in."""
        return list(received_rows(self.folder / _RECEIVED))

    def bill(self) -> list[Charge]:
        """The rows that the providers take money for until now; also at `/bill`."""
        return self._bill()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._temporary.cleanup()
