"""Jobs that their service does not know: for a while, for ever, or under another account's key."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from batch_router.operations.orphans import find_orphans
from batch_router.operations.resolve import resolve
from batch_router.operations.resume import resume
from batch_router.operations.submit import submit
from batch_router.road.context import Clients, Context
from tests.road.odd_openai import Clock, OddOpenAI, carry_on, carry_through
from tests.security.hostile_server import Asked, HostileServer, reply

ROWS = [{"custom_id": f"q{number}", "prompt": f"Row {number}"} for number in range(3)]
ALL = ["Row 0", "Row 1", "Row 2"]
HOUR, DAY = 3600.0, 86_400.0
FOREVER = float("inf")

Begin = Callable[[OddOpenAI], tuple[Context, Clock]]


@pytest.fixture
def begin(make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """`begin(service)`: a context whose OpenAI it is, and the clock of its store."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with ExitStack() as servers:

        def make(service: OddOpenAI) -> tuple[Context, Clock]:
            server = servers.enter_context(HostileServer(service.answer))
            clock = Clock()
            return make_context(clock=clock, base_urls={"openai": f"{server.url}/v1"}), clock

        yield make


@pytest.mark.parametrize(("looks", "seconds"), [(1, 0), (20, HOUR)])
def test_a_job_that_is_away_for_a_while_is_paid_once(begin: Begin, looks: int, seconds: float) -> None:
    """One look that does not find it, or those of an hour: its answers are fetched, and it is the only one."""
    service = OddOpenAI(gone={"batch-0": looks})
    context, clock = begin(service)
    outcome = carry_through(context, clock, "openai", requests=ROWS, row_retries=5)
    assert (outcome.status.status, [result.text for result in outcome.results]) == ("completed", ALL)
    assert (len(service.jobs), service.cancelled) == (1, [])
    assert outcome.seconds > seconds


def test_a_job_that_is_gone_for_hours_and_not_listed_is_given_up(begin: Begin) -> None:
    """It is asked to end, nothing is bought again or deleted, and it is an orphan, should it turn up."""
    service = OddOpenAI(gone={"batch-0": FOREVER})
    service.unlisted = {"batch-0"}
    context, clock = begin(service)
    outcome = carry_through(context, clock, "openai", requests=ROWS, row_retries=5)
    errors = [result.error for result in outcome.results if result.error]
    assert (outcome.status.status, [error.type for error in errors]) == ("failed", ["job_failed"] * 3)
    assert "it is not among the jobs of the account" in errors[0].message
    assert (len(service.jobs), service.cancelled, service.deleted) == (1, ["batch-0"], [])
    assert 6 * HOUR < outcome.seconds < 7 * HOUR
    assert outcome.status.shards[0].left_behind is not None
    service.unlisted = set()
    assert [job.id for job in find_orphans(context, "openai", None, 10)] == ["batch-0"]
    service.gone = {"batch-0": 3}  # it is back, nearly
    batch = context.store.get_batch(outcome.status.batch_id)
    assert batch is not None
    resume(context, batch)
    again = carry_on(context, clock, batch.id)
    assert (again.status.status, [result.text for result in again.results]) == ("completed", ALL)
    assert len(service.jobs) == 1
    assert list(find_orphans(context, "openai", None, 10)) == []


def test_a_job_that_is_listed_is_never_taken_for_gone(begin: Begin) -> None:
    """Whatever the service says when it is asked for the job itself: in the end the shard is parked."""
    service = OddOpenAI(gone={"batch-0": FOREVER})
    context, clock = begin(service)
    outcome = carry_through(context, clock, "openai", requests=ROWS, row_retries=5)
    assert outcome.status.status == "parked"
    assert "though it is among the jobs of the account" in str(outcome.status.waiting_for)
    assert (len(service.jobs), service.cancelled, service.deleted) == (1, [], [])
    assert 3 * DAY < outcome.seconds < 4 * DAY


def test_a_job_that_is_fetched_is_no_orphan(begin: Begin) -> None:
    """Its shard has all its answers."""
    service = OddOpenAI()
    context, clock = begin(service)
    carry_through(context, clock, "openai", requests=ROWS)
    assert list(find_orphans(context, "openai", None, 10)) == []


class OfKey(OddOpenAI):
    """Knows its jobs and files under the key that made them, and answers for another account otherwise."""

    def answer(self, asked: Asked) -> bytes:
        if b"authorization: bearer k\r\n" in asked.head.lower():
            return super().answer(asked)
        if asked.path.partition("?")[0] == "/v1/batches":
            return reply(200, b'{"data": [], "has_more": false}', content_type="application/json")
        return reply(404, b'{"error":{"message":"No such batch"}}', content_type="application/json")


def test_a_job_under_the_key_of_another_account_is_parked(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not given up, not created again. With the old key in its place, the operator lets it go on."""
    service = OfKey(lambda job: job.done() if job.looks > 9 else {"status": "in_progress"})
    context, clock = begin(service)
    submit(context, "openai", {"requests": ROWS, "model": "m", "batch_id": "b"})
    carry_on(context, clock, "b", until=lambda: bool(service.jobs and service.jobs[0].looks > 2))
    monkeypatch.setenv("OPENAI_API_KEY", "of-another-account")
    elsewhere = dataclasses.replace(context, clients=Clients(context.settings))
    outcome = carry_on(elsewhere, clock, "b")
    assert outcome.status.status == "parked"
    assert "the workers' own key is not the one that the job was created with" in str(outcome.status.waiting_for)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    back = dataclasses.replace(context, clients=Clients(context.settings))
    resolve(back, "b.0", attach="batch-0")
    assert [result.text for result in carry_on(back, clock, "b").results] == ALL
    assert (len(service.jobs), service.cancelled) == (1, [])


class Gateway(OfKey):
    """Creates jobs, and does not hear so in time."""

    def answer(self, asked: Asked) -> bytes:
        done = super().answer(asked)
        is_create = asked.method == "POST" and asked.path == "/v1/batches"
        return reply(502, b"{}", content_type="application/json") if is_create else done


def test_a_job_that_is_looked_for_with_another_accounts_key_is_parked(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That account's jobs say nothing of it: no other one is created, and the upload stays."""
    service = Gateway()
    context, clock = begin(service)
    submit(context, "openai", {"requests": ROWS, "model": "m", "batch_id": "b"})
    carry_on(context, clock, "b", until=lambda: bool(service.jobs))
    monkeypatch.setenv("OPENAI_API_KEY", "of-another-account")
    elsewhere = dataclasses.replace(context, clients=Clients(context.settings))
    outcome = carry_on(elsewhere, clock, "b")
    assert outcome.status.status == "parked"
    assert "a job may have been created, and the workers' own key is not the one" in str(outcome.status.waiting_for)
    assert (len(service.jobs), service.deleted) == (1, [])
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    back = dataclasses.replace(context, clients=Clients(context.settings))
    resolve(back, "b.0", attach="batch-0")
    assert [result.text for result in carry_on(back, clock, "b").results] == ALL
    assert len(service.jobs) == 1


def test_a_new_key_of_the_same_account_changes_nothing(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are replaced now and then; the job is there under each of them."""
    service = OddOpenAI(lambda job: job.done() if job.looks > 9 else {"status": "in_progress"})
    context, clock = begin(service)
    submit(context, "openai", {"requests": ROWS, "model": "m", "batch_id": "b"})
    carry_on(context, clock, "b", until=lambda: bool(service.jobs and service.jobs[0].looks > 2))
    monkeypatch.setenv("OPENAI_API_KEY", "new")
    rotated = dataclasses.replace(context, clients=Clients(context.settings))
    assert [result.text for result in carry_on(rotated, clock, "b").results] == ALL
