"""Messages that another program puts on the broker: what is not ours has no effect, and is not repeated in a log."""

import ast
import json
import re
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

import batch_router
from batch_router.client import BatchClient
from batch_router.connect import broker_server, open_context
from batch_router.core import BatchStatusResponse
from batch_router.exceptions import BatchNotFoundError
from batch_router.providers import Provider, find_provider
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.worker import queues
from batch_router.worker.app import GuestApp
from batch_router.worker.broker import AMQP
from batch_router.worker.loader import Loader
from batch_router.worker.messages import Refused, bounds, read_published, read_queued, read_unacked
from tests.worker import wire
from tests.worker.fleet import Worker, environment_of, worker

CANARY = "canary-4711"
ROWS = [{"custom_id": "a", "prompt": CANARY}]
DEEP = b"[" * 100_000
FAR = "9999-12-31T00:00:00+00:00"

# What Celery or kombu would have acted on, failed at, or logged.
REFUSED = {
    "no JSON": CANARY.encode(),
    "no text": b"\xff",
    "nested without end": DEEP,
    "an empty list": b"[]",
    "no headers": wire.envelope(None, []),
    "headers in a list": wire.envelope([], []),  # type: ignore[arg-type]
    "a task of others": wire.step("theirs.pay"),
    "a task of Celery": wire.step("celery.backend_cleanup"),
    "a task that is a number": wire.envelope(wire.headers_of("") | {"task": 1}, []),
    "protocol 1": wire.envelope({}, {"task": "batch_router.upload", "id": "a", "args": [["b.0", 1]], "kwargs": {}}),
    "a bomb": wire.envelope(
        wire.headers_of("batch_router.upload", compression="application/x-gzip"), zlib.compress(bytes(1 << 26), 9)
    ),
    "pickle": wire.envelope(
        wire.headers_of("batch_router.upload"), b"cos\nsystem\n", **{"content-type": "application/x-python-serialize"}
    ),
    "yaml": wire.envelope(wire.headers_of("batch_router.upload"), b"- 1", **{"content-type": "application/x-yaml"}),
    "another text": wire.envelope(wire.headers_of("batch_router.upload"), b"[]", **{"content-encoding": "idna"}),
    "a body without base64": wire.envelope(wire.headers_of("batch_router.upload"), [], body="?"),
    "another body encoding": wire.envelope(wire.headers_of("a"), [], properties={"body_encoding": "utf-8"}),
    "a body without end": wire.envelope(wire.headers_of("batch_router.upload"), DEEP),
    "an id with a line": wire.step(id="a\nb"),
    "a parent of markup": wire.step(parent_id="<script>"),
    "retries that are text": wire.step(retries="1"),
    "too many retries": wire.step(retries=10**30),
    "a time without end": wire.step(eta=FAR),
    "no time": wire.step(eta="soon"),
    "a time that is a number": wire.step(eta=float("nan")),
    "a time without zone": wire.step(eta="2030-01-01T00:00:00"),
    "too late": wire.step(expires="2020-01-01T00:00:00+00:00"),
    "an item that leads elsewhere": wire.step(item=["../../etc", 1]),
    "a version that is text": wire.step(item=["b.0", "1"]),
    "a version that is true": wire.step(item=["b.0", True]),
    "no version": wire.step(item=["b.0"]),
    "arguments by name": wire.envelope(wire.headers_of("batch_router.upload"), [[["b", 1]], {"a": 1}, wire.NO_CALLS]),
    "more arguments": wire.envelope(wire.headers_of("batch_router.upload"), [[["b", 1], 1], {}, wire.NO_CALLS]),
    "a step as large as rows": wire.envelope(
        wire.headers_of("batch_router.upload"), [[["b", 1]], {}, wire.NO_CALLS | {"chain": [" " * 20_000]}]
    ),
    "a callback": wire.chained(callbacks=[wire.link()]),
    "an errback": wire.chained(errbacks=[wire.link()]),
    "a chord": wire.chained(chord=wire.link()),
    "a chain to a task of others": wire.chained(wire.link("theirs.pay")),
    "a chain to a queue of others": wire.chained(wire.link(queue="theirs")),
    "a chain with arguments": wire.chained(wire.link(args=[1])),
    "a chain with a type": wire.chained(wire.link(subtask_type="group")),
    "a long chain": wire.chained(*[wire.link()] * 20),
    "a batch with a step as a callback": wire.ending(callbacks=[wire.link()]),
    "a batch with a step at its end": wire.ending(chain=[wire.link()]),
    "a batch with a late callback": wire.ending(callbacks=[wire.link("theirs.save", countdown=1)]),
    "a batch with a callback in a callback": wire.ending(callbacks=[wire.link("theirs.save", link=[wire.link()])]),
    "a batch in a chord": wire.ending(chord=wire.link("theirs.save")),
    "a batch with many callbacks": wire.ending(errbacks=[wire.link("theirs.save")] * 17),
    "a batch without end": wire.envelope(
        wire.headers_of("batch_router.submit_batch"), b'[[],{"requests":' + DEEP + b"},{}]"
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_message_that_is_not_ours_is_refused(kind: str) -> None:
    """Before kombu and Celery see it, and without a word of it in the reason."""
    with pytest.raises(Refused) as refused:
        read_queued(REFUSED[kind], "io", "fleet")
    assert re.fullmatch(r"[a-z_]+(: more than [\d,]+ \(BATCH_ROUTER_\w+\))?", str(refused.value))
    assert refused.value.__cause__ is None
    assert CANARY not in repr(refused.value.__context__)


def test_a_message_beyond_the_bound_is_refused() -> None:
    """`BATCH_ROUTER_MAX_MESSAGE_BYTES` holds for the whole of it; beyond twice that, none of it is read."""
    most = bounds().max_message_bytes
    for message in (b" " * (2 * most + (1 << 14)), wire.submission("a", "openai", requests=["x" * most])):
        with pytest.raises(Refused, match=r"too_large: more than 16,777,216 \(BATCH_ROUTER_MAX_MESSAGE_BYTES\)"):
            read_queued(message, "io", "fleet")


def test_a_message_of_too_many_values_is_refused() -> None:
    """Each takes fifty times its bytes in memory: empty rows, endless options, replies that no client waits for."""
    many = b"[" + b"0," * 1_000_001 + b"0]"
    for body in (b'[[],{"requests":%b},{}]' % many, b'[[],{"metadata":%b},{}]' % many):
        with pytest.raises(Refused, match=r"too_many_values: more than 1,000,000 \(BATCH_ROUTER_MAX_VALUES\)"):
            read_queued(wire.envelope(wire.headers_of("batch_router.submit_batch"), body), "io", "fleet")
    with pytest.raises(Refused, match="too_many_values"):
        read_queued(wire.envelope({"ticket": "a"}, b'{"io@h":%b}' % many), "a.reply.fleet.pidbox", "fleet")


# Parts that Celery follows, and that a message of ours gets without them.
HARMLESS: dict[str, Any] = {
    "timelimit": [0.001, 0.001],
    "shadow": CANARY,
    "argsrepr": CANARY,
    "kwargsrepr": CANARY,
    "origin": CANARY,
    "group": CANARY,
    "stamps": {"a": CANARY},
    "stamped_headers": ["a"],
    "ignore_result": False,
    "replaced_task_nesting": 10**9,
    "meth": CANARY,
    "redelivered": CANARY,
}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_header_that_we_do_not_send_is_left_out(name: str) -> None:
    """It limits, names, groups and shows nothing."""
    read = read_queued(wire.step(**{name: HARMLESS[name]}), "io", "fleet")
    assert CANARY.encode() not in read
    made = json.loads(read)["headers"]
    assert made.get(name) != HARMLESS[name]
    assert (made["argsrepr"], made["kwargsrepr"]) == ("b.0 v1", "{}")


def test_a_property_that_we_do_not_send_is_left_out() -> None:
    """A message names no place to reply to, no other queue and no tag of another message."""
    hostile: dict[str, Any] = {
        "body_encoding": "base64",
        "reply_to": CANARY,
        "correlation_id": CANARY,
        "priority": CANARY,
    }
    hostile |= {"delivery_tag": CANARY, "delivery_info": {"exchange": CANARY, "routing_key": CANARY}}
    body = [[["b.0", 1]], {}, wire.NO_CALLS]
    read = read_queued(wire.envelope(wire.headers_of("batch_router.upload"), body, properties=hostile), "io", "fleet")
    assert CANARY.encode() not in read
    assert json.loads(read)["properties"]["delivery_info"] == {"exchange": "", "routing_key": "io"}


@pytest.mark.parametrize(
    "message", [wire.step(), wire.chained(wire.link(), wire.link("batch_router.poll", "gpu.a")), wire.submission("a")]
)
def test_what_was_read_can_be_read_again(message: bytes) -> None:
    """A worker that ends gives back what it did not begin; but for the tag it stays as it is."""

    def without_tag(read: bytes) -> Any:
        made = json.loads(read)
        assert made["properties"].pop("delivery_tag")
        return made

    once = read_queued(message, "io", "fleet")
    assert without_tag(read_queued(once, "io", "fleet")) == without_tag(once)
    kept = b'[%b,"","io"]' % once
    assert without_tag(json.dumps(json.loads(read_unacked(kept, "fleet"))[0]).encode()) == without_tag(once)


def test_a_large_batch_by_name_can_be_read_again() -> None:
    """What was taken is not refused for its size when a worker gives it back, where its quotes are escaped."""
    message = wire.submission("a", "openai", requests=['"' * (bounds().max_message_bytes * 3 // 8 - 1000)])
    assert 0 < bounds().max_message_bytes - len(message) < 1 << 14
    once = read_queued(message, "io", "fleet")
    assert len(once) > bounds().max_message_bytes
    read_queued(once, "io", "fleet")
    read_unacked(b'[%b,"","io"]' % once, "fleet")


@pytest.mark.parametrize(
    "kept",
    [b"", b"{}", b'["a","",""]', b'[%b,"theirs","io"]' % wire.step(), b'[%b,"","theirs"]' % wire.step(), DEEP],
)
def test_what_another_put_among_the_unacknowledged_is_refused(kept: bytes) -> None:
    """It is not put into a queue of its choice, and ends no worker when the visibility timeout is over."""
    with pytest.raises(Refused):
        read_unacked(kept, "fleet")


COMMANDS = {
    "no command": b"{}",
    "a list": wire.envelope({}, []),
    "a method that is none": wire.command(1, "fleet"),
    "a method with a line": wire.command("ping\nping", "fleet"),
    "a reply to elsewhere": wire.command("ping", "fleet", reply_to={"exchange": "", "routing_key": "io"}),
    "a reply to another fleet": wire.command("ping", "other"),
    "a regular expression": wire.command("ping", "fleet", pattern="(a+)+$", matcher="pcre"),
    "a destination that is a number": wire.command("ping", "fleet", destination=1),
    "arguments in a list": wire.command("ping", "fleet", arguments=[1]),
    "a large one": wire.command("ping", "fleet", more="x" * 100_000),
}


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_command_that_is_not_as_ours_is_refused(kind: str) -> None:
    """And nothing is published in answer to it."""
    with pytest.raises(Refused):
        read_published(COMMANDS[kind], "/1.fleet.pidbox", "fleet")


EVENT = {"type": "task-received", "uuid": "a", "hostname": "io@h", "timestamp": 1.0, "clock": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"timestamp": 1e300},
        {"timestamp": None},
        {"hostname": "<script>"},
        {"type": "theirs"},
        {"uuid": None},
        {"clock": -1},
        {"utcoffset": 10**9},
        {"name": CANARY + "\n"},
        {"args": "x" * 100_000},
    ],
)
def test_an_event_that_is_not_as_ours_is_refused(changes: dict[str, Any]) -> None:
    """Flower counts and sorts by what events say."""
    for body in (EVENT | changes, [EVENT, EVENT | changes]):
        with pytest.raises(Refused):
            read_published(wire.envelope({}, body), "/1.fleetev/task.multi", "fleet")
    assert read_published(wire.envelope({}, [EVENT]), "/1.fleetev/task.multi", "fleet")


def test_a_provider_that_cannot_be_imported_ends_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a queue is ours is asked of each provider: a broken package has none, whatever a message names."""

    def find(name: str) -> type[Provider]:
        if name == "broken":
            raise ModuleNotFoundError(name)
        return find_provider(name)

    monkeypatch.setattr(queues, "provider_names", lambda: ("broken", "vllm"))
    monkeypatch.setattr(queues, "find_provider", find)
    assert read_queued(wire.chained(wire.link(queue="gpu")), "io", "fleet")
    with pytest.raises(Refused, match="not_our_chain"):
        read_queued(wire.chained(wire.link(queue="nowhere")), "io", "fleet")


def test_one_place_reads_messages() -> None:
    """Nothing else of the package unpacks one, and nothing connects to the broker past it."""
    package = Path(batch_router.__file__).parent
    for path in sorted((package / "worker").rglob("*.py")):
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        inside = path.parent.name == "messages"
        assert inside or names.isdisjoint({"decompress", "pickle", "brpop", "b64decode", "a2b_base64"}), path
        assert "payload" not in names, path


class Fleet:
    """A worker, and its broker as another program sees it."""

    def __init__(self, environment: dict[str, str], running: Worker, broker: "redis.Redis") -> None:
        self.settings = Settings.from_env(environment)
        self.worker = running
        self.broker = broker
        self.client = BatchClient(open_context(self.settings))

    def send(self, message: bytes, queue: str = "io") -> None:
        self.broker.lpush(f"fleet.{queue}", message)

    def log(self) -> str:
        return self.worker.log.read_text()

    def said(self, words: str) -> None:
        """Wait until the worker's log has these words."""
        _until(lambda: words in self.log())

    def works(self) -> BatchStatusResponse:
        """A batch is answered, by the same process."""
        batch_id = self.client.submit("openai", model="m", requests=[{"custom_id": "a", "prompt": "x"}])
        status = self.client.wait(batch_id, timeout=60)
        assert status.request_counts.succeeded == 1
        assert self.worker.process.poll() is None
        assert "Traceback" not in self.log()
        assert CANARY not in self.log()
        return status


def _until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> Iterator[dict[str, str]]:
    with Simulator(Scenario()) as simulator:
        url = {"BATCH_ROUTER_OPENAI_BASE_URL": f"{simulator.url}/openai/v1", "OPENAI_API_KEY": "sk-test"}
        home = tmp_path_factory.mktemp("hostile") / "fleet"
        yield environment_of(home, valkey.replace("/0", "/12"), **url)


@pytest.fixture(scope="module")
def fleet(environment: dict[str, str]) -> Iterator[Fleet]:
    """One worker for all attacks."""
    with (
        worker(environment, "-n", "hostile@%h") as running,
        redis.Redis.from_url(broker_server(Settings.from_env(environment)).url) as broker,
    ):
        opened = Fleet(environment, running, broker)
        yield opened
        opened.client.close()


def test_a_batch_by_name_names_no_file(fleet: Fleet, tmp_path: Path) -> None:
    """The worker would have read any file for the sender, and sent it to a provider."""
    secret = tmp_path / "secret.jsonl"
    secret.write_text(json.dumps(ROWS[0]))
    fleet.send(wire.submission("reads", "openai", model="m", input=str(secret)))
    fleet.send(wire.submission("reads-endless", "openai", model="m", input="/dev/zero", check_rows=None))
    fleet.said("action=submission_dropped task=reads error=Refused")
    fleet.said("action=submission_dropped task=reads-endless error=Refused")
    for batch_id in ("reads", "reads-endless"):
        with pytest.raises(BatchNotFoundError):
            fleet.client.status(batch_id)
    fleet.works()


WRONG: dict[str, dict[str, Any]] = {
    "no-provider": {"model": "m", "requests": ROWS},
    "two-providers": {"args": ["openai", "openai"], "requests": ROWS},
    "a-number": {"provider": 1, "requests": ROWS},
    "unknown": {"provider": "openai", "request": ROWS},
    "no-list": {"provider": "openai", "model": "m", "requests": {CANARY: 1}},
    "no-rows": {"provider": "openai", "model": "m", "requests": [CANARY]},
    "wrong-row": {"provider": "openai", "model": "m", "requests": [{CANARY: CANARY}]},
    "wrong-metadata": {"provider": "openai", "model": "m", "requests": ROWS, "metadata": {"a": [CANARY]}},
}


def test_a_wrong_batch_by_name_is_one_line_of_the_log(fleet: Fleet) -> None:
    """It says the kind of the error, and nothing of rows and options."""
    for task_id, given in WRONG.items():
        fleet.send(wire.submission(task_id, *given.get("args", ()), **{k: v for k, v in given.items() if k != "args"}))
        fleet.said(f"action=submission_dropped task={task_id} error=")
        with pytest.raises(BatchNotFoundError):
            fleet.client.status(task_id)
    fleet.works()


def test_a_batch_by_name_is_answered_and_its_rows_are_shown_nowhere(fleet: Fleet) -> None:
    """Also where the sender wants them shown, and a time limit that would end the task."""
    shown = {"argsrepr": CANARY, "kwargsrepr": CANARY, "shadow": "canary-4711", "timelimit": [0.001, 0.001]}
    headers = wire.headers_of("batch_router.submit_batch", id="by-name", **shown)
    fleet.send(wire.envelope(headers, [["openai"], {"model": "m", "requests": ROWS}, wire.NO_CALLS]))
    _until(lambda: any(batch.batch_id == "by-name" for batch in fleet.client.list()))
    assert fleet.client.wait("by-name", timeout=60).request_counts.succeeded == 1
    fleet.works()


def test_refused_messages_have_no_effect_on_a_worker(fleet: Fleet) -> None:
    """All of them in all of its queues: the same process goes on, and what it logs is our words."""
    for queue in ("io", "cpu", "poll"):
        for message in REFUSED.values():
            fleet.send(message, queue)
    for number, kept in enumerate([b"?", DEEP, b'["canary-4711","",""]', b'[%b,"","theirs"]' % wire.step()]):
        fleet.broker.hset("fleet.unacked", f"hostile-{number}", kept)
        fleet.broker.zadd("fleet.unacked_index", {f"hostile-{number}": 1})
    _until(lambda: not any(fleet.broker.llen(f"fleet.{queue}") for queue in ("io", "cpu", "poll")))
    fleet.works()
    assert not fleet.broker.exists("fleet.theirs", "theirs")
    assert "Connection to broker lost" not in fleet.log()


ENDING = ["shutdown", "pool_grow", "pool_shrink", "pool_restart", "autoscale", "add_consumer", "cancel_consumer"]
ENDING += ["terminate", "revoke_by_stamped_headers", "rate_limit", "time_limit", "election", "hello"]
ENDING += ["objgraph", "memdump", "memsample"]


@pytest.fixture
def ours(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> GuestApp:
    """Our app in this process, as Flower and `celery control` have it."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return GuestApp("ours", set_as_current=False, fixups=(), loader=Loader, amqp=AMQP)


def test_remote_control_only_looks(fleet: Fleet, ours: GuestApp) -> None:
    """A command that ends, starves or changes a worker is answered with an error, and logged."""
    for method in ENDING:
        arguments = {"queue": "theirs", "task_id": "a", "n": 1, "signal": "KILL"}
        ((answer,),) = (
            each.values() for each in ours.control.broadcast(method, arguments, reply=True, timeout=20, limit=1)
        )
        assert f"{method} is refused" in answer["error"]
        fleet.said(f"action=control_refused command={method}")
    asked = ours.control.inspect(timeout=20, limit=1)
    assert {queue["name"] for queue in next(iter(asked.active_queues().values()))} == {"io", "cpu", "poll"}
    fleet.works()


def test_remote_control_shows_no_password(fleet: Fleet, ours: GuestApp) -> None:
    """Neither of Redis nor of a provider, in any answer."""
    hidden = [str(fleet.settings.redis_url).partition("@")[0].rpartition(":")[2], "sk-test"]
    asked = ours.control.inspect(timeout=20, limit=1)
    for show in (asked.conf(with_defaults=True), asked.stats(), asked.report(), asked.active(), asked.registered()):
        assert len(show) == 1
        assert not [word for word in hidden if word in json.dumps(show)]


def test_hostile_commands_do_nothing(fleet: Fleet) -> None:
    """Whatever is published to the workers, they stay, and answer nowhere else."""
    for message in [*COMMANDS.values(), *REFUSED.values(), b"", b"null", b"0"]:
        fleet.broker.publish("fleet./13.fleet.pidbox", message)
        fleet.broker.publish("fleet./13.fleetev/worker.heartbeat", message)
    fleet.works()
    assert fleet.broker.llen("fleet.io") == 0


def test_keys_of_another_kind_end_no_worker(fleet: Fleet) -> None:
    """Where one of the fleet's keys holds something else, the worker waits until it is gone."""
    keys = ["fleet.unacked", "fleet.unacked_index", "fleet.poll"]
    fleet.broker.delete(*keys)
    for key in keys:
        fleet.broker.set(key, CANARY)
    fleet.said("WRONGTYPE")
    fleet.broker.delete(*keys)
    batch_id = fleet.client.submit("openai", model="m", requests=[{"custom_id": "a", "prompt": "x"}])
    assert fleet.client.wait(batch_id, timeout=60).request_counts.succeeded == 1
    assert fleet.worker.process.poll() is None
    assert CANARY not in fleet.log()
