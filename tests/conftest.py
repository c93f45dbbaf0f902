"""Fixtures that more than one folder uses: a real Valkey, and the shared reference data where it is present."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from batch_router.embedded import EmbeddedServer
from batch_router.road.context import Clients, Context
from batch_router.road.lease import LeaseKeeper
from batch_router.settings import Settings
from batch_router.state.memory import MemoryStore
from batch_router.storage import FolderStorage

ROOT = Path(__file__).parent.parent

# How fast the machine is, and what else it does, is no matter of a test's outcome.
hypothesis_settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("any machine")


# They start processes and wait for them. They come first, so that no file is left to run alone at the end.
_SLOW = ("worker", "e2e", "guest", "test_make.py", "drills")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slow files in front, the slowest first; elsewhere the order stays."""

    def place(item: pytest.Item) -> int:
        part = item.path.relative_to(ROOT / "tests").parts[0]
        return _SLOW.index(part) if part in _SLOW else len(_SLOW)

    items.sort(key=place)


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
    folder = Path(os.environ.get("TEST_SHARED_DATA", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("the shared reference data is not here; TEST_SHARED_DATA names its folder")
    return folder


@pytest.fixture
def make_context(tmp_path: Path) -> Iterator[Callable[..., Context]]:
    """`make_context(max_shard_rows=2)`: all contexts of a test share the folder, each has a store of its own.

    Its clock stands still, unless it is given another.
    """
    opened = ExitStack()

    def make(clock: Callable[[], float] = lambda: 1_800_000_000.0, **changes: object) -> Context:
        settings = Settings(home=tmp_path / "home", **changes)  # type: ignore[arg-type]
        store = MemoryStore(clock)
        made = Context(
            settings=settings,
            store=store,
            storage=FolderStorage(settings.home),
            worker="test",
            clients=Clients(settings),
            keeper=LeaseKeeper(store, lease=settings.lease, every=settings.renew_every),
        )
        opened.callback(made.close)
        return made

    with opened:
        yield make


@pytest.fixture
def context(make_context: Callable[..., Context]) -> Context:
    """A context with the usual settings."""
    return make_context()


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[], list[str]]:
    """`stored()`: the names of all objects in storage but its own mark, temporary files included."""

    def names() -> list[str]:
        root = tmp_path / "home"
        names = (str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())
        return sorted(name for name in names if not name.startswith("storage-marks/"))

    return names
