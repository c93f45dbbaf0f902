"""Workers under a rain of messages: they stay, send nothing elsewhere, log nothing of it, and answer the next batch."""

import base64
import copy
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from batch_router.client import BatchClient
from batch_router.connect import broker_server, open_context
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from tests.worker import wire
from tests.worker.fleet import Worker, environment_of, worker

#: For how long it rains: `make fuzz` says how many examples it wants of each fuzzer.
SECONDS = int(os.environ.get("FUZZ_EXAMPLES", "1000")) / 100
#: Stands in all texts of the rain. No id may have such a letter, so no line of a log should have it.
MARK = "zmzrk§"
QUEUES = ("io", "cpu", "poll")
#: Messages without an acknowledgement are looked at each second.
IMPATIENT = "broker_transport_options = " + repr(
    {"visibility_timeout": 2, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
)

BASES = [
    lambda: wire.step(item=["b.0", 1]),
    lambda: wire.step("batch_router.normalize", item=["b", 1]),
    lambda: wire.chained(wire.link(), wire.link("batch_router.poll", "gpu")),
    lambda: wire.submission("a", "no-provider", model=MARK, requests=[{"custom_id": "a", "prompt": MARK}]),
    lambda: wire.command("ping", "fleet"),
    lambda: wire.command("shutdown", "fleet"),
    lambda: wire.command("add_consumer", "fleet", arguments={"queue": MARK}),
    lambda: wire.envelope({}, {"type": "task-received", "uuid": "a", "hostname": "io@h", "timestamp": 1.0}),
]


class Rain:
    """Messages, the same for the same seed."""

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(seed)

    def message(self) -> bytes:
        """Bytes, JSON, or one of ours with some of its parts exchanged."""
        kind = self._random.choice(("bytes", "json", "ours", "ours", "ours", "body", "body", "torn"))
        if kind == "bytes":
            return self._random.randbytes(self._random.randrange(200)) + MARK.encode()
        if kind == "json":
            return json.dumps(self._value()).encode()
        raw = self._random.choice(BASES)()
        if kind == "torn":
            return raw[: self._random.randrange(len(raw))] + MARK.encode()
        envelope = json.loads(raw)
        if kind == "body":
            body = self._exchanged(json.loads(base64.b64decode(envelope["body"])))
            envelope["body"] = base64.b64encode(json.dumps(body).encode()).decode()
        else:
            envelope = self._exchanged(envelope)
        return json.dumps(envelope).encode()

    def _exchanged(self, value: Any) -> Any:
        changed = copy.deepcopy(value)
        for _ in range(self._random.randrange(3)):
            changed = self._exchange(changed)
        return changed

    def _exchange(self, value: Any) -> Any:
        """One part, somewhere in it, is another; or there is one more."""
        if not value or not isinstance(value, dict | list) or self._random.random() < 0.1:
            return self._value()
        places: Any = list(value) if isinstance(value, dict) else range(len(value))
        place = self._random.choice(places)
        if isinstance(value, dict) and self._random.random() < 0.2:
            place = self._random.choice(["compression", "timelimit", "chord", "pattern", MARK])
            value[place] = self._value()
        else:
            value[place] = self._exchange(value[place])
        return value

    def _value(self, depth: int = 0) -> Any:
        simple = [None, True, -1, 0, 2**70, 1e308, float("nan"), "", MARK, f"batch_router.{MARK}", "application/x-gzip"]
        simple += ["9999-12-31T23:59:59+00:00", "../../etc/passwd", MARK * 500, "\ud800"]
        if depth > 3 or self._random.random() < 0.6:
            return self._random.choice(simple)
        if self._random.random() < 0.1:
            return _nested(2000)
        several = range(self._random.randrange(4))
        if self._random.random() < 0.5:
            return [self._value(depth + 1) for _ in several]
        return {f"{MARK}{number}": self._value(depth + 1) for number in several}

    def pour(self, pipe: Any) -> None:
        """Put a message where the fleet reads one."""
        place, message = self._random.randrange(8), self.message()
        if place < 4:
            priority = self._random.choice(["", "", "\x06\x163"])
            pipe.lpush(f"fleet.{self._random.choice(QUEUES)}{priority}", message)
        elif place < 6:
            pipe.publish("fleet./15.fleet.pidbox", message)
        elif place < 7:
            pipe.publish("fleet./15.fleetev/task.multi", message)
        else:
            tag = f"tag-{self._random.randrange(1000)}"
            pipe.zadd("fleet.unacked_index", {tag: self._random.choice([1, time.time() - 100])})
            pipe.hset("fleet.unacked", tag, self._random.choice([message, b'[%b,"","io"]' % message]))


def _nested(depth: int) -> Any:
    value: Any = MARK
    for _ in range(depth // 10):  # `json.dumps` has a limit of its own
        value = [value]
    return value


def _children(pid: int) -> set[str]:
    """The processes that a process has started (Linux)."""
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def _until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@contextmanager
def _fleet(environment: dict[str, str]) -> Iterator[list[Worker]]:
    """As in the Procfile: threads for what waits, processes for what computes. Celery has a loop for each."""
    prefork = ("-Q", "cpu", "-P", "prefork", "-c", "2")
    with (
        worker(environment, "-n", "io@%h", "-Q", "io,poll", log="io.log") as first,
        worker(environment, "-n", "cpu@%h", *prefork, log="cpu.log") as second,
    ):
        yield [first, second]


def test_a_rain_of_messages_has_no_effect(tmp_path: Path, valkey: str, pytestconfig: pytest.Config) -> None:
    """The same processes answer a batch afterwards; all keys are the fleet's, and no log has a word of the rain."""
    (tmp_path / "impatient.py").write_text(IMPATIENT)
    seed = str(pytestconfig.getoption("--hypothesis-seed") or 4711)
    with Simulator(Scenario()) as simulator:
        environment = environment_of(tmp_path / "fleet", valkey.replace("/0", "/14"))
        environment |= {"BATCH_ROUTER_OPENAI_BASE_URL": f"{simulator.url}/openai/v1", "OPENAI_API_KEY": "sk-test"}
        environment |= {"BATCH_ROUTER_CELERY_CONFIG": "impatient", "PYTHONPATH": str(tmp_path)}
        settings = Settings.from_env(environment)
        with (
            broker_server(settings).client() as broker,
            BatchClient(open_context(settings)) as client,
            _fleet(environment) as workers,
        ):
            _until(lambda: all(client.listeners(queue) for queue in QUEUES))
            started = [_children(each.process.pid) for each in workers]
            keys = set(broker.keys())
            _pour(broker, Rain(seed))
            _until(lambda: not any(broker.llen(f"fleet.{queue}{end}") for queue in QUEUES for end in ("", "\x06\x163")))
            _until(lambda: not broker.exists("fleet.unacked", "fleet.unacked_index"))
            batch_id = client.submit("openai", model="m", requests=[{"custom_id": "a", "prompt": "x"}])
            assert client.wait(batch_id, timeout=60).request_counts.succeeded == 1
            assert [each.process.poll() for each in workers] == [None, None]
            assert [_children(each.process.pid) for each in workers] == started
            assert set(broker.keys()) <= keys | {b"fleet.unacked", b"fleet.unacked_index", b"fleet.unacked_mutex"}
    for each in workers:
        log = each.log.read_text()
        assert "received" in log
        assert "message_dropped" in log
        assert not [word for word in (MARK[:-1], "Traceback", "Connection to broker lost") if word in log]


def _pour(broker: "redis.Redis", rain: Rain) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with broker.pipeline(transaction=False) as pipe:
            for _ in range(50):
                rain.pour(pipe)
            pipe.execute()
        _until(lambda: sum(broker.llen(f"fleet.{queue}") for queue in QUEUES) < 500)


@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_is_the_same_rain(seed: int) -> None:
    """So that what it found can be found again; only ids and tags are new each time."""
    first, second = Rain(seed), Rain(seed)
    assert [len(first.message()) for _ in range(50)] == [len(second.message()) for _ in range(50)]
