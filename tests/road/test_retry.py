"""What follows from a failure: the decision, as a table."""

import errno
import itertools
from typing import Any

import pytest

from batch_router.core import BatchStatus
from batch_router.core.jobs import Failure, Job
from batch_router.exceptions import (
    AnswersTooLargeError,
    BatchRouterError,
    CorruptItemError,
    CredentialsError,
    DamagedObjectError,
    FileOperationError,
    InvalidInputError,
    NotFoundError,
    ProtocolError,
    ProviderUnavailableError,
    RateLimitedError,
    RequestRefusedError,
    StepCrashesError,
    StoreUnavailableError,
    ValidationError,
)
from batch_router.road.policy import DAY, MAX_SURPRISES, decide, describe
from batch_router.road.steps.poll import next_delay
from batch_router.state.items import AnyItem, Batch, InputFile, Intent, Notice, Shard
from batch_router.state.table import State, check_transition

S = State
NOW = 1_800_000_000.0
STORAGE = [FileOperationError("a: No space left on device"), OSError(errno.EIO, "Input/output error"), TimeoutError()]
RETRYABLE = [
    StoreUnavailableError("gone"),
    RateLimitedError("openai", 429, "slow down"),
    ProviderUnavailableError("openai", 503, "busy"),
    ProtocolError("openai", 200, "<html>"),
]
FINAL = [
    ValidationError("changed"),
    InvalidInputError(["in.jsonl, line 1: hush"], 1),
    CredentialsError("openai", 401, "bad key"),
    RequestRefusedError("openai", 400, "no"),
    NotFoundError("openai", 404, "gone"),
]
SURPRISES = [RuntimeError("hush"), KeyError("hush"), MemoryError()]
STEPS = [state for state in State if state is not S.RUNNING and not state.is_final]


def item(state: State, attempts: int = 0, **facts: Any) -> AnyItem:
    common: dict[str, Any] = {"state": state, "version": 2, "provider": "openai", "attempts": attempts, **facts}
    if state in (S.QUEUED, S.RUNNING, S.FINISHING):
        return Batch(id="b", input=InputFile(stored="in", size=1, hash="0"), submission="s", **common)
    if state is S.NOTIFYING:
        return Notice(id="b.n0", batch="b", callback=0, task="t", **common)
    names: dict[str, Any] = {"label": "t", "model": "m", "requests": "r", "row_ids": "i"}
    return Shard(id="b.0", batch="b", rows=1, size=1, first_row=0, **names, **common)


def paid(state: State) -> dict[str, Any]:
    """What a shard has whose job costs money, or may exist."""
    if state is S.CREATING:
        return {"intent": Intent(at=1, late_until=2)}
    is_of_shard = state not in (S.QUEUED, S.RUNNING, S.FINISHING, S.NOTIFYING)
    return {"job": Job(id="j", status=BatchStatus.IN_PROGRESS, created_at=1)} if is_of_shard else {}


def kind(error: Exception) -> str:
    return type(error).__name__


def failing(state: State, seconds: float, attempts: int = 3, **facts: Any) -> AnyItem:
    """An item whose step fails since so many seconds before `NOW`."""
    return item(state, attempts, held_since=NOW - seconds, **facts)


@pytest.mark.parametrize("state", STEPS)
@pytest.mark.parametrize("error", RETRYABLE, ids=kind)
def test_what_may_pass_is_tried_for_a_day(state: State, error: Exception) -> None:
    """The item stays where it is, looked at later; after a day it gives up. A wait of another kind does not count."""
    for each in (item(state), failing(state, DAY - 1), failing(state, 9 * DAY, attempts=0)):
        decision = decide(each, error, NOW)
        assert (decision.state, decision.failure.retryable) == (state, True)
        assert decision.delay > 0
    assert decide(failing(state, DAY), error, NOW) == (state.given_up, 0, describe(error, retryable=False))


@pytest.mark.parametrize("state", STEPS)
@pytest.mark.parametrize("error", STORAGE, ids=kind)
def test_storage_is_waited_for_without_an_end(state: State, error: Exception) -> None:
    """A full disk, or one that is not there, ends no batch: in every step, however long, with a job or without."""
    for each in (item(state), failing(state, 90 * DAY, 9999), failing(state, 90 * DAY, 9999, **paid(state))):
        decision = decide(each, error, NOW)
        assert (decision.state, decision.failure.type, decision.failure.retryable) == (state, "storage_error", True)
        assert 0 < decision.delay <= 600


@pytest.mark.parametrize("error", STORAGE, ids=kind)
def test_a_cancelled_batch_whose_rows_cannot_be_cut_ends_after_a_day(error: Exception) -> None:
    """Its rows may be gone for good, and nothing of it was sent; `resume` cuts it, should they come back."""
    for cancel, states in ((True, [State.QUEUED, State.FINISHING]), (False, [State.QUEUED] * 2)):
        cancelled = [failing(State.QUEUED, age, cancel=cancel) for age in (DAY - 1, DAY)]
        assert [decide(each, error, NOW).state for each in cancelled] == states


@pytest.mark.parametrize("state", STEPS)
@pytest.mark.parametrize("error", FINAL, ids=kind)
def test_what_will_not_pass_is_given_up(state: State, error: Exception) -> None:
    """The first failure is the last: the item goes on at once, and says why."""
    assert decide(item(state), error, NOW) == (state.given_up, 0, describe(error, retryable=False))


@pytest.mark.parametrize("state", STEPS)
def test_what_is_broken_in_another_item_is_waited_for(state: State) -> None:
    """It may be restored from a backup: no paid answer is given up because of it. An item's own ends the item."""
    error = CorruptItemError("b.7", "state is none")
    decision = decide(failing(state, 90 * DAY), error, NOW)
    assert (decision.state, decision.failure) == (state, describe(error, retryable=True))
    assert decision.delay > 0
    own = CorruptItemError(item(state).id, "state is none")
    assert decide(item(state), own, NOW).state is state.given_up


@pytest.mark.parametrize("state", STEPS)
@pytest.mark.parametrize("error", SURPRISES, ids=kind)
def test_a_surprise_is_tried_a_few_times(state: State, error: Exception) -> None:
    """An unforeseen error gets a few chances where nothing is paid for, not a day's worth."""
    assert decide(item(state, MAX_SURPRISES - 2), error, NOW).state is state
    assert decide(item(state, MAX_SURPRISES - 1), error, NOW) == (state.given_up, 0, describe(error, retryable=False))


ANY = [*FINAL, *SURPRISES, ProviderUnavailableError("openai", 503, "busy"), DamagedObjectError("3 bytes are there")]


@pytest.mark.parametrize("state", [S.CREATING, S.POLLING, S.DOWNLOADING, S.NORMALIZING])
@pytest.mark.parametrize("error", ANY, ids=kind)
def test_what_is_paid_for_is_tried_for_a_day_and_parked(state: State, error: Exception) -> None:
    """Whatever it is, with a job or an intent: nothing is thrown away, and the sentence says what to do."""
    shard = failing(state, DAY - 1, 9999, **paid(state))
    assert decide(shard, error, NOW).state is state
    parked = decide(failing(state, DAY, 9999, **paid(state)), error, NOW)
    assert (parked.state, parked.failure.retryable) == (S.PARKED, False)
    assert "`batch-router resolve b.0 --attach " in parked.failure.message


@pytest.mark.parametrize("state", [S.POLLING, S.DOWNLOADING, S.NORMALIZING])
@pytest.mark.parametrize(
    ("job", "days"),
    [
        ({"expires_at": NOW + DAY}, 2),  # a job may take longer than a day
        ({"created_at": NOW - 9 * DAY, "expires_at": NOW - 8 * DAY}, 1),
        ({}, 3),
        ({"created_at": 0}, 3),  # the provider does not say: the shard's own time counts
    ],
)
def test_a_job_has_its_time_and_a_day(state: State, job: dict[str, Any], days: int) -> None:
    """It is not parked before its answers are a day overdue, nor before a day of failures."""
    error = ProviderUnavailableError("openai", 503, "busy")
    facts: dict[str, Any] = {"id": "j", "status": BatchStatus.IN_PROGRESS, "created_at": NOW} | job
    shard = item(state, 9, held_since=NOW, created_at=NOW, job=Job(**facts))
    assert decide(shard, error, NOW + days * DAY - 1).state is state
    assert decide(shard, error, NOW + days * DAY).state is S.PARKED


@pytest.mark.parametrize("error", [AnswersTooLargeError("openai", 0, "too large"), StepCrashesError("20 times")])
def test_what_another_try_does_not_change_is_parked_at_once(error: Exception) -> None:
    """A setting or a machine is too small, and the answers are paid for."""
    assert decide(item(S.DOWNLOADING, **paid(S.DOWNLOADING)), error, NOW).state is S.PARKED


def test_an_intent_counts_only_where_a_job_is_created() -> None:
    """Before that no request was sent since."""
    error = RequestRefusedError("openai", 400, "no")
    assert decide(item(S.UPLOADING, **paid(S.CREATING)), error, NOW).state is S.NORMALIZING


def test_every_step_has_a_way_out() -> None:
    """Each state with a step says where it goes when that fails for good, and the state table agrees."""
    for state in STEPS:
        check_transition(state, state.given_up)


def test_a_running_batch_is_left_to_its_shards() -> None:
    """Whatever goes wrong when its time-out is looked at, it is looked at again, and not in a hurry."""
    for error in FINAL + SURPRISES + RETRYABLE:
        decision = decide(failing(S.RUNNING, DAY, 9999), error, NOW)
        assert (decision.state, decision.delay >= 450) == (S.RUNNING, True)


def test_a_shard_that_fails_still_accounts_for_its_rows() -> None:
    """Only a failed `normalize` leaves a shard without a part; a failed `clean` does not fail a shard."""
    assert [state for state in STEPS if state.given_up is S.FAILED] == [S.FINISHING, S.NORMALIZING, S.NOTIFYING]
    assert S.CLEANING.given_up is S.COMPLETED


@pytest.mark.parametrize(
    ("attempts", "least", "most"),
    [(0, 0.75, 1), (1, 1.5, 2), (2, 3, 4), (9, 384, 512), (10, 450, 600), (100, 450, 600), (148, 450, 600)],
)
def test_delays_double_up_to_ten_minutes(attempts: int, least: float, most: float) -> None:
    """Not all items of a fleet come back at the same moment, and none later than the cap."""
    delays = {decide(item(S.POLLING, attempts), RETRYABLE[2], NOW).delay for _ in range(50)}
    assert least <= min(delays) <= max(delays) <= most
    assert len(delays) > 1


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        (30, 30, 33),
        (3600, 3600, 3960),
        (1e9, 3600, 3960),  # absurd: bounded
        (0, 0.75, 1.1),  # no wait asked for is no licence to storm
        (0.001, 0.75, 1.1),
    ],
)
def test_what_the_provider_asks_for_is_kept(asked: float, least: float, most: float) -> None:
    """No call before the time that the provider named; a first try never comes sooner than it would have anyway."""
    error = RateLimitedError("openai", 429, "slow down", retry_after=asked)
    delays = [decide(item(S.CREATING), error, NOW).delay for _ in range(50)]
    assert least <= min(delays) <= max(delays) <= most


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FileOperationError("a: disk full"), Failure(type="storage_error", message="a: disk full", retryable=True)),
        (
            RateLimitedError("openai", 429, "slow down"),
            Failure(type="rate_limited", message="openai answered 429: slow down", retryable=True, status_code=429),
        ),
        (
            InvalidInputError(["in.jsonl, line 1: hush"], 3),
            Failure(type="invalid_input", message="3 rows were refused; nothing was sent"),
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "/hush"),
            Failure(type="storage_error", message="the system says: No such file", retryable=True),
        ),
        (
            RuntimeError("hush"),
            Failure(type="internal_error", message="RuntimeError; see the log", retryable=True),
        ),
    ],
)
def test_errors_are_described_without_rows(error: Exception, expected: Failure) -> None:
    """What goes to the store names the trouble, and quotes neither a row nor the words of a surprise."""
    assert describe(error, retryable=True) == expected


def test_every_error_has_a_type_of_its_own_kind() -> None:
    """The word that status shows is set by each class, and is one word."""
    classes = list(itertools.chain(BatchRouterError.__subclasses__(), ValidationError.__subclasses__()))
    assert all(cls.type.replace("_", "").isalpha() for cls in classes)
    assert [cls.__name__ for cls in classes if cls.type == "internal_error"] == []


# --- polling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("polls", "age", "delay"),
    [
        *[(number, 0, delay) for number, delay in enumerate((0.5, 1, 2, 4, 8, 15))],
        (6, 30, 15),
        (6, 600, 60),
        (9, 3000, 300),
        (9, 6000, 600),
        (9, 86_400, 600),
        (9, -5, 15),  # the provider's clock is ahead of ours
    ],
)
def test_polls_become_rarer(polls: int, age: float, delay: float) -> None:
    """Often while the job is young, then a tenth of its age, at most every ten minutes; jitter is a tenth."""
    assert next_delay(polls, age, 0) == pytest.approx(delay)
    assert next_delay(polls, age, 1) == pytest.approx(delay * 1.1)
    assert next_delay(polls, age, -1) == pytest.approx(delay * 0.9)
