"""A workspace at Anthropic: its key and its batches."""

import itertools
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from ..account import Account, ApiError
from ..answers import prompt_of
from ..bill import Tariff
from ..odd import Wire
from ..scenario import Fault, Scenario
from .batches import Batches
from .errors import api_error, error_body
from .results import tokens_of

_WIRE = Wire(
    id=("id",),
    prefix="msgbatch_",
    status=("processing_status",),
    ended=frozenset({"ended"}),
    counts=("request_counts",),
    succeeded="succeeded",
    failed="errored",
    times=(),
    time_suffix="_at",
    label=(),  # a Message Batch has none
    output=(("results_url",),),
    error=(),
    page="data",
    row_id="custom_id",
)


class Anthropic(Account):
    """One workspace's batches."""

    wire = _WIRE
    tariff = Tariff("anthropic", "custom_id", lambda row: prompt_of(row["params"]), tokens_of)

    def __init__(self, scenario: Scenario, folder: Path, received: Path) -> None:
        super().__init__(scenario, received)
        self._batches = Batches(self, folder)
        self.kept = (self._batches.jobs,)
        self._requests = itertools.count(1)

    def routes(self) -> list[web.RouteDef]:
        """The paths below `/anthropic`."""
        return self._batches.routes()

    def key_of(self, request: web.Request) -> str:
        """The key, or the bearer token in its place."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return request.headers.get("x-api-key") or (token if scheme == "Bearer" else "")

    def check(self, request: web.Request) -> None:
        """Raise `ApiError` if the key or the version is missing or wrong."""
        key = self.key_of(request)
        if not key:
            raise api_error(401, "x-api-key header is required")
        if self.scenario.keys and key not in self.scenario.keys:
            raise api_error(401, "invalid x-api-key")
        if "anthropic-version" not in request.headers:
            raise api_error(400, "anthropic-version: header is required")

    def fault_body(self, fault: Fault) -> dict[str, Any]:
        """The body of an error that the scenario asks for."""
        return error_body(fault.status, "The scenario says no.")

    async def respond(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle the request; every answer, errors included, carries the request's id."""
        request_id = f"req_{next(self._requests):024d}"
        try:
            self.check(request)
            answer = await handler(request)
        except ApiError as error:
            answer = error.answer(request_id=request_id)
        answer.headers["request-id"] = request_id
        return answer
