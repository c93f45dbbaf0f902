"""Jobs that end in odd ways, over the whole road: no answer is lost, nothing is bought twice, and users know why."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batch_router.core import UnifiedResult
from batch_router.road import refusals
from batch_router.road.context import Context
from tests.road.odd_openai import Clock, Describe, OddJob, OddOpenAI, Outcome, carry_through
from tests.security.hostile_server import Asked, HostileServer, reply

ROWS = [{"custom_id": f"q{number}", "prompt": f"Row {number}"} for number in range(3)]
MAX = {"max_tokens": 5}
Run = Callable[..., Outcome]


@pytest.fixture
def run(make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """`run(service, requests=ROWS)`: what becomes of a batch there."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with ExitStack() as servers:

        def make(service: OddOpenAI, *, max_shard_rows: int | None = None, **options: Any) -> Outcome:
            server = servers.enter_context(HostileServer(service.answer))
            clock = Clock()
            urls = {"openai": f"{server.url}/v1"}
            context = make_context(clock=clock, base_urls=urls, max_shard_rows=max_shard_rows)
            return carry_through(context, clock, "openai", **({"requests": ROWS} | options))

        yield make


def texts(results: list[UnifiedResult]) -> list[str | None]:
    return [result.text for result in results]


def errors(results: list[UnifiedResult]) -> list[str | None]:
    return [result.error.type if result.error else None for result in results]


ALL = ["Row 0", "Row 1", "Row 2"]
HOUR = 3600.0

# --- answers that come late, or in part -----------------------------------------------------------------------------


def named_late(looks: int) -> Describe:
    return lambda job: job.done() if job.looks > looks else job.done(output_file_id=None)


def without_counts(looks: int) -> Describe:
    return lambda job: job.done(request_counts=None) if job.looks > looks else {"status": "COMPLETED"}


LATE: dict[str, Callable[[], OddOpenAI]] = {
    "named at once": OddOpenAI,
    "named later": lambda: OddOpenAI(named_late(3)),
    "named an hour later": lambda: OddOpenAI(named_late(10)),
    "named later, no counts": lambda: OddOpenAI(without_counts(3)),
    "named as nothing": lambda: OddOpenAI(lambda job: job.done(error_file_id="")),
    "a job that is not there at first": lambda: OddOpenAI(gone={"batch-0": 7}),
    "named, and there later": lambda: OddOpenAI(gone={"out-0": 7}),
    "under another name": lambda: OddOpenAI(
        lambda job: job.done(output_file_id="out-0" if job.looks > 2 else "lost-0"), gone={"lost-0": 99}
    ),
    "odd counts": lambda: OddOpenAI(
        lambda job: job.done(request_counts={"total": "3", "completed": 3.0, "failed": "0"})
    ),
    "shouted, wrapped, unknown at first": lambda: OddOpenAI(
        lambda job: job.done(status="JOB_STATE_SUCCEEDED") if job.looks > 2 else {"status": "WARMING_UP"}
    ),
}


@pytest.mark.parametrize("way", LATE)
def test_answers_that_come_late_are_fetched(run: Run, way: str) -> None:
    """One job, all answers, and what lies at the provider is deleted only then."""
    service = LATE[way]()
    outcome = run(service)
    assert (outcome.status.status, texts(outcome.results)) == ("completed", ALL)
    assert len(service.jobs) == 1
    assert sorted(service.deleted)[0] == "/v1/files/file-0"
    assert outcome.status.shards[0].left_behind is None


def test_answers_that_are_never_named_are_lost_aloud(run: Run) -> None:
    """After hours of looks: the rows say so, nothing is bought again, and nothing is deleted."""
    service = OddOpenAI(lambda job: job.done(output_file_id=None))
    outcome = run(service, row_retries=5)
    assert (outcome.status.status, errors(outcome.results)) == ("failed", ["missing"] * 3)
    assert outcome.results[0].error is not None
    assert "batch-0 has ended, and names no file of its answers" in outcome.results[0].error.message
    assert (len(service.jobs), service.deleted) == (1, [])
    assert 6 * HOUR < outcome.seconds < 8 * HOUR
    left_behind = outcome.status.shards[0].left_behind
    assert left_behind is not None
    assert "3 answers that openai counts could not be fetched, so nothing of batch-0 was deleted" in left_behind.message


@pytest.mark.parametrize(
    ("gone", "expected", "left"),
    [
        ({"err-0": 99}, ["Row 0", "Row 1", None], 1),
        ({"err-0": 3}, ["Row 0", "Row 1", None], None),
        ({"out-0": 99}, [None, None, None], 2),
        ({"out-0": 9}, ["Row 0", "Row 1", None], None),
    ],
)
def test_one_of_two_files_is_gone(
    run: Run, gone: dict[str, float], expected: list[str | None], left: int | None
) -> None:
    """What the other has stands; the missing rows say which file it is, and are not sent again."""

    def describe(job: OddJob) -> dict[str, Any]:
        return job.done(error_file_id=f"err-{job.number}", request_counts={"total": 3, "completed": 2, "failed": 1})

    service = OddOpenAI(describe, gone)
    outcome = run(service, row_retries=2)
    assert texts(outcome.results) == expected
    assert len(service.jobs) == 1
    shard = outcome.status.shards[0]
    assert (shard.left_behind is not None) == (left is not None)
    if left is not None:
        assert service.deleted == []
        assert shard.left_behind is not None
        assert shard.left_behind.message.startswith(f"{left} answers that openai counts")
        missing = [result.error for result in outcome.results if result.error and result.error.type == "missing"]
        assert len(missing) == left
        assert "No such file" in missing[0].message


def test_a_completed_job_with_old_counts_is_fetched_again(run: Run) -> None:
    """Its counts say that nothing is done, and its file is empty at first: no row goes again."""
    old = {"total": 3, "completed": 0, "failed": 0}
    service = OddOpenAI(lambda job: job.done(request_counts=old), empty={"out-0": 3})
    outcome = run(service, row_retries=2)
    assert (outcome.status.status, texts(outcome.results)) == ("completed", ALL)
    assert len(service.jobs) == 1


@pytest.mark.parametrize("status", ["expired", "cancelled"])
@pytest.mark.parametrize("counts", [None, {"total": 0, "completed": 0, "failed": 0}])
def test_a_job_that_was_cut_off_and_counts_nothing_may_have_answers(run: Run, status: str, counts: object) -> None:
    """Its file is named later: the answers are fetched, none of their rows goes again."""

    def describe(job: OddJob) -> dict[str, Any]:
        if job.number:
            return job.done()
        named = {"output_file_id": "out-0", "error_file_id": "err-0"} if job.looks > 3 else {}
        return {"status": status, "request_counts": counts} | named

    service = OddOpenAI(describe)
    outcome = run(service, row_retries=1)
    assert texts(outcome.results)[:2] == ALL[:2]
    assert [len(job.rows) for job in service.jobs] == [3]


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_a_service_that_does_not_cancel_gives_its_answers(run: Run, status: int) -> None:
    """The job goes on, and is paid for: it is still looked at, and its answers are fetched."""
    service = OddOpenAI(lambda job: job.done() if job.looks > 20 else {"status": "in_progress"})
    service.cancel = status
    outcome = run(service, timeout=120)
    assert texts(outcome.results) == ALL
    assert len(service.jobs) == 1
    assert outcome.seconds < 3600


def test_an_unknown_status_is_parked_in_the_end(run: Run) -> None:
    """Three days after the job was created, with a sentence; nothing is deleted, and nothing is bought again."""
    service = OddOpenAI(lambda _: {"status": "hibernating"})
    outcome = run(service)
    assert outcome.status.status == "parked"
    assert outcome.status.waiting_for is not None
    assert "batch-0 has the status 'hibernating', which is none that we know" in outcome.status.waiting_for
    assert 3 * 86_400 <= outcome.seconds < 4 * 86_400
    assert (len(service.jobs), service.deleted) == (1, [])


class Nameless(OddOpenAI):
    """Takes a request to create a job, and neither names the job nor lists it."""

    def __init__(self, said: bytes) -> None:
        super().__init__()
        self.said = said

    def answer(self, asked: Asked) -> bytes:
        done = super().answer(asked)
        if asked.path.partition("?")[0] != "/v1/batches":
            return done
        return reply(200, self.said if asked.method == "POST" else b'{"data": []}', content_type="application/json")


@pytest.mark.parametrize("said", [b'{"ok": true}', b"{}", b'{"id": ""}', b'{"id": "../x"}'])
def test_a_job_without_a_name_is_paid_for_once(run: Run, said: bytes) -> None:
    """The service took the request, so there is a job: the shard waits for the operator, and creates no other."""
    service = Nameless(said)
    outcome = run(service)
    assert outcome.status.status == "parked"
    assert outcome.status.waiting_for is not None
    assert "neither names nor lists the job" in outcome.status.waiting_for
    assert (len(service.jobs), service.deleted) == (1, [])


def test_an_id_has_other_names(run: Run) -> None:
    """Some gateways call it `batch_id`."""
    service = Nameless(b'{"batch_id": "batch-0"}')
    outcome = run(service)
    assert (texts(outcome.results), len(service.jobs)) == (ALL, 1)


def test_a_job_that_failed_on_the_way_keeps_its_answers(run: Run) -> None:
    """What was answered until then is paid for."""
    counts = {"total": 3, "completed": 3, "failed": 0}
    service = OddOpenAI(
        lambda job: job.done(status="failed", errors={"data": [{"message": "a disk broke"}]}, request_counts=counts)
    )
    outcome = run(service)
    assert (texts(outcome.results), len(service.jobs)) == (ALL, 1)


# --- refusals -------------------------------------------------------------------------------------------------------


def line_error(line: int, code: str = "invalid_request", message: str = "no such parameter") -> dict[str, Any]:
    return {"code": code, "message": message, "line": line, "param": None}


def refuses(*prompts: str) -> Describe:
    """Jobs with these prompts are refused for them, by the lines where they stand."""

    def describe(job: OddJob) -> dict[str, Any]:
        said = [row["body"]["messages"][-1]["content"] for row in job.rows]
        wire = [row["custom_id"] for row in job.rows]
        wrong = [line_error(n, message=f"{wire[n - 1]} is bad") for n, text in enumerate(said, 1) if text in prompts]
        return job.refused(*wrong) if wrong else job.done()

    return describe


def test_a_refused_line_is_named_and_the_others_go_again(run: Run, tmp_path: Path) -> None:
    """By the user's file, line and id; blank lines are lines, and no rows. Our own ids are shown nowhere."""
    lines = [msgspec.json.encode(row) for row in ROWS]
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"\n\n" + b"\n \n".join(lines) + b"\n")
    service = OddOpenAI(refuses("Row 1"))
    outcome = run(service, requests=None, input=str(file))
    assert texts(outcome.results) == ["Row 0", None, "Row 2"]
    error = outcome.results[1].error
    assert error is not None
    assert (error.type, error.code, error.retryable) == ("invalid_request", "invalid_request", False)
    assert error.message == f"{file}, line 5 (custom_id 'q1'): row 2 is bad"
    assert [len(job.rows) for job in service.jobs] == [3, 2]
    assert (outcome.status.status, outcome.status.request_counts.errored) == ("completed", 1)
    first = outcome.status.shards[0]
    assert first.error is not None
    assert first.error.message == f"1 of 3 rows were refused, the first one is {error.message}"


def test_several_lines_at_once(run: Run) -> None:
    """Each has its own result; rows of a list are named by their place in it."""
    service = OddOpenAI(refuses("Row 0", "Row 2"))
    outcome = run(service)
    assert texts(outcome.results) == [None, "Row 1", None]
    places = [result.error.message.partition(":")[0] for result in outcome.results if result.error]
    assert places == ["requests[0] (custom_id 'q0')", "requests[2] (custom_id 'q2')"]
    assert len(service.jobs) == 2


def test_a_job_of_nothing_but_refused_lines_fails(run: Run) -> None:
    """Nothing is left to send; the batch says which line."""
    service = OddOpenAI(refuses(*ALL))
    outcome = run(service)
    assert (outcome.status.status, errors(outcome.results)) == ("failed", ["invalid_request"] * 3)
    assert outcome.status.error is not None
    assert "3 of 3 rows were refused, the first one is requests[0] (custom_id 'q0')" in outcome.status.error.message
    assert len(service.jobs) == 1


def test_refusals_come_to_an_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that always finds another line is not asked for ever: the rest fails, and says so."""
    monkeypatch.setattr(refusals, "MOST_REFUSALS", 2)
    rows = [{"custom_id": f"q{number}", "prompt": f"Row {number}"} for number in range(6)]
    service = OddOpenAI(lambda job: job.refused(line_error(1)))
    outcome = run(service, requests=rows)
    assert errors(outcome.results) == ["invalid_request"] * 3 + ["job_failed"] * 3
    assert len(service.jobs) == 3
    assert outcome.results[5].error is not None
    assert "no such parameter" in outcome.results[5].error.message


def test_a_job_that_is_refused_as_a_whole_bought_nothing(run: Run) -> None:
    """Each row has the provider's words, and nothing is sent again."""
    service = OddOpenAI(lambda job: job.refused({"code": "empty_file", "message": "nothing there", "line": None}))
    outcome = run(service, row_retries=3)
    assert (outcome.status.status, errors(outcome.results)) == ("failed", ["job_failed"] * 3)
    assert outcome.results[0].error is not None
    assert (outcome.results[0].error.code, outcome.results[0].error.message) == ("empty_file", "nothing there")
    assert len(service.jobs) == 1


# --- tokens ---------------------------------------------------------------------------------------------------------


def room_for(rows: int) -> Describe:
    full = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached for m"}
    return lambda job: job.done() if len(job.rows) <= rows else job.refused(full)


def test_a_shard_that_never_fits_is_split(run: Run) -> None:
    """Until its parts fit; and status says which setting makes them small at once."""
    service = OddOpenAI(room_for(1))
    outcome = run(service)
    assert (outcome.status.status, texts(outcome.results)) == ("completed", ALL)
    said = outcome.status.shards[0].error
    assert said is not None
    assert "split in two; BATCH_ROUTER_MAX_SHARD_ROWS=1 makes shards that small at once" in said.message


def test_a_row_that_never_fits_fails(run: Run) -> None:
    """After a long wait, for other programs may use the account, too; it says what helps."""
    service = OddOpenAI(room_for(0))
    outcome = run(service, requests=ROWS[:1])
    assert (outcome.status.status, errors(outcome.results)) == ("failed", ["job_failed"])
    assert outcome.status.error is not None
    assert (
        "this row alone never fits the tokens that may wait at openai: a higher usage tier"
        in outcome.status.error.message
    )
    assert outcome.seconds > 3600


def test_a_shard_that_waits_for_others_is_not_split(run: Run) -> None:
    """As long as another job of ours takes the room, it may fit later."""
    held: list[int] = []

    def describe(job: OddJob) -> dict[str, Any]:
        if job.number == 0:
            return job.done() if job.looks > 20 else {"status": "in_progress"}
        held.append(job.number)
        is_free = service.jobs[0].looks > 20
        return job.done() if is_free else room_for(0)(job)

    service = OddOpenAI(describe)
    outcome = run(service, requests=[*ROWS, {"custom_id": "q3", "prompt": "Row 3"}], max_shard_rows=2)
    assert texts(outcome.results) == [*ALL, "Row 3"]
    assert len(held) > 3
    assert {len(job.rows) for job in service.jobs} == {2}


def test_rows_that_anthropic_names_go_no_further(
    make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A create that is refused for a row made no job; the others go again, and the user's line is named."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    rows = [{"custom_id": f"q{number}", "prompt": f"Row {number}", "generation_config": MAX} for number in range(3)]
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"\n".join([msgspec.json.encode(row) for row in rows]))
    asked: list[list[str]] = []

    def answer(call: Asked) -> bytes:
        if call.method == "GET" and call.path.endswith("/results"):
            return reply(200, b"".join(succeeded(row_id) for row_id in asked[-1]))
        if call.method == "POST":
            sent = json.loads(call.body)["requests"]
            asked.append([row["custom_id"] for row in sent])
            wrong = [n for n, row in enumerate(sent) if row["params"]["messages"][0]["content"] == "Row 1"]
            if wrong:
                words = f"requests.{wrong[0]}.params.max_tokens: {asked[-1][wrong[0]]} is too large"
                error = {"type": "error", "error": {"type": "invalid_request_error", "message": words}}
                return reply(400, json.dumps(error).encode(), content_type="application/json")
        job = {"id": "msgbatch_1", "processing_status": "ended", "request_counts": {"succeeded": 2, "errored": 0}}
        return reply(200, json.dumps(job).encode(), content_type="application/json")

    with HostileServer(answer) as server:
        clock = Clock()
        context = make_context(clock=clock, base_urls={"anthropic": server.url})
        outcome = carry_through(context, clock, "anthropic", input=str(file))
    assert texts(outcome.results) == ["hi", None, "hi"]
    error = outcome.results[1].error
    assert error is not None
    assert (error.type, error.code) == ("invalid_request", "invalid_request_error")
    assert error.message == f"{file}, line 2 (custom_id 'q1'): params.max_tokens: row 2 is too large"
    assert [len(rows) for rows in asked] == [3, 2]


def succeeded(row_id: str) -> bytes:
    message = {"content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn"}
    return json.dumps({"custom_id": row_id, "result": {"type": "succeeded", "message": message}}).encode() + b"\n"


def test_a_create_that_finds_no_room_is_waited_for(run: Run) -> None:
    """Where the answer to the create itself says so: no job, and another try later, without an end after a day."""

    class NoRoom(OddOpenAI):
        refusals = 4

        def answer(self, asked: Asked) -> bytes:
            if asked.method == "POST" and asked.path == "/v1/batches" and self.refusals:
                self.refusals -= 1
                said = {"error": {"message": "Enqueued token limit reached for m", "code": "token_limit_exceeded"}}
                return reply(400, json.dumps(said).encode(), content_type="application/json")
            return super().answer(asked)

    service = NoRoom()
    outcome = run(service, requests=ROWS[:1])
    assert (outcome.status.status, texts(outcome.results)) == ("completed", ALL[:1])
    assert len(service.jobs) == 1
