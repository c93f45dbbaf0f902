"""The books: what was asked equals what was written, or the batch says what is missing; and bytes can be verified."""

import hashlib
import re
from collections.abc import Callable

import pytest

from batch_router.client import BatchClient
from batch_router.core import BatchStatus
from batch_router.exceptions import UnbalancedError
from batch_router.state.table import State
from tests.operations.lab import Lab


@pytest.mark.parametrize("lost", [("b.1",), ("b.0", "b.1", "b.2")])
def test_a_shard_that_the_store_has_lost_is_missed(lab: Lab, lost: tuple[str, ...]) -> None:
    """Its batch has not completed: it says what is missing, and the results that are there can be read."""
    lab.submit()
    lab.drain(lambda batch: batch.state is State.FINISHING)
    lab.server.delete(*map(lab.key, lost))
    batch = lab.drain()
    left = 6 - 2 * len(lost)
    assert batch.failure is not None
    assert (batch.state, batch.failure.type) == (State.FAILED, "unbalanced")
    assert f"6 requests went in, {left} results were written; the store has lost {', '.join(lost)}" in str(
        batch.failure.message
    )
    client = BatchClient(lab.context)
    assert client.status("b").status is BatchStatus.FAILED
    assert len(list(client.results("b"))) == left
    counts = client.manifest("b").request_counts
    assert (counts.total, counts.written) == (6, left)


def test_the_books_are_those_of_the_bytes(lab: Lab) -> None:
    """Sizes, hashes and counts of the manifest are those of the objects, though nothing read them for it."""
    lab.submit()
    lab.drain()
    parts = BatchClient(lab.context).verify("b").parts
    assert [part.request_counts.succeeded for part in parts] == [2, 2, 2]
    for part in parts:
        content = lab.path(str(part.results)).read_bytes()
        assert (part.size, part.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_finish_reads_no_results(lab: Lab) -> None:
    """A batch ends though its results cannot be read just now: they were counted when they were written."""
    lab.submit()
    lab.drain(lambda batch: batch.state is State.FINISHING)
    for shard in lab.shards():
        assert shard.part is not None
        lab.path(shard.part.name).rename(lab.path(shard.part.name + "-away"))
    assert lab.drain().state is State.COMPLETED


CHANGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a byte": (lambda content: content.replace(b"Row 3", b"Row 8"), "has other bytes than were written"),
    "a row less": (lambda content: content[: content.index(b"\n") + 1], r"was written with \d+ bytes, and has \d+"),
    "nothing": (lambda _: b"", r"was written with \d+ bytes, and has 0"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_bytes_than_were_written_are_found(lab: Lab, change: str) -> None:
    """`verify` reads them all, and names the object that differs."""
    lab.submit()
    lab.drain()
    name = str(BatchClient(lab.context).manifest("b").parts[1].results)
    alter, words = CHANGES[change]
    lab.path(name).write_bytes(alter(lab.path(name).read_bytes()))
    with pytest.raises(UnbalancedError, match=rf"the results of b are not .*: {re.escape(name)} {words}"):
        BatchClient(lab.context).verify("b")


IDS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "a row twice": (lambda lines: [lines[0], lines[0].replace(b"q2", b"q3")], "row 2 has two results"),
    "a row of no request": (lambda lines: [b'[6,"q2"]\n', lines[1]], "row 6 is none of the 6 that went in"),
    "another id": (lambda lines: [b'[2,"x"]\n', lines[1]], "has no result of 'x' in its place"),
    "one id less": (lambda lines: lines[:1], "does not fit"),
}


@pytest.mark.parametrize("change", IDS)
def test_results_of_other_rows_are_found(lab: Lab, change: str) -> None:
    """`verify` compares the rows, too: each request has one result."""
    lab.submit()
    lab.drain()
    path = lab.path(BatchClient(lab.context).manifest("b").parts[1].row_ids)
    alter, words = IDS[change]
    path.write_bytes(b"".join(alter(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(UnbalancedError, match=words):
        BatchClient(lab.context).verify("b")


def cut_short(lab: Lab, name: str) -> bytes:
    """Cut an object's last line off; returns what it was."""
    whole = lab.path(name).read_bytes()
    lab.path(name).write_bytes(whole[: whole.rstrip().rindex(b"\n") + 1])
    return whole


def test_row_ids_that_were_cut_short_are_found_before_anything_is_deleted(lab: Lab) -> None:
    """The shard waits, says why, and goes on when the object is mended; the provider keeps its copy meanwhile."""
    lab.submit(requests=[{"custom_id": "a", "prompt": "A"}, {"custom_id": "b", "prompt": "B"}])
    lab.drain(lambda _: any(shard.state is State.NORMALIZING for shard in lab.shards()))
    whole = cut_short(lab, lab.shards()[0].row_ids)
    lab.drain(lambda _: lab.shards()[0].attempts > 0)
    (shard,) = lab.shards()
    assert shard.error is not None
    assert "the ids of 2 rows were written, 1 are there" in shard.error.message
    assert (shard.state, lab.service.deleted) == (State.NORMALIZING, [])
    lab.path(shard.row_ids).write_bytes(whole)
    assert lab.drain().state is State.COMPLETED
    assert BatchClient(lab.context).verify("b").request_counts.succeeded == 2


def test_requests_that_were_cut_short_are_found_when_rows_go_again(lab: Lab) -> None:
    """No follow-up shard is made of a part of them."""
    lab.service.describe = lambda job: job.refused({"code": "bad", "line": 1, "message": "no"})
    lab.submit(requests=[{"custom_id": "a", "prompt": "A"}, {"custom_id": "b", "prompt": "B"}])
    lab.drain(lambda _: any(shard.state is State.NORMALIZING for shard in lab.shards()))
    cut_short(lab, lab.shards()[0].requests)
    lab.drain(lambda _: lab.shards()[0].attempts > 0)
    (shard,) = lab.shards()
    assert shard.error is not None
    assert "bytes were written" in shard.error.message
