"""`batch-router cancel`: what is paid for is not lost without a word."""

from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from batch_router.cli import cli
from batch_router.connect import open_store
from batch_router.core import BatchStatus
from batch_router.core.jobs import Job
from batch_router.settings import Settings
from batch_router.state.table import State
from tests.items import get_batch, new_shard, put_shards

UNDECIDED = "b.0 would end undecided: a job may be paid for, and its answers not be fetched"
NOT_PROMISED = "google does not promise the answers of a job that is cancelled; 2 rows have one, paid for"


def running(answered: int) -> Job:
    return Job(id="batches/1", status=BatchStatus.IN_PROGRESS, created_at=0, completed=answered)


@pytest.mark.parametrize(
    ("provider", "state", "answered", "loss"),
    [
        ("openai", State.PARKED, 0, UNDECIDED),
        ("google", State.POLLING, 2, NOT_PROMISED),
        ("google", State.POLLING, 0, None),
        ("openai", State.POLLING, 2, None),
        ("vllm", State.CREATING, 0, None),
    ],
)
def test_a_cancel_that_may_lose_something_wants_yes(
    valkey: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
    state: State,
    answered: int,
    loss: str | None,
) -> None:
    """It says what, and does nothing. A cancel that loses nothing is done at once."""
    for name, value in {"HOME": str(tmp_path), "REDIS_URL": valkey, "PREFIX": tmp_path.name}.items():
        monkeypatch.setenv(f"BATCH_ROUTER_{name}", value)
    with closing(open_store(Settings.from_env())) as store:
        put_shards(store, new_shard(provider=provider, state=state, rows=3, job=running(answered)))
        said = CliRunner().invoke(cli, ["cancel", "b"])
        assert get_batch(store).cancel is (loss is None)
        refusal = loss and f"{loss}; nothing was done: --yes does it"
        assert (str(said.exception) if said.exception else None) == refusal
        assert CliRunner().invoke(cli, ["cancel", "b", "--yes"]).exit_code == 0
        assert get_batch(store).cancel
