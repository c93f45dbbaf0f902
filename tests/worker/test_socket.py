"""A server on a socket of this machine, for the state as for the messages."""

from pathlib import Path
from typing import Any

from batch_router.client import BatchClient
from batch_router.connect import open_context
from batch_router.embedded.binary import find_server
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.worker.broker import BrokerConnection
from tests.servers import run_server

from .fleet import environment_of, worker


def test_a_fleet_works_over_a_socket(tmp_path: Path) -> None:
    """A server that listens on nothing else; connections that are cut are made again."""
    with run_server(find_server(), tmp_path / "s", "--port", "0") as server, Simulator(Scenario()) as simulator:
        environment = environment_of(tmp_path / "home", f"redis+socket://{server.socket}?virtual_host=3")
        environment |= {"BATCH_ROUTER_OPENAI_BASE_URL": f"{simulator.url}/openai/v1", "OPENAI_API_KEY": "sk-test"}
        with worker(environment, "-P", "prefork") as running:
            with BatchClient(open_context(Settings.from_env(environment))) as client:
                for batch_id in ("before", "after"):
                    client.submit("openai", model="m", requests=[{"custom_id": "a", "prompt": "x"}], batch_id=batch_id)
                    assert client.wait(batch_id, timeout=15).request_counts.succeeded == 1
                    server.admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert f"Connected to redis+socket://:**@{server.socket}?virtual_host=4" in running.log.read_text()


def test_its_url_shows_no_password() -> None:
    """Unless the caller asks for it, as Flower does."""
    made: Any = BrokerConnection("unix:///run/redis.sock?db=3&password=hu%2Fsh")
    shown = made.clone()
    assert shown.as_uri() == "redis+socket://:**@/run/redis.sock?virtual_host=3"
    assert shown.as_uri(include_password=True) == "redis+socket://:hu%2Fsh@/run/redis.sock?virtual_host=3"
