"""Between a model of a provider and our side: each call is a place where its worker may stop, and may go wrong.

Rows are `{"id", "say"}`, answers `{"id", "said"}` or `{"id", "error"}`. No two requests of a test say the same, so that
a service can tell what it was paid for.
"""

from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

import msgspec

from batch_router.core import ErrorType, FinishReason, ResultError, ResultStatus, UnifiedRequest
from batch_router.core import UnifiedResult as Result
from batch_router.exceptions import NotFoundError, ProviderUnavailableError, RateLimitedError, RequestRefusedError
from batch_router.providers import Access, Client, Limits, Provider, Rows
from batch_router.settings import Settings
from tests.road.fleet import Fleet

NAME = "model"
T = TypeVar("T")

#: A request arrives this long after it was sent at most: the time-out of a call, and half a minute on the way.
LATEST = 90.0


class Fault(StrEnum):
    """What becomes of a call."""

    REFUSED = "4xx"
    UNSENT = "no connection was made"
    FAILED = "5xx before anything was done"
    LIMITED = "429"
    LOST = "done, and the answer did not arrive"
    BROKEN = "done, and our client stumbled over the answer"
    LATE = "given up on, and done some time later"


class Trouble(NamedTuple):
    """Attributes: the `fault` of a call, and after how many `seconds` it is done late, or may be sent again."""

    fault: Fault
    seconds: float


class Wire:
    """The way to a service.

    Attributes:
        takes_files: whether rows are uploaded first; otherwise they go with the job.
        late: what is still on its way, and when it arrives.
        calls: how many there were.
    """

    def __init__(self, fleet: Fleet, *, takes_files: bool) -> None:
        self.fleet = fleet
        self.takes_files = takes_files
        self.late: list[tuple[float, str, Callable[[], object]]] = []
        self.calls = 0
        self._made = 0

    def arrive(self) -> None:
        """Do what was on its way until now; the answers get lost."""
        for entry in sorted(self.late, key=lambda entry: entry[0]):
            if entry[0] <= self.fleet.clock.now:
                self.late.remove(entry)
                with suppress(RequestRefusedError, NotFoundError):
                    entry[2]()

    def is_coming(self, label: str) -> bool:
        """Whether a request to create a job with the label is on its way."""
        return any(about == label for _, about, _ in self.late)

    def name(self, kind: str) -> str:
        """A new one."""
        self._made += 1
        return f"{kind}-{self._made:03d}"


class Caller:
    """Our end of the wire: a call goes wrong as its worker was told."""

    #: What is refused by no service of this kind, and whose answers our client can read.
    never_refused: tuple[str, ...] = ()

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.access = Access(NAME)

    def call(self, name: str, label: str, act: Callable[[], T], *, pausable: bool = True) -> T:
        """Make a call, about the job with that label if it creates one."""
        wire, fleet = self._wire, self._wire.fleet
        fleet.seam(pausable=pausable)
        wire.calls += 1
        fault, seconds = self._next_trouble(name)
        if fault is Fault.REFUSED:
            raise RequestRefusedError(NAME, 400, "no")
        if fault is Fault.LIMITED:
            raise RateLimitedError(NAME, 429, "later", retry_after=seconds)
        if fault in (Fault.UNSENT, Fault.FAILED):
            raise ProviderUnavailableError(NAME, 0, fault, ambiguous=fault is Fault.FAILED)
        if fault is Fault.LATE:
            wire.late.append((fleet.clock.now + seconds, label, act))
            raise ProviderUnavailableError(NAME, 0, fault, ambiguous=True)
        answer = act()
        fleet.seam()
        if fault is Fault.LOST:
            raise ProviderUnavailableError(NAME, 0, fault, ambiguous=True)
        if fault is Fault.BROKEN:
            raise RuntimeError(fault)
        return answer

    def close(self) -> None:
        """Nothing is open."""

    def _next_trouble(self, name: str) -> tuple[Fault | None, float]:
        worker = self._wire.fleet.current
        trouble = worker.troubles.popleft() if worker is not None and worker.troubles else None
        if trouble is None:
            return None, 0.0
        if name in self.never_refused and trouble.fault in (Fault.REFUSED, Fault.BROKEN):
            return Fault.FAILED, 0.0
        return trouble.fault, trouble.seconds


class ModelCodec:
    """See `Codec`."""

    def encode(self, request: UnifiedRequest, row_id: str) -> object:
        return {"id": row_id, "say": request.messages[-1].get_text()}

    def read_row_id(self, line: bytes) -> str | None:
        return str(msgspec.json.decode(line)["id"])

    def decode(self, line: bytes, custom_id: str) -> tuple[Result, bool]:
        row = msgspec.json.decode(line)
        facts: dict[str, Any] = {"custom_id": custom_id, "response": row}
        if "error" in row:
            error = ResultError(type=ErrorType.SERVER, message=row["error"], retryable=True)
            return Result(status=ResultStatus.ERRORED, error=error, **facts), False
        return Result(status=ResultStatus.SUCCEEDED, text=row["said"], finish_reason=FinishReason.STOP, **facts), False


class ModelProvider(Provider):
    """An API of the test's own."""

    name = NAME
    limits = Limits(rows=100, bytes=1_000_000)
    codec = ModelCodec()

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client

    def connect(self, settings: Settings) -> Client:
        return self._client


def read_rows(rows: Rows) -> dict[str, str]:
    """What each row says, by its id."""
    with rows.open() as stream:
        decoded = [msgspec.json.decode(line) for line in stream]
    return {row["id"]: row["say"] for row in decoded}
