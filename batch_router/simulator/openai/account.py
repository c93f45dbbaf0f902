"""An account at OpenAI: its key, its files, its batches."""

from pathlib import Path
from typing import Any

from aiohttp import web

from ..account import Account
from ..answers import prompt_of
from ..bill import Tariff
from ..files import FileStore
from ..odd import Wire
from ..scenario import Fault, Scenario
from .batches import Batches
from .errors import api_error, error_body
from .files import Files
from .outputs import tokens_of

_WIRE = Wire(
    id=("id",),
    prefix="batch_",
    status=("status",),
    ended=frozenset({"completed", "failed", "expired", "cancelled"}),
    counts=("request_counts",),
    succeeded="completed",
    failed="failed",
    times=(),
    time_suffix="_at",
    label=("metadata",),
    output=(("output_file_id",),),
    error=(("error_file_id",),),
    page="data",
    row_id="custom_id",
)


class OpenAI(Account):
    """One account's files and batches."""

    wire = _WIRE
    tariff = Tariff("openai", "custom_id", lambda row: prompt_of(row["body"]), tokens_of)

    def __init__(self, scenario: Scenario, folder: Path, received: Path) -> None:
        super().__init__(scenario, received)
        store = FileStore(folder, self.now)
        self._files = Files(store)
        self._batches = Batches(self, store, folder)
        self.kept = (store.files, self._batches.jobs)

    def routes(self) -> list[web.RouteDef]:
        """The paths below `/openai/v1`."""
        return [*self._files.routes(), *self._batches.routes()]

    def key_of(self, request: web.Request) -> str:
        """The bearer key."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        return key if scheme == "Bearer" else ""

    def check(self, request: web.Request) -> None:
        """Raise `ApiError` if the bearer key is missing or wrong."""
        key = self.key_of(request)
        if not key:
            raise api_error(401, "You didn't provide an API key.")
        if self.scenario.keys and key not in self.scenario.keys:
            shown = f"{key[:3]}***{key[-2:]}"
            raise api_error(401, f"Incorrect API key provided: {shown}.", code="invalid_api_key")

    def fault_body(self, fault: Fault) -> dict[str, Any]:
        """The body of an error that the scenario asks for."""
        kind = "server_error" if fault.status >= 500 else "invalid_request_error"
        return error_body(kind, "The scenario says no.")
