"""A project at Google: its key, its files, its batches."""

from pathlib import Path
from typing import Any

from aiohttp import web

from ..account import Account
from ..bill import Tariff
from ..files import FileStore
from ..odd import Wire
from ..scenario import Fault, Scenario
from .batches import Batches
from .errors import api_error, error_body
from .files import Files
from .outputs import tokens_of
from .prompts import prompt_of

_WIRE = Wire(
    id=("name",),
    prefix="batches/",
    status=("metadata", "state"),
    ended=frozenset(f"BATCH_STATE_{state}" for state in ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")),
    counts=("metadata", "batchStats"),
    succeeded="successfulRequestCount",
    failed="failedRequestCount",
    times=("metadata",),
    time_suffix="Time",
    label=("metadata", "displayName"),
    output=(("response", "responsesFile"), ("metadata", "output", "responsesFile")),
    error=(),
    page="operations",
    row_id="key",
    has_nulls=False,
)
_VERSIONS = ("v1", "v1beta")
_BAD_KEY = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "API_KEY_INVALID",
    "domain": "googleapis.com",
}


class Google(Account):
    """One project's files and batches."""

    wire = _WIRE
    tariff = Tariff("google", "key", lambda row: prompt_of(row["request"]), tokens_of, pays_whole_jobs=True)

    def __init__(self, scenario: Scenario, folder: Path, received: Path) -> None:
        super().__init__(scenario, received)
        store = FileStore(folder, self.now)
        self._files = Files(store, folder)
        self._batches = Batches(self, store, folder)
        self.kept = (store.files, self._files.uploaded, self._batches.jobs)

    def routes(self) -> list[web.RouteDef]:
        """The paths below `/google`, for both versions of the API."""
        rooms = (self._files, self._batches)
        return [route for version in _VERSIONS for room in rooms for route in room.routes(version)]

    def key_of(self, request: web.Request) -> str:
        """The key."""
        return request.headers.get("x-goog-api-key", "")

    def check(self, request: web.Request) -> None:
        """Raise `ApiError` if the key is missing or wrong; the URL of an upload needs none."""
        if "upload_id" in request.query:
            return
        key = self.key_of(request)
        if not key:
            raise api_error(403, "Method doesn't allow unregistered callers. Please use API Key.")
        if self.scenario.keys and key not in self.scenario.keys:
            raise api_error(400, "API key not valid. Please pass a valid API key.", _BAD_KEY)

    def fault_body(self, fault: Fault) -> dict[str, Any]:
        """The body of an error that the scenario asks for; the time to wait is one of its details."""
        retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{fault.retry_after}s"}
        return error_body(fault.status, "The scenario says no.", *([retry] if fault.retry_after else []))
