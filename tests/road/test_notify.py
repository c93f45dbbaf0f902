"""What a user's app is sent at the end of his batch: at least once, with one task id, and results stay as they are."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from batch_router import BatchClient
from batch_router.core import Failure
from batch_router.exceptions import BrokerUnavailableError, StoreUnavailableError
from batch_router.operations.submit import submit
from batch_router.road.advance import advance
from batch_router.road.callbacks import CallbackMessage
from batch_router.road.context import Context
from batch_router.state.base import Commit
from batch_router.state.items import Notice
from batch_router.state.table import State
from tests.items import get_batch

DAY = 86_400
ROWS = [{"custom_id": "a", "prompt": "b"}]
SECRET = "an argument of the user's"


def message(task: str, *, on_error: bool = False) -> CallbackMessage:
    return CallbackMessage(
        broker=None,
        task=task,
        on_error=on_error,
        takes=True,
        body=([SECRET], {}, {}),
        headers={"task": task, "id": f"id of {task}"},
        properties={"routing_key": "celery"},
    )


class App:
    """The user's app: what reaches it, and whether its broker is there."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Any]] = []
        self.is_away = False

    def deliver(self, sent: CallbackMessage, first: object) -> None:
        if self.is_away:
            raise BrokerUnavailableError("away")
        self.got.append((sent.headers["id"], first))


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def now() -> list[float]:
    return [1_800_000_000.0]


@pytest.fixture
def context(make_context: Callable[..., Context], app: App, now: list[float]) -> Context:
    return replace(make_context(clock=lambda: now[0]), deliver=app.deliver)


def ended(context: Context, failure: Failure | None = None) -> str:
    """A batch with a link and an errback that has ended."""
    messages = [message("link"), message("errback", on_error=True)]
    submit(context, "openai", {"requests": ROWS, "model": "m", "batch_id": "b"}, callbacks=lambda _: messages)
    context.store.claim("b", 1, lease=9, holder="w")
    context.store.commit("b", 2, Commit(State.FINISHING, 0, {"rows": 0, "failure": failure}), holder="w")
    advance(context, "b", 3)
    assert get_batch(context.store).state.is_final
    return "b"


def notice_of(context: Context) -> Notice:
    (found,) = context.store.get_notices(get_batch(context.store))
    return found


def work(context: Context) -> Notice:
    """Take the one notice a step on."""
    found = notice_of(context)
    advance(context, found.id, found.version)
    return notice_of(context)


def test_success_sends_the_manifest(context: Context, app: App) -> None:
    """The link gets the manifest as plain data, the errback nothing; `status` says when."""
    client = BatchClient(context)
    batch_id = ended(context)
    assert work(context).state is State.COMPLETED
    assert app.got == [("id of link", client.manifest(batch_id).to_dict())]
    (shown,) = client.status(batch_id).notices
    assert (shown.task, shown.state, shown.sent_at is not None) == ("link", "completed", True)


def test_any_other_end_sends_the_id(context: Context, app: App) -> None:
    """An errback gets what Celery sends to one: the id of the task that did not succeed."""
    assert ended(context, Failure(type="invalid_input", message="bad rows")) == "b"
    work(context)
    assert app.got == [("id of errback", "b")]


def test_a_killed_worker_sends_again_with_the_same_id(
    context: Context, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after it sent and before it committed: another worker sends the same task."""
    ended(context)
    found = notice_of(context)
    with monkeypatch.context() as dying:
        dying.setattr(context.store, "commit", _killed)
        with pytest.raises(StoreUnavailableError):
            advance(context, found.id, found.version)
    assert work(context).state is State.COMPLETED
    assert [task_id for task_id, _ in app.got] == ["id of link", "id of link"]


def _killed(*_: Any, **__: Any) -> None:
    raise StoreUnavailableError("killed")


def test_a_broker_that_is_away_is_waited_for_a_day(context: Context, app: App, now: list[float]) -> None:
    """The pauses grow, the batch and its results stay as they are, and then `status` says what went wrong."""
    client, batch_id = BatchClient(context), ended(context)
    before, app.is_away, pauses = client.manifest(batch_id), True, []
    while (found := work(context)).state is State.NOTIFYING:
        assert found.retry_at is not None
        pauses.append(found.retry_at - now[0])
        now[0] = found.retry_at
    assert pauses[0] < 2
    assert 300 < max(pauses) <= 600
    assert DAY - 600 <= sum(pauses) <= DAY + 600
    status = client.status(batch_id)
    assert (status.status, status.error, client.manifest(batch_id)) == ("completed", None, before)
    (shown,) = status.notices
    assert shown.error is not None
    assert (shown.state, shown.error.type) == ("failed", "broker_unavailable")


def test_arguments_lie_in_storage_alone(context: Context, caplog: pytest.LogCaptureFixture) -> None:
    """The state and the log have the names of tasks, and nothing of what the user gives them."""
    ended(context)
    work(context)
    batch = get_batch(context.store)
    assert SECRET not in f"{batch}{context.store.get_notices(batch)}{caplog.text}"


def test_a_store_that_forgot_the_end_makes_the_notices_again(context: Context, app: App) -> None:
    """A batch that is restored as it ended was perhaps never told of: its first look makes the notices."""
    ended(context)
    batch = get_batch(context.store)
    context.store.delete(batch)
    context.store.create(msgspec.structs.replace(batch, version=1, notices=0, notified=False), delay=0)
    advance(context, "b", 1)
    work(context)
    assert [task_id for task_id, _ in app.got] == ["id of link"]
