"""What follows from a failure: the decision, as a table."""

import itertools
from typing import Any

import pytest

from batch_router.core import BatchStatus
from batch_router.core.jobs import Failure, Job
from batch_router.exceptions import (
    BatchRouterError,
    CorruptItemError,
    CredentialsError,
    FileOperationError,
    InvalidInputError,
    NotFoundError,
    ProtocolError,
    ProviderUnavailableError,
    RateLimitedError,
    RequestRefusedError,
    StoreUnavailableError,
    ValidationError,
)
from batch_router.road.policy import MAX_ATTEMPTS, MAX_SURPRISES, decide, describe
from batch_router.road.steps.poll import next_delay
from batch_router.state.items import Batch, InputFile, Intent, Shard
from batch_router.state.table import State, check_transition

S = State
RETRYABLE = [
    FileOperationError("disk full"),
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
STEPS = [state for state in State if state.step and state is not S.RUNNING]


def item(state: State, attempts: int = 0, **facts: Any) -> Batch | Shard:
    common: dict[str, Any] = {"state": state, "version": 2, "provider": "openai", "attempts": attempts, **facts}
    if state in (S.QUEUED, S.RUNNING, S.FINISHING):
        return Batch(id="b", input=InputFile(stored="in", size=1, hash="0"), submission="s", **common)
    names: dict[str, Any] = {"label": "t", "model": "m", "requests": "r", "row_ids": "i"}
    return Shard(id="b.0", batch="b", rows=1, size=1, first_row=0, **names, **common)


def kind(error: Exception) -> str:
    return type(error).__name__


@pytest.mark.parametrize("state", STEPS)
@pytest.mark.parametrize("error", RETRYABLE, ids=kind)
def test_what_may_pass_is_tried_again(state: State, error: Exception) -> None:
    """The item stays where it is, looked at later, up to the last attempt; then it gives up."""
    for attempts in (0, 1, MAX_ATTEMPTS - 2):
        decision = decide(item(state, attempts), error)
        assert (decision.state, decision.failure.retryable) == (state, True)
        assert decision.delay > 0
    decision = decide(item(state, MAX_ATTEMPTS - 1), error)
    assert decision == (state.given_up, 0, describe(error, retryable=False))


@pytest.mark.parametrize("state", STEPS)
@pytest.mark.parametrize("error", FINAL, ids=kind)
def test_what_will_not_pass_is_given_up(state: State, error: Exception) -> None:
    """The first failure is the last: the item goes on at once, and says why."""
    assert decide(item(state), error) == (state.given_up, 0, describe(error, retryable=False))


@pytest.mark.parametrize("state", STEPS)
def test_what_is_broken_in_another_item_is_waited_for(state: State) -> None:
    """It may be restored from a backup: no paid answer is given up because of it. An item's own ends the item."""
    error = CorruptItemError("b.7", "state is none")
    decision = decide(item(state, MAX_ATTEMPTS), error)
    assert (decision.state, decision.failure) == (state, describe(error, retryable=True))
    assert decision.delay > 0
    own = CorruptItemError(item(state).id, "state is none")
    assert decide(item(state), own).state is state.given_up


@pytest.mark.parametrize("state", STEPS)
@pytest.mark.parametrize("error", SURPRISES, ids=kind)
def test_a_surprise_is_tried_a_few_times(state: State, error: Exception) -> None:
    """An unforeseen error gets a few chances, not a day's worth."""
    assert decide(item(state, MAX_SURPRISES - 2), error).state is state
    assert decide(item(state, MAX_SURPRISES - 1), error) == (state.given_up, 0, describe(error, retryable=False))


@pytest.mark.parametrize("error", [*FINAL, *SURPRISES], ids=kind)
def test_a_job_that_may_exist_is_parked(error: Exception) -> None:
    """Where the intent to create was written, giving up is for the operator to decide."""
    intent = Intent(at=1, late_until=2)
    assert decide(item(S.CREATING, MAX_ATTEMPTS - 1, intent=intent), error).state is S.PARKED
    assert decide(item(S.CREATING, MAX_ATTEMPTS - 1), error).state is S.NORMALIZING
    assert decide(item(S.UPLOADING, MAX_ATTEMPTS - 1, intent=intent), error).state is S.NORMALIZING


def test_every_step_has_a_way_out() -> None:
    """Each state with a step says where it goes when that fails for good, and the state table agrees."""
    for state in STEPS:
        check_transition(state, state.given_up)


@pytest.mark.parametrize("state", [S.POLLING, S.DOWNLOADING])
def test_a_job_that_costs_money_is_not_left_alone(state: State) -> None:
    """Whatever is refused is tried again while there is a job; only that the job is gone ends it."""
    job = Job(id="j", status=BatchStatus.IN_PROGRESS, created_at=0)
    key, request = CredentialsError("openai", 401, "bad key"), RequestRefusedError("openai", 400, "<html>")
    for error in (key, request, ValidationError("a setting is wrong")):
        assert decide(item(state, job=job), error).state is state
        assert decide(item(state), error).state is S.NORMALIZING
    assert decide(item(state, job=job), NotFoundError("openai", 404, "gone")).state is S.NORMALIZING


def test_a_running_batch_is_left_to_its_shards() -> None:
    """Whatever goes wrong when its time-out is looked at, it is looked at again, and not in a hurry."""
    for error in FINAL + SURPRISES + RETRYABLE:
        decision = decide(item(S.RUNNING, MAX_ATTEMPTS - 1), error)
        assert (decision.state, decision.delay) == (S.RUNNING, 600)


def test_a_shard_that_fails_still_accounts_for_its_rows() -> None:
    """Only a failed `normalize` leaves a shard without a part; in `cleaning` it has one."""
    shards = [state for state in STEPS if state not in (S.QUEUED, S.FINISHING)]
    assert {state for state in shards if state.given_up.is_final} == {S.NORMALIZING, S.CLEANING}


@pytest.mark.parametrize(
    ("attempts", "least", "most"),
    [(0, 0.75, 1), (1, 1.5, 2), (2, 3, 4), (9, 384, 512), (10, 450, 600), (100, 450, 600), (148, 450, 600)],
)
def test_delays_double_up_to_ten_minutes(attempts: int, least: float, most: float) -> None:
    """Not all items of a fleet come back at the same moment, and none later than the cap."""
    delays = {decide(item(S.POLLING, attempts), RETRYABLE[3]).delay for _ in range(50)}
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
    delays = [decide(item(S.CREATING), error).delay for _ in range(50)]
    assert least <= min(delays) <= max(delays) <= most


def test_a_day_of_trouble_is_outlasted() -> None:
    """The attempts together last as long as the providers themselves try, even if they ask for no wait."""
    for error in (RETRYABLE[3], RateLimitedError("openai", 429, "slow down", retry_after=0)):
        waits = [decide(item(S.POLLING, attempts), error).delay for attempts in range(MAX_ATTEMPTS - 1)]
        assert 16 * 3600 < sum(waits) < 30 * 3600


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
