"""Fixtures that more than one folder uses: a real Valkey, and the shared reference data where it is present."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, settings

from batch_router.embedded import EmbeddedServer

ROOT = Path(__file__).parent.parent

# How fast the machine is, and what else it does, is no matter of a test's outcome.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def close_connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """HTTP connections end with the test that opened them.

    The SDKs' clients sit in reference cycles: left to the collector, a socket may go before the client that would have
    closed it, and the warning comes up in some later test.
    """
    opened: list[httpx2.Client] = []
    begin = httpx2.Client.__init__

    def remember(client: httpx2.Client, *arguments: Any, **options: Any) -> None:
        begin(client, *arguments, **options)
        opened.append(client)

    monkeypatch.setattr(httpx2.Client, "__init__", remember)
    yield
    for client in opened:
        client.close()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real server of this test run, database 0."""
    with EmbeddedServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server.start()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with reference data beside the checkout; what needs it is skipped where it is not."""
    folder = Path(os.environ.get("BATCH_ROUTER_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("the shared reference data is not here; BATCH_ROUTER_SHARED names its folder")
    return folder
