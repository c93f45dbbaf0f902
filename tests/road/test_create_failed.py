"""What came of an attempt to create a job, where a job of the shard failed at the provider before."""

import dataclasses
import time
from collections.abc import Iterator

import pytest

from batch_router.core import BatchStatus
from batch_router.core.jobs import Failure, Job
from batch_router.providers import Client
from batch_router.road.context import Clients, Context, Running
from batch_router.road.steps.create import create
from batch_router.settings import Settings
from batch_router.state.items import Intent, Shard
from batch_router.state.table import State
from tests.fifth_provider.echo_provider import EchoClient, EchoProvider
from tests.items import LABEL

FULL = Failure(type="token_limit_exceeded", message="the queue is full", retryable=True)
BAD = Failure(type="invalid", message="not a batch")


class FailedProvider(EchoProvider):
    """Knows one job, and that has failed."""

    visibility = 0

    def __init__(self, error: Failure) -> None:
        super().__init__()
        self._error = error

    def connect(self, settings: Settings) -> Client:
        client = EchoClient()
        client.list = self._list  # type: ignore[method-assign]
        return client

    def _list(self, age: float) -> Iterator[Job]:
        yield Job(id="job-1", status=BatchStatus.FAILED, created_at=0, label=LABEL, error=self._error)


def resolve(context: Context, error: Failure, late: float) -> State:
    now = context.store.now()
    shard = Shard(
        id="b.0", batch="b", state=State.CREATING, version=2, provider="echo", label=LABEL, model="m", rows=1, size=1,
        first_row=0, requests="r", row_ids="i", upload="file",
        intent=Intent(at=now, late_until=now + late, closed_at=now - 1),
    )  # fmt: skip
    clients = Clients(context.settings, {"echo": FailedProvider(error)})
    known = dataclasses.replace(context, clients=clients)
    with known.keeper.hold("b.0", 2, "w", time.monotonic()) as lease:
        return create(Running.under(lease, known), shard).state


@pytest.mark.parametrize("error", [FULL, BAD])
@pytest.mark.parametrize(("late", "expected"), [(60, State.CREATING), (-1, State.UPLOADING)])
def test_a_job_that_failed_decides_nothing(context: Context, error: Failure, late: float, expected: State) -> None:
    """It may be an earlier attempt's: the request in question is waited for, and kept from arriving, in any case."""
    assert resolve(context, error, late) is expected
