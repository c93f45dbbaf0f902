"""A worker that could not work does not start, and says why; one whose server is away waits for it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from batch_router.connect import open_store
from batch_router.embedded.binary import find_server
from batch_router.settings import Settings
from tests.servers import Server, run_server

from .fleet import celery, environment_of, worker


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with run_server(find_server(), tmp_path / "server") as running:
        yield running


@pytest.fixture
def environment(server: Server, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "home").mkdir()
    return environment_of(tmp_path / "home", server.url)


def start(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = celery("-A", "batch_router.worker", "worker", "-P", "threads")
    home = environment["BATCH_ROUTER_HOME"]
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=60)


def program(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "batch_router.cli", *arguments]
    return subprocess.run(command, env=environment | {"COLUMNS": "300"}, capture_output=True, text=True, timeout=60)


def check_refused(environment: dict[str, str], said: str) -> None:
    """By the worker and by doctor; a client may still ask."""
    refused = start(environment)
    assert (refused.returncode, refused.stderr.count("Error: ")) == (os.EX_CONFIG, 1), refused.stderr
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    examined = program(environment, "doctor")
    assert (examined.returncode, said in examined.stdout) == (1, True), examined.stdout


def test_a_lease_without_time_to_send_is_refused(environment: dict[str, str]) -> None:
    """With it no job would ever be created; `up` refuses it, too."""
    environment |= {"BATCH_ROUTER_LEASE": "3", "BATCH_ROUTER_RENEW_EVERY": "1"}
    said = "BATCH_ROUTER_LEASE is 3, and must be more than 3: rows are sent only while the lease holds"
    check_refused(environment, said)
    up = program(environment, "up")
    assert (up.returncode, said in up.stderr) == (2, True)


def test_a_server_that_evicts_is_refused(environment: dict[str, str], server: Server) -> None:
    """An evicted key is a lost batch. Clients are not stopped by it."""
    server.admin.config_set("maxmemory-policy", "allkeys-lru")
    check_refused(environment, "has maxmemory-policy allkeys-lru: an evicted key is a lost batch; set noeviction")
    assert program(environment, "list").returncode == 0


@pytest.mark.parametrize("command", ["evalsha", "info", "zadd"])
def test_a_user_without_a_command_is_refused(environment: dict[str, str], server: Server, command: str) -> None:
    """What a worker needs is tried, not assumed."""
    server.admin.execute_command("ACL", "SETUSER", "default", f"-{command}")
    check_refused(environment, "does not permit its user a command or a key; docs/architecture.md lists")


def test_doctor_sends_something_through_the_broker(environment: dict[str, str], server: Server) -> None:
    """A server that answers may still take no message."""
    server.admin.execute_command("ACL", "SETUSER", "default", "-lpush")
    examined = program(environment, "doctor")
    assert (examined.returncode, "NoPermissionError" in examined.stdout) == (1, True), examined.stdout


def test_a_server_without_aof_is_told_loudly(environment: dict[str, str]) -> None:
    """Once, and the worker works."""
    with worker(environment) as running:
        assert running.log.read_text().count("AOF IS OFF: a restart of valkey") == 1


def test_doctor_names_a_worker_whose_sweep_does_not_run(environment: dict[str, str]) -> None:
    """It listens, and would let the messages of others lie."""
    store = open_store(Settings.from_env(environment))
    store.announce("io@host", ["io"], ttl=60)
    store.close()
    assert "worker io@host" in program(environment, "doctor").stdout


#: What the app's worker does before it forks, and whose clients it has imported then.
BEFORE_THE_FORK = """
import sys
from celery.signals import celeryd_after_setup
from batch_router.worker import app
worker = app.Worker(queues=sys.argv[1], pool="solo")
celeryd_after_setup.send("a worker", instance=worker, conf=app.conf)
clients = {f"batch_router.providers.{name}.client": name for name in ("anthropic", "google", "openai", "vllm")}
print([name for module, name in clients.items() if module in sys.modules])
"""


@pytest.mark.parametrize(
    ("queues", "imported"),
    [("cpu", "[]"), ("poll", "['openai']"), ("io,cpu", "['openai']"), ("gpu.small", "['vllm']")],
)
def test_a_worker_imports_the_sdks_that_it_calls(tmp_path: Path, valkey: str, queues: str, imported: str) -> None:
    """Those of providers with a key, of whatever name, if its queues call them: each takes seconds and memory."""
    environment = environment_of(tmp_path / tmp_path.name, valkey, OPENAI_API_KEY_TEAM="sk-test")
    command = [sys.executable, "-c", BEFORE_THE_FORK, queues]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{imported}\n", done.stderr


def test_a_worker_waits_for_its_server(tmp_path: Path) -> None:
    """It says so, and begins when the server is there."""
    folder, home = tmp_path / "server", tmp_path / "home"
    home.mkdir()
    environment = environment_of(home, f"unix://{folder / 's.sock'}")
    with (tmp_path / "log").open("wb") as log:
        command = celery("-A", "batch_router.worker", "worker", "-P", "threads")
        process = subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=log)
    try:
        wait_for(lambda: "action=waiting" in (tmp_path / "log").read_text())
        with run_server(find_server(), folder):
            store = open_store(Settings.from_env(environment))
            wait_for(lambda: bool(store.listeners("io")))
            store.close()
            process.terminate()
            assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
