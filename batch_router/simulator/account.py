"""What the simulated providers have in common: routes behind a key, and errors in the provider's own format."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import web
from aiohttp.typedefs import Handler

from .odd import OddReplies, Wire
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
        scenario: how the provider behaves.
        received: the rows of its jobs.
    """

    wire: ClassVar[Wire]
    scenario: Scenario

    def __init__(self, scenario: Scenario, received: Path) -> None:
        self.received = Received(received)
        self._odd = OddReplies(self.wire, lambda status: self.fault_body(Fault(match=".*", do="status", status=status)))
        self.change(scenario)
        self._locks: dict[str, asyncio.Lock] = {}

    def change(self, scenario: Scenario) -> None:
        """Behave like this from here on."""
        self.scenario = scenario
        self._odd.start(scenario.odd)

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """The paths below the provider's prefix."""

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
        return await self._odd.turn(request, await self.respond(request, handler))

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
