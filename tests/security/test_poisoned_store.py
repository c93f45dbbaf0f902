"""A store, or a storage, that others wrote to: what they put there reaches no further than its own batch.

Should code ever follow one of the names in here, it stays in the test's own folder: a purge deletes.
"""

import itertools
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from celery.exceptions import Ignore
from click.testing import CliRunner

from batch_router import BatchClient
from batch_router.cli import cli
from batch_router.connect import open_store
from batch_router.core.jobs import Account
from batch_router.exceptions import BatchRouterError, CorruptItemError, FileOperationError, StoreUnavailableError
from batch_router.operations.orphans import find_strays
from batch_router.road.advance import advance
from batch_router.road.context import Clients, Context
from batch_router.road.lease import LeaseKeeper
from batch_router.road.payloads import erase
from batch_router.settings import Settings
from batch_router.state.base import Commit
from batch_router.state.census import Standing
from batch_router.state.checks import TRIES
from batch_router.state.items import SCHEMA
from batch_router.state.redis import RedisStore
from batch_router.state.table import State
from batch_router.storage import FolderStorage
from batch_router.worker import app, steps, sweep
from tests.items import new_batch, new_shard

_prefixes = itertools.count()
DEEP = "[" * 100_000
WAITING: dict[Any, Any] = {"schema": "2", "version": "1", "state": '"queued"', "provider": '"openai"'}
Poison = Callable[["redis.Redis", str], object]


@pytest.fixture
def context(valkey: str, tmp_path: Path) -> Iterator[Context]:
    """A context on a real server, as a worker opens it, with a store of its own."""
    settings = Settings(home=tmp_path / "home", redis_url=valkey, prefix=f"poisoned{next(_prefixes)}")
    store = open_store(settings)
    opened = Context(
        settings=settings,
        store=store,
        storage=FolderStorage(settings.home),
        worker="test",
        clients=Clients(settings),
        keeper=LeaseKeeper(store, lease=60, every=0.02),
    )
    yield opened
    opened.close()


@pytest.fixture
def server(valkey: str) -> Iterator["redis.Redis"]:
    """The same server, for the attacker."""
    with redis.Redis.from_url(valkey) as client:
        yield client


def key(context: Context, item_id: str) -> str:
    return f"{context.settings.prefix}:item:{item_id}"


def running(context: Context, batch_id: str) -> None:
    """A batch that a worker holds at version 4, with one shard that waits to be uploaded."""
    store = context.store
    store.create(new_batch(batch_id), delay=0)
    store.claim(batch_id, 1, lease=10, holder="w")
    store.commit(batch_id, 2, Commit(State.RUNNING, 0, {"rows": 1}, [new_shard(batch_id)]), holder="w")
    batch = store.get_batch(batch_id)
    assert batch is not None
    store.claim(batch_id, batch.version, lease=10, holder="w")


def field(name: str, value: object) -> Poison:
    """A field of an item, with any value that JSON has."""
    return lambda server, key: server.hset(key, name, json.dumps(value))


def raw(name: str, value: str | bytes) -> Poison:
    return lambda server, key: server.hset(key, name, value)


def of_another_kind(server: "redis.Redis", key: str) -> None:
    server.delete(key)
    server.lpush(key, "x")


ANY_ITEM: dict[str, Poison] = {
    "id of another": field("id", "good"),
    "id that is a path": field("id", "../../outside"),
    "provider that is a path": field("provider", "../../outside"),
    "provider that is a number": field("provider", 7),
    "queue that is none": field("queue", "a b"),
    "credential that is a path": field("credential", "../x"),
    "credential that is a key": field("credential", "sk-canary"),
    "state that is none": field("state", "nope"),
    "negative attempts": field("attempts", -1),
    "time that never comes": field("updated_at", 1e300),
    "time that no calendar has": field("created_at", 1e12),
    "kind that is none": field("kind", "nope"),
    "no JSON": raw("state", "{"),
    "no UTF-8": raw("provider", b'"\xff\xfe"'),
    "escape sequence": raw("state", '"\x1b[2J"'),
    "nested deeply": raw("error", DEEP),
    "schema that is none": field("schema", "2"),
    "another kind of key": of_another_kind,
}
BATCHES: dict[str, Poison] = {
    "options elsewhere": field("submission", "../../outside/b/options.json"),
    "options of another batch": field("submission", "generated/openai/good/submission.json"),
    "report elsewhere": field("report", "../../outside/b/report.json"),
    "manifest elsewhere": field("manifest", "../../outside/b/manifest.json"),
    "shards without an end": field("shards", 10**18),
    "negative shards": field("shards", -1),
    "shards that are no number": field("shards", "x"),
    "negative rows": field("rows", -5),
    "a shard": field("kind", "shard"),
}
SHARDS: dict[str, Poison] = {
    "rows elsewhere": field("requests", "../../outside/b/secret"),
    "rows at an absolute path": field("requests", "/nowhere/secret"),
    "rows of another batch": field("requests", "generated/openai/good/requests"),
    "row ids elsewhere": field("row_ids", "../../outside/b/ids"),
    "answers elsewhere": field("answers", "generated/openai/bad/../../../../outside/b/secret"),
    "part elsewhere": field("part", {"name": "../../outside/b/secret"}),
    "label that is no label": field("label", "x"),
    "batch that is another": field("batch", "good"),
    "engine option that is none": field("engine_options", {"--tool-parser-plugin": "x"}),
    "engine option that is a list": field("engine_options", {"seed": ["x"]}),
    "header that frames a request": field("job_options", {"headers": {"content-length": "0"}}),
    "header with a line end": field("job_options", {"headers": {"x-run": "1\r\nx-api-key: k"}}),
    "negative size": field("size", -1),
    "job in another shape": field("job", [1]),
    "a batch": field("kind", "batch"),
}
POISONS = [
    *(pytest.param("bad", poison, id=f"batch, {name}") for name, poison in (ANY_ITEM | BATCHES).items()),
    *(pytest.param("bad.0", poison, id=f"shard, {name}") for name, poison in (ANY_ITEM | SHARDS).items()),
]


@pytest.mark.parametrize(("item_id", "poison"), POISONS)
def test_a_poisoned_item_holds_up_no_other(
    context: Context,
    server: "redis.Redis",
    item_id: str,
    poison: Poison,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever an item holds: its status says so, workers leave it alone, and every walk goes on to the others."""
    outside = tmp_path / "outside" / "b" / "secret"
    outside.parent.mkdir(parents=True)
    outside.write_bytes(b"precious")
    for batch_id in ("bad", "good"):
        running(context, batch_id)
    poison(server, key(context, item_id))
    client, store = BatchClient(context), context.store

    with pytest.raises(CorruptItemError) as caught:
        client.status("bad")
    assert str(caught.value).startswith(item_id)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 450

    assert "good.0" in {hint.id for hint in store.take_due(50, grace=0)}
    assert "good" in {batch.id for batch in store.iter_batches()}
    assert [status.batch_id for status in client.list()] == ["good"]
    assert context.store.accounts() >= {("openai", None)}
    assert list(find_strays(context)) == []
    assert store.foreign_items(9) == []

    monkeypatch.setattr(steps, "context", lambda: context)
    for version in range(4, 4 + TRIES) if item_id == "bad" else range(1, 1 + TRIES):  # each try may have claimed it
        with pytest.raises(Ignore):
            app.tasks["batch_router.convert"].run((item_id, version))
    assert item_id in {found.id for found in store.quarantined(9)}
    for touch in (client.cancel, client.purge):
        with suppress(BatchRouterError):
            touch("bad")
    assert outside.read_bytes() == b"precious"
    assert "precious" not in caplog.text


@pytest.mark.parametrize(("item_id", "poison"), [("bad", of_another_kind), ("bad", field("shards", 10**18))])
def test_the_server_is_not_kept_busy(context: Context, server: "redis.Redis", item_id: str, poison: Poison) -> None:
    """The store's own calls refuse a poisoned item with our error, and answer at once."""
    running(context, "bad")
    context.store.commit("bad", 4, Commit(State.COMPLETED, None, {}), holder="w")
    seen = context.store.get_batch("bad")
    assert seen is not None
    poison(server, key(context, item_id))
    with suppress(CorruptItemError):
        assert not context.store.cancel("bad")
    with suppress(CorruptItemError):
        assert not context.store.delete(seen)
    assert server.ping()


def test_shards_that_are_not_there_are_not_looked_for_long(context: Context, server: "redis.Redis") -> None:
    """A batch that counts more shards than there are is refused at the first thousand that are missing."""
    for batch_id in ("bad", "good"):
        running(context, batch_id)
    field("shards", 150_000)(server, key(context, "bad"))
    with pytest.raises(CorruptItemError, match="none from 1000 on is there"):
        BatchClient(context).status("bad")
    assert [status.batch_id for status in BatchClient(context).list()] == ["good"]


def test_what_is_due_may_be_anything(context: Context, server: "redis.Redis") -> None:
    """Entries without an item, with hostile names, and of poisoned items hide none of the others."""
    running(context, "good")
    due = f"{context.settings.prefix}:v{SCHEMA}:due"
    for number in range(120):
        server.zadd(due, {f"ghost{number}": 0})
        server.zadd(due, {b"\xff\x1b[2J%d" % number: 0})
    for name in ("../x", "a b", "x" * 5000):
        server.hset(key(context, name), mapping=WAITING)
        server.zadd(due, {name: 1})
    for number, state in enumerate(("nope", "parked", "completed")):
        server.hset(key(context, f"odd{number}"), mapping=WAITING | {"state": json.dumps(state)})
        server.zadd(due, {f"odd{number}": 1})
    found = [hint.id for _ in range(5) for hint in context.store.take_due(5, grace=60)]
    assert found == ["good.0"]


def test_what_is_gone_is_named(context: Context, server: "redis.Redis", caplog: pytest.LogCaptureFixture) -> None:
    """An item whose record vanished is set aside; its batch goes on without it; it is due when the record is back."""
    for batch_id in ("bad", "good"):
        running(context, batch_id)
    before = server.dump(key(context, "bad.0"))
    assert before is not None
    server.delete(key(context, "bad.0"))
    server.zadd(f"{context.settings.prefix}:v{SCHEMA}:due", {"\x1b[2Jx": 0})
    assert {hint.id for hint in context.store.take_due(9, grace=0)} == {"good.0", "bad"}
    assert r"action=dropped entry=\x1b[2Jx" in caplog.text
    (found,) = context.store.quarantined(9)
    assert (found.id, found.reason) == ("bad.0", "its record is gone, or is none of this version")
    status = BatchClient(context).status("bad")
    assert str(status.waiting_for).startswith("bad.0 is in the quarantine (its record is gone")
    assert str(status.waiting_for).endswith("then `batch-router resume bad`")
    server.restore(key(context, "bad.0"), 0, before)
    assert context.store.release("bad") == ["bad.0"]
    assert "bad.0" in {hint.id for hint in context.store.take_due(9, grace=0)}


@pytest.mark.parametrize("entry", ["ghost{}", "b.{}", "no id {}"])
def test_a_hundred_thousand_entries_of_nothing_hide_nothing(
    context: Context, server: "redis.Redis", entry: str
) -> None:
    """Each look takes a bounded number of them out of the way, and a dozen looks find what is behind them."""
    server.zadd(f"{context.settings.prefix}:v{SCHEMA}:due", {entry.format(number): 0 for number in range(100_000)})
    running(context, "good")
    assert context.store.take_due(9, grace=60) == []
    assert "good.0" in {hint.id for _ in range(12) for hint in context.store.take_due(9, grace=60)}


def test_a_hundred_thousand_items_of_another_version_hide_nothing(context: Context, server: "redis.Redis") -> None:
    """They wait in a line of their own: the first look finds ours, and they are still there for their workers."""
    theirs = f"{context.settings.prefix}:v{SCHEMA + 1}:"
    server.zadd(f"{theirs}due", {f"newer{number:05}": 0 for number in range(100_000)})
    server.sadd(f"{context.settings.prefix}:layouts", theirs)
    running(context, "good")
    assert [hint.id for hint in context.store.take_due(9, grace=60)] == ["good.0"]
    assert server.zcount(f"{theirs}due", 0, 0) == 100_000
    assert context.store.foreign_items(2) == ["newer00000", "newer00001"]


def test_operators_see_what_is_in_the_quarantine(
    context: Context, server: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    """`doctor` and `list` name it with its reason and the remedy, whatever the item holds."""
    for batch_id in ("bad", "good"):
        running(context, batch_id)
    of_another_kind(server, key(context, "bad.0"))
    assert [hint.id for hint in context.store.take_due(9, grace=0)] == ["good.0"]
    for name, value in (("REDIS_URL", str(context.settings.redis_url)), ("PREFIX", context.settings.prefix)):
        monkeypatch.setenv(f"BATCH_ROUTER_{name}", value)
    found = json.loads(CliRunner().invoke(cli, ["doctor", "--json"]).stdout)["findings"]
    (item,) = (each for each in found if each["what"] == "quarantine bad.0")
    assert item["found"].startswith("its record is gone, or is none of this version, since 20")
    assert item["remedy"] == "mend it or restore it from a backup, then `batch-router resume bad`"
    shown = CliRunner().invoke(cli, ["list"])
    assert "bad.0 is in the quarantine (its record is gone" in shown.output
    assert "good" in shown.stdout


def test_a_poisoned_list_stops_no_step(context: Context, server: "redis.Redis") -> None:
    """Keys of the lists that hold something else: a batch is created, cut, worked on and ended as ever."""
    own = f"{context.settings.prefix}:v{SCHEMA}:"
    for name in ("batches::", "batches::queued", "ids", "ended", "parked", "accounts", "in_flight:openai@host:m"):
        server.lpush(f"{own}{name}", "x")
    running(context, "good")
    account = Account(service="openai@host", credential=None)
    context.store.claim("good.0", 1, lease=10, holder="w")
    assert context.store.commit("good.0", 2, Commit(State.POLLING, 0, {"account": account}), holder="w")
    context.store.claim("good.0", 3, lease=10, holder="w")
    assert context.store.commit("good.0", 4, Commit(State.COMPLETED, None, {}), holder="w")
    assert BatchClient(context).status("good").shards[0].state == "completed"


def test_a_purge_goes_on_behind_a_poisoned_batch(context: Context, server: "redis.Redis") -> None:
    """`purge --older-than` passes a batch whose shard cannot be read, and purges the others."""
    for batch_id in ("bad", "good"):
        running(context, batch_id)
        context.store.commit(batch_id, 4, Commit(State.COMPLETED, None, {}), holder="w")
    of_another_kind(server, key(context, "bad.0"))
    assert list(BatchClient(context).purge_older(0)) == ["good"]


def test_a_purge_deletes_the_folder_of_its_batch_alone(context: Context, tmp_path: Path) -> None:
    """A record that was changed on its way, past all checks, makes `purge` delete nothing elsewhere."""
    (tmp_path / "outside" / "b").mkdir(parents=True)
    for provider, batch_id in (("..", "outside"), ("../../outside", "b"), ("openai", ".."), ("openai", "b/../../x")):
        batch = new_batch(batch_id, provider=provider, state=State.COMPLETED)
        with pytest.raises(FileOperationError, match="nothing was touched"):
            erase(context, batch)
    assert (tmp_path / "outside" / "b").is_dir()


@pytest.mark.parametrize("content", [b"", b"\xff", b"{}", b"[1", DEEP.encode(), b'{"parts": 7}'])
def test_a_manifest_may_be_anything(context: Context, content: bytes) -> None:
    """A manifest that is none is an error that names the batch, and `results` ends with it."""
    finished(context, content)
    for read in (BatchClient(context).manifest, lambda batch_id: list(BatchClient(context).results(batch_id))):
        with pytest.raises(CorruptItemError, match=r"^b is in the store as"):
            read("b")


@pytest.mark.parametrize(
    "name", ["../../outside/b/secret", "generated/openai/other/part", "generated/openai/b/../other/part", "/x"]
)
@pytest.mark.parametrize("field", ["results", "row_ids"])
def test_a_manifest_lists_parts_of_its_batch_alone(context: Context, name: str, field: str, tmp_path: Path) -> None:
    """Parts that lie elsewhere, or are another batch's, are not read."""
    (tmp_path / "outside" / "b").mkdir(parents=True)
    for path in (tmp_path / "outside/b/secret", context.settings.home / "generated/openai/other/part"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'[0,"precious"]\n')
    part = {"results": "generated/openai/b/part", "row_ids": "generated/openai/b/ids", field: name}
    finished(context, json.dumps(manifest(part)).encode())
    with pytest.raises(CorruptItemError, match="its manifest lists") as caught:
        list(BatchClient(context).result_lines("b"))
    assert "precious" not in str(caught.value)


def manifest(part: dict[str, str]) -> dict[str, Any]:
    counts = {"total": 1, "succeeded": 1, "errored": 0, "cancelled": 0, "expired": 0}
    whole = {"shard": "b.0", "state": "completed", "rows": 1, "first_row": 0, "size": 1, "sha256": "", **part}
    return {
        "batch_id": "b",
        "provider": "openai",
        "status": "completed",
        "request_counts": counts,
        "created_at": "",
        "completed_at": "",
        "storage": "",
        "parts": [whole | {"request_counts": {name: counts[name] for name in counts if name != "total"}}],
    }


def finished(context: Context, content: bytes) -> None:
    """A batch that has ended with these bytes as its manifest."""
    name = "generated/openai/b/manifest-2.json"
    with context.storage.write(name) as stream:
        stream.write(content)
    context.store.create(new_batch(), delay=0)
    context.store.claim("b", 1, lease=10, holder="w")
    context.store.commit("b", 2, Commit(State.COMPLETED, None, {"manifest": name}), holder="w")


def test_options_that_are_none_end_their_batch(context: Context) -> None:
    """A worker that finds no options in a batch's submission ends the batch with the reason, and goes on."""
    context.store.create(new_batch(), delay=0)
    with context.storage.write(new_batch().submission) as stream:
        stream.write(b'{"row_retries": "many"}')
    done = advance(context, "b", 1)
    assert done is not None
    batch = context.store.get_batch("b")
    assert batch is not None
    assert batch.state is State.FINISHING
    assert batch.failure is not None
    assert batch.failure.type == "corrupt_item"


def test_a_queue_that_is_none_holds_up_no_sweep(
    context: Context, server: "redis.Redis", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An item on a queue that the fleet does not have is left where it is, and the sweep sends the others' messages."""
    for batch_id in ("bad", "good"):
        running(context, batch_id)
    field("queue", "nowhere")(server, key(context, "bad.0"))
    url = str(context.settings.redis_url).replace("/0", "/1")
    monkeypatch.setattr(app, "_pool", None)
    monkeypatch.setattr(app.amqp, "_producer_pool", None)
    monkeypatch.setenv("BATCH_ROUTER_BROKER_URL", url)
    monkeypatch.setenv("BATCH_ROUTER_PREFIX", context.settings.prefix)
    with caplog.at_level(logging.INFO), redis.Redis.from_url(url) as broker:
        sweep.sweep(context, broker)
    assert "action=sweep_skipped item=bad.0" in caplog.text
    assert "action=swept item=good.0" in caplog.text
    app.pool.force_close_all()


def test_a_poisoned_item_costs_no_other_its_lease(context: Context, server: "redis.Redis") -> None:
    """A worker that holds an item which is poisoned meanwhile goes on renewing the leases of all others."""
    assert isinstance(context.store, RedisStore)
    for batch_id in ("bad", "good"):
        running(context, batch_id)
    of_another_kind(server, key(context, "bad"))
    due, deadline = f"{context.settings.prefix}:v{SCHEMA}:due", time.monotonic() + 20
    with context.keeper.hold("bad", 4, "w", time.monotonic()), context.keeper.hold("good", 4, "w", time.monotonic()):
        first = last = server.zscore(due, "good") or 0
        while last < first + 100:  # milliseconds
            assert time.monotonic() < deadline
            last = server.zscore(due, "good") or 0


def test_a_walk_that_another_program_wrote_is_walked_again(context: Context, valkey: str) -> None:
    """What a look through an account's jobs left is read by all its shards: where it is nonsense, there is none."""
    with redis.Redis.from_url(valkey, decode_responses=True) as client:
        for poison in ({"began_at": "soon"}, {"rows:1": DEEP}, {"rows:1": '[{"id": 7}]'}, {"rows:1": "{}"}):
            client.delete(f"{context.settings.prefix}:walk:a")
            client.hset(f"{context.settings.prefix}:walk:a", mapping={"began_at": "1", "since": "1", **poison})
            assert context.store.get_walk("a", ["rows:1"]) is None


def test_a_poisoned_counter_is_no_metric(context: Context, server: "redis.Redis") -> None:
    """Counters and due items that batch_router cannot have written are left out; the others are counted."""
    running(context, "good")
    own, prefix = f"{context.settings.prefix}:v{SCHEMA}:", f"{context.settings.prefix}:"
    names = ["x", "shard:openai::nope", "cow:openai::queued", "shard:../..::queued", "shard:openai:a b:queued"]
    values = {"shard:openai::parked": "-1e999", "shard:openai::creating": "many", "shard:openai::polling": "-3"}
    standing: dict[Any, Any] = dict.fromkeys(names, "7") | values
    server.hset(f"{own}standing", mapping=standing)
    server.hset(f"{prefix}totals", mapping={"rows:openai:\x1b[2J": "1", "rows:../..:x": "1", "rows": "1"})
    server.zadd(f"{own}due", {"../../x": 0, "good.7": 0})
    server.hset(key(context, "good.7"), mapping={"kind": "[" * 100_000, "provider": '"openai"', "state": "{"})
    census = context.store.census()
    places = {(place.kind, place.state): number for place, number in census.items.items() if number}
    assert places == {("batch", State.RUNNING): 1, ("shard", State.UPLOADING): 1}
    assert census.totals == {}
    assert set(census.first_overdue) <= {Standing("shard", "openai", None, State.UPLOADING)}
    server.set(f"{own}standing", "x")
    with pytest.raises(StoreUnavailableError):
        context.store.census()
