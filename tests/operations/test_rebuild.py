"""Batches that the store forgot, found again by their marks in storage."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from batch_router.client import BatchClient
from batch_router.core import Manifest
from batch_router.exceptions import ValidationError
from batch_router.operations.rebuild import find_again, rebuild
from batch_router.operations.submit import submit
from batch_router.road.advance import advance
from batch_router.road.context import Context
from batch_router.road.steps.convert import convert
from batch_router.road.steps.finish import finish
from batch_router.state.base import Commit
from batch_router.state.items import Batch
from batch_router.state.memory import MemoryStore
from batch_router.state.table import State
from tests.operations.lab import Lab
from tests.operations.test_against_each_other import paid

ROWS = [{"custom_id": name, "prompt": name} for name in "abc"]
Forget = Callable[[Context], Context]


class Older(MemoryStore):
    """A store of the same name that has nothing of what came later."""

    def __init__(self, context: Context) -> None:
        super().__init__(context.store.now)
        self._name = context.store.name()


def older(context: Context) -> Context:
    """The same fleet after its store forgot everything but its name."""
    return dataclasses.replace(context, store=Older(context))


def empty(context: Context) -> Context:
    """The same fleet with a new store."""
    return dataclasses.replace(context, store=MemoryStore(context.store.now))


def taken(context: Context, batch_id: str = "b", **more: object) -> Batch:
    submit(context, "openai", {"requests": ROWS, "model": "m", "batch_id": batch_id, **more})  # type: ignore[typeddict-item]
    batch = context.store.get_batch(batch_id)
    assert batch is not None
    return batch


def labels(context: Context) -> list[str]:
    """The labels that the batch's shards get when it is cut."""
    claimed = context.store.claim("b", 1, lease=60, holder="w/1")
    assert isinstance(claimed, Batch)
    return [shard.label for shard in convert(context, claimed).spawn]


def test_an_older_store_finds_what_it_took(context: Context) -> None:
    """The batch is as it was submitted, in doubt, and cut into the same shards, which are in doubt, too."""
    before = taken(context, metadata={"who": "ada"}, timeout=60.0)
    first = labels(context)
    again = older(context)
    assert find_again(again) == 1
    after = again.store.get_batch("b")
    assert after is not None
    assert after.doubt_since == again.store.now()
    assert (after.content, after.input, after.metadata, after.timeout) == (
        before.content,
        before.input,
        {"who": "ada"},
        60.0,
    )
    assert labels(again) == first
    claimed = again.store.claim("b", 2, lease=60, holder="w/2")
    assert isinstance(claimed, Batch)
    assert all(shard.doubt_since is not None for shard in convert(again, claimed).spawn)
    assert find_again(again) == 0


def test_another_store_leaves_it_alone(context: Context) -> None:
    """Two stores may share a storage; what one took is not the other's, unless its operator says so."""
    taken(context)
    other = empty(context)
    assert find_again(other) == 0
    assert rebuild(other).restored == ["b"]
    assert rebuild(other, into_others=True).restored == []


def test_a_rebuild_that_ends_in_the_middle_leaves_marks_of_the_new_store(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that is put into the new store is found again if that one forgets it, also if the command ended there."""
    taken(context)
    other = empty(context)
    monkeypatch.setattr(MemoryStore, "create", _killed)
    with pytest.raises(KeyboardInterrupt):
        rebuild(other)
    monkeypatch.undo()
    assert find_again(other) == 1


def test_a_rebuild_that_ended_in_the_middle_is_given_again(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that it had adopted, and those that are still the lost store's, are restored without a name."""
    taken(context)
    taken(context, "c")
    other = empty(context)
    monkeypatch.setattr(MemoryStore, "create", _killed)
    with pytest.raises(KeyboardInterrupt):
        rebuild(other)
    monkeypatch.undo()
    assert sorted(rebuild(other).restored) == ["b", "c"]


def _killed(*_: object, **__: object) -> bool:
    raise KeyboardInterrupt


def test_a_submission_with_its_key_is_the_batch_that_was_forgotten(context: Context) -> None:
    """The caller sends the same again after the store forgot it: the same rows, no second batch."""
    options = {"requests": ROWS, "model": "m", "idempotency_key": "k"}
    first = submit(context, "openai", options)  # type: ignore[arg-type]
    before = context.store.get_batch(first.id)
    again = older(context)
    second = submit(again, "openai", options)  # type: ignore[arg-type]
    after = again.store.get_batch(second.id)
    assert before is not None
    assert after is not None
    assert (after.id, after.submission) == (before.id, before.submission)
    with pytest.raises(ValidationError, match="other requests"):
        submit(older(context), "openai", {**options, "model": "other"})  # type: ignore[typeddict-item]


def test_a_store_that_forgets_before_the_mark_is_told_again(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store forgets a batch after taking it and before its mark, when no worker looks: the caller restores it."""
    write = context.storage.write

    def forgetful(name: str) -> Any:
        if name.startswith("accepted/"):
            assert isinstance(context.store, MemoryStore)
            context.store._items.clear()
        return write(name)

    monkeypatch.setattr(context.storage, "write", forgetful)
    assert taken(context).doubt_since is not None


def test_an_id_that_was_forgotten_is_taken(context: Context) -> None:
    """A new submission under the id of a batch that the store forgot is refused, as if it remembered it."""
    taken(context)
    with pytest.raises(ValidationError, match="b"):
        taken(older(context))


def test_a_batch_that_had_ended_is_there_as_it_ended(context: Context) -> None:
    """Its state, counts and results come from its manifest; no worker looks at it."""
    batch = taken(context)
    context.store.claim("b", 1, lease=60, holder="w/1")
    context.store.commit("b", 2, Commit(State.FINISHING, 0, {}), holder="w/1")
    claimed = context.store.claim("b", 3, lease=60, holder="w/2")
    assert isinstance(claimed, Batch)
    ended = finish(context, claimed)
    context.store.commit("b", 4, Commit(ended.state, None, ended.facts), holder="w/2")
    again = older(context)
    assert find_again(again) == 1
    known = again.store.get_batch("b")
    original = context.store.get_batch("b")
    assert known is not None
    assert original is not None
    assert (known.state, known.manifest, known.failure) == (original.state, original.manifest, original.failure)
    assert isinstance(BatchClient(again).manifest(batch.id), Manifest)
    assert [hint.state for hint in again.store.take_due(10, grace=5)] == [State.COMPLETED]


def test_a_store_with_batches_is_not_rebuilt_by_mistake(context: Context) -> None:
    """It says what to do; with the operator's word the batches that it lacks are added."""
    taken(context)
    other = empty(context)
    taken(other, "c")
    with pytest.raises(ValidationError, match="not empty: --yes"):
        rebuild(other)
    assert rebuild(other, into_others=True).restored == ["b"]


def test_of_several_lost_stores_one_is_named(context: Context) -> None:
    """Their batches are not mixed: the operator says which of them are meant."""
    taken(context)
    other = empty(context)
    taken(other, "c")
    third = empty(context)
    with pytest.raises(ValidationError, match="name one with --store"):
        rebuild(third)
    assert rebuild(third, other.store.name()).restored == ["c"]
    with pytest.raises(ValidationError, match="no batch of 'nowhere'"):
        rebuild(third, "nowhere", into_others=True)


def test_a_submission_that_no_store_took_is_named(context: Context, stored: Callable[[], list[str]]) -> None:
    """Its caller died before it heard of it: nothing is restored, and the operator is told."""
    taken(context)
    context.storage.delete("accepted/b.json")
    done = rebuild(empty(context))
    assert done.restored == []
    assert done.never_accepted == [name for name in stored() if name.endswith("-submission.json")]


def test_one_mark_that_cannot_be_read_stops_no_other(context: Context) -> None:
    """A mark, or a submission, that is damaged is passed over."""
    taken(context)
    taken(context, "c")
    taken(context, "d")
    with context.storage.write("accepted/c.json") as stream:
        stream.write(b"{")
    batch = context.store.get_batch("d")
    assert batch is not None
    context.storage.delete(batch.submission)
    again = older(context)
    assert find_again(again) == 1
    assert again.store.get_batch("b") is not None


def test_a_shard_whose_record_is_lost_keeps_its_job(lab: Lab) -> None:
    """The store forgets one shard that has a job: the batch is cut again, and the job is found though it was owned."""
    with lab.hurried():
        lab.submit()
        lab.drain(lambda batch: batch.state is State.RUNNING and all(shard.job for shard in lab.shards()))
        lab.server.delete(lab.key("b.2"))
        lab.drain()
        BatchClient(lab.context).resume("b")
        lab.drain()
    assert paid(lab) == [f"Row {row}" for row in range(6)]
    assert len(lab.service.jobs) == 3


def test_a_batch_whose_record_is_lost_is_found_with_its_jobs(lab: Lab) -> None:
    """Its shards, whose records are there, are cut again; they look for their jobs and end the batch once."""
    with lab.hurried():
        lab.submit()
        lab.drain(lambda batch: batch.state is State.RUNNING and all(shard.job for shard in lab.shards()))
        lab.server.delete(lab.key("b"))
        for hint in lab.context.store.take_due(10, grace=0):
            advance(lab.context, hint.id, hint.version)
        assert find_again(lab.context) == 1
        lab.drain()
    assert [result.text for result in BatchClient(lab.context).results("b")] == [f"Row {row}" for row in range(6)]
    assert paid(lab) == [f"Row {row}" for row in range(6)]
    assert len(lab.service.jobs) == 3
