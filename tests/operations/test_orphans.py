"""Jobs at the providers that no shard owns, and batches that are purged."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from batch_router.cli import cli
from batch_router.client import BatchClient
from batch_router.connect import open_store
from batch_router.core import UnifiedRequest
from batch_router.core.jobs import Job, JobSpec
from batch_router.exceptions import BatchNotFoundError, ValidationError
from batch_router.operations.orphans import find_orphans, find_strays
from batch_router.operations.submit import submit
from batch_router.providers import find_provider
from batch_router.road.context import Context
from batch_router.security.paths import batch_folder
from batch_router.settings import Settings
from batch_router.simulator import Simulator
from batch_router.state.base import Commit
from batch_router.state.table import State
from tests.file_rows import FileRows
from tests.items import new_batch, new_shard, put_shards

URLS = {"openai": "openai/v1", "anthropic": "anthropic", "google": "google"}
OURS, OTHER, OWNED = "0123456789abcdef", "fedcba9876543210", "00000000000000aa"


@pytest.mark.parametrize("provider", URLS)
def test_a_job_that_no_shard_owns_is_found(
    make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    """Not one that is owned, not one whose shard still looks for it, not one with a label of another program."""
    monkeypatch.setenv(find_provider(provider).key_variables[0], "k")
    with Simulator() as simulator:
        context = make_context(base_urls={provider: f"{simulator.url}/{URLS[provider]}"})
        jobs = {label: create(context, provider, label) for label in (OURS, OTHER, OWNED, "not-a-token")}
        put_shards(context.store, *(new_shard(provider=provider, label=label) for label in (OWNED, OTHER)))
        context.store.claim("b.0", 1, lease=10, holder="w")
        account = context.clients.get(provider).access.account(None)
        commit = Commit(State.POLLING, None, {"job": jobs[OWNED], "account": account})
        context.store.commit("b.0", 2, commit, holder="w")
        assert context.store.accounts() == {(provider, None)}
        assert [job.id for job in find_orphans(context, provider, None, 10)] == [jobs[OURS].id]


def test_a_folder_of_no_batch_is_found(context: Context) -> None:
    """Of a caller that died before the store knew of its batch; not of one that may be about to submit it."""
    known = submit(context, "openai", {"model": "m", "requests": [{"custom_id": "a", "prompt": "hi"}]})
    for name in ("old", "young"):
        with context.storage.write(f"{batch_folder('openai', name)}/input") as stream:
            stream.write(b"{}\n")
    for name in ("old", known.id):
        for path in Path(context.storage.address, batch_folder("openai", name)).iterdir():
            os.utime(path, (0, 0))
    assert list(find_strays(context)) == [batch_folder("openai", "old")]


def facts(provider: str, label: str) -> dict[str, Any]:
    return {
        "provider": provider,
        "label": label,
        "model": "m",
        "rows": 1,
        "size": 3,
        "first_row": 0,
        "requests": "r",
        "row_ids": "i",
    }


def create(context: Context, provider: str, label: str) -> Job:
    """A job of one row at the provider."""
    kind = find_provider(provider)
    request = msgspec.convert(
        {
            "custom_id": "a",
            "model": "m",
            "messages": [{"role": "user", "content": "Hi"}],
            "generation_config": {"max_tokens": 9},
        },
        UnifiedRequest,
    )
    with context.storage.write(label) as stream:
        stream.write(msgspec.json.encode(kind.codec.encode(request, f"{label}-0")) + b"\n")
    client = context.clients.get(provider)
    rows = FileRows(Path(context.storage.address, label))
    spec = JobSpec(label=label, model="m", rows=1, upload=None)
    spec = msgspec.structs.replace(spec, upload=client.upload(rows, spec))
    return client.create(rows, spec)


def ended(context: Context, batch_id: str) -> None:
    """A batch that was submitted and has ended."""
    submit(context, "openai", {"requests": [{"custom_id": "a", "prompt": "Hi"}], "model": "m", "batch_id": batch_id})
    context.store.claim(batch_id, 1, lease=10, holder="w")
    context.store.commit(batch_id, 2, Commit(State.FINISHING, 0, {}), holder="w")
    context.store.claim(batch_id, 3, lease=10, holder="w")
    context.store.commit(batch_id, 4, Commit(State.COMPLETED, None, {}), holder="w")


def test_a_purged_batch_leaves_nothing(context: Context, stored: Callable[[], list[str]]) -> None:
    """Neither files nor state; another batch keeps both."""
    client = BatchClient(context)
    ended(context, "gone")
    ended(context, "kept")
    client.purge("gone")
    assert {name.rpartition("/")[0] for name in stored()} == {batch_folder("openai", "kept"), "accepted"}
    assert "accepted/gone.json" not in stored()
    with pytest.raises(BatchNotFoundError):
        client.status("gone")
    assert client.status("kept").is_complete()


def test_what_has_not_ended_is_not_purged(context: Context, stored: Callable[[], list[str]]) -> None:
    """It says how to end it; nothing is touched."""
    submit(context, "openai", {"requests": [{"custom_id": "a", "prompt": "Hi"}], "model": "m", "batch_id": "b"})
    before = stored()
    with pytest.raises(ValidationError, match="b has not ended; `batch-router cancel b` ends it"):
        BatchClient(context).purge("b")
    assert stored() == before


def test_a_purge_that_was_interrupted_can_be_repeated(context: Context) -> None:
    """The state goes last, so the batch is still listed when only its files are gone."""
    ended(context, "b")
    for found in list(context.storage.list(batch_folder("openai", "b"))):
        context.storage.delete(found.name)
    BatchClient(context).purge("b")
    assert context.store.get_batch("b") is None


def test_old_batches_are_purged_together(make_context: Callable[..., Context]) -> None:
    """By the time of their end; those that go on are left alone, however old."""
    now = [1_800_000_000.0]
    context = make_context(lambda: now[0])
    client = BatchClient(context)
    ended(context, "b")
    submit(context, "openai", {"requests": [{"custom_id": "a", "prompt": "Hi"}], "model": "m", "batch_id": "open"})
    now[0] += 1
    assert client.purge_older(1) == []
    with pytest.raises(ValidationError, match="older than -5 days: give a number of days from 0 to 36500"):
        client.purge_older(-5)
    assert client.purge_older(0, dry_run=True) == client.purge_older(0) == ["b"]
    assert [batch.batch_id for batch in client.list()] == ["open"]


def test_an_account_that_cannot_be_asked_hides_no_other(
    valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`doctor --orphans` says why of each of them, and looks through the jobs of all others."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with Simulator() as simulator:
        variables = {"HOME": str(tmp_path), "REDIS_URL": valkey, "PREFIX": "accounts"}
        for name, value in (variables | {"OPENAI_BASE_URL": f"{simulator.url}/openai/v1"}).items():
            monkeypatch.setenv(f"BATCH_ROUTER_{name}", value)
        store = open_store(Settings.from_env())
        for batch_id, provider, credential in (
            ("a", "elsewhere", None),
            ("b", "openai", None),
            ("c", "openai", "gone"),
        ):
            store.create(new_batch(batch_id, provider=provider, credential=credential), delay=0)
        found = json.loads(CliRunner().invoke(cli, ["doctor", "--orphans", "--json"]).stdout)["findings"]
    said = {each["what"]: f"{each['found']} {each['remedy']}".strip() for each in found}
    assert "'elsewhere' not found" in said["orphans elsewhere"]
    assert said["orphans openai"] == "none among the newest 1000 jobs"
    assert "gone" in said["orphans openai (gone)"]


def test_files_that_cannot_be_read_hide_no_other_batch(context: Context) -> None:
    """A list leaves out the batch whose report is not there, with a warning."""
    for batch_id in ("good", "bad"):
        ended(context, batch_id)
    context.store.create(new_batch("odd", report=f"{batch_folder('openai', 'odd')}/report-1.json"), delay=0)
    assert {batch.batch_id for batch in BatchClient(context).list()} == {"bad", "good"}
