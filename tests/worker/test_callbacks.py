"""Celery's own ways with a batch: what they send, what they refuse, and what they do."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery, chain, chord, group, states
from celery.beat import ScheduleEntry, Scheduler
from celery.exceptions import TaskRevokedError

from batch_router import ValidationError
from batch_router.connect import broker_server
from batch_router.core import Failure
from batch_router.exceptions import BrokerUnavailableError
from batch_router.road.advance import advance
from batch_router.road.context import Context
from batch_router.settings import Settings
from batch_router.state.base import Commit
from batch_router.state.table import State
from batch_router.worker import app, results, submission, submit_batch
from batch_router.worker.callbacks import Wanted
from batch_router.worker.delivery import deliver
from tests.items import get_batch

ASKED: dict[str, Any] = {"provider": "openai", "model": "m", "requests": [{"custom_id": "a", "prompt": "b"}]}


@pytest.fixture
def working(make_context: Callable[..., Context], valkey: str, monkeypatch: pytest.MonkeyPatch) -> Context:
    """The tasks work with the test's context, and send over a real server."""
    monkeypatch.setenv("BATCH_ROUTER_REDIS_URL", valkey.replace("/0", "/14"))
    context = replace(make_context(), deliver=deliver)
    for module in (submission, results):
        monkeypatch.setattr(module, "context", lambda: context)
    monkeypatch.setattr(submission, "publish", lambda _hint: None)
    return context


@pytest.fixture
def shop(working: Context) -> Iterator[Celery]:
    """A user's app on the server's other name, whose queues have a prefix and a route."""
    url = broker_server(Settings.from_env()).url.replace("127.0.0.1", "localhost")
    made = Celery("shop", broker=url, set_as_current=False)
    made.conf.update(task_routes={"save": "saved"}, broker_transport_options={"global_keyprefix": "shop."})
    made.task(_save, name="save", shared=False)
    made.task(_alarm, name="alarm", shared=False)
    made.task(_new_style, name="new style", shared=False)
    with made.connection_for_write() as connection:
        for queue in ("saved", "celery"):
            connection.default_channel.queue_purge(queue)
    yield made
    made.close()


def _save(manifest: Any, tag: str = "") -> None: ...
def _alarm(batch_id: str) -> None: ...
def _new_style(request: Any, exc: Any, traceback: Any) -> None: ...


def _end(context: Context, batch_id: str, failure: Failure | None = None) -> None:
    """The batch ends, and so do its notices."""
    claimed = context.store.claim(batch_id, 1, lease=9, holder="w")
    assert claimed is not None
    commit = Commit(State.FINISHING, 0, {"rows": 0, "failure": failure})
    context.store.commit(batch_id, claimed.version, commit, holder="w")
    done = advance(context, batch_id, claimed.version + 1)
    assert done is not None
    for hint in done.woken:
        advance(context, hint.id, hint.version)


def _received(shop: Celery, queue: str) -> Any:
    """The one message in a queue of the app, as its worker reads it."""
    with shop.connection_for_read() as connection:
        simple = connection.SimpleQueue(queue)
        message = simple.get(timeout=5)
        message.ack()
        return message


def test_a_link_reaches_its_queue_with_the_manifest(working: Context, shop: Celery) -> None:
    """As the app routes and names it, under an id that follows from the batch and the task's place."""
    sent = {"args": (), "kwargs": ASKED | {"batch_id": "linked"}, "link": shop.tasks["save"].s(tag="x")}
    job = submit_batch.apply_async(**sent, link_error=shop.tasks["alarm"].s())
    _end(working, job.id)
    message = _received(shop, "saved")
    (manifest,), kwargs, follows = message.payload
    assert manifest == json.loads(json.dumps(job.get(timeout=5)))
    assert (kwargs, follows["chain"], message.headers["task"]) == ({"tag": "x"}, None, "save")
    assert message.headers["id"] == message.properties["correlation_id"] == "3ba4f6d4-2598-59a5-ad42-2508624b59e2"
    assert (message.headers["root_id"], message.headers["parent_id"]) == ("linked", "linked")


def test_an_errback_gets_the_id(working: Context, shop: Celery) -> None:
    """A batch that failed sends it, and not its links."""
    job = submit_batch.apply_async((), ASKED, link=shop.tasks["save"].s(), link_error=shop.tasks["alarm"].s())
    _end(working, job.id, Failure(type="invalid_input", message="bad rows"))
    assert _received(shop, "celery").payload[0] == [job.id]
    (notice,) = working.store.get_notices(get_batch(working.store, job.id))
    assert (notice.task, notice.state) == ("alarm", State.COMPLETED)


def test_a_chain_goes_on_in_the_app(working: Context, shop: Celery) -> None:
    """The next task has the id that `chain` gave it, and brings those that follow."""
    save, alarm = shop.tasks["save"], shop.tasks["alarm"]
    last = chain(submit_batch.s(**ASKED), save.s("x"), alarm.si("later")).apply_async()
    _end(working, last.parent.parent.id)
    message = _received(shop, "saved")
    assert message.headers["id"] == last.parent.id
    assert [(each["task"], each["options"]["task_id"]) for each in message.payload[2]["chain"]] == [("alarm", last.id)]


def test_a_group_submits_each(working: Context) -> None:
    """Each result is its batch, also where a key decides about the id."""
    made = group(submit_batch.s(**ASKED), submit_batch.s(**ASKED, idempotency_key="k")).apply_async(producer=object())
    assert [get_batch(working.store, each.id).id for each in made.results] == [each.id for each in made.results]


def test_beat_submits(working: Context) -> None:
    """What a schedule names is submitted by beat's own process."""
    entry = ScheduleEntry("nightly", submit_batch.name, schedule=timedelta(days=1), kwargs=ASKED, app=app)
    job = Scheduler(app, lazy=True).apply_async(entry, producer=object(), advance=False)
    assert get_batch(working.store, job.id).model == "m"


REFUSED: dict[str, tuple[str, Callable[[Celery], Any]]] = {
    "a chord": ("^submit_batch cannot be in the header of a chord", lambda shop: _chord(shop).apply_async()),
    "a chain that makes one": (
        "^submit_batch cannot be in the header of a chord",
        lambda shop: (group(_chord(shop).tasks) | shop.tasks["save"].s()).apply_async(),
    ),
    "an errback of three": (
        "^link_error: .*'exc' and 'traceback'; new style is sent with the batch's id as",
        lambda shop: _sent(link_error=shop.tasks["new style"].s()),
    ),
    "too many arguments": (
        "^link: .* positional arguments but 3 were given; save is sent with the manifest as its first argument",
        lambda shop: _sent(link=shop.tasks["save"].s(1, 2)),
    ),
    "much": (
        "^link: save has arguments of more than 64 KiB",
        lambda shop: _sent(link=shop.tasks["save"].s("x" * 70_000)),
    ),
    "many": ("^link: 17 tasks; a batch takes 16", lambda shop: _sent(link=[shop.tasks["save"].s()] * 17)),
    "no JSON": ("^link: save has an argument that is no JSON", lambda shop: _sent(link=shop.tasks["save"].s(object()))),
    "pickle": (
        "^link: save is not sent as JSON",
        lambda shop: _sent(link=shop.tasks["save"].s().set(serializer="pickle")),
    ),
    "a delay": ("^link: save has a countdown", lambda shop: _sent(link=shop.tasks["save"].s().set(countdown=5))),
    "ours": ("^link: batch_router.submit_batch cannot be sent", lambda _: _sent(link=submit_batch.s(**ASKED))),
    "another broker": (
        "^link: the app 'far' has another broker than batch_router; name it here",
        lambda _: _sent(link=Celery("far", broker="redis://far/0", set_as_current=False).signature("save")),
    ),
    "later": ("^submit_batch takes no option 'countdown'", lambda _: _sent(countdown=5)),
    "two ids": ("^task_id: the batch has another id", lambda _: _sent(task_id="b", kwargs={**ASKED, "batch_id": "a"})),
}


def _chord(shop: Celery) -> Any:
    return chord([submit_batch.s(**ASKED), submit_batch.s(**ASKED)], shop.tasks["save"].s())


def _sent(**options: Any) -> Any:
    return submit_batch.apply_async(**{"kwargs": ASKED, **options})


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_sent_is_refused(
    case: str, working: Context, shop: Celery, stored: Callable[[], list[str]]
) -> None:
    """By the call that submits, in a sentence, and before anything is stored or sent."""
    said, call = REFUSED[case]
    with pytest.raises(ValidationError, match=said):
        call(shop)
    assert list(working.store.iter_batches()) == []
    assert stored() == []


def test_a_named_broker_takes_the_task(
    working: Context, shop: Celery, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that the setting has for the app; a worker without the name, or without the server, says so."""
    there = valkey.replace("/0", "/13")
    shop.conf.broker_url = there
    monkeypatch.setenv("BATCH_ROUTER_CALLBACK_BROKERS", f'{{"shop": "{there}"}}')
    job = _sent(link=shop.tasks["save"].s())
    _end(working, job.id)
    assert _received(shop, "saved").headers["task"] == "save"
    (message,) = Wanted(link=shop.tasks["save"].s()).messages("b")
    for setting in ("{}", '{"shop": "redis://127.0.0.1:1/0"}'):
        monkeypatch.setenv("BATCH_ROUTER_CALLBACK_BROKERS", setting)
        with pytest.raises(BrokerUnavailableError):
            deliver(message, None)


def test_revoke_cancels(working: Context) -> None:
    """The state tells the truth at every step, and waiting for a cancelled batch raises what Celery raises."""
    job = _sent()
    assert submit_batch.AsyncResult("unknown").state == job.state == states.PENDING
    working.store.claim(job.id, 1, lease=9, holder="w")
    working.store.commit(job.id, 2, Commit(State.RUNNING, 0, {"rows": 0}), holder="w")
    assert app.AsyncResult(job.id).state == states.STARTED
    job.revoke(terminate=True)
    assert get_batch(working.store, job.id).cancel
    working.store.claim(job.id, 3, lease=9, holder="w")
    working.store.commit(job.id, 4, Commit(State.CANCELLED, 0, {}), holder="w")
    assert job.state == states.REVOKED
    with pytest.raises(TaskRevokedError):
        job.get(timeout=5)
