"""What the simulated providers have in common: routes behind a key, and errors in the provider's own format."""

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import web
from aiohttp.typedefs import Handler

from .bill import Bill, Charge, Tariff
from .keys import KEY, Mine
from .numbers import next_number
from .odd import OddReplies, Wire
from .progress import Timed
from .received import Received
from .scenario import Fault, Scenario

#: Bodies are streamed to disk in pieces of this size.
CHUNK = 1 << 18


class ApiError(Exception):
    """An error, as the API answers it."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = headers or {}

    def answer(self, **more: Any) -> web.Response:
        """The error as an HTTP answer, with more fields in its body."""
        return web.json_response(self.body | more, status=self.status, headers=self.headers)


class Account(ABC):
    """One customer's account at a provider.

    Attributes:
        wire: its wire format.
        tariff: what it takes money for.
        scenario: how the provider behaves.
        kept: what the next simulator of the same folder knows, too.
        job_numbers: for ids; none is given again by a later simulator of the same folder.
    """

    wire: ClassVar[Wire]
    tariff: ClassVar[Tariff]
    kept: tuple[Mine[Any], ...]

    def __init__(self, scenario: Scenario, received: Path) -> None:
        self.scenario = scenario
        self._received = Received(received)
        self.job_numbers = itertools.count(next_number(received))
        self._bill = Bill(self.tariff)
        self._odd = OddReplies(self.wire, lambda status: self.fault_body(Fault(match=".*", do="status", status=status)))
        self._odd.start(scenario.odd)
        self._locks: dict[str, asyncio.Lock] = {}

    def change(self, scenario: Scenario) -> None:
        """Behave like this from here on."""
        self._bill.settle(self.scenario)
        self.scenario = scenario
        self._odd.start(scenario.odd)

    def now(self) -> float:
        """The time by the provider's clock."""
        return self.scenario.now()

    def take(self, job: Timed, job_id: str, label: str, rows: Path) -> Path:
        """Bill a job that was created, and keep its rows; returns the file of these, which no client can delete."""
        kept = self._received.keep(job_id, rows)
        self._bill.open(job, job_id, label, kept)
        return kept

    def charges(self) -> list[Charge]:
        """The rows that are paid until now, in the order of their jobs."""
        return list(self._bill.charges(self.scenario))

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """The paths below the provider's prefix."""

    @abstractmethod
    def key_of(self, request: web.Request) -> str:
        """The key that the request carries; empty if it has none."""

    @abstractmethod
    def check(self, request: web.Request) -> None:
        """Raise `ApiError` if the key or a header is missing or wrong."""

    @abstractmethod
    def fault_body(self, fault: Fault) -> dict[str, Any]:
        """The body of an error that the scenario asks for."""

    def application(self) -> web.Application:
        """The routes as an application."""
        app = web.Application(middlewares=[self._answer], client_max_size=1 << 30)
        app.add_routes(self.routes())
        return app

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        KEY.set(self.key_of(request) if self.scenario.accounts_by_key else "")
        return await self._odd.turn(request, lambda: self.respond(request, handler))

    async def respond(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check the request, then handle it; an `ApiError` becomes its answer."""
        try:
            self.check(request)
            return await handler(request)
        except ApiError as error:
            return error.answer()

    async def make_once(self, name: str, make: Callable[[], None]) -> None:
        """Run `make` in a thread, never twice at a time for the same name."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            await asyncio.to_thread(make)
