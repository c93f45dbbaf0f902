"""Names in Redis: what a fleet shares a server with is not touched, and it is touched by nothing."""

import base64
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery, chain
from celery.exceptions import QueueNotFound

from batch_router.client import BatchClient
from batch_router.connect import broker_server, open_context, queue_key
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.worker.app import GuestApp
from batch_router.worker.broker import AMQP
from batch_router.worker.loader import Loader

from .fleet import celery, environment_of, worker

ROWS = [{"custom_id": "a", "prompt": "canary-prompt"}]


@pytest.fixture
def environment(tmp_path: Path, valkey: str) -> Iterator[dict[str, str]]:
    """A fleet's, with simulated providers."""
    with Simulator(Scenario()) as simulator, redis.Redis.from_url(valkey) as server:
        for database in (4, 5):
            server.execute_command("SELECT", database)
            server.flushdb()
        url = {"BATCH_ROUTER_OPENAI_BASE_URL": f"{simulator.url}/openai/v1", "OPENAI_API_KEY": "sk-test"}
        yield environment_of(tmp_path / "fleet", valkey.replace("/0", "/4"), **url)


def settings_of(environment: dict[str, str]) -> Settings:
    return Settings.from_env(environment)


@pytest.fixture
def broker(environment: dict[str, str]) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(broker_server(settings_of(environment)).url) as client:
        yield client


@pytest.fixture
def client(environment: dict[str, str]) -> Iterator[BatchClient]:
    with BatchClient(open_context(settings_of(environment))) as opened:
        yield opened


@pytest.fixture
def other(environment: dict[str, str]) -> Iterator[Celery]:
    """Another app on the same database."""
    with Celery("other", broker=broker_server(settings_of(environment)).url, set_as_current=False) as app:
        yield app


@pytest.fixture
def ours(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> GuestApp:
    """Our app with the fleet's settings."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return GuestApp("ours", set_as_current=False, fixups=(), loader=Loader, amqp=AMQP)


def eventually(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_all_names_begin_with_the_prefix(
    environment: dict[str, str], valkey: str, client: BatchClient, other: Celery, broker: "redis.Redis"
) -> None:
    """A worker with a Redis user who may touch `fleet*` alone carries a batch, and answers to remote control.

    It sends nothing to another queue, whatever a message links to its batch.
    """
    with redis.Redis.from_url(valkey) as admin:
        # A pattern that is subscribed to must be one of the user's to the letter.
        subscribed = ["fleet./5.fleet.pidbox", "fleet./5.fleetev/worker.*"]
        names: dict[str, Any] = {"keys": ["fleet*"], "channels": ["fleet*", *subscribed]}
        commands = ["+@all", "-@dangerous", "+info"]
        admin.acl_setuser("guest", enabled=True, passwords=["+hush"], commands=commands, **names)
    environment["BATCH_ROUTER_REDIS_URL"] = f"redis://guest:hush@{valkey.partition('@')[2].replace('/0', '/4')}"
    with worker(environment) as running:
        call: dict[str, Any] = {"queue": "fleet.io", "link": other.signature("save", queue="others")}
        batch_id = other.send_task("batch_router.submit_batch", ["openai"], {"model": "m", "requests": ROWS}, **call).id
        eventually(lambda: batch_id in {batch.batch_id for batch in client.list()})
        assert client.wait(batch_id, timeout=30).request_counts.succeeded == 1
        error = eventually(lambda: client.status(batch_id).notices[0].error)
        assert (error.type, broker.exists("others")) == ("broker_unavailable", 0)
        command = celery("-A", "batch_router.worker", "inspect", "active_queues", "--json")
        asked = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    (queues,) = json.loads(asked.stdout).values()
    assert {queue["name"] for queue in queues} == {"io", "poll", "cpu"}
    assert "NOPERM" not in running.log.read_text()
    assert "No permissions" not in running.log.read_text()


def test_two_fleets_share_a_server(environment: dict[str, str], client: BatchClient, tmp_path: Path) -> None:
    """A worker of another prefix takes no batch of ours, and is none of our listeners."""
    batch_id = client.submit("openai", model="m", requests=ROWS)
    second = environment | {"BATCH_ROUTER_PREFIX": "fleet2", "BATCH_ROUTER_HOME": str(tmp_path / "fleet2")}
    with worker(second), BatchClient(open_context(settings_of(second))) as theirs:
        other_id = theirs.submit("openai", model="m", requests=ROWS)
        assert theirs.wait(other_id, timeout=30).request_counts.succeeded == 1
        assert [batch.batch_id for batch in theirs.list()] == [other_id]
    assert (client.status(batch_id).status, client.listeners("io")) == ("queued", [])


def test_another_app_submits_by_name(
    environment: dict[str, str], other: Celery, client: BatchClient, broker: "redis.Redis"
) -> None:
    """Without code of ours, to the whole name of the queue; neither log nor task events repeat its rows.

    What it links or chains to the batch comes to the queues that it names, or to Celery's own.
    """
    untyped: Any = broker
    with worker(environment) as running, untyped.pubsub() as events:
        events.psubscribe("fleet./5.fleetev/*")
        kwargs = {"model": "m", "requests": ROWS}
        calls = {
            "link": other.signature("save", ("canary-arg",), queue="others"),
            "link_error": other.signature("alarm"),
        }
        name, queue = "batch_router.submit_batch", "fleet.io"
        batch_id = other.send_task(name, ["openai"], kwargs, queue=queue, **calls).id
        eventually(lambda: batch_id in {batch.batch_id for batch in client.list()})
        assert client.wait(batch_id, timeout=30).request_counts.succeeded == 1
        task, (manifest, argument), _ = _received(other, "others")
        assert (task, manifest["batch_id"], argument) == ("save", batch_id, "canary-arg")
        submits = other.signature(name, ["openai"], kwargs, queue=queue)
        last = chain(submits, other.signature("save"), other.signature("report", immutable=True)).apply_async()
        task, (manifest,), (report,) = _received(other, "celery")
        assert (task, manifest["batch_id"]) == ("save", last.parent.parent.id)
        assert (report["task"], report["options"]["task_id"]) == ("report", last.id)
        told = b"".join(iter(lambda: _next_event(events), b""))
    assert b"task-received" in told
    assert b"canary" not in told
    assert "canary" not in running.log.read_text()


def _received(app: Celery, queue: str) -> tuple[str, Any, Any]:
    """The next task in a queue of the app: its name, its arguments, and the rest of its chain."""
    with app.connection_for_read() as connection:
        message = connection.SimpleQueue(queue).get(timeout=30)
        message.ack()
        args, _, follows = message.payload
        return message.headers["task"], args, follows["chain"]


def _next_event(events: Any) -> bytes:
    """What the next event says; empty if there is none."""
    while (event := events.get_message(timeout=0.2)) is not None:
        if event["type"] == "pmessage":
            return base64.b64decode(json.loads(event["data"])["body"])
    return b""


def test_a_task_by_name_goes_to_the_documented_queue(ours: GuestApp, broker: "redis.Redis") -> None:
    """Sent through our app, `batch_router.submit_batch` needs no queue."""
    ours.send_task("batch_router.submit_batch", ["openai"])
    assert broker.llen("fleet.io") == 1


def test_a_misspelt_queue_is_an_error(ours: GuestApp) -> None:
    """Celery would make a queue of that name, which no worker consumes."""
    with pytest.raises(QueueNotFound, match="oi"):
        ours.send_task("batch_router.submit_batch", ["openai"], queue="oi")


@pytest.mark.parametrize("how", ["given back", "never acknowledged", "no worker consumes"])
def test_what_another_app_sent_is_not_lost(
    ours: GuestApp, other: Celery, environment: dict[str, str], broker: "redis.Redis", how: str
) -> None:
    """A message that names its queue as `fleet.io` comes back to that very list, whichever way kombu puts it back."""
    key = queue_key(settings_of(environment), "io")
    other.send_task("batch_router.submit_batch", ["openai"], queue=key)
    ours.conf.broker_transport_options["visibility_timeout"] = 0
    with ours.connection_for_read() as connection:
        taken: list[Any] = []
        consumer = ours.amqp.TaskConsumer(connection, queues=[ours.amqp.queues["io"]], on_message=taken.append)
        consumer.consume()
        if how == "no worker consumes":
            consumer.channel.connection._callbacks.clear()
        connection.drain_events(timeout=5)
        if how == "never acknowledged":
            consumer.channel.qos._delivered.clear()  # as if this process were killed
            consumer.channel.qos.restore_visible()
            assert taken
    assert (broker.llen(key), broker.llen(f"fleet.{key}"), broker.hlen("fleet.unacked")) == (1, 0, 0)


BAD: dict[str, Callable[[Any], None]] = {
    "a task of another app": lambda app: app.send_task(
        "theirs.pay", ["canary-1"], {"to": "canary-2"}, queue="fleet.io"
    ),
    "no task": lambda app: _publish(app, {"canary": 1}),
    "no headers": lambda app: _publish(app, "canary", headers={"task": None}),
    "a body that is no JSON": lambda app: _publish(app, b"canary{", content_type="application/json"),
    "a body of another kind": lambda app: _publish(app, b"canary", content_type="application/x-python-serialize"),
    "arguments of another kind": lambda app: app.send_task("batch_router.upload", ["canary"], queue="fleet.io"),
    "a list": lambda app: _push(app, '["canary"]'),
    "an object": lambda app: _push(app, '{"canary": 1}'),
    "no JSON": lambda app: _push(app, "canary"),
    "no text": lambda app: _push(app, b"canary\xff"),
}


def _publish(app: Celery, body: Any, headers: Any = None, **options: Any) -> None:
    with app.producer_or_acquire() as producer:
        producer.publish(body, routing_key="fleet.io", headers=headers, **options)


def _push(app: Celery, item: str | bytes) -> None:
    with app.connection_for_write() as connection:
        connection.default_channel.client.lpush("fleet.io", item)


@pytest.fixture(scope="module")
def drops(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> Iterator[Any]:
    """One worker for all that it must drop."""
    with Simulator(Scenario()) as simulator:
        url = {"BATCH_ROUTER_OPENAI_BASE_URL": f"{simulator.url}/openai/v1", "OPENAI_API_KEY": "sk-test"}
        home = tmp_path_factory.mktemp("drops") / "fleet"
        environment = environment_of(home, valkey.replace("/0", "/6"), **url)
        with worker(environment, "-n", "drops@%h") as running:
            yield environment, running


@pytest.mark.parametrize("kind", BAD)
def test_what_is_not_ours_is_dropped(drops: Any, kind: str) -> None:
    """A message of another app, or of none: it goes, its contents are not logged, the worker goes on as it was."""
    environment, running = drops
    settings = settings_of(environment)
    with (
        Celery("other", broker=broker_server(settings).url, set_as_current=False) as other,
        redis.Redis.from_url(broker_server(settings).url) as broker,
        BatchClient(open_context(settings)) as client,
    ):
        BAD[kind](other)
        eventually(lambda: not broker.llen("fleet.io") and not broker.hlen("fleet.unacked"))
        batch_id = client.submit("openai", model="m", requests=[{"custom_id": "a", "prompt": "x"}])
        assert client.wait(batch_id, timeout=30).request_counts.succeeded == 1
    log = running.log.read_text()
    assert running.process.poll() is None
    assert "canary" not in log
    assert "Connection to broker lost" not in log
