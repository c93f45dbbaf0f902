"""Rows to shards: every row in exactly one, within the limits, one model each; all or nothing."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_router.core import Endpoint
from batch_router.exceptions import FileOperationError, InvalidInputError, ValidationError
from batch_router.intake.options import SubmitOptions
from batch_router.operations.submit import submit
from batch_router.road.context import Context
from batch_router.road.cutting import MAX_KINDS
from batch_router.road.layout import shard_prefix
from batch_router.road.outcome import Outcome
from batch_router.road.records import read_record
from batch_router.road.steps.convert import convert
from batch_router.road.submission import Kind, Submission
from batch_router.state.items import Batch
from batch_router.state.table import State, check_transition

MakeContext = Callable[..., Context]
Stored = Callable[[], list[str]]


def rows(*models: str, size: int = 1) -> list[dict[str, Any]]:
    return [{"custom_id": f"q{n}", "model": model, "prompt": "x" * size} for n, model in enumerate(models)]


def submitted(context: Context, **arguments: Any) -> Batch:
    """A batch that a worker has claimed."""
    hint = submit(context, "openai", cast(SubmitOptions, arguments))
    batch = context.store.claim(hint.id, 1, lease=60, holder="w")
    assert isinstance(batch, Batch)
    return batch


def lines(context: Context, name: str) -> list[Any]:
    return [json.loads(line) for line in Path(context.storage.address, name).read_bytes().splitlines()]


def cut(context: Context, outcome: Outcome) -> list[tuple[str, list[int]]]:
    """`(model, row numbers)` of each shard, after a look at whether its two objects and its facts agree."""
    shards = []
    for shard in outcome.spawn:
        requests, row_ids = lines(context, shard.requests), lines(context, shard.row_ids)
        assert [row["custom_id"] for row in requests] == [f"{shard.label}-{n}" for n in range(shard.rows)]
        assert {row["body"]["model"] for row in requests} == {shard.model}
        assert Path(context.storage.address, shard.requests).stat().st_size == shard.size
        assert [custom_id for _, custom_id in row_ids] == [f"q{row}" for row, _ in row_ids]
        assert (len(row_ids), row_ids[0][0]) == (shard.rows, shard.first_row)
        shards.append((shard.model, [row for row, _ in row_ids]))
    return shards


def test_a_small_batch_is_one_shard(context: Context, stored: Stored) -> None:
    """Two objects more than before, and everything about the shard in its facts."""
    batch = submitted(context, requests=rows("m", "m", "m"), batch_id="b")
    before = stored()
    outcome = convert(context, batch)
    assert (outcome.state, outcome.facts) == (State.RUNNING, {"rows": 3})
    assert cut(context, outcome) == [("m", [0, 1, 2])]
    shard = outcome.spawn[0]
    assert sorted(set(stored()) - set(before)) == sorted([shard.requests, shard.row_ids])
    assert (shard.provider, shard.model) == ("openai", "m")
    check_transition(batch.state, outcome.state)


@pytest.mark.parametrize(
    ("models", "most", "expected"),
    [
        ("mmmmm", 2, [("m", [0, 1]), ("m", [2, 3]), ("m", [4])]),
        ("mmmm", 2, [("m", [0, 1]), ("m", [2, 3])]),
        ("mm", 1, [("m", [0]), ("m", [1])]),
        ("mmm", 3, [("m", [0, 1, 2])]),
        ("abab", 9, [("a", [0, 2]), ("b", [1, 3])]),
        ("ababab", 2, [("a", [0, 2]), ("b", [1, 3]), ("a", [4]), ("b", [5])]),
        ("baaab", 2, [("b", [0, 4]), ("a", [1, 2]), ("a", [3])]),
    ],
)
def test_shards_are_cut_by_model_and_rows(
    make_context: MakeContext, models: str, most: int, expected: list[tuple[str, list[int]]]
) -> None:
    """A shard holds one model and a limited number of rows, in input order; shards are numbered by their first rows."""
    context = make_context(max_shard_rows=most)
    assert cut(context, convert(context, submitted(context, requests=rows(*models)))) == expected


@pytest.mark.parametrize(
    ("spare", "expected"),
    [
        (-1, [[0, 1], [2, 3], [4, 5], [6]]),
        (0, [[0, 1, 2], [3, 4, 5], [6]]),
        (500, [[0, 1, 2], [3, 4, 5], [6]]),
    ],
)
def test_shards_are_cut_by_bytes(make_context: MakeContext, spare: int, expected: list[list[int]]) -> None:
    """No shard is a byte larger than a job may be, and none is ended while the next row fits."""
    whole = make_context()
    one = convert(whole, submitted(whole, requests=rows("m", size=1000))).spawn[0].size
    context = make_context(max_shard_bytes=3 * one + spare)
    outcome = convert(context, submitted(context, requests=rows(*"mmmmmmm", size=1000)))
    assert [numbers for _, numbers in cut(context, outcome)] == expected


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    models=st.lists(st.sampled_from("abc"), min_size=1, max_size=25),
    most_rows=st.integers(1, 6),
    most_bytes=st.integers(400, 1500),
)
def test_every_row_is_in_one_shard(
    make_context: MakeContext, models: list[str], most_rows: int, most_bytes: int
) -> None:
    """Whatever the limits, the shards together are the input, each row once and with its model."""
    context = make_context(max_shard_rows=most_rows, max_shard_bytes=most_bytes)
    outcome = convert(context, submitted(context, requests=rows(*models, size=100)))
    shards = cut(context, outcome)
    assert sorted((row, model) for model, numbers in shards for row in numbers) == list(enumerate(models))
    assert [numbers[0] for _, numbers in shards] == sorted(numbers[0] for _, numbers in shards)
    assert all(numbers == sorted(numbers) for _, numbers in shards)
    assert all(spawn.rows <= most_rows for spawn in outcome.spawn)
    assert all(spawn.size <= most_bytes for spawn in outcome.spawn)


def test_labels_are_unique(make_context: MakeContext) -> None:
    """Another shard, another batch: no two share a label, and a label has no dash."""
    context = make_context(max_shard_rows=1)
    batches = [submitted(context, requests=rows(*"mmm")), submitted(context, requests=rows(*"mmm"))]
    labels = [spawn.label for batch in batches for spawn in convert(context, batch).spawn]
    assert len(set(labels)) == 6
    assert all(re.fullmatch("[0-9a-z]{8,50}", label) for label in labels)


def test_a_convert_that_runs_twice_makes_the_same_labels(make_context: MakeContext) -> None:
    """Whatever the worker's own limits are: so a job that the first one's shard paid for is found by the second's."""
    context, other = make_context(max_shard_rows=2), make_context(max_shard_rows=1)
    batch = submitted(context, requests=rows(*"mmnmm"))
    once, again = ([(each.label, each.rows) for each in convert(here, batch).spawn] for here in (context, other))
    assert once == again
    assert len(once) == 3


def test_the_fence_is_in_every_name(context: Context) -> None:
    """A worker that lost the batch writes where no step reads: two claims have no object in common."""
    batch = submitted(context, requests=rows("m"))
    again = context.store.claim(batch.id, batch.version, lease=60, holder="other")
    assert isinstance(again, Batch)
    names = [
        {getattr(outcome.spawn[0], kind) for kind in ("requests", "row_ids")}
        for outcome in (convert(context, batch), convert(context, again))
    ]
    assert names[0].isdisjoint(names[1])


def test_the_batchs_options_are_used(context: Context) -> None:
    """What the batch says for all rows is in the rows that are sent, each parameter where the row has none."""
    requests = [
        {"custom_id": "q0", "prompt": "x"},
        {"custom_id": "q1", "prompt": "x", "generation_config": {"temperature": 0}, "system_prompt": "own"},
    ]
    options = {"model": "m", "system_prompt": "all", "generation_config": {"temperature": 1, "max_tokens": 5}}
    outcome = convert(context, submitted(context, requests=requests, **options))
    bodies = [row["body"] for row in lines(context, outcome.spawn[0].requests)]
    assert [body["messages"][0]["content"] for body in bodies] == ["all", "own"]
    assert [(body["temperature"], body["max_completion_tokens"]) for body in bodies] == [(1, 5), (0, 5)]


@pytest.mark.parametrize("custom_id", ["a b", "\u2028", 'x"\\', "\U0001f600", "x" * 512, "\x00", "-1", "q1,2]"])
def test_any_custom_id_goes(context: Context, custom_id: str) -> None:
    """The user's name for a row never goes to the provider, so it may be any text; it comes back as it was."""
    outcome = convert(context, submitted(context, requests=[{"custom_id": custom_id, "prompt": "x"}], model="m"))
    shard = outcome.spawn[0]
    (line,) = Path(context.storage.address, shard.row_ids).read_bytes().removesuffix(b"\n").split(b"\n")
    assert json.loads(line) == [0, custom_id]
    assert lines(context, shard.requests)[0]["custom_id"] == f"{shard.label}-0"


def test_odd_lines_are_counted_as_they_lie(make_context: MakeContext, tmp_path: Path) -> None:
    """BOM, CRLF, blank lines and line separators: rows are numbered without the blanks."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"custom_id": "q0", "prompt": "a\xe2\x80\xa8b"}\r\n\r\n  \n{"custom_id": "q1", "prompt": "x"}'
    )
    context = make_context(max_shard_rows=1)
    outcome = convert(context, submitted(context, input=path, model="m"))
    assert cut(context, outcome) == [("m", [0]), ("m", [1])]
    assert outcome.facts == {"rows": 2}
    body = lines(context, outcome.spawn[0].requests)[0]["body"]
    assert body["messages"] == [{"role": "user", "content": "a\u2028b"}]


def test_large_rows_are_whole(context: Context) -> None:
    """Rows of a few bytes and of megabytes lie side by side, none torn or mixed up."""
    sizes = [5, 300_000, 7, 2_500_000, 0, *[1000] * 1000, 1_100_000]
    requests = [{"custom_id": f"q{n}", "prompt": f"{n}:" + "x" * size} for n, size in enumerate(sizes)]
    outcome = convert(context, submitted(context, requests=requests, model="m"))
    assert cut(context, outcome) == [("m", list(range(len(sizes))))]
    sent = [row["body"]["messages"][0]["content"] for row in lines(context, outcome.spawn[0].requests)]
    assert sent == [request["prompt"] for request in requests]


# --- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change", [lambda content: content.replace(b'"x"', b'"y"', 1), lambda content: content + b"\n"]
)
def test_rows_that_were_damaged_in_the_storage_are_refused(
    make_context: MakeContext, stored: Stored, change: Callable[[bytes], bytes]
) -> None:
    """Whatever is different, even a blank line, ends the batch with one sentence, and leaves no shard."""
    context = make_context(max_shard_rows=1)
    batch = submitted(context, requests=rows(*"mnm"))
    before = stored()
    path = Path(context.storage.address, batch.input.stored)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValidationError, match="the rows in the storage are not those that were submitted"):
        convert(context, batch)
    assert stored() == before


def test_rows_that_are_gone_are_an_error(context: Context, stored: Stored) -> None:
    """They are named; the mount may come back, so it is worth a retry."""
    batch = submitted(context, requests=rows("m"))
    Path(context.storage.address, batch.input.stored).unlink()
    before = stored()
    with pytest.raises(FileOperationError, match=r"-input.jsonl: No such file") as caught:
        convert(context, batch)
    assert caught.value.retryable
    assert stored() == before


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (b"hello", "line 4: not valid JSON"),
        (b'{"custom_id": "q0", "prompt": "x"}', "line 4: custom_id: 'q0' was used before, at line 1"),
        (b'{"custom_id": "z", "prompt": "x", "generation_config": {"top_k": 1}}', "line 4: generation_config.top_k"),
        (b'{"custom_id": "z", "prompt": "%b"}' % (b"x" * 2000), "line 4: .*1000 bytes.*shorten it"),
    ],
)
def test_one_bad_row_ends_the_batch(
    make_context: MakeContext, stored: Stored, tmp_path: Path, bad: bytes, complaint: str
) -> None:
    """However many shards were cut before and after it, none is left, and the row is named."""
    good = [json.dumps(row).encode() for row in rows(*"mnmnmn")]
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n".join([*good[:3], bad, *good[3:]]))
    context = make_context(max_shard_rows=1, max_shard_bytes=1000)
    batch = submitted(context, input=path, model="m", check_rows=1)
    before = stored()
    with pytest.raises(InvalidInputError, match=f"in.jsonl, {complaint}") as caught:
        convert(context, batch)
    assert caught.value.total == 1
    assert stored() == before


def test_what_is_dropped_is_counted_once_a_row(make_context: MakeContext) -> None:
    """A row that had no room in one shard, and went into the next, counts once."""
    context = make_context(max_shard_rows=1)
    config = {"top_k": 1, "max_tokens": 5}
    batch = submitted(context, requests=rows(*"mmm"), generation_config=config, unsupported="drop")
    assert convert(context, batch).facts == {"rows": 3, "dropped": {"top_k": 3}}


def test_too_many_models_are_refused(context: Context, stored: Stored) -> None:
    """Each row of a model too many is named; what was cut for the others is gone."""
    batch = submitted(context, requests=rows(*(f"m{number}" for number in range(MAX_KINDS + 2))))
    before = stored()
    with pytest.raises(InvalidInputError, match=rf"requests\[{MAX_KINDS}\]: model: more than {MAX_KINDS}") as caught:
        convert(context, batch)
    assert caught.value.total == 2
    assert stored() == before


@pytest.mark.parametrize("kind", ["requests", "row-ids"])
@pytest.mark.parametrize("shard", [0, 1])
def test_a_failing_storage_leaves_nothing(make_context: MakeContext, stored: Stored, kind: str, shard: int) -> None:
    """When an object cannot take its place, neither its twin nor any other shard is left."""
    context = make_context(max_shard_rows=1)
    batch = submitted(context, requests=rows(*"mmm"), batch_id="b")
    before = stored()
    label = read_record(context.storage, "b", batch.submission, Submission).label(Kind("m", Endpoint.CHAT), shard)
    Path(context.storage.address, f"{shard_prefix(batch, label)}-{kind}.jsonl").mkdir(parents=True)
    with pytest.raises(FileOperationError, match=kind):
        convert(context, batch)
    assert stored() == before


def test_converting_again_gives_the_same_cut(make_context: MakeContext) -> None:
    """After a crash the next worker cuts the same shards, under other names."""
    context = make_context(max_shard_rows=2)
    batch = submitted(context, requests=rows(*"abababa"))
    first = cut(context, convert(context, batch))
    again = context.store.claim(batch.id, batch.version, lease=60, holder="other")
    assert isinstance(again, Batch)
    assert cut(context, convert(context, again)) == first
