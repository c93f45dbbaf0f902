"""Webhooks: what a receiver gets, how often, and that batches end the same without it."""

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from batch_router import BatchClient, ValidationError
from batch_router.cli import cli
from batch_router.cli.exit_codes import ExitCode
from batch_router.core import BatchStatus, Failure
from batch_router.core.jobs import Job
from batch_router.exceptions import StoreUnavailableError
from batch_router.operations.submit import submit
from batch_router.road.advance import advance
from batch_router.road.context import Context
from batch_router.road.notices import warn_of_unattended
from batch_router.road.policy import MAX_CRASHES
from batch_router.settings import Settings
from batch_router.state.base import Commit
from batch_router.state.items import Notice
from batch_router.state.table import State
from tests.items import get_batch, new_shard
from tests.receiver import HOOK, NEW, OLD, Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def context(make_context: Callable[..., Context]) -> Context:
    return make_context(clock=time.time, webhook_secret=f"{NEW} {OLD}", webhook_private=True, lease=9)


def submitted(context: Context, url: str) -> None:
    rows = [{"custom_id": "a", "prompt": "b"}]
    options = {"requests": rows, "model": "m", "batch_id": "b", "webhook": url, "metadata": {"for": "shop"}}
    submit(context, "openai", options)  # type: ignore[arg-type]


def ended(context: Context, url: str, failure: Failure | None = None) -> None:
    submitted(context, url)
    context.store.claim("b", 1, lease=9, holder="w")
    context.store.commit("b", 2, Commit(State.FINISHING, 0, {"rows": 0, "failure": failure}), holder="w")
    advance(context, "b", 3)
    assert get_batch(context.store).state.is_final


def work(context: Context) -> Notice:
    """Take the last notice a step on."""
    found = context.store.get_notices(get_batch(context.store))[-1]
    advance(context, found.id, found.version)
    return context.store.get_notices(get_batch(context.store))[-1]


def test_a_receiver_that_fails_twice_gets_the_event(
    context: Context, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """With one id and a signature for each secret; `status` has the tries and the answers, and no log has the URL."""
    receiver.answers = [(500, {}), (429, {"Retry-After": "90"}), (204, {})]
    ended(context, receiver.url)
    (first, second, done) = (work(context) for _ in range(3))
    assert [each.error and each.error.status_code for each in (first, second)] == [500, 429]
    assert second.retry_at is not None
    assert second.retry_at - time.time() > 80
    assert (done.state, done.answer, done.attempts) == (State.COMPLETED, 204, 2)
    assert len(set(receiver.ids)) == 1
    for secret in (OLD, NEW):
        assert [event.type for event in receiver.events(secret)] == ["batch.completed"] * 3
    (shown,) = BatchClient(context).status("b").notices
    assert (shown.event, shown.answer, shown.attempts) == ("batch.completed", 204, 2)
    hidden = f"{caplog.text}{get_batch(context.store)}{done}{context.settings!r}"
    assert [each for each in (HOOK, OLD, NEW, OLD[6:]) if each in hidden] == []


def test_the_event_says_how_the_batch_ended(context: Context, receiver: Receiver) -> None:
    """In the words of `status`."""
    ended(context, receiver.url, Failure(type="invalid_input", message="bad rows"))
    work(context)
    (event,) = receiver.events()
    assert event.type == "batch.failed"
    data = event.to_dict()["data"]
    assert (data["batch_id"], data["status"], data["error"]["type"]) == ("b", "failed", "invalid_input")
    assert data["metadata"] == {"for": "shop"}


def test_a_killed_worker_sends_the_same_id_again(
    context: Context, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the POST and before the commit."""
    ended(context, receiver.url)
    with monkeypatch.context() as dying:
        dying.setattr(context.store, "commit", _killed)
        with pytest.raises(StoreUnavailableError):
            work(context)
    assert work(context).state is State.COMPLETED
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1


def test_an_event_that_the_store_forgot_has_its_id_again(context: Context, receiver: Receiver) -> None:
    """It happens a second time, later; what happens after a `resume` is another one."""
    ended(context, receiver.url)
    batch = get_batch(context.store)
    for resumed in (0, 0, 1):
        work(context)
        context.store.delete(batch)
        born = msgspec.structs.replace(batch, version=1, notices=0, notified=False, resumed=resumed)
        context.store.create(born, delay=0)
        advance(context, "b", 1)
    work(context)
    first, second, third, resumed_id = receiver.ids
    assert first == second == third != resumed_id


def _killed(*_: Any, **__: Any) -> None:
    raise StoreUnavailableError("killed")


@pytest.mark.parametrize(("status", "headers"), [(410, {}), (302, {"Location": "http://127.0.0.1:1/"}), (400, {})])
def test_a_refusal_is_final(status: int, headers: dict[str, str], context: Context, receiver: Receiver) -> None:
    """No redirect is followed; `status` has the answer."""
    receiver.answers = [(status, headers)]
    ended(context, receiver.url)
    found = work(context)
    assert found.failure is not None
    assert (found.state, found.failure.type, found.failure.status_code) == (State.FAILED, "webhook_refused", status)
    assert len(receiver.got) == 1


def test_results_are_there_while_the_receiver_hangs(context: Context, receiver: Receiver) -> None:
    """Sending ends after half a lease, and is tried again."""
    receiver.goes_on.clear()
    context = replace(context, settings=Settings(home=context.settings.home, **_settings(lease=0.4, renew_every=0.1)))
    ended(context, receiver.url)
    assert BatchClient(context).manifest("b").batch_id == "b"
    assert BatchClient(context).status("b").is_complete()
    found = work(context)
    assert (found.state, found.error and found.error.type) == (State.NOTIFYING, "webhook_unavailable")


def _settings(**changes: Any) -> dict[str, Any]:
    return {"webhook_secret": NEW, "webhook_private": True, **changes}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_the_address_that_is_connected_to_is_checked(host: str, context: Context, receiver: Receiver) -> None:
    """What the submission allowed, and whatever the name resolves to: this worker connects to public addresses only."""
    ended(context, receiver.url.replace("http:", "https:").replace("127.0.0.1", host))
    careful = Settings(home=context.settings.home, **_settings(webhook_private=False))
    found = work(replace(context, settings=careful))
    assert found.failure is not None
    assert found.failure.type == "webhook_refused"
    assert "no public address" in found.failure.message
    assert receiver.got == []


def test_a_name_is_checked_when_it_is_resolved(
    context: Context, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public name of a private address is not connected to."""
    local = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", receiver.server.server_port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: local)
    ended(context, f"https://hooks.example.com:{receiver.server.server_port}/")
    found = work(replace(context, settings=Settings(home=context.settings.home, **_settings(webhook_private=False))))
    assert found.failure is not None
    assert "no public address" in found.failure.message
    assert receiver.got == []


REFUSED = {
    "ftp://a.example/": "does not begin with https://",
    "https://": "does not begin with https://",
    "http://a.example/": "begins with http://",
    "https://user:pass@a.example/": "has a user or a password",
    "https://a.example:x/": "this is no URL",
    "https://a.example/ b": "printable ASCII",
    f"https://a.example/{'x' * 2048}": "printable ASCII",
    "https://169.254.169.254/": "no public address",
    "https://[::ffff:10.0.0.1]/": "no public address",
    "https://localhost/": "no public address",
}


@pytest.mark.parametrize("url", REFUSED)
def test_a_wrong_url_is_refused_by_the_submission(url: str, make_context: Callable[..., Context]) -> None:
    """In a sentence that does not show the URL, before anything is stored."""
    context = make_context()
    with pytest.raises(ValidationError, match=f"^webhook: .*{REFUSED[url]}") as raised:
        submitted(context, url)
    assert "pass" not in str(raised.value).replace("password", "")
    assert list(context.store.iter_batches()) == []


@pytest.mark.parametrize("secret", [None, "whsec_!", "whsec_YQ==", OLD[6:]])
def test_without_a_secret_nothing_is_sent(secret: str | None, context: Context, receiver: Receiver) -> None:
    """It waits for a worker with one, and the words show nothing of a wrong one."""
    ended(context, receiver.url)
    found = work(replace(context, settings=Settings(home=context.settings.home, **_settings(webhook_secret=secret))))
    assert found.error is not None
    assert (found.error.type, receiver.got) == ("webhook_unavailable", [])
    assert secret is None or secret not in found.error.message


def test_a_parked_shard_is_told_of_once_each_time(context: Context, receiver: Receiver) -> None:
    """By the commit that parks it, with the reason; when it is parked again, under another id."""
    submitted(context, receiver.url)
    context.store.claim("b", 1, lease=9, holder="w")
    job = Job(id="job", status=BatchStatus.IN_PROGRESS, created_at=0)
    shard = new_shard(state=State.POLLING, job=job, crashes=MAX_CRASHES)
    context.store.commit("b", 2, Commit(State.RUNNING, None, {"rows": 1}, spawn=[shard]), holder="w")
    for version in (1, 3):  # it is parked, and stays so
        advance(context, "b.0", version)
    (found,) = context.store.get_notices(get_batch(context.store))
    assert found.event is not None
    work(context)
    assert len(receiver.got) == 1
    (parked,) = context.store.get_shards(get_batch(context.store))
    (event,) = receiver.events()
    data = event.to_dict()["data"]
    assert (event.type, data["shard"], data["error"]["type"]) == ("shard.parked", "b.0", "step_crashes")
    context.store.decide(parked, Commit(State.POLLING, 0, {}), holder="d")
    for crashes in range(1, MAX_CRASHES + 1):
        context.store.claim("b.0", parked.version + crashes, lease=9, holder=str(crashes))
    advance(context, "b.0", parked.version + MAX_CRASHES + 1)
    work(context)
    assert [event.type for event in receiver.events()] == ["shard.parked"] * 2
    assert len(set(receiver.ids)) == 2


def test_the_command_says_whether_a_receiver_takes_it(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With the answer, and the exit codes of the other commands."""
    monkeypatch.setenv("BATCH_ROUTER_WEBHOOK_PRIVATE", "1")
    with pytest.raises(ValidationError, match="WEBHOOK_SECRET is not set"):
        cli.main(["webhook", "test", receiver.url], standalone_mode=False)
    monkeypatch.setenv("BATCH_ROUTER_WEBHOOK_SECRET", NEW)
    receiver.answers = [(200, {}), (503, {})]
    assert cli.main(["webhook", "test", receiver.url], standalone_mode=False) == ExitCode.OK
    assert cli.main(["webhook", "test", receiver.url], standalone_mode=False) == ExitCode.FOUND_SOMETHING
    place = receiver.url.removesuffix(f"/{HOOK}")
    assert capfd.readouterr().out == f"{place} answers 200: it takes the webhook\n{place} answers 503\n"
    assert [event.type for event in receiver.events()] == ["webhook.test"] * 2


def test_a_queue_without_workers_is_told_of_once(context: Context, receiver: Receiver) -> None:
    """Its notice goes where other workers are, and the batch goes on when a worker comes."""
    submitted(context, receiver.url)
    for _ in range(2):
        warn_of_unattended(context, "b", "gpu")
    (found,) = context.store.get_notices(get_batch(context.store))
    assert found.queue == "io"
    work(context)
    (event,) = receiver.events()
    data = event.to_dict()["data"]
    assert (event.type, data["queue"], data["status"]) == ("queue.unattended", "gpu", "queued")
    assert [hint.id for hint in context.store.take_due(5, grace=1)] == ["b"]
