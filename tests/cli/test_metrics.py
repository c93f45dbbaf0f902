"""`batch-router metrics`, over HTTP, read by Prometheus' own parser."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from batch_router.connect import open_store, queue_key
from batch_router.embedded.binary import find_server
from batch_router.metrics import FAMILIES, PREFIX, serve_metrics
from batch_router.settings import Settings
from batch_router.state.base import Commit
from batch_router.state.census import Total
from batch_router.state.table import State
from tests.items import new_batch, new_shard, put_shards
from tests.servers import Server, run_server

ROOT = Path(__file__).parents[2]
Scrape = Callable[[], dict[str, float]]


def read(url: str) -> dict[str, float]:
    """The samples: `name label=value ...` without the prefix."""
    with urlopen(url, timeout=10) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        " ".join([sample.name.removeprefix(PREFIX), *(f"{name}={it}" for name, it in sorted(sample.labels.items()))]): (
            sample.value
        )
        for family in families
        for sample in family.samples
    }


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own."""
    with run_server(find_server(), tmp_path / "redis") as running:
        yield running


@pytest.fixture
def settings(server: Server, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", redis_url=server.url)


@pytest.fixture
def scrape(settings: Settings) -> Iterator[Scrape]:
    """What the exporter answers."""
    serving, _ = serve_metrics(settings, "127.0.0.1", 0)
    yield lambda: read(f"http://127.0.0.1:{serving.server_port}/metrics")
    serving.shutdown()
    serving.server_close()


def test_the_numbers_are_those_of_the_store_and_the_queues(settings: Settings, scrape: Scrape) -> None:
    """Batches, shards, demand, what is overdue, and totals; an item waits for the queue of its next step."""
    store = open_store(settings)
    put_shards(store, new_shard("b"), new_shard("b"), new_shard("b", queue="gpu.small"))
    store.claim("b.0", 1, lease=60, holder="w")
    rows = Total("rows", "openai", "errored")
    store.commit("b.0", 2, Commit(State.PARKED, None, {}, tally={rows: 2}), holder="w")
    store.create(new_batch("c", provider="google"), delay=60)
    store.announce("io@host", ["io"], ttl=60)
    store.close()
    with redis.Redis.from_url(settings.redis_url or "") as broker:
        broker.select(1)
        broker.lpush(queue_key(settings, "io"), "x", "x")
    found = scrape()
    expected = {
        "store_up": 1,
        "broker_up": 1,
        "batches provider=openai status=in_progress": 1,
        "batches provider=google status=queued": 1,
        "shards provider=openai state=parked": 1,
        "shards provider=openai state=uploading": 2,
        "queue_items queue=io": 1,
        "queue_items queue=gpu.small": 1,
        "queue_items queue=cpu": 1,
        "queue_overdue_items queue=io": 1,
        "queue_overdue_items queue=cpu": 0,
        "queue_messages queue=io": 2,
        "queue_listeners queue=io": 1,
        "queue_listeners queue=gpu.small": 0,
        "queue_messages queue=gpu.small": 0,
        "overdue_items": 2,
        "quarantined_items": 0,
        "rows_total provider=openai result=errored": 2,
    }
    assert {name: found[name] for name in expected} == expected
    assert 0 < found["oldest_overdue_seconds"] < 60


def test_a_scrape_costs_the_same_however_many_batches_there_are(
    settings: Settings, server: Server, scrape: Scrape
) -> None:
    """As many commands for one batch as for 300; no sample names one."""

    def commands() -> int:
        server.admin.config_resetstat()
        found = scrape()
        assert not [name for name in found if "many" in name]
        counted = server.admin.info("commandstats")
        return sum(each["calls"] for name, each in counted.items() if name != "cmdstat_config|resetstat")

    store = open_store(settings)
    store.create(new_batch("many-0"), delay=60)
    before = commands()
    for number in range(1, 300):
        store.create(new_batch(f"many-{number}"), delay=60)
    store.close()
    assert commands() == before


def test_a_redis_that_is_away_ends_nothing(tmp_path: Path) -> None:
    """The program starts without it, answers that it is down, and has its numbers once it is there."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BATCH_ROUTER_")}
    with run_server(find_server(), tmp_path / "redis") as server:
        url, port = server.url, server.url.rpartition(":")[2].partition("/")[0]
    environment |= {"BATCH_ROUTER_REDIS_URL": url, "BATCH_ROUTER_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "batch_router.cli", "metrics", "--port", "0"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            address = process.stdout.readline().strip()
            assert read(address) == {"store_up": 0, "broker_up": 0}
            with run_server(find_server(), tmp_path / "redis", "--port", port):
                assert read(address)["store_up"] == 1
            assert read(address) == {"store_up": 0, "broker_up": 0}
        finally:
            process.terminate()
        assert process.wait(10) == 130


def test_every_metric_is_on_its_page() -> None:
    """The table of `docs/operators.md` has each of them, with its labels, and no other."""
    page = (ROOT / "docs" / "operators.md").read_text()
    rows = re.findall(rf"^\| `{PREFIX}(\w+)(?:\{{([\w, ]+)\}})?` \|", page, re.MULTILINE)
    assert {name: tuple(labels.split(", ")) if labels else () for name, labels in rows} == {
        name: family.labels for name, family in FAMILIES.items()
    }
    assert len(rows) == len(FAMILIES)
    used = set(re.findall(rf"{PREFIX}(\w+)", page))
    assert used <= {*FAMILIES}, "a metric of an example that is none"
