"""Answers are counted before they are believed, and files are what was written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batch_router.bounds import Bounds
from batch_router.core import BatchStatus
from batch_router.core.jobs import Job, JobSpec
from batch_router.exceptions import FileOperationError, ProtocolError, ProviderUnavailableError
from batch_router.road.context import Context
from batch_router.road.jobs import stored_rows
from batch_router.road.policy import decide
from batch_router.road.refetch import MOST_REFETCHES
from batch_router.road.steps.clean import ended_as
from batch_router.road.steps.download import download
from batch_router.road.steps.normalize import normalize
from batch_router.settings import Section
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Fault, Refusal
from batch_router.state.items import Shard
from batch_router.state.table import State
from tests.file_rows import FileRows
from tests.items import facts_of

ROWS = 3
Begin = Callable[..., tuple[Context, Shard]]


def wire(number: int) -> bytes:
    body = {"model": "m", "messages": [{"role": "user", "content": f"Row {number}"}]}
    row = {"custom_id": f"t-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
    return msgspec.json.encode(row) + b"\n"


@pytest.fixture
def begin(make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch) -> Begin:
    """`begin(simulator)`: a shard of three rows, whose job at OpenAI has been answered."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")

    def make(simulator: Simulator, *sections: Section, **facts: Any) -> tuple[Context, Shard]:
        context = make_context(base_urls={"openai": f"{simulator.url}/openai/v1"}, sections=sections)
        with context.storage.write("requests") as stream:
            stream.writelines(wire(number) for number in range(ROWS))
        with context.storage.write("ids") as stream:
            stream.writelines(msgspec.json.encode([number, f"q{number}"]) + b"\n" for number in range(ROWS))
        values: dict[str, Any] = {
            "id": "b.0", "batch": "b", "state": State.DOWNLOADING, "version": 9, "provider": "openai", "label": "t",
            "model": "m", "rows": ROWS, "size": sum(len(wire(number)) for number in range(ROWS)), "first_row": 0,
            "requests": "requests", "row_ids": "ids",
        }  # fmt: skip
        shard = Shard(**values)
        client = context.client_of(shard)
        rows = FileRows(Path(context.storage.address, "requests"))
        spec = JobSpec(label="t", model="m", rows=ROWS, upload=None)
        spec = msgspec.structs.replace(spec, upload=client.upload(rows, spec))
        job = client.get(client.create(rows, spec).id)
        assert job.status is BatchStatus.COMPLETED
        return context, msgspec.structs.replace(shard, job=job, **facts)

    return make


def test_all_answers_are_taken_at_once(begin: Begin) -> None:
    """As many as were counted, each whole: the shard goes on, and knows their size."""
    with Simulator() as simulator:
        context, shard = begin(simulator)
        outcome = download(context, shard)
    (fetched,) = facts_of(outcome)["answers"]
    path = Path(context.storage.address, fetched.name)
    assert (outcome.state, fetched.rows, fetched.size) == (State.NORMALIZING, ROWS, path.stat().st_size)


def test_fewer_answers_than_were_counted_are_fetched_again(begin: Begin, stored: Callable[[], list[str]]) -> None:
    """They are kept, status says why, and the next try is not at once; in the end they are all there is."""
    with Simulator(Scenario(drop="Row 1")) as simulator:
        context, shard = begin(simulator)
        for refetches in range(MOST_REFETCHES):
            outcome = download(context, shard)
            assert (outcome.state, facts_of(outcome)["refetches"]) == (State.POLLING, refetches + 1)
            assert facts_of(outcome)["error"].message.startswith("the provider counted 3 answers, 2 came")
            assert outcome.delay
            shard = msgspec.structs.replace(shard, version=shard.version + 1, **outcome.facts)
            assert len([name for name in stored() if "answers" in name]) == 1  # another that has no more is none
        done = download(context, shard)
        assert (done.state, facts_of(done)["gap"]) == (State.NORMALIZING, "the provider counted 3 answers, 2 came")


def test_what_came_stays_while_another_file_is_waited_for(begin: Begin) -> None:
    """One of two files, and the service fails at the other: the first is not asked for again."""
    busy = Fault(match="GET /files/.*/content", do="status", status=503, after=1, times=2)
    with Simulator(Scenario(refuse=(Refusal(match="1"),), faults=(busy,))) as simulator:
        context, shard = begin(simulator)
        first = download(context, shard)
        assert (first.state, len(facts_of(first)["answers"])) == (State.DOWNLOADING, 1)
        assert "503" in facts_of(first)["error"].message
        shard = msgspec.structs.replace(shard, version=10, **first.facts)
        with pytest.raises(ProviderUnavailableError):
            download(context, shard)
        done = download(context, shard)
        asked = [note["path"] for note in simulator.requests() if note["path"].endswith("/content")]
    assert (done.state, sum(file.rows for file in facts_of(done)["answers"])) == (State.NORMALIZING, ROWS)
    assert [asked.count(path) for path in dict.fromkeys(asked)] == [1, 3]


def test_an_answer_that_is_cut_off_is_noticed(begin: Begin) -> None:
    """Also where the number of lines is right, for a proxy may end an answer politely."""
    cut = Fault(match="GET /files/.*/content", do="html")
    with Simulator(Scenario(faults=(cut,))) as simulator:
        context, shard = begin(simulator)
        assert shard.job is not None
        job = msgspec.structs.replace(shard.job, completed=0, unanswered=ROWS)
        outcome = download(context, msgspec.structs.replace(shard, job=job))
    assert (outcome.state, facts_of(outcome)["refetches"]) == (State.POLLING, 1)
    assert "cut off" in facts_of(outcome)["error"].message


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_answers_that_were_damaged_here_are_fetched_again(begin: Begin, damage: str) -> None:
    """Nothing is normalized of a file that is not what was fetched; the provider still has them."""
    with Simulator() as simulator:
        context, shard = begin(simulator)
        fetched = msgspec.structs.replace(shard, **download(context, shard).facts)
        path = Path(context.storage.address, fetched.answers[0].name)
        if damage == "cut":
            path.write_bytes(path.read_bytes()[:-20])
        else:
            path.unlink()
        outcome = normalize(context, fetched)
        assert (outcome.state, facts_of(outcome)["answers"]) == (State.POLLING, ())
        again = msgspec.structs.replace(shard, version=11, refetches=1)
        whole = msgspec.structs.replace(again, **download(context, again).facts)
        done = msgspec.structs.replace(whole, **normalize(context, whole).facts)
    assert done.part is not None
    assert (done.part.succeeded, ended_as(done)) == (ROWS, State.COMPLETED)


def test_rows_that_were_damaged_here_are_not_sent(context: Context) -> None:
    """The error says how much was written and how much is there."""
    with context.storage.write("requests") as stream:
        stream.write(wire(0))
    job = Job(id="j", status=BatchStatus.COMPLETED, created_at=0)
    shard = Shard(
        id="b.0", batch="b", state=State.UPLOADING, version=2, provider="openai", label="t", model="m", rows=1,
        size=len(wire(0)) + 1, first_row=0, requests="requests", row_ids="ids", job=job,
    )  # fmt: skip
    with pytest.raises(FileOperationError, match=rf"{shard.size} bytes were written, {shard.size - 1} are there"):
        stored_rows(context, shard)
    context.storage.delete("requests")
    with pytest.raises(FileOperationError, match="No such file"):
        stored_rows(context, shard)


def test_answers_beyond_the_bound_wait(begin: Begin, stored: Callable[[], list[str]]) -> None:
    """The job is paid for, so the shard is parked and says which setting to raise; the disk is free meanwhile."""
    with Simulator() as simulator:
        context, shard = begin(simulator, Bounds(max_answers_bytes=1024))
        before = stored()
        with pytest.raises(ProtocolError, match=r"more than 1,024 \(BATCH_ROUTER_MAX_ANSWERS_BYTES\)") as caught:
            download(context, shard)
    decision = decide(shard, caught.value, 0)
    assert decision.state is State.PARKED
    assert "BATCH_ROUTER_MAX_ANSWERS_BYTES); raise it" in decision.failure.message
    assert "resolve b.0 --attach" in decision.failure.message
    assert stored() == before
