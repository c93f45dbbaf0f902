"""Answers of any bytes about jobs: a client raises errors of ours alone, and the store can hold what it reports."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_router.client import BatchClient
from batch_router.core import BatchStatus
from batch_router.core.jobs import Failure, Job, RefusedRow
from batch_router.exceptions import ProtocolError, ProviderAPIError
from batch_router.road.advance import advance
from batch_router.road.context import Context
from batch_router.road.reported import sound
from batch_router.state.base import Commit
from batch_router.state.checks import load_item
from batch_router.state.items import Batch, Shard, dump_item
from batch_router.state.table import State
from tests.file_rows import FileRows
from tests.items import new_shard, put_shards
from tests.security.hostile_server import HostileServer, reply
from tests.security.provider_calls import CALLS, NAMES, PROVIDERS, client_of, job_of, spec_of

from .anything import TEXTS, changed, examples, json_values, lines_like

FIELDS = [
    "id", "status", "request_counts", "total", "completed", "failed", "output_file_id", "error_file_id", "created_at",
    "expires_at", "metadata", "batch_router_label", "errors", "data", "line", "code", "message", "processing_status",
    "results_url", "succeeded", "errored", "canceled", "expired", "cancel_initiated_at", "name", "state", "batchStats",
    "requestCount", "successfulRequestCount", "response", "output", "responsesFile", "inlinedResponses", "done",
    "error", "createTime", "displayName", "job", "batch", "operations", "has_more", "nextPageToken",
]  # fmt: skip
COUNTS = {"total": 3, "completed": 2, "failed": 1}
ERRORS = {"object": "list", "data": [{"code": "invalid", "message": "no", "line": 2}]}
JOBS: dict[str, list[dict[str, Any]]] = {
    "openai": [
        {"id": "batch_1", "status": "completed", "output_file_id": "file-2", "request_counts": COUNTS, "created_at": 9},
        {"id": "batch_1", "status": "failed", "errors": ERRORS, "metadata": {"batch_router_label": "t"}},
        {"job": {"id": "batch_1", "status": "IN_PROGRESS"}, "warning": "beta"},
    ],
    "anthropic": [
        {"id": "msgbatch_1", "processing_status": "ended", "request_counts": {"succeeded": 1, "expired": 1}},
        {"id": "msgbatch_1", "processing_status": "in_progress", "expires_at": "2026-01-01T00:00:00Z"},
    ],
    "google": [
        {
            "name": "batches/1",
            "metadata": {"state": "BATCH_STATE_SUCCEEDED", "batchStats": {"requestCount": "3"}, "displayName": "t"},
            "response": {"responsesFile": "files/2"},
        },
        {"name": "batches/1", "error": {"code": 8, "message": "no"}, "metadata": {"createTime": "2026-01-01T00:00Z"}},
    ],
}  # fmt: skip


def pages(provider: str) -> list[dict[str, Any]]:
    return [{"data": JOBS[provider], "has_more": False}, {"operations": JOBS[provider]}]


ANSWERS = {provider: lines_like([*JOBS[provider], *pages(provider)], FIELDS) for provider in PROVIDERS}


class Said:
    """What the server answers next."""

    body = b"{}"

    def __call__(self, _: object) -> bytes:
        return reply(200, self.body, content_type="application/json")


@pytest.fixture(scope="module")
def said() -> Iterator[tuple[Said, str]]:
    answer = Said()
    with HostileServer(answer) as server:
        yield answer, server.url


def check(job: Job) -> None:
    """The store holds the job, and reads it back."""
    shard = msgspec.structs.replace(new_shard(state=State.POLLING), id="b.0", job=sound("openai", job))
    assert load_item("b.0", dump_item(shard)) == shard


@pytest.mark.parametrize("provider", PROVIDERS)
@examples(60)
@given(data=st.data())
def test_any_answer_is_a_job_or_an_error(said: Any, tmp_path_factory: Any, provider: str, data: st.DataObject) -> None:
    """Of all calls that are answered with jobs."""
    answer, url = said
    rows = tmp_path_factory.getbasetemp() / "rows.jsonl"
    rows.write_bytes(b"{}\n")
    client = client_of(provider, url)
    try:
        for name in ("create", "get", "list", "cancel"):
            answer.body = data.draw(ANSWERS[provider])
            try:
                found: Any = CALLS[name](client, FileRows(rows), spec_of(provider), job_of(provider))
            except ProviderAPIError:
                continue
            for job in found if isinstance(found, list) else [found]:
                if job is not None:
                    check(job)
    finally:
        client.close()


@pytest.mark.parametrize("provider", PROVIDERS)
@examples(60)
@given(data=st.data())
def test_a_create_gives_the_id_whatever_else_it_says(
    said: Any, tmp_path_factory: Any, provider: str, data: st.DataObject
) -> None:
    """As long as the id is where it belongs."""
    answer, url = said
    rows = tmp_path_factory.getbasetemp() / "rows.jsonl"
    rows.write_bytes(b"{}\n")
    job_id = NAMES[provider][0]
    field = "name" if provider == "google" else "id"
    odd = data.draw(changed(data.draw(st.sampled_from(JOBS[provider])), json_values(FIELDS)))
    answer.body = msgspec.json.encode(odd) if _is_json(odd) else b"{}"
    inner = msgspec.json.decode(answer.body)
    answer.body = msgspec.json.encode((inner if isinstance(inner, dict) else {}) | {field: job_id})
    client = client_of(provider, url)
    try:
        assert client.create(FileRows(rows), spec_of(provider)).id == job_id
    finally:
        client.close()


def _is_json(value: Any) -> bool:
    try:
        msgspec.json.encode(value)
    except (ValueError, OverflowError, RecursionError, UnicodeEncodeError):
        return False
    return True


@pytest.mark.parametrize("provider", PROVIDERS)
@examples(25)
@given(data=st.data())
def test_status_list_and_sweep_work_after_it(
    said: Any, make_context: Callable[..., Context], monkeypatch: Any, provider: str, data: st.DataObject
) -> None:
    """Whatever a look at a job finds, the shard stays one that can be read, shown, swept and carried on."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, "k")
    answer, url = said
    answer.body = data.draw(ANSWERS[provider])
    now = [1_800_000_000.0]
    context = make_context(clock=lambda: now[0], base_urls={provider: f"{url}/v1" if provider == "openai" else url})
    job = msgspec.structs.replace(job_of(provider), status=BatchStatus.IN_PROGRESS, outputs=())
    shard = put_shards(context.store, new_shard(provider=provider))[0]
    with context.storage.write(shard.row_ids) as stream:
        stream.write(b'[0,"q0"]\n')
    context.store.claim("b.0", 1, lease=0, holder="w")
    context.store.commit("b.0", 2, Commit(State.POLLING, 0, {"job": job}), holder="w")
    for _ in range(3):
        for hint in context.store.take_due(10, grace=0):
            advance(context, hint.id, hint.version)
        now[0] += 5
    client = BatchClient(context)
    assert client.status("b").batch_id == "b"
    assert [listed.batch_id for listed in client.list()] == ["b"]
    batch = context.store.get_batch("b")
    assert batch is not None
    items: list[Batch | Shard] = [batch, *context.store.get_shards(batch)]
    assert [load_item(item.id, dump_item(item)) for item in items] == items
    context.close()


@examples(100)
@given(data=st.data())
def test_whatever_a_client_of_anyones_reports_is_a_job_or_an_error(data: st.DataObject) -> None:
    """Fields of any types: what cannot be is left out, and a job without an id is none."""
    anything: st.SearchStrategy[Any] = st.one_of(json_values(FIELDS), TEXTS, st.just("\ud800"))
    fields: dict[str, Any] = {name: data.draw(anything) for name in Job.__struct_fields__}
    if data.draw(st.booleans()):
        fields["id"] = "job-1"
        fields["error"] = Failure(type=data.draw(anything), message=data.draw(anything))
        fields["refused"] = [RefusedRow(row=data.draw(anything), message=data.draw(anything))]
    job = Job(**fields)
    try:
        check(job)
    except ProtocolError:
        assert fields["id"] != "job-1"
