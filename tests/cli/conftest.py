"""A home with batches, which is this process's."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from batch_router.connect import open_context
from batch_router.road.context import Context
from batch_router.settings import Settings
from batch_router.state.base import Commit
from batch_router.state.parts import Part
from batch_router.state.table import State
from tests.cli.commands import HOSTILE, LONG
from tests.items import new_batch, new_shard, put_shards
from tests.worker.fleet import environment_of


@pytest.fixture
def home(tmp_path: Path, valkey: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of this test, which is also this process's."""
    folder = tmp_path / f"home{uuid4().hex[:8]}"
    folder.mkdir()
    for name, value in environment_of(folder, valkey).items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def context(home: Path) -> Iterator[Context]:
    """What the commands see; two batches that run, one of them with results, and one that has ended."""
    with closing(open_context(Settings.from_env())) as made:
        put_shards(made.store, new_shard(LONG), batch=new_batch(LONG, metadata={"run": "7"}, model="gpt-5-mini"))
        folder = "generated/openai/abc"
        for name, line in (("ids", [0, "q"]), ("results", {"custom_id": "q", "status": "succeeded", "text": HOSTILE})):
            with made.storage.write(f"{folder}/{name}") as stream:
                stream.write(msgspec.json.encode(line) + b"\n")
        part = Part(name=f"{folder}/results", row_ids=f"{folder}/ids", succeeded=1)
        put_shards(made.store, new_shard("abc", state=State.CLEANING, part=part))
        made.store.create(new_batch("ab", created_at=1000.0, provider="anthropic"), delay=0)
        for version, state in ((1, State.FINISHING), (3, State.COMPLETED)):
            made.store.claim("ab", version, lease=10, holder="w")
            made.store.commit("ab", version + 1, Commit(state, 0, {"rows": 0}), holder="w")
        yield made
