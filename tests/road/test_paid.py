"""What is paid for is kept: no surprise, and no error of the storage, throws a job or its results away."""

import dataclasses
import errno
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from batch_router.client import BatchClient
from batch_router.core.jobs import JobSpec
from batch_router.operations.resolve import resolve
from batch_router.providers import Client, Rows
from batch_router.road.context import Clients, Context
from batch_router.settings import Settings
from batch_router.storage import FolderStorage
from tests.fifth_provider.echo_provider import EchoClient, EchoProvider
from tests.road.odd_openai import Clock, carry_on, carry_through

ROWS = [{"custom_id": f"q{number}", "prompt": f"Row {number}"} for number in range(3)]
ALL = ["Row 0", "Row 1", "Row 2"]
HOUR, DAY = 3600.0, 86_400.0


class OddClient(EchoClient):
    """A service some of whose calls raise what no client is known to raise, until it is mended."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def create(self, rows: Rows, spec: JobSpec) -> Any:
        self.made.append(spec.label)
        return super().create(rows, spec)


class OddProvider(EchoProvider):
    """Always the same client."""

    def __init__(self, client: EchoClient) -> None:
        super().__init__()
        self._client = client

    def connect(self, settings: Settings) -> Client:
        return self._client


def stumble(*_: object) -> Any:
    raise KeyError("hush")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client() -> OddClient:
    return OddClient()


@pytest.fixture
def context(make_context: Callable[..., Context], clock: Clock, client: OddClient) -> Context:
    """Echo is `client`."""
    made = make_context(clock=clock)
    return dataclasses.replace(made, clients=Clients(made.settings, {"echo": OddProvider(client)}))


@pytest.mark.parametrize("call", ["get", "download"])
def test_a_surprise_with_a_job_is_parked_after_days(
    context: Context, clock: Clock, client: OddClient, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then it is tried; the sentence says what to do, and when that is done, the answers come."""
    create = client.create
    client.create = lambda rows, spec: (create(rows, spec), monkeypatch.setattr(client, call, stumble))[0]  # type: ignore[method-assign]
    outcome = carry_through(context, clock, "echo", requests=ROWS, batch_id="b")
    assert outcome.status.status == "parked"
    assert 3 * DAY <= outcome.seconds < 4 * DAY  # the service says nothing of how long a job takes
    shard = outcome.status.shards[0]
    assert shard.error is not None
    assert shard.error.message.startswith("KeyError; see the log; once the cause is gone, `batch-router resolve b.0")
    monkeypatch.undo()
    resolve(context, "b.0", attach=shard.job_id)
    again = carry_on(context, clock, "b")
    assert [result.text for result in again.results] == ALL, (again.status, context.store.get_batch("b"))
    assert len(client.made) == 1


def test_a_clean_that_is_surprised_fails_nothing(
    context: Context, clock: Clock, client: OddClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is complete, soon, and the shard says what was left behind."""
    monkeypatch.setattr(client, "delete", stumble)
    outcome = carry_through(context, clock, "echo", requests=ROWS)
    assert (outcome.status.status, [result.text for result in outcome.results]) == ("completed", ALL)
    assert outcome.seconds < 300
    left = outcome.status.shards[0].left_behind
    assert left is not None
    assert (left.type, left.message) == ("internal_error", "KeyError; see the log")


class SickStorage(FolderStorage):
    """Fails in one way while a disk is away.

    Args:
        root: as of `FolderStorage`.
        fails: whether a call about an object fails.
    """

    def __init__(self, root: Path, fails: Callable[[str, str], bool]) -> None:
        super().__init__(root)
        self._fails = fails

    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        self._check("write", name)
        with super().write(name) as stream:
            yield stream

    def open(self, name: str) -> BinaryIO:
        self._check("open", name)
        return super().open(name)

    def size(self, name: str) -> int:
        self._check("size", name)
        return super().size(name)

    def _check(self, call: str, name: str) -> None:
        if self._fails(call, name):
            raise OSError(errno.ENOSPC if call == "write" else errno.ESTALE, "gone")


PLACES: dict[str, Callable[[str, str], bool]] = {
    "convert": lambda call, name: call == "write" and "requests" in name,
    "upload or create": lambda call, name: call == "size",
    "download": lambda call, name: call == "write" and "answers" in name,
    "download, while it counts": lambda call, name: call == "open" and "answers" in name,
    "normalize": lambda call, name: call == "write" and "results" in name,
    "finish": lambda call, name: call == "write" and "manifest" in name,
}


@pytest.mark.parametrize("place", PLACES)
def test_storage_that_fails_for_days_loses_nothing(
    context: Context, clock: Clock, client: OddClient, place: str
) -> None:
    """In each step: the batch waits, `status` says why, since when and until when; then it completes."""
    began = clock.now
    told: set[str] = set()

    def fails(call: str, name: str) -> bool:
        is_away = began <= clock.now < began + 1.5 * DAY and PLACES[place](call, name)
        if is_away and clock.now > began + DAY:
            told.add(str(BatchClient(context).status("b").waiting_for))
        return is_away

    sick = dataclasses.replace(context, storage=SickStorage(context.settings.home, fails))
    outcome = carry_through(sick, clock, "echo", requests=ROWS, batch_id="b")
    assert (outcome.status.status, [result.text for result in outcome.results]) == ("completed", ALL)
    assert 1.5 * DAY <= outcome.seconds < 1.5 * DAY + HOUR
    assert len(client.made) == 1
    assert told
    assert all("the system says: gone; since " in each and "; next try at " in each for each in told)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses to let files of this process grow beyond a size, as a full disk does; no root is needed."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_answers_that_the_system_does_not_let_be_written_are_fetched_later(
    context: Context, clock: Clock, client: OddClient
) -> None:
    """`status` says what to do, no half of an object is left, and when it was done, the batch completes."""
    rows = [{"custom_id": f"q{number}", "prompt": f"Row {number}{' ' * 100_000}"} for number in range(3)]
    batch_id = BatchClient(context).submit("echo", requests=rows, model="m")
    carry_on(context, clock, batch_id, until=lambda: bool(client.made))
    began = clock.now
    with files_of_at_most(50_000):
        carry_on(context, clock, batch_id, until=lambda: clock.now > began + HOUR)
        waiting = BatchClient(context).status(batch_id).waiting_for or ""
    assert "File too large: raise the limit of this user's files (`ulimit -f`); since " in waiting
    assert not list(context.settings.home.rglob(".*"))
    outcome = carry_on(context, clock, batch_id)
    assert (outcome.status.status, len(outcome.results), len(client.made)) == ("completed", 3, 1)
