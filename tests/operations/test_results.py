"""The parts of a batch, read as one list in input order."""

import asyncio
import json
from itertools import islice
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from batch_router.async_client import AsyncBatchClient
from batch_router.client import BatchClient
from batch_router.core import BatchStatus, Manifest, ManifestCounts, ManifestPart, ResultCounts
from batch_router.exceptions import FileOperationError
from batch_router.operations.results import NewResults, ResultFiles, listed_parts, read_results
from batch_router.road.context import Context
from batch_router.state.items import Batch
from batch_router.storage import Storage
from tests.items import new_batch
from tests.operations.lab import Lab


def put(storage: Storage, name: str, content: bytes) -> None:
    with storage.write(name) as stream:
        stream.write(content)


def result(row: int) -> bytes:
    return b'{"custom_id":"q%d","text":"a\xe2\x80\xa8b"}\n' % row


def part(storage: Storage, number: int, rows: list[int]) -> ResultFiles:
    results, row_ids = f"generated/openai/b/{number}-results", f"generated/openai/b/{number}-ids"
    put(storage, results, b"".join(result(row) for row in rows))
    put(storage, row_ids, b"".join(json.dumps([row, f"q{row}"]).encode() + b"\n" for row in rows))
    return ResultFiles(rows[0], results, row_ids)


def manifest(storage: Storage, *parts: list[int]) -> list[ResultFiles]:
    return [part(storage, number, rows) for number, rows in enumerate(parts)]


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [[0]],
        [[0, 1, 2]],
        [[0, 1], [2, 3]],  # one model, two shards
        [[0, 2, 4], [1, 3, 5]],  # two models, row by row
        [[0, 5], [1, 2, 3, 4]],
        [[0, 3], [1, 4], [2], [5], [6]],
        [[2, 3], [0, 1]],  # in whatever order the parts are listed
    ],
)
def test_parts_are_merged_into_input_order(context: Context, parts: list[list[int]]) -> None:
    """Each row once, as it was written, wherever it lies."""
    total = sum(map(len, parts))
    assert list(read_results(context.storage, manifest(context.storage, *parts))) == [result(n) for n in range(total)]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.integers(0, 4), max_size=30))
def test_any_dealing_of_rows_is_undone(context: Context, owners: list[int]) -> None:
    """However the rows were dealt to shards, reading them gives the input's order."""
    dealt = [[row for row, owner in enumerate(owners) if owner == shard] for shard in range(5)]
    parts = manifest(context.storage, *[rows for rows in dealt if rows])
    assert list(read_results(context.storage, parts)) == [result(row) for row in range(len(owners))]


def test_a_shard_without_results_is_passed_over(context: Context) -> None:
    """What could be written of a failed batch can be read."""
    files = manifest(context.storage, [0, 2], [1], [3])
    parts = [listed(number, files) for number, files in enumerate(files)]
    parts[1] = replace(parts[1], results=None)
    books = Manifest(
        batch_id="b",
        provider="openai",
        status=BatchStatus.FAILED,
        request_counts=ManifestCounts(total=4, succeeded=3),
        created_at="",
        completed_at="",
        storage="",
        parts=tuple(parts),
    )
    assert list(read_results(context.storage, listed_parts(new_batch(), books))) == [result(0), result(2), result(3)]


def listed(number: int, files: ResultFiles) -> ManifestPart:
    return ManifestPart(
        shard=f"b.{number}",
        state="completed",
        rows=1,
        size=1,
        sha256="",
        request_counts=ResultCounts(),
        **files._asdict(),
    )


def test_names_of_a_newer_manifest_are_passed_over() -> None:
    """Names are only added: what an older reader knows is where it was, and a part says which version it is."""
    part: dict[str, Any] = {
        "shard": "b.0",
        "state": "completed",
        "rows": 0,
        "first_row": 0,
        "results": None,
        "row_ids": "r",
    }
    part |= {"size": 0, "sha256": "", "request_counts": {"paused": 1}, "version": 2, "colour": "red"}
    newer: dict[str, Any] = {
        "batch_id": "b",
        "provider": "openai",
        "status": "failed",
        "request_counts": {"total": 0},
        "mood": "good",
    }
    newer |= {"created_at": "", "completed_at": "", "storage": "", "parts": [part], "version": 2}
    read = msgspec.json.decode(msgspec.json.encode(newer), type=Manifest)
    assert (read.version, read.parts[0].version, read.parts[0].request_counts) == (2, 2, ResultCounts())


def test_a_part_is_opened_when_its_turn_comes(context: Context) -> None:
    """A batch of thousands of shards does not hold thousands of files: what lies ahead is not touched."""
    parts = manifest(context.storage, [0, 1], [2, 3])
    context.storage.delete("generated/openai/b/1-results")
    results = read_results(context.storage, parts)
    assert list(islice(results, 2)) == [result(0), result(1)]
    with pytest.raises(FileOperationError, match="1-results"):
        next(results)


@pytest.mark.parametrize(("lost", "content"), [("results", result(0)), ("ids", b'[0,"q0"]\n')])
def test_a_part_that_was_cut_short_is_an_error(context: Context, lost: str, content: bytes) -> None:
    """Rows and their numbers are as many, or reading says so: nothing is passed over in silence."""
    parts = manifest(context.storage, [0, 1])
    put(context.storage, f"generated/openai/b/0-{lost}", content)
    with pytest.raises(FileOperationError, match=r"0-ids does not fit .*-results: .*(shorter|longer)"):
        list(read_results(context.storage, parts))


def test_results_follow_the_shards_that_end(lab: Lab) -> None:
    """Each row comes once, as soon as its shard has its results; the last look is after the end of the batch."""
    lab.submit()
    new = NewResults(lab.context, "b")
    given: list[list[str]] = []
    assert list(new.look()) == []

    def look(batch: Batch) -> bool:
        given.append([json.loads(line)["custom_id"] for line in new.look()])
        return batch.state.is_final

    lab.drain(look)
    looks = [rows for rows in given if rows]
    assert len(looks) > 1
    assert sorted(row for rows in looks for row in rows) == [f"q{number}" for number in range(6)]
    assert all(rows == sorted(rows) for rows in looks)
    assert new.ended


def test_both_clients_follow(lab: Lab) -> None:
    """Of a batch that has ended they give all rows, and end."""
    lab.submit()
    lab.drain()
    rows = [result.custom_id for result in BatchClient(lab.context).results("b", follow=True)]
    assert sorted(rows) == [f"q{number}" for number in range(6)]

    async def main() -> list[str]:
        return [result.custom_id async for result in AsyncBatchClient(lab.context).results("b", follow=True)]

    assert asyncio.run(main()) == rows
