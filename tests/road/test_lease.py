"""The thread that renews leases outlives whatever the store answers."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from batch_router.embedded import EmbeddedServer
from batch_router.exceptions import StoreUnavailableError
from batch_router.road import lease
from batch_router.road.lease import LeaseKeeper
from batch_router.state.items import SCHEMA
from batch_router.state.memory import MemoryStore
from batch_router.state.redis import RedisStore
from tests.items import new_batch

_WITHIN = 20.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator["redis.Redis"]:
    """A server of this test's own: it is made to refuse writes."""
    with EmbeddedServer(tmp_path) as embedded, redis.Redis.from_url(embedded.start(), decode_responses=True) as client:
        yield client


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _WITHIN
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_refused_writes_do_not_end_the_keeper(server: "redis.Redis") -> None:
    """A server without replicas refuses the renewals for a while; afterwards the lease is renewed as before."""
    store = RedisStore(server)
    store.create(new_batch(), delay=0)
    store.claim("b", 1, lease=60, holder="w")
    keeper = LeaseKeeper(store, lease=60, every=0.05)
    with keeper.hold("b", 2, "w", time.monotonic()):
        server.config_set("min-replicas-to-write", 1)
        wait_for(lambda: "errorstat_NOREPLICAS" in server.info("errorstats"))
        server.config_set("min-replicas-to-write", 0)
        ends = server.zscore(f"batch_router:v{SCHEMA}:due", "b") or 0
        wait_for(lambda: (server.zscore(f"batch_router:v{SCHEMA}:due", "b") or 0) > ends)
    keeper.close()


def test_every_error_of_the_server_reads_as_a_sentence(server: "redis.Redis") -> None:
    """It says which server refuses, and the server's own word for why."""
    store = RedisStore(server)
    server.config_set("min-replicas-to-write", 1)
    with pytest.raises(StoreUnavailableError, match=r"^Redis at 127.0.0.1:\d+ refuses a command \(\w+: NOREPLICAS\)$"):
        store.create(new_batch(), delay=0)


class _OddStore(MemoryStore):
    """Raises what no store is known to raise, once."""

    raised = False

    def renew(self, *args: object, **options: object) -> bool:
        if not self.raised:
            self.raised = True
            raise KeyError("hush")
        return super().renew(*args, **options)  # type: ignore[arg-type]


def test_an_unforeseen_error_does_not_end_the_keeper() -> None:
    """The log has the error, and the next renewal comes."""
    clock = iter(range(1_000_000))
    store = _OddStore(clock=lambda: next(clock))
    store.create(new_batch(), delay=0)
    store.claim("b", 1, lease=60, holder="w")
    keeper = LeaseKeeper(store, lease=60, every=0.01)
    with keeper.hold("b", 2, "w", time.monotonic()):
        ends = store._due["b"]
        wait_for(lambda: store._due["b"] > ends)
    keeper.close()
    assert store.raised


class _HangingStore(MemoryStore):
    """Answers no renewal of one item before it is told to, as over a connection that died in silence."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs, self.goes_on = threading.Event(), threading.Event()

    def renew(self, item_id: str, *args: object, **options: object) -> bool:
        if item_id == "hangs" and not self.goes_on.is_set():
            self.hangs.set()
            self.goes_on.wait(_WITHIN)
        return super().renew(item_id, *args, **options)  # type: ignore[arg-type]


def test_a_renewal_that_hangs_costs_no_other_lease() -> None:
    """Its thread is replaced, and the others are renewed meanwhile, as is the one that hung once it is answered."""
    store = _HangingStore()
    keeper = LeaseKeeper(store, lease=60, every=0.02)
    since = time.monotonic()
    with ExitStack() as stack:
        for batch_id in ("hangs", "other", "another"):
            store.create(new_batch(batch_id), delay=0)
            store.claim(batch_id, 1, lease=60, holder="w")
            stack.enter_context(keeper.hold(batch_id, 2, "w", since))
        assert store.hangs.wait(_WITHIN)
        ends = dict(store._due)

        def is_renewed(*names: str) -> bool:
            keeper.look_after()
            return all(store._due[name] > ends[name] for name in names)

        wait_for(lambda: is_renewed("other", "another"))
        assert store._due["hangs"] == ends["hangs"]
        store.goes_on.set()
        wait_for(lambda: is_renewed("hangs"))
    keeper.close()


def test_a_step_that_hangs_loses_its_item(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """After a long silence its lease runs out, another worker takes the item, and the log has its name."""
    monkeypatch.setattr(lease, "_LONGEST_SILENCE", 0.3)
    store = MemoryStore()
    for batch_id in ("silent", "speaking"):
        store.create(new_batch(batch_id), delay=0)
        store.claim(batch_id, 1, lease=2, holder="w")
    keeper = LeaseKeeper(store, lease=2, every=0.02)
    since = time.monotonic()
    due: set[str] = set()

    def is_due() -> bool:
        speaking.renew()
        due.update(hint.id for hint in store.take_due(9, grace=60))
        return bool(due)

    with keeper.hold("silent", 2, "w", since), keeper.hold("speaking", 2, "w", since) as speaking:
        wait_for(is_due)
        assert due == {"silent"}
        assert time.monotonic() - since > 0.3
        assert store.claim("silent", 2, lease=60, holder="other")
    keeper.close()
    assert "action=step_hangs item=silent" in caplog.text
