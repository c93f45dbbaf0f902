"""The task that apps call, and its result: mistakes and ends read the same as those of `BatchClient`."""

from collections.abc import Callable
from typing import Any

import pytest

from batch_router import BatchClient, BatchExpiredError, BatchFailedError, BatchRouterError, ValidationError
from batch_router.core import Failure
from batch_router.road.context import Context
from batch_router.state.base import Commit
from batch_router.state.facts import BatchFacts
from batch_router.state.table import State
from batch_router.worker import SubmittedBatch, app, results, submission, submit_batch

ROWS = [{"custom_id": "a", "prompt": "b"}]


@pytest.fixture(autouse=True)
def _context(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tasks work with the test's context."""
    for module in (submission, results):
        monkeypatch.setattr(module, "context", lambda: context)
    monkeypatch.setattr(submission, "publish", lambda _hint: None)


CALLS: dict[str, Callable[..., Any]] = {
    "delay": submit_batch.delay,
    "apply_async": lambda **options: submit_batch.apply_async(kwargs=options),
    "a signature": lambda **options: submit_batch.s(**options).apply_async(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"provder": "openai"}, r"^unknown option 'provder'; did you mean 'provider'"),
        ({"provider": "openai", "request": ROWS}, r"^unknown option 'request'; did you mean 'requests'"),
        ({"provider": "openai", "context": 1}, r"^unknown option 'context'"),
        ({"provider": "openai", "message_follows": True}, r"^unknown option 'message_follows'"),
    ],
)
def test_a_wrong_name_is_explained(call: Callable[..., Any], given: dict[str, Any], said: str) -> None:
    """However the task is called: the names of our own functions' parameters are no options either."""
    with pytest.raises(ValidationError, match=said):
        call(**given)


@pytest.mark.parametrize("name", ["context", "message_follows"])
def test_the_client_takes_no_other_options(context: Context, name: str) -> None:
    """What only our own functions take is as unknown as any other name."""
    options: Any = {"requests": ROWS, "model": "m", name: True}
    with pytest.raises(ValidationError, match=f"^unknown option '{name}'"):
        BatchClient(context).submit("openai", **options)


@pytest.mark.parametrize(("kind", "state"), [(BatchFailedError, State.FAILED), (BatchExpiredError, State.CANCELLED)])
def test_both_ways_of_waiting_end_in_the_same_error(
    context: Context, kind: type[BatchRouterError], state: State
) -> None:
    """`submit_batch.delay(...).get()` raises what `BatchClient.wait` raises."""
    client = BatchClient(context)
    batch_id = client.submit("openai", requests=ROWS, model="m", timeout=5)
    claimed = context.store.claim(batch_id, 1, lease=9, holder="w")
    assert claimed is not None
    failure = Failure(type="expired" if kind is BatchExpiredError else "no_answer", message="words")
    context.store.commit(batch_id, claimed.version, Commit(state, None, BatchFacts(failure=failure)), holder="w")
    with pytest.raises(kind) as waited:
        client.wait(batch_id)
    with pytest.raises(kind) as got:
        SubmittedBatch(batch_id, app=app).get(timeout=5)
    assert vars(got.value) == vars(waited.value)
    assert str(got.value) == str(waited.value)
