"""A context as the steps have it, over a store in memory and a storage in a temporary folder."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from batch_router.pipeline.context import Clients, Context
from batch_router.pipeline.lease import LeaseKeeper
from batch_router.settings import Settings
from batch_router.state.memory import MemoryStore
from batch_router.storage import LocalStorage


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
            storage=LocalStorage(settings.home),
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
    """`stored()`: the names of all objects in storage, temporary files included."""

    def names() -> list[str]:
        root = tmp_path / "home"
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())

    return names
