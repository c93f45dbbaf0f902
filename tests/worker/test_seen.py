"""What supervisors and collectors of logs see of a fleet: whether a process is well, and lines of JSON."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner

from batch_router.cli import cli
from batch_router.cli.free_port import free_port
from batch_router.client import BatchClient
from batch_router.connect import open_context
from batch_router.exceptions import BatchFailedError
from batch_router.settings import Settings

from .fleet import celery, environment_of, worker


@pytest.fixture
def environment(tmp_path: Path, valkey: str) -> dict[str, str]:
    """A fleet's, of databases that are empty."""
    with redis.Redis.from_url(valkey) as server:
        for database in (10, 11):
            server.execute_command("SELECT", database)
            server.flushdb()
    return environment_of(tmp_path / "fleet", valkey.replace("/0", "/10"))


def health(environment: dict[str, str], *options: str) -> tuple[int, str]:
    """The exit code and the sentence."""
    done = CliRunner().invoke(cli, ["health", *options], env=environment, standalone_mode=False)
    assert done.exception is None
    assert done.output.count("\n") == 1
    return done.return_value, done.output.strip()


def test_a_supervisor_sees_whether_a_worker_is_well(environment: dict[str, str]) -> None:
    """Ready while it listens, its sweep runs and the payloads are here; stopped, it is neither ready nor alive.

    A Redis that is away makes it unready, and is no reason to restart it.
    """
    environment["BATCH_ROUTER_SWEEP_EVERY"] = "0.2"
    assert health(environment) == (1, "no worker has bound the store to a storage yet")
    with worker(environment, "-Q", "io,cpu", "-n", "io@%h") as running:
        wait_until(lambda: health(environment, "--queue", "io", "--queue", "cpu")[0] == 0)
        assert health(environment, "--queue", "io", "--live")[0] == 0
        assert health(environment, "--queue", "gpu", "--live")[0] == 1
        elsewhere = environment | {"BATCH_ROUTER_HOME": environment["BATCH_ROUTER_HOME"] + "-other"}
        assert "another storage" in health(elsewhere, "--queue", "io")[1]
        running.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: health(environment, "--queue", "io", "--live")[0] == 1)
        assert "listens on io with its threads running" in health(environment, "--queue", "io")[1]
        running.process.send_signal(signal.SIGCONT)
    away = environment | {"BATCH_ROUTER_REDIS_URL": "redis://127.0.0.1:1/0"}
    assert [health(away, "--queue", "io", *live)[0] for live in ((), ("--live",))] == [1, 0]
    assert health(environment, "--port", "1")[0] == 1


def test_flower_is_well_and_logs_json(environment: dict[str, str]) -> None:
    """Its site for supervisors needs no password; each of its lines is an object."""
    environment |= {"BATCH_ROUTER_LOG_FORMAT": "json", "FLOWER_BASIC_AUTH": "a:b"}
    port = str(free_port())
    assert health(environment, "--port", port) == (1, f"nothing answers at port {port} (ConnectionRefusedError)")
    command = celery("-A", "batch_router.worker", "flower", "--address=127.0.0.1", f"--port={port}")
    with subprocess.Popen(command, env=environment, cwd="/", stderr=subprocess.PIPE) as flower:
        try:
            wait_until(lambda: health(environment, "--port", port)[0] == 0)
        finally:
            flower.terminate()
        assert flower.stderr
        records = [json.loads(line) for line in flower.stderr.read().splitlines()]
    assert "flower.command" in {record["logger"] for record in records}


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_worker_logs_json(environment: dict[str, str]) -> None:
    """Each line is an object, Celery's own and those of the pool's children too; ours have their facts by name."""
    environment |= {"BATCH_ROUTER_LOG_FORMAT": "json", "BATCH_ROUTER_SWEEP_EVERY": "0.2"}
    with closing(open_context(Settings.from_env(environment))) as context:
        client = BatchClient(context)
        rows = [{"custom_id": "a", "prompt": "b"}]
        client.submit(provider="openai", model="m", requests=rows, batch_id="seen")
        ends = pytest.raises(BatchFailedError, match="no API key")
        with worker(environment, "-P", "prefork", "-c", "1") as running, ends:
            client.wait("seen", timeout=60)
        written = running.log.read_text()
    begin = written.index("{")  # as root, Celery warns of that before it logs
    lines = [line for line in written[begin:].splitlines() if line and line != "worker: Warm shutdown (MainProcess)"]
    records = [json.loads(line) for line in lines]
    assert all({"time", "level", "logger", "process", "message"} <= record.keys() for record in records)
    facts = [(each["action"], each["next"]) for each in records if each.get("item") == "seen.0" and "next" in each]
    assert ("normalize", "cleaning") in facts
    processes = {record["process"] for record in records if record["logger"].startswith(("celery.", "batch_router."))}
    assert {"MainProcess", "ForkPoolWorker-1"} <= processes
