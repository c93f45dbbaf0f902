"""Rows as services, gateways and other people's files have them: what each must become, in one table."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.providers.answers import (
    HI,
    HI_PART,
    OUTPUT_TEXT,
    Row,
    anthropic,
    chat,
    google,
    openai,
    plain,
    response,
    said,
    unexecuted,
)


def failed(kind: str, retryable: bool, code: str | None, **more: Any) -> Row:
    return {"status": "errored", "error": {"type": kind, "retryable": retryable, "code": code}} | more


NOTHING: list[Any] = [{}, "", [], 0, {"code": None, "message": None}, {"error": {}}, {"error": None}]
TEXT = {"status": "succeeded", "text": "hi", "error": None}
TOKENS = {"prompt_tokens": 3, "completion_tokens": 2}

#: file of `cases/answers` -> its provider, and what each of its rows must become
SHARED: dict[str, tuple[str, list[Row]]] = {
    "a01-legacy-function-call.answer.json": (
        "openai",
        [{"status": "succeeded", "tool_calls": [{"id": "call_0", "name": "f", "arguments": {"a": 1}}]}],
    ),
    "a02-custom-tool-call.answer.json": (
        "openai",
        [{"status": "succeeded", "tool_calls": [{"id": "c1", "name": "code", "arguments": "print(1)"}]}],
    ),
    "a05-status0.answer.json": ("openai", [failed("server", True, None)]),
    "a07b-unexecuted-other.answer.json": ("openai", [failed("server", True, "server_error")]),
    "a08-empty-error-object.answer.json": ("openai", [TEXT]),
    "a09-status-string.answer.json": ("openai", [TEXT]),
    "a10-content-parts.answer.json": ("openai", [TEXT]),
    "a15b-embedding-multi.answer.json": ("openai", [{"embedding": [1.0], "embeddings": [[1.0], [2.0]]}]),
    "a19b-responses-custom-tool.answer.json": (
        "openai",
        [{"status": "succeeded", "tool_calls": [{"id": "c", "name": "code", "arguments": "print(1)"}]}],
    ),
    "a19d-responses-failed-invalid.answer.json": ("openai", [failed("invalid_request", False, "invalid_prompt")]),
    "a19e-responses-inprogress.answer.json": ("openai", [failed("other", True, "in_progress")]),
    "c05-error-503.answer.json": ("google", [failed("server", True, "UNAVAILABLE")]),
    "c14-part-null-thought.answer.json": ("google", [TEXT]),
    "out_gemini_cookbook_embedding.jsonl": ("google", [{"usage": {"input_tokens": 1}}] * 2),
    "out_google_http_codes.jsonl": ("google", [failed("rate_limit", True, "RESOURCE_EXHAUSTED")]),
}

ROWS: list[tuple[str, Row, Row]] = [
    # An answer with something odd beside it.
    *(("openai", openai(chat(), error=empty), TEXT) for empty in NOTHING),
    *(("vllm", openai(chat(), error=empty), TEXT) for empty in NOTHING),
    *(("openai", openai(chat(), status), TEXT) for status in ("200", 201, 200.0, 0, None)),
    ("openai", openai(chat() | {"object": "x"}), TEXT),
    ("openai", {"custom_id": "t-0", "response": chat()}, TEXT),
    ("openai", {"custom_id": "t-0", "response": {"x": 1}}, failed("other", False, None)),
    ("openai", openai(chat(error=None)), TEXT),
    ("openai", openai(chat({"content": ["h", {"type": "text", "text": "i"}, 5]})), TEXT),
    ("openai", openai(chat({"content": "hi", "tool_calls": "none", "refusal": 5, "annotations": {}})), TEXT),
    *(
        ("openai", openai(chat(usage={**TOKENS, "prompt_tokens": odd})), TEXT | {"usage": {"input_tokens": None}})
        for odd in (-1, 10**30, 1.5, True, "many")
    ),
    ("openai", openai(chat(usage={**TOKENS, "prompt_tokens": "3"})), TEXT | {"usage": {"input_tokens": 3}}),
    (
        "openai",
        openai(chat(usage={**TOKENS, "prompt_tokens": -1, "prompt_tokens_details": 7})),
        TEXT | {"usage": {"input_tokens": None, "output_tokens": 2, "cached_tokens": None}},
    ),
    ("openai", openai(chat(choices=[{"message": HI, "finish_reason": {"a": 1}}])), TEXT | {"finish_reason": None}),
    ("openai", openai(chat(choices=[5, {"message": HI}])), {"status": "succeeded", "text": None}),
    ("openai", openai(response(said(OUTPUT_TEXT, 5), 5, said({"text": 5}))), TEXT),
    ("openai", openai(response(said(OUTPUT_TEXT)) | {"object": None}), TEXT),
    ("openai", openai(response({**said(OUTPUT_TEXT), "type": None})), TEXT),
    ("openai", openai(response(said(OUTPUT_TEXT), status="COMPLETED")), TEXT),
    ("anthropic", anthropic(HI_PART, {"type": "text", "text": None}, 5), TEXT),
    ("anthropic", anthropic({"type": "text", "text": "hi", "citations": "none"}), TEXT),
    ("anthropic", anthropic({"text": "hi"}), TEXT),
    ("anthropic", {"custom_id": "t-0", "result": anthropic(HI_PART)["result"] | {"type": "SUCCEEDED"}}, TEXT),
    ("anthropic", {"custom_id": "t-0", "result": anthropic(HI_PART)["result"] | {"type": None}}, TEXT),
    ("anthropic", {"custom_id": "t-0", "result": anthropic(HI_PART)["result"] | {"type": "done"}}, TEXT),
    (
        "anthropic",
        anthropic(HI_PART, usage={"input_tokens": "many", "output_tokens": 2, "server_tool_use": 5}),
        TEXT | {"usage": {"input_tokens": None, "output_tokens": 2}},
    ),
    *(("google", google({"text": "hi", "thought": thought}), TEXT) for thought in (None, False, 0, "no")),
    ("google", google({"text": "hi"}, {"text": 5}, 7, {"functionCall": "f"}), TEXT),
    ("google", google({"text": "hi"}, finishReason=5), TEXT | {"finish_reason": None}),
    *(("google", google({"text": "hi"}) | {"error": empty}, TEXT) for empty in [*NOTHING, {"code": 0}]),
    *(("google", google({"text": "hi"}) | {"status": fine}, TEXT) for fine in ("", "OK", {"code": 0, "message": "OK"})),
    # Rows that were refused.
    (
        "openai",
        openai({"error": {"message": "m", "code": "rate_limit_exceeded"}}),
        failed("rate_limit", True, "rate_limit_exceeded"),
    ),
    ("openai", openai({"error": {"message": "m", "code": 503}}), failed("server", True, "503")),
    (
        "openai",
        openai({"error": {"message": "m", "type": "invalid_request_error", "code": None}}, 400),
        failed("invalid_request", False, "invalid_request_error"),
    ),
    ("openai", openai({}, 500), failed("server", True, "500")),
    ("openai", openai(None, 404), failed("not_found", False, "404")),
    (
        "openai",
        openai(chat(), error={"code": "server_error", "message": "half done"}),
        failed("server", True, "server_error"),
    ),
    (
        "vllm",
        openai(None, 400, error={"error": {"message": "m", "type": "BadRequestError", "code": 400}}),
        failed("invalid_request", False, "400"),
    ),
    ("vllm", openai(None, 500, error="broken"), failed("server", True, "500")),
    ("google", {"key": "t-0", "error": {"code": 503, "message": "m"}}, failed("server", True, "UNAVAILABLE")),
    ("google", {"key": "t-0", "error": {"status": "unavailable"}}, failed("server", True, "UNAVAILABLE")),
    ("google", {"key": "t-0", "status": "RESOURCE_EXHAUSTED"}, failed("rate_limit", True, "RESOURCE_EXHAUSTED")),
    ("google", {"key": "t-0", "error": {"code": "429"}}, failed("rate_limit", True, "RESOURCE_EXHAUSTED")),
    ("google", {"key": "t-0", "error": {"code": 777}}, failed("server", True, "INTERNAL")),
    ("google", {"key": "t-0", "error": {"code": 99}}, failed("other", False, "99")),
    ("google", {"key": "t-0", "error": {"code": 499}}, {"status": "cancelled"}),
    (
        "anthropic",
        {
            "custom_id": "t-0",
            "result": {
                "type": "errored",
                "error": {"type": "error", "error": {"type": "overloaded_error", "message": "m"}},
            },
        },
        failed("server", True, "overloaded_error"),
    ),
    (
        "anthropic",
        {"custom_id": "t-0", "result": {"type": "errored", "error": "rate_limit_error"}},
        failed("rate_limit", True, "rate_limit_error"),
    ),
    ("anthropic", {"custom_id": "t-0", "result": {"type": "cancelled"}}, {"status": "cancelled"}),
    # Rows that never ran.
    ("openai", unexecuted({"code": "rate_limit_exceeded"}), failed("rate_limit", True, "rate_limit_exceeded")),
    (
        "openai",
        unexecuted({"code": "insufficient_quota", "message": "m"}),
        failed("quota", False, "insufficient_quota"),
    ),
    ("openai", unexecuted({"code": "batch_expired"}), {"status": "expired"}),
    ("openai", unexecuted({"code": "BATCH_CANCELED"}), {"status": "cancelled"}),
    ("openai", openai(None, 0, error={"code": "batch_expired"}), {"status": "expired"}),
    ("openai", unexecuted("server_error"), failed("server", True, "server_error")),
    ("openai", unexecuted(None), failed("other", False, None)),
    # Responses that are none.
    (
        "openai",
        openai(response(status="failed", error={"code": "server_error", "message": "m"})),
        failed("server", True, "server_error"),
    ),
    (
        "openai",
        openai(response(status="failed", error={"code": "rate_limit_exceeded"})),
        failed("rate_limit", True, "rate_limit_exceeded"),
    ),
    (
        "openai",
        openai(response(status="failed", error={"code": "image_too_large"})),
        failed("invalid_request", False, "image_too_large"),
    ),
    ("openai", openai(response(status="failed", error=None)), failed("server", True, None)),
    ("openai", openai(response(status="queued")), failed("other", True, "queued")),
    ("openai", openai(response(said(OUTPUT_TEXT), status="cancelled")), {"status": "cancelled", "text": "hi"}),
    ("openai", openai(response(said(OUTPUT_TEXT), status="incomplete")), TEXT | {"finish_reason": "other"}),
    # Other endpoints.
    (
        "openai",
        openai({"object": "text_completion", "choices": [{"text": "hi"}], "usage": TOKENS}),
        TEXT | {"usage": {"input_tokens": 3, "output_tokens": 2}},
    ),
    (
        "openai",
        openai({"id": "modr", "model": "m", "results": [{"flagged": True}]}),
        {"status": "succeeded", "text": None, "model": "m"},
    ),
    ("openai", openai({"id": "v", "object": "video", "status": "queued"}), {"status": "succeeded"}),
    (
        "openai",
        openai({"created": 1, "data": [{"b64_json": "AAAA"}, {"url": "https://a/b"}], "output_format": "webp"}),
        {"images": [{"media_type": "image/webp", "data": "AAAA"}, {"url": "https://a/b"}]},
    ),
    (
        "vllm",
        openai(
            {"object": "list", "data": [{"index": 0, "object": "score", "score": 0.5}], "usage": {"prompt_tokens": 3}}
        ),
        {"status": "succeeded", "usage": {"input_tokens": 3}},
    ),
    (
        "vllm",
        openai({"id": "r", "results": [{"index": 0, "relevance_score": 0.5}]}),
        {"status": "succeeded", "error": None},
    ),
]


def is_part(expected: Any, found: Any) -> bool:
    """Whether what is found has all that is expected; of an object, more fields may be there."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return all(is_part(value, found.get(name)) for name, value in expected.items())
    return bool(expected == found)


@pytest.mark.parametrize(("provider", "row", "expected"), ROWS)
def test_a_row_is_what_it_says(provider: str, row: Row, expected: Row) -> None:
    """The result has the answer that is there, or why there is none, and the provider's body is kept."""
    result = plain(provider, json.dumps(row).encode())
    assert is_part(expected, result), result
    answer = row.get("response") or {}
    body = answer.get("body") if provider in ("openai", "vllm") else row.get("response")
    if provider != "anthropic" and "choices" not in answer:
        assert result["response"] == body


@pytest.mark.parametrize("file", SHARED)
def test_recorded_cases_are_what_they_say(shared: Path, file: str) -> None:
    """The answers that others found to be misread."""
    path = shared / "cases" / "answers" / file
    if not path.exists():
        pytest.skip("the cases are not here")
    provider, expected = SHARED[file]
    lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    for line, part in zip(lines, expected, strict=True):
        result = plain(provider, line)
        assert is_part(part, result), result


def test_every_recorded_case_is_in_the_table(shared: Path) -> None:
    """An answer that is added has to be looked at."""
    index = shared / "cases" / "INDEX.tsv"
    if not index.exists():
        pytest.skip("the cases are not here")
    names = [line.split("\t")[0] for line in index.read_text().split("\n")]
    assert {name.removeprefix("answers/") for name in names if name.startswith("answers/")} == set(SHARED)
