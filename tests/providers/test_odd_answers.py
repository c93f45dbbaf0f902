"""Answers of other types, spellings and wrappings than the contract has: a job is known by its id."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from math import inf
from typing import Any

import pytest

from batch_router.core import BatchStatus
from batch_router.core.coerce import count_of, label_of, moment_of, status_of
from batch_router.core.jobs import Job
from batch_router.exceptions import NotFoundError, ProtocolError
from batch_router.providers.base import Client
from tests.file_rows import FileRows
from tests.security.hostile_server import Answer, HostileServer, reply
from tests.security.provider_calls import NAMES, PROVIDERS, client_of, job_answer, says, spec_of

NOON = 1_767_268_800.0
ODD_COUNTS: tuple[object, ...] = (-1, "-1", "many", True, None, [], {}, 1e300, "nan", "inf", 10**400, "9" * 5000)
Serve = Callable[[str, Answer], tuple[Client, HostileServer]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve("openai", answer)`: a client, and the server that answers it so."""
    with ExitStack() as servers:

        def run(provider: str, answer: Answer) -> tuple[Client, HostileServer]:
            server = servers.enter_context(HostileServer(answer))
            return client_of(provider, server.url), server

        yield run


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (3, 3),
        ("3", 3),
        (" 3 ", 3),
        (3.0, 3),
        ("3.0", 3),
        (0, 0),
        *[(odd, None) for odd in ODD_COUNTS],
    ],
)
def test_a_count_is_one_in_any_type(value: object, count: int | None) -> None:
    """What cannot be a count is none: zero would say that nothing is there."""
    found = count_of(value)
    assert (found, type(found)) == (count, type(count))


@pytest.mark.parametrize(
    "value",
    [NOON, int(NOON), str(int(NOON)), f"{NOON}", NOON * 1000, "2026-01-01T12:00:00Z", "2026-01-01t12:00:00z",
     "2026-01-01T12:00:00.000000000Z", "2026-01-01 12:00:00", "2026-01-01T14:00:00+02:00"],
)  # fmt: skip
def test_a_time_is_one_in_any_form(value: object) -> None:
    """Unix seconds or milliseconds, as numbers or texts, and RFC 3339; without a zone it is UTC."""
    assert moment_of(value) == NOON


@pytest.mark.parametrize("value", [True, None, -1, "soon", "", [], {}, 1e300, float("nan"), "9999-99-99T00:00:00Z"])
def test_what_is_no_time_is_none(value: object) -> None:
    """It is left out, rather than guessed."""
    assert moment_of(value) is None


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (
            ("in_progress", "IN_PROGRESS", "In Progress", "in-progress", "inProgress", "JOB_STATE_RUNNING"),
            "in_progress",
        ),
        (("completed", "COMPLETED", "ended", "succeeded", "BATCH_STATE_SUCCEEDED", " Done "), "completed"),
        (("cancelled", "canceled", "CANCELED", "JOB_STATE_CANCELLED"), "cancelled"),
        (("canceling", "cancelling", "CANCELLING"), "cancelling"),
        (("failed", "JOB_STATE_FAILED"), "failed"),
        (("expired", "BATCH_STATE_EXPIRED", "timed out"), "expired"),
        (("queued", "PENDING", "BATCH_STATE_UNSPECIFIED"), "validating"),
        (("asleep", "", "stopped", 5, None, [], "x" * 10_000), None),
    ],
)
def test_a_status_is_known_in_any_spelling(words: tuple[object, ...], status: str | None) -> None:
    """Words of all providers, with their prefixes; what may mean two things means nothing."""
    assert {word if isinstance(word, str) else 0: status_of(word) for word in words} == {
        word if isinstance(word, str) else 0: status for word in words
    }


@pytest.mark.parametrize("value", ["", 5, None, [], "x" * 201])
def test_a_label_is_a_short_text(value: object) -> None:
    """Anything else is none of ours."""
    assert label_of(value) is None


ODD: dict[str, dict[str, Any]] = {
    "an unknown status": {"status": "asleep"},
    "no status": {"status": None},
    "a status of another type": {"status": {"a": 1}},
    "odd counts": {"status": "in_progress", "request_counts": {"total": "three", "completed": -1, "failed": [1]}},
    "counts of another type": {"status": "in_progress", "request_counts": "3/4"},
    "odd times": {"status": "validating", "created_at": "soon", "expires_at": {"in": "an hour"}},
    "odd metadata": {"status": "in_progress", "metadata": ["a"], "output_file_id": 5, "error_file_id": ""},
    "odd errors": {"status": "failed", "errors": "no"},
}


def odd_job(provider: str, fields: dict[str, Any]) -> dict[str, Any]:
    """A job with these fields under the provider's own names."""
    if provider == "anthropic":
        return {"id": "msgbatch_1", "processing_status": fields.get("status"), **fields, "results_url": 5}
    if provider == "google":
        counts = fields.get("request_counts")
        metadata = {"state": fields.get("status"), "batchStats": counts, "createTime": fields.get("created_at")}
        return {"name": "batches/1", "metadata": metadata, "response": fields.get("errors"), "done": "yes"}
    return {"id": "batch_1", **fields}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("oddity", ODD)
@pytest.mark.parametrize("wrapper", [None, "job", "batch", "data", "result"])
def test_a_create_gives_the_id(serve: Serve, tmp_path: Any, provider: str, oddity: str, wrapper: str | None) -> None:
    """Whatever else the answer says, and whatever it is wrapped in: the job exists, and costs money."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}\n")
    said = odd_job(provider, ODD[oddity])
    client, server = serve(provider, says({wrapper: said, "warning": "beta"} if wrapper else said))
    job = client.create(FileRows(rows), spec_of(provider))
    assert job.id == NAMES[provider][0]
    assert len([asked for asked in server.asked if asked.method == "POST"]) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "said", [{}, {"id": "", "name": ""}, {"id": None, "name": None}, {"job": {"id": "", "name": ""}}]
)
def test_a_create_without_an_id_is_ambiguous(serve: Serve, tmp_path: Any, provider: str, said: dict[str, Any]) -> None:
    """There may be a job, and it is looked for."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}\n")
    client, _ = serve(provider, says(said))
    with pytest.raises(ProtocolError, match="without a usable") as caught:
        client.create(FileRows(rows), spec_of(provider))
    assert caught.value.ambiguous


@pytest.mark.parametrize("name", ["batch_1", "v1:batch.2", "a@b+c~d,e=", "9"])
def test_an_id_may_have_what_paths_may_have(serve: Serve, name: str) -> None:
    """An id that is not taken is a job that is paid for, and created again."""
    client, server = serve("openai", says({"id": name, "status": "validating"}))
    assert client.get(name).id == name
    assert server.asked[0].path.endswith(f"/batches/{name}")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_unknown_status_is_running(serve: Serve, provider: str) -> None:
    """The job says in which word, printable and short."""
    client, _ = serve(provider, says(odd_job(provider, {"status": "AS\x1bLEEP" + "x" * 999})))
    job = client.get(str(NAMES[provider][0]))
    assert job.status is BatchStatus.IN_PROGRESS
    assert job.word is not None
    assert job.word.startswith("AS?LEEP") or "\x1b" not in job.word
    assert len(job.word) < 200


def test_a_job_that_names_no_file_says_so(serve: Serve) -> None:
    """Where its counts promise answers, or it has no counts; not where it has nothing to name."""

    def unnamed(**fields: Any) -> bool:
        said = {"id": "batch_1", "status": "completed", "output_file_id": None, "error_file_id": None} | fields
        return serve("openai", says(said))[0].get("batch_1").unnamed

    assert unnamed()
    assert unnamed(output_file_id="")
    assert unnamed(request_counts={"total": 3, "completed": "3", "failed": 0})
    assert unnamed(request_counts={"total": 3, "completed": 2, "failed": 1}, error_file_id="file-e")
    assert unnamed(status="expired", request_counts={"total": 3, "completed": 1, "failed": 0})
    assert unnamed(status="expired")
    assert unnamed(status="cancelled", request_counts={"total": 0, "completed": 0, "failed": 0})
    assert not unnamed(status="failed")
    assert not unnamed(output_file_id="file-o", request_counts={"total": 3, "completed": 2, "failed": 1})
    assert not unnamed(request_counts={"total": 3, "completed": 0, "failed": 3}, error_file_id="file-e")
    assert not unnamed(status="cancelled", request_counts={"total": 3, "completed": 0, "failed": 0})
    assert not unnamed(status="in_progress")


@pytest.mark.parametrize(
    ("counts", "unanswered"),
    [
        ({"total": 3, "completed": 1, "failed": 1}, 1),
        ({"total": "3", "completed": 3.0, "failed": "0"}, 0),
        ({"total": 0, "completed": 0, "failed": 0}, None),
        ({"total": 2, "completed": 2, "failed": 2}, None),
        ({"total": 3, "completed": 1}, None),
        (None, None),
    ],
)
def test_what_was_not_done_is_counted(serve: Serve, counts: Any, unanswered: int | None) -> None:
    """Only by counts that are whole and add up: rows that are not done may be sent again."""
    client, _ = serve("openai", says({"id": "batch_1", "status": "expired", "request_counts": counts}))
    assert client.get("batch_1").unanswered == unanswered


@pytest.mark.parametrize("url", [None, "", 5, "https://api.anthropic.com/v1/messages/batches/x/results", "//elsewhere"])
def test_results_are_fetched_below_the_base_url(serve: Serve, url: object) -> None:
    """Whatever `results_url` says: a gateway passes the service's own on, and the key goes to the gateway alone."""
    job = says(job_answer("anthropic", results_url=url))
    client, server = serve("anthropic", lambda asked: reply(200, b"{}") if "results" in asked.path else job(asked))
    answers = io.BytesIO()
    client.download(client.get("msgbatch_1"), answers)
    assert answers.getvalue() == b"{}\n"
    assert server.asked[-1].path == "/v1/messages/batches/msgbatch_1/results"


def test_results_that_are_not_there_are_no_empty_ones(serve: Serve) -> None:
    """An ended job whose results the service does not have (yet) is an error, not a job without answers."""
    client, _ = serve("anthropic", lambda _: reply(404))
    with pytest.raises(NotFoundError):
        client.download(Job(id="b", status=BatchStatus.COMPLETED, created_at=0), io.BytesIO())


@pytest.mark.parametrize("provider", ["openai", "google"])
def test_a_bom_is_no_part_of_an_answer(serve: Serve, provider: str) -> None:
    """At the start of each file it is dropped, in whatever pieces it comes."""
    client, _ = serve(provider, lambda _: reply(200, b'\xef\xbb\xbf{"a":1}', content_type="application/octet-stream"))
    outputs = ("file-1", "file-2") if provider == "openai" else ("files/1",)
    answers = io.BytesIO()
    client.download(Job(id="b", status=BatchStatus.COMPLETED, created_at=0, outputs=outputs), answers)
    assert answers.getvalue() == b'{"a":1}\n' * len(outputs)


LABELLED: dict[str, Any] = {
    "its metadata": {"metadata": {"batch_router_label": "t"}, "created_at": NOON},
    "the file of its rows": {"metadata": None, "input_file_id": "file-1", "created_at": NOON},
    "a time that is none": {"metadata": {"batch_router_label": "t"}, "created_at": "soon"},
}


@pytest.mark.parametrize("way", LABELLED)
@pytest.mark.parametrize("bare", [False, True])
def test_a_job_is_found_in_an_odd_list(serve: Serve, way: str, bare: bool) -> None:
    """Behind entries that are none, by its label or by its file; also where the list stands alone."""
    others = [5, {"id": ""}, {"id": "batch_9", "created_at": "?", "metadata": 7}]
    listed = [*others, {"job": {"id": "batch_1", "status": "IN_PROGRESS", **LABELLED[way]}}]
    client, _ = serve("openai", lambda _: reply(200, json.dumps(listed if bare else {"data": listed}).encode()))
    found = next(job for job in client.list(inf) if job.id == "batch_1")
    assert (found.label == "t" or found.upload == "file-1", found.status) == (True, BatchStatus.IN_PROGRESS)


def test_the_rows_that_a_job_was_refused_for_are_known(serve: Serve) -> None:
    """By their numbers from 0, with words and codes; what names no line refuses the whole."""
    errors = [
        {"code": "invalid_json_line", "message": "no JSON", "line": 1},
        {"code": "model_mismatch", "message": "another model", "line": "3"},
        {"code": None, "message": None, "line": None},
        "odd",
    ]
    client, _ = serve("openai", says({"id": "batch_1", "status": "failed", "errors": {"data": errors}}))
    job = client.get("batch_1")
    assert [(each.row, each.code, each.message) for each in job.refused] == [
        (0, "invalid_json_line", "no JSON"),
        (2, "model_mismatch", "another model"),
    ]
    assert job.error is not None
    assert (job.error.type, job.error.message) == ("invalid_json_line", "no JSON, and 2 more")
