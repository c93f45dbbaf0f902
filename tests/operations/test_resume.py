"""A batch that ended with a loss is taken up once the cause is gone; nothing is bought twice, and old results stay."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from batch_router.client import BatchClient
from batch_router.exceptions import ValidationError
from batch_router.state.base import Commit
from batch_router.state.table import State
from tests.operations.lab import Lab
from tests.operations.test_against_each_other import failed, paid
from tests.operations.test_parked import park, park_unknown
from tests.road.odd_openai import OddJob

TEXTS = ["Row 0", "Row 1", "Row 2", "Row 3", "Row 4", "Row 5"]


def texts(lab: Lab) -> list[str | None]:
    return [result.text for result in BatchClient(lab.context).results("b")]


def resume(lab: Lab) -> list[str]:
    return list(BatchClient(lab.context).resume("b"))


def whole(lab: Lab, expected: list[str]) -> None:
    """Every row is answered, was paid for once, and the bytes are as the manifest says."""
    assert texts(lab) == expected
    assert paid(lab) == sorted(expected)
    assert BatchClient(lab.context).verify("b").request_counts.succeeded == len(expected)
    assert lab.batch().failure is None


def test_a_batch_that_could_not_be_cut(lab: Lab) -> None:
    """Its rows are cut when they are readable again."""
    lab.submit()
    stored = lab.path(lab.batch().input.stored)
    content = stored.read_bytes()
    stored.write_bytes(content.replace(b"Row 0", b"Row 9"))
    assert lab.drain().state is State.FAILED
    stored.write_bytes(content)
    assert resume(lab) == ["b"]
    assert lab.drain().state is State.COMPLETED
    whole(lab, TEXTS)


def test_shards_that_the_store_lost(lab: Lab) -> None:
    """The batch is cut again; what was answered is taken from storage, and no job is created or asked."""
    lab.submit()
    lab.drain(lambda batch: batch.state is State.FINISHING)
    lab.server.delete(lab.key("b.1"))
    assert lab.drain().failure
    before = [result.custom_id for result in BatchClient(lab.context).results("b")]
    assert resume(lab) == ["b"]
    assert [result.custom_id for result in BatchClient(lab.context).results("b")] == before
    lab.drain()
    whole(lab, TEXTS)


def test_a_shard_that_is_lost_on_its_way_does_not_hold_up_its_batch(lab: Lab) -> None:
    """The batch ends without it, says so, and is whole after `resume`."""
    lab.submit()
    lab.drain(lambda batch: batch.state is State.RUNNING and all(shard.job for shard in lab.shards()))
    lab.server.delete(lab.key("b.2"))
    batch = lab.drain()
    assert batch.failure
    assert (batch.failure.type, "b.2" in batch.failure.message) == ("unbalanced", True)
    resume(lab)
    lab.drain()
    whole(lab, TEXTS)


def test_answers_that_came_late(lab: Lab) -> None:
    """The provider promised them, and has them now."""
    lab.service.gone = {"out-1": float("inf")}
    lab.submit()
    with lab.hurried():
        lab.drain()
    missing = [result.error is not None for result in BatchClient(lab.context).results("b")]
    assert missing == [False, False, True, True, False, False]
    lab.service.gone = {}
    assert resume(lab) == ["b", "b.1"]
    lab.drain()
    whole(lab, TEXTS)


def test_a_shard_that_was_given_up(lab: Lab) -> None:
    """Its job is asked once more, and has answers now."""
    park(lab)
    BatchClient(lab.context).resolve("b", give_up=True)
    lab.drain()
    lab.service.describe = OddJob.done
    assert resume(lab) == ["b", "b.0"]
    lab.drain()
    whole(lab, ["A", "B"])


def test_rows_that_may_be_paid_for_are_sent_again_only_on_purpose(lab: Lab) -> None:
    """The provider promised their answers, and did not give them."""
    lab.service.gone = {"out-0": float("inf"), "out-1": float("inf")}
    lab.submit(requests=[{"custom_id": "a", "prompt": "A"}])
    with lab.hurried():
        lab.drain()
    with pytest.raises(ValidationError, match=r"^1 rows of b are undecided or missing.*`batch-router retry b --yes`"):
        BatchClient(lab.context).retry("b")
    assert BatchClient(lab.context).retry("b", undecided=True) == "b-retry"


def test_a_job_that_turns_up_after_its_shard_was_given_up(lab: Lab) -> None:
    """It was not listed while it was looked for; now it is found by its label, and no other one is created."""
    lab.service.describe = lambda job: job.done(created_at=int(time.time()))
    park_unknown(lab)
    hidden, lab.service.jobs = lab.service.jobs, []
    BatchClient(lab.context).resolve("b", give_up=True)
    lab.drain()
    errors = {result.error and result.error.type for result in BatchClient(lab.context).results("b")}
    assert errors == {"undecided"}
    with pytest.raises(ValidationError, match="2 rows of b are undecided"):
        BatchClient(lab.context).retry("b")
    lab.service.jobs = hidden
    resume(lab)
    lab.drain()
    whole(lab, ["A", "B"])


def test_rows_that_were_never_sent(lab: Lab) -> None:
    """The key that was missing is there now."""
    failed(lab)
    assert paid(lab) == []
    resume(lab)
    lab.drain()
    whole(lab, ["A", "B"])


def test_a_manifest_that_could_not_be_written(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the books are made again."""
    lab.submit()
    lab.drain(lambda batch: batch.state is State.FINISHING)
    monkeypatch.setattr("batch_router.road.steps.finish.iso_time", lambda _: 1 / 0)
    with lab.hurried():
        assert lab.drain().state is State.FAILED
    monkeypatch.undo()
    assert resume(lab) == ["b"]
    lab.drain()
    whole(lab, TEXTS)


def refused(lab: Lab) -> None:
    lab.service.describe = lambda job: job.refused({"code": "bad", "message": "no"})
    lab.submit()
    lab.drain()


def complete(lab: Lab) -> None:
    lab.submit()
    lab.drain()


def running(lab: Lab) -> None:
    lab.submit()
    lab.drain(lambda batch: batch.state is State.RUNNING)


def bad_rows(lab: Lab) -> None:
    lab.submit(requests=[{"custom_id": "a", "prompt": "A"}])
    lab.context.store.claim("b", 1, lease=10, holder="w")
    facts: Any = {"report": "generated/openai/b/report-1.json"}
    lab.context.store.commit("b", 2, Commit(State.FAILED, None, facts), holder="w")


def sent_again(lab: Lab) -> None:
    failed(lab)
    BatchClient(lab.context).retry("b")


def sent_again_and_forgotten(lab: Lab) -> None:
    """The store forgets what it heard of that; the mark of the other batch lies in storage."""
    sent_again(lab)
    lab.server.hdel(lab.key("b"), "retried_as")
    lab.server.delete(lab.key("b-retry"))


def test_an_unrelated_batch_may_have_the_id_of_a_retry(lab: Lab) -> None:
    """It keeps no batch from being taken up, and `retry` says whose the id is."""
    lab.submit(batch_id="b-retry")
    failed(lab)
    with pytest.raises(ValidationError, match=r"^b-retry is another batch, and the failed rows of b would have its id"):
        BatchClient(lab.context).retry("b")
    assert resume(lab) == ["b", "b.0"]


def test_a_retry_that_died_can_be_given_again(lab: Lab) -> None:
    """Where its worker died after the batch said what its rows are sent again as, and before that batch was made."""
    failed(lab)
    lab.server.hset(lab.key("b"), "retried_as", '"b-retry"')
    assert BatchClient(lab.context).retry("b") == "b-retry"
    with pytest.raises(ValidationError, match=r"were sent again before, as b-retry"):
        BatchClient(lab.context).retry("b")


def retired(lab: Lab) -> None:
    failed(lab)
    lab.age(lab.context.settings.keep_shards)
    lab.drain(lambda batch: batch.retired)


REFUSED: dict[Callable[[Lab], None], str] = {
    refused: "has lost nothing that could be taken up; `batch-router retry b`",
    complete: "has lost nothing",
    running: "b has not ended",
    bad_rows: "its rows were refused; submit them again without the mistakes",
    sent_again: "its failed rows were sent again as b-retry",
    sent_again_and_forgotten: "its failed rows were sent again as b-retry",
    retired: "its shards were forgotten a while after its end, as BATCH_ROUTER_KEEP_SHARDS says",
}


@pytest.mark.parametrize("way", REFUSED)
def test_what_cannot_be_taken_up_is_a_sentence(lab: Lab, way: Callable[[Lab], None]) -> None:
    """It says why, and changes nothing."""
    way(lab)
    before = lab.batch(), lab.shards()
    with pytest.raises(ValidationError, match=REFUSED[way]):
        resume(lab)
    assert (lab.batch(), lab.shards()) == before
