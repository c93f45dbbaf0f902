"""Answers to results: whatever the provider sends, every request has exactly one, in input order."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_router.core import BatchStatus, UnifiedResult
from batch_router.core.jobs import Failure, Job
from batch_router.road.context import Context
from batch_router.road.steps.clean import ended_as
from batch_router.road.steps.normalize import normalize
from batch_router.state.items import Shard
from batch_router.state.parts import Part
from batch_router.state.table import State
from tests.items import fetched

LABEL = "0123abcd"
IDS = ["first", "a b\u2028c", 'x"\\', "-1"]
FULL = Failure(type="token_limit_exceeded", message="the queue is full")

Normalized = tuple[list[UnifiedResult], Part, State]
Normalize = Callable[..., Normalized]


def row_id(row: object) -> str:
    return f"{LABEL}-{row}"


def answer(row: object, text: str | None = None, *, custom_id: str | None = None) -> bytes:
    body = {"model": "m", "choices": [{"message": {"content": text or f"answer {row}"}, "finish_reason": "stop"}]}
    response = {"status_code": 200, "request_id": "r", "body": body}
    return encode({"id": "b", "custom_id": custom_id or row_id(row), "response": response, "error": None})


def refusal(row: object, status: int = 400) -> bytes:
    response = {"status_code": status, "request_id": "r", "body": {"error": {"message": "no"}}}
    return encode({"id": "b", "custom_id": row_id(row), "response": response, "error": None})


def unexecuted(row: object, code: str) -> bytes:
    return encode({"id": "b", "custom_id": row_id(row), "response": None, "error": {"code": code, "message": code}})


def encode(row: Any) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def job(status: BatchStatus, **more: Any) -> Job:
    return Job(id="job", status=status, created_at=0, **more)


DONE = job(BatchStatus.COMPLETED)


@pytest.fixture
def normalized(context: Context) -> Normalize:
    """`normalized(lines, ids)`: results, part and state of a shard of these ids that got these answers."""

    def run(
        answers: Sequence[bytes] | None, ids: Sequence[str] = IDS, kept: Sequence[str] | None = None, **facts: Any
    ) -> Normalized:
        with context.storage.write("row-ids") as stream:
            stream.writelines(encode([10 * row, custom_id]) for row, custom_id in enumerate(ids))
        if answers is not None:
            with context.storage.write("answers") as stream:
                stream.writelines(answers)
        values: dict[str, Any] = {
            "id": "b.7",
            "state": State.NORMALIZING,
            "version": 9,
            "provider": "openai",
            "batch": "b",
            "label": LABEL,
            "claimed_by": "w/5eed",
            "model": "m",
            "rows": len(ids),
            "size": 1,
            "first_row": 0,
            "requests": "requests",
            "row_ids": "row-ids",
            "answers": () if answers is None else fetched("answers", sum(map(len, answers))),
            "job": DONE,
        }
        shard = Shard(**(values | facts))
        outcome = normalize(context, shard)
        assert outcome.state is State.CLEANING
        shard = msgspec.structs.replace(shard, **outcome.facts)
        part = shard.part
        assert part is not None
        content = Path(context.storage.address, part.name).read_bytes()
        results = [msgspec.json.decode(line, type=UnifiedResult) for line in content.split(b"\n")[:-1]]
        assert outcome.spawn == ()
        assert [result.custom_id for result in results] == list(ids if kept is None else kept)
        assert balance(part) == {status: count(results, status) for status in balance(part)}
        return results, part, ended_as(shard)

    return run


def balance(part: Part) -> dict[str, int]:
    return {name: getattr(part, name) for name in ("succeeded", "errored", "cancelled", "expired")}


def count(results: Sequence[UnifiedResult], status: str) -> int:
    return len([result for result in results if result.status == status])


def texts(results: Sequence[UnifiedResult]) -> list[str | None]:
    return [result.text for result in results]


def errors(results: Sequence[UnifiedResult]) -> list[str | None]:
    return [result.error.type if result.error else None for result in results]


IN_ORDER = [f"answer {row}" for row in range(4)]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_answers_come_in_any_order(normalized: Normalize, order: tuple[int, ...]) -> None:
    """Results are in input order, each under the user's own id."""
    results, part, state = normalized([answer(row) for row in order])
    assert texts(results) == IN_ORDER
    assert (part.succeeded, part.unexpected, part.repaired, state) == (4, 0, 0, State.COMPLETED)


def test_the_claim_is_in_the_name(normalized: Normalize) -> None:
    """The part is named after batch, label, version and holder."""
    _, part, _ = normalized([])
    assert part.name == f"generated/openai/b/{LABEL}/9-5eed-results.jsonl"


@pytest.mark.parametrize(
    "layout",
    [
        lambda lines: [lines[0], b"\n", b" \r\n", *lines[1:]],
        lambda lines: [line.replace(b"\n", b"\r\n") for line in lines],
        lambda lines: [*lines[:3], lines[3].rstrip()],
        lambda lines: [line.replace(b'"id": "b", ', b"") for line in lines],
        lambda lines: [line.replace(b": ", b":").replace(b", ", b",").replace(b"answer", b"answer") for line in lines],
    ],
)
def test_the_layout_does_not_matter(normalized: Normalize, layout: Callable[[list[bytes]], list[bytes]]) -> None:
    """Blank lines, CRLF, no newline at the end, other spacing or order of fields: the answers are the same."""
    results, part, _ = normalized(layout([answer(row) for row in range(4)]))
    assert texts(results) == IN_ORDER
    assert (part.unexpected, part.repaired) == (0, 0)


def test_a_missing_answer_is_an_error(normalized: Normalize) -> None:
    """A row that the provider never returned has a result that says so."""
    results, part, state = normalized([answer(0), answer(3)])
    assert errors(results) == [None, "missing", "missing", None]
    assert (part.succeeded, part.errored, state) == (2, 2, State.COMPLETED)


@pytest.mark.parametrize(
    ("status", "unanswered", "is_retryable"),
    [
        (BatchStatus.COMPLETED, None, False),
        (BatchStatus.COMPLETED, 0, False),
        (BatchStatus.COMPLETED, 1, False),  # of one of the two
        (BatchStatus.COMPLETED, 2, True),
        (BatchStatus.COMPLETED, 5, False),  # more than the job has
        (BatchStatus.EXPIRED, None, True),  # the word itself says that it was not done
        (BatchStatus.EXPIRED, 2, True),
        (BatchStatus.EXPIRED, 1, False),
    ],
)
def test_what_may_be_paid_for_is_not_bought_again(
    normalized: Normalize, status: BatchStatus, unanswered: int | None, is_retryable: bool
) -> None:
    """A missing row may be sent again only where the provider's own counts, or its status, say that it was not done."""
    results, _, _ = normalized([answer(0), answer(3)], job=job(status, unanswered=unanswered))
    missing = [result.error for result in results if result.error]
    assert [error.retryable for error in missing] == [is_retryable] * 2
    assert is_retryable or "it may be paid for" in missing[0].message


def test_the_error_of_a_row_names_it_as_the_user_does(normalized: Normalize) -> None:
    """A provider's words may have the id that the row has on the wire; the user has never seen it."""
    said = refusal(1).replace(b'"no"', f'"{row_id(1)} is like {row_id(12)}"'.encode())
    results, _, _ = normalized([answer(0), said, answer(2), answer(3)])
    assert results[1].error is not None
    assert results[1].error.message == f"{IDS[1]} is like {row_id(12)}"


def test_no_answers_at_all_are_errors(normalized: Normalize) -> None:
    """A job that completed without a file still accounts for every row."""
    nothing: tuple[list[bytes] | None, ...] = (None, [])
    for answers in nothing:
        results, part, _ = normalized(answers)
        assert errors(results) == ["missing"] * 4
        assert (part.errored, part.unexpected) == (4, 0)


def test_a_repeated_answer_counts_once(normalized: Normalize) -> None:
    """The first answer is the result; others are counted, and stay where the provider's answers are kept."""
    results, part, _ = normalized([answer(row) for row in range(4)] + [answer(1, "again"), answer(1, "and again")])
    assert texts(results) == IN_ORDER
    assert part.unexpected == 2


@pytest.mark.parametrize(
    "custom_id",
    [
        "first",  # the user's, not ours
        LABEL,
        f"{LABEL}-",
        f"{LABEL}-4",
        f"{LABEL}--1",
        f"{LABEL}-1.0",
        f"{LABEL}- 1",
        f"{LABEL}-01",
        f"{LABEL}-\u0661",
        f"{LABEL}-\u00b2",
        f"{LABEL}-{'9' * 5000}",
        f"{LABEL}0-1",
        "other-1",
        "",
    ],
)
def test_a_foreign_answer_is_nobodys(normalized: Normalize, custom_id: str) -> None:
    """An answer that is not to one of our rows is counted, and no row gets it."""
    results, part, _ = normalized([answer(0, custom_id=custom_id or " "), answer(0), answer(1)])
    assert texts(results) == ["answer 0", "answer 1", None, None]
    assert (part.unexpected, part.succeeded, part.errored) == (1, 2, 2)


@pytest.mark.parametrize("line", [b"<html>\n", b"[]\n", b"null\n", b'"x"\n', b"\xff\n", b"{}\n", b"[" * 5000 + b"\n"])
def test_rubbish_is_nobodys(normalized: Normalize, line: bytes) -> None:
    """A line that does not say whose it is, is counted, and no row gets it."""
    results, part, _ = normalized([answer(0), line, answer(2)])
    assert errors(results) == [None, "missing", None, "missing"]
    assert part.unexpected == 1


@pytest.mark.parametrize(
    "rest", [b"", b',"response":', b',"response":<html>}', b',"response":' + b"[" * 5000, b',"response":{}}}']
)
def test_a_malformed_answer_is_an_error_of_its_row(normalized: Normalize, rest: bytes) -> None:
    """It says whose it is and no more: the row's result quotes it."""
    line = b'{"id":"b","custom_id":"%b"%b\n' % (row_id(1).encode(), rest)
    results, part, _ = normalized([answer(0), line, answer(2), answer(3)])
    assert errors(results) == [None, "malformed", None, None]
    assert results[1].error is not None
    assert results[1].error.raw == line.decode()[:200]
    assert (part.succeeded, part.errored, part.unexpected) == (3, 1, 0)


@pytest.mark.parametrize("kept", [1, 20, 30, 60, 100, 150])
def test_a_torn_last_answer_is_an_error_of_its_row(normalized: Normalize, kept: int) -> None:
    """The end of a download that broke off is not taken for an answer."""
    results, part, _ = normalized([answer(row) for row in range(3)] + [answer(3)[:kept]])
    assert texts(results) == [*IN_ORDER[:3], None]
    assert errors(results)[3] in ("malformed", "missing")
    assert (part.succeeded, part.errored) == (3, 1)


def test_an_odd_answer_costs_no_other(normalized: Normalize) -> None:
    """A tool call in another shape, or an id of another type, is that row's affair."""
    odd = answer(1).replace(b'"content"', b'"tool_calls": [{"function": "add"}], "content"')
    odder = answer(2).replace(b'"request_id": "r"', b'"request_id": 5')
    results, part, _ = normalized([answer(0), odd, odder, answer(3)])
    assert texts(results) == IN_ORDER
    assert part.succeeded == 4


def test_a_repaired_answer_is_counted(normalized: Normalize) -> None:
    """What strict JSON refuses is read, wherever in the row the id is."""
    front = answer(0).replace(b'"status_code"', b'"logprobs": NaN, "status_code"')
    back = answer(1).replace(b'"id": "b", ', b"").replace(b'"status_code"', b'"logprobs": NaN, "status_code"')
    results, part, _ = normalized([front, back, answer(2), answer(3)])
    assert texts(results) == IN_ORDER
    assert (part.succeeded, part.repaired, part.unexpected) == (4, 2, 0)


def test_refused_rows_are_errors(normalized: Normalize) -> None:
    """Rows of the error file, which comes after the output file, are results like any other."""
    results, part, state = normalized([answer(3), answer(0), refusal(2, 500), refusal(1)])
    assert errors(results) == [None, "invalid_request", "server", None]
    assert (part.succeeded, part.errored, state) == (2, 2, State.COMPLETED)


@pytest.mark.parametrize("said", [True, False])
def test_an_expired_job_keeps_its_answers(normalized: Normalize, said: bool) -> None:
    """Finished rows were paid for; the others expired, whether the provider says so row by row or not."""
    silent = [unexecuted(1, "batch_expired"), unexecuted(3, "batch_expired")] if said else []
    results, part, state = normalized([answer(2), answer(0), *silent], job=job(BatchStatus.EXPIRED))
    assert [result.status for result in results] == ["succeeded", "expired", "succeeded", "expired"]
    assert errors(results) == [None, "expired", None, "expired"]
    assert (part.succeeded, part.expired, state) == (2, 2, State.EXPIRED)


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("said", [True, False])
def test_a_cancelled_job_keeps_its_answers(normalized: Normalize, said: bool, ours: bool) -> None:
    """The same after a cancel, be it the user's or one at the provider's dashboard."""
    silent = [unexecuted(row, "batch_cancelled") for row in range(3)] if said else []
    results, part, state = normalized([answer(3), *silent], job=job(BatchStatus.CANCELLED), cancel=ours)
    assert [result.status for result in results] == ["cancelled", "cancelled", "cancelled", "succeeded"]
    assert (part.succeeded, part.cancelled, state) == (1, 3, State.CANCELLED)


def test_a_cancel_that_came_too_late_changes_nothing(normalized: Normalize) -> None:
    """A cancelled job that completed has completed."""
    results, _, state = normalized([answer(row) for row in range(4)], cancel=True)
    assert (texts(results), state) == (IN_ORDER, State.COMPLETED)


def test_a_shard_that_was_cancelled_before_its_job_has_no_answers(normalized: Normalize) -> None:
    """Without a job there is nothing to wait for: every row is cancelled."""
    results, part, state = normalized(None, job=None, cancel=True)
    assert errors(results) == ["cancelled"] * 4
    assert (part.cancelled, state) == (4, State.CANCELLED)


@pytest.mark.parametrize("last", [job(BatchStatus.FAILED, error=FULL), job(BatchStatus.IN_PROGRESS), None])
def test_a_failed_job_is_every_rows_error(normalized: Normalize, last: Job | None) -> None:
    """The rows say why in the words of the failure, whether there was a job or not."""
    results, part, state = normalized(None, job=last, failure=FULL)
    assert errors(results) == ["job_failed"] * 4
    assert [result.error.message for result in results if result.error] == ["the queue is full"] * 4
    assert (part.errored, state) == (4, State.FAILED)


def test_a_shard_of_many_rows_is_read(normalized: Normalize) -> None:
    """Answers of megabytes among small ones, back to front."""
    ids = [f"q{number}" for number in range(3000)]
    long = {number: "x" * (1_000_000 * (number // 1000)) + str(number) for number in (0, 1000, 2000)}
    results, part, _ = normalized([answer(row, long.get(row)) for row in reversed(range(3000))], ids)
    assert texts(results) == [long.get(row, f"answer {row}") for row in range(3000)]
    assert part.succeeded == 3000


LINE = st.one_of(
    st.tuples(st.just("answer"), st.integers(0, 5)),
    st.tuples(st.just("refusal"), st.integers(0, 5)),
    st.tuples(st.just("malformed"), st.integers(0, 5)),
    st.tuples(st.just("foreign"), st.integers(0, 5)),
    st.tuples(st.just("blank"), st.just(0)),
)
BYTES: dict[str, Callable[[int], bytes]] = {
    "answer": answer,
    "refusal": refusal,
    "malformed": lambda row: b'{"id": "b", "custom_id": "%b", \n' % row_id(row).encode(),
    "foreign": lambda row: answer(row, custom_id=f"other-{row}"),
    "blank": lambda row: b"\n",
}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(lines=st.lists(LINE, max_size=12), rows=st.integers(1, 5))
def test_the_books_balance(normalized: Normalize, lines: list[tuple[str, int]], rows: int) -> None:
    """Requests in are results out, and every line of the provider's is a row's or counted."""
    results, part, _ = normalized([BYTES[kind](row) for kind, row in lines], [f"q{row}" for row in range(rows)])
    mine = [(kind, row) for kind, row in lines if kind not in ("foreign", "blank") and row < rows]
    first = {row: kind for kind, row in reversed(mine)}
    expected = {"answer": None, "refusal": "invalid_request", "malformed": "malformed"}
    assert errors(results) == [expected[first[row]] if row in first else "missing" for row in range(rows)]
    assert sum(balance(part).values()) == rows
    assert len(first) + part.unexpected == len([kind for kind, _ in lines if kind != "blank"])


def test_rows_that_went_on_stay_where_they_are(normalized: Normalize, context: Context) -> None:
    """A shard that is normalized again has results of the rows that it kept: the others are a follow-up's."""
    with context.storage.write("kept") as stream:
        stream.writelines(encode([10 * row, IDS[row]]) for row in (0, 3))
    before = Part(name="before", row_ids="kept")
    facts = {"part": before, "retried": 2, "retries_left": 2, "resend": 1}
    results, part, _ = normalized([answer(0), unexecuted(3, "batch_expired")], kept=["first", "-1"], **facts)
    assert (part.row_ids, part.name == before.name) == ("kept", False)
    assert [result.status for result in results] == ["succeeded", "expired"]
