"""Bad days of Redis: whatever the server answers for some seconds, the same workers carry on afterwards."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis

from batch_router.client import BatchClient
from batch_router.connect import open_context
from batch_router.core import BatchStatus
from batch_router.embedded.binary import find_server
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Latency
from batch_router.worker.app import GuestApp
from batch_router.worker.broker import AMQP
from batch_router.worker.loader import Loader
from tests.servers import Server, run_server

from .fleet import Worker, environment_of, worker

_LASTS = 2.0  # seconds
_ROWS = 6


@contextmanager
def _set(server: Server, **changes: str) -> Iterator[None]:
    names = {name.replace("_", "-"): value for name, value in changes.items()}
    before = {name: server.admin.config_get(name)[name] for name in names}
    for name, value in names.items():
        server.admin.config_set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            server.admin.config_set(name, value)


@contextmanager
def readonly(server: Server) -> Iterator[None]:
    """A demoted master: READONLY."""
    server.admin.execute_command("REPLICAOF", "127.0.0.1", "1")
    yield
    server.admin.execute_command("REPLICAOF", "NO", "ONE")


@contextmanager
def masterdown(server: Server) -> Iterator[None]:
    """A replica that lost its master and does not answer from old data: MASTERDOWN."""
    with _set(server, replica_serve_stale_data="no"), readonly(server):
        yield


@contextmanager
def noreplicas(server: Server) -> Iterator[None]:
    """Not enough replicas: NOREPLICAS."""
    with _set(server, min_replicas_to_write="1"):
        yield


@contextmanager
def misconf(server: Server) -> Iterator[None]:
    """A disk that takes no snapshot: MISCONF."""
    blocked = server.socket.parent / "dump.rdb" / "in the way"
    blocked.mkdir(parents=True)
    with _set(server, save="3600 1", stop_writes_on_bgsave_error="yes"):
        server.admin.bgsave()
        while server.admin.info("persistence")["rdb_last_bgsave_status"] == "ok":
            time.sleep(0.02)
        yield
    blocked.rmdir()
    blocked.parent.rmdir()


@contextmanager
def oom(server: Server) -> Iterator[None]:
    """A full server: OOM."""
    with _set(server, maxmemory="1mb"):
        yield


@contextmanager
def busy(server: Server) -> Iterator[None]:
    """Another client's script that does not end: BUSY."""
    with _set(server, busy_reply_threshold="10"):
        looping = threading.Thread(target=_loop, args=(server,))
        looping.start()
        yield
        with suppress(redis.ResponseError):
            server.admin.script_kill()
        looping.join()


def _loop(server: Server) -> None:
    with redis.Redis(unix_socket_path=str(server.socket)) as client, suppress(redis.ResponseError):
        client.eval("while true do end", 0)


@contextmanager
def noperm(server: Server) -> Iterator[None]:
    """A user who may read and not write: NOPERM."""
    server.admin.execute_command("ACL", "SETUSER", "default", "-@write", "-eval", "-evalsha")
    yield
    server.admin.execute_command("ACL", "SETUSER", "default", "+@all")


@contextmanager
def cut(server: Server) -> Iterator[None]:
    """All connections are cut, again and again."""
    ended = threading.Event()

    def cut_all() -> None:
        while not ended.wait(0.1):
            server.admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            server.admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    cutting = threading.Thread(target=cut_all)
    cutting.start()
    yield
    ended.set()
    cutting.join()


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    """A server that stands still."""
    server.process.send_signal(signal.SIGSTOP)
    yield
    server.process.send_signal(signal.SIGCONT)


Fault = Callable[[Server], AbstractContextManager[None]]

FAULTS: list[Fault] = [readonly, masterdown, noreplicas, misconf, oom, busy, noperm, cut, stopped]


class Fleet(NamedTuple):
    """A server, a worker of each pool, and a client."""

    server: Server
    workers: list[Worker]
    client: BatchClient

    def check_alive(self) -> None:
        """No worker has ended."""
        for each in self.workers:
            assert each.process.poll() is None, each.log.read_text()[-5000:]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Its shards have a row each, and its jobs take a second."""
    folder = tmp_path_factory.mktemp("bad_days")
    scenario = Scenario(latency=Latency(in_progress=1))
    with run_server(find_server(), folder) as server, Simulator(scenario) as simulator:
        environment = environment_of(folder / "home", server.url)
        environment |= {"BATCH_ROUTER_OPENAI_BASE_URL": f"{simulator.url}/openai/v1", "OPENAI_API_KEY": "sk-test"}
        environment |= {"BATCH_ROUTER_LEASE": "6", "BATCH_ROUTER_RENEW_EVERY": "1", "BATCH_ROUTER_MAX_SHARD_ROWS": "1"}
        with (
            worker(environment, "-n", "io@%h", "-Q", "io,poll", log="io.log") as io,
            worker(environment, "-n", "cpu@%h", "-Q", "cpu", "-P", "prefork", "-c", "2", log="cpu.log") as cpu,
            BatchClient(open_context(Settings.from_env(environment))) as client,
        ):
            yield Fleet(server, [io, cpu], client)


@pytest.mark.parametrize("bad", FAULTS)
def test_workers_outlive_a_bad_day(fleet: Fleet, bad: Fault) -> None:
    """The fault begins while a batch is on its way; the same processes end it, with all its rows answered."""
    rows = [{"custom_id": str(number), "prompt": "x"} for number in range(_ROWS)]
    batch_id = fleet.client.submit("openai", model="m", requests=rows)
    while fleet.client.status(batch_id).status is BatchStatus.QUEUED:
        time.sleep(0.02)
    with bad(fleet.server):
        time.sleep(_LASTS)
    assert fleet.client.wait(batch_id, timeout=60).request_counts.succeeded == _ROWS
    fleet.check_alive()


@pytest.mark.parametrize("bad", [readonly, masterdown, noreplicas, noperm, busy])
def test_a_message_that_the_broker_refuses_is_no_error(tmp_path: Path, valkey: str, bad: Fault) -> None:
    """The batch is in the store, and the sweep sends its message later."""
    with run_server(find_server(), tmp_path / "broker") as broker, bad(broker):
        environment = environment_of(tmp_path / tmp_path.name, valkey, BATCH_ROUTER_BROKER_URL=broker.url)
        done = subprocess.run([sys.executable, "-c", _SUBMIT], env=environment, capture_output=True, text=True)
    assert done.stdout == "sent\n", done.stderr
    assert "action=publish_failed item=sent" in done.stderr


def test_a_refused_acknowledgement_is_not_held_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that may hold one message takes the next one, on the same connection."""
    taken: list[Any] = []
    with run_server(find_server(), tmp_path / "broker") as server:
        for name, value in environment_of(tmp_path / "fleet", server.url).items():
            monkeypatch.setenv(name, value)
        app = GuestApp("ours", set_as_current=False, fixups=(), loader=Loader, amqp=AMQP)
        for _ in range(2):
            app.send_task("batch_router.submit_batch", ["openai"])
        with app.connection_for_read() as connection:
            consumer = app.amqp.TaskConsumer(connection, queues=[app.amqp.queues["io"]], on_message=taken.append)
            consumer.qos(prefetch_count=1)
            consumer.consume()
            connection.drain_events(timeout=10)
            with readonly(server), pytest.raises(redis.RedisError):
                taken[0].ack()
            connection.drain_events(timeout=10)
    assert len(taken) == 2


_SUBMIT = """
from batch_router.worker import submit_batch
print(submit_batch.delay("openai", model="m", requests=[{"custom_id": "a", "prompt": "x"}], batch_id="sent").id)
"""
