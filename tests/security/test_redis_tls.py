"""`rediss://`: a server that cannot show who it is gets nothing, from the store's client as from Celery's."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from celery.exceptions import OperationalError

from batch_router.client import BatchClient
from batch_router.connect import open_broker, open_context, open_store
from batch_router.exceptions import StoreUnavailableError, ValidationError
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.worker.app import GuestApp
from batch_router.worker.broker import AMQP
from batch_router.worker.loader import Loader
from tests.worker.fleet import celery, environment_of, worker

from .tls import TlsServer, certificate, tls_server

ROWS = [{"custom_id": "a", "prompt": "x"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates: of our CA, of a server and of a client that it signed, and of others."""
    made = tmp_path_factory.mktemp("tls")
    ours, theirs = certificate(made, "ca"), certificate(made, "other-ca")
    certificate(made, "server", "127.0.0.1", ours)
    certificate(made, "client", "client", ours)
    certificate(made, "another host", "127.0.0.2", ours)
    certificate(made, "another ca", "127.0.0.1", theirs)
    certificate(made, "self-signed", "127.0.0.1")
    return made


def url_of(server: TlsServer, valkey: str, query: str = "") -> str:
    return f"rediss://:{urlsplit(valkey).password}@127.0.0.1:{server.port}/14{query}"


@pytest.fixture
def server(folder: Path, valkey: str) -> Iterator[TlsServer]:
    with tls_server(int(urlsplit(valkey).port or 0), folder, "server") as running:
        yield running


@pytest.mark.parametrize("query", ["", "?ssl_cert_reqs=required", "?ssl_cert_reqs=CERT_REQUIRED"])
def test_the_store_takes_both_ways_of_writing_it(server: TlsServer, folder: Path, valkey: str, query: str) -> None:
    """That of redis-py and that of Celery; the CA is a setting."""
    settings = Settings(redis_url=url_of(server, valkey, query), redis_ca=folder / "ca.crt")
    store = open_store(settings)
    assert store.now() > 0
    store.close()
    with open_broker(settings) as broker:
        assert broker.ping()


def test_a_fleet_works_by_tls(server: TlsServer, folder: Path, valkey: str, tmp_path: Path) -> None:
    """A worker carries a batch, and answers to remote control; Flower's page about queues gets what it needs."""
    with Simulator(Scenario()) as simulator:
        url = url_of(server, valkey, f"?ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs={folder}/ca.crt")
        environment = environment_of(tmp_path / "tls", url)
        environment |= {"BATCH_ROUTER_OPENAI_BASE_URL": f"{simulator.url}/openai/v1", "OPENAI_API_KEY": "sk-test"}
        with worker(environment, "-n", "tls@%h"), BatchClient(open_context(Settings.from_env(environment))) as client:
            batch_id = client.submit("openai", model="m", requests=ROWS)
            assert client.wait(batch_id, timeout=60).request_counts.succeeded == 1
            ask = celery(
                "-A", "batch_router.worker", "inspect", "ping", "-t", "20", "-d", f"tls@{socket.gethostname()}"
            )
            done = subprocess.run(ask, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
            assert "pong" in done.stdout
    assert server.heard


def test_a_client_shows_its_certificate(folder: Path, valkey: str) -> None:
    """To a server that wants one."""
    with tls_server(int(urlsplit(valkey).port or 0), folder, "server", client_ca="ca") as server:
        files = f"?ssl_certfile={folder}/client.crt&ssl_keyfile={folder}/client.key"
        shown = Settings(redis_url=url_of(server, valkey, files), redis_ca=folder / "ca.crt")
        with open_broker(shown) as broker:
            assert broker.ping()
        hidden = open_store(Settings(redis_url=url_of(server, valkey), redis_ca=folder / "ca.crt"))
        with pytest.raises(StoreUnavailableError):
            hidden.now()
        hidden.close()


@pytest.mark.parametrize("shown", ["another host", "another ca", "self-signed"])
def test_a_server_that_is_another_gets_no_password(
    folder: Path, valkey: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of the two clients sends it anything."""
    with ExitStack() as opened:
        server = opened.enter_context(tls_server(int(urlsplit(valkey).port or 0), folder, shown))
        settings = Settings(redis_url=url_of(server, valkey), redis_ca=folder / "ca.crt")
        store = open_store(settings)
        opened.callback(store.close)
        with pytest.raises(StoreUnavailableError, match="does not answer"):
            store.now()
        monkeypatch.setenv("BATCH_ROUTER_REDIS_URL", str(settings.redis_url))
        monkeypatch.setenv("BATCH_ROUTER_REDIS_CA", str(settings.redis_ca))
        app = GuestApp("ours", set_as_current=False, fixups=(), loader=Loader, amqp=AMQP)
        before = server.connected
        with app.connection_for_read() as connection, pytest.raises(OperationalError):
            connection.ensure_connection(max_retries=1, interval_start=0)
        assert server.connected > before > 0
        assert server.heard == b""


def test_a_ca_that_is_not_there_is_named() -> None:
    """In one sentence, and not as a server that does not answer."""
    settings = Settings(redis_url="rediss://h/0", redis_ca=Path("/nowhere/ca.crt"))
    with pytest.raises(ValidationError, match="ssl_ca_certs names no file"):
        open_store(settings)
