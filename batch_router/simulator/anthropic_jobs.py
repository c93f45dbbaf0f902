"""The life of a Message Batch: what its rows say, and what the service says of it."""

import json
import random
import re
import time
from codecs import getincrementaldecoder
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from .answers import prompt_of, refusal_for, text_for
from .jobs import Clock
from .recorded import parsed, recorded_line
from .scenario import Scenario

_DAY = 24 * 3600
_CHUNK = 1 << 18
_MOST_ROWS = 100_000
_ROW_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")

#: The version that took sampling parameters, and documents out of the assistant's turns, away.
_NEW_VERSION = "2026-10-21"
_REMOVED = ("temperature", "top_p", "top_k")
_REQUIRED = ("model", "max_tokens", "messages")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class BadBatchError(Exception):
    """Why a batch is refused as a whole."""


@dataclass
class MessageBatch:
    """A batch at the provider.

    Attributes:
        version: the `anthropic-version` that asked for it; its rows are held to that.
        rows: its requests, one per line.
        results: its answers, once it has ended.
        offsets: where the rows begin, in the order in which they are answered.
        errors: none; here a batch that was taken does not fail.
        first_row: the id of the first request as it was sent: what the request log knows the batch by.
        counts: how the rows ended, once all have.
    """

    id: str
    version: str
    rows: Path
    results: Path
    created_at: float
    first_row: str = ""
    offsets: list[int] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    cancelled_at: float | None = None
    counts: dict[str, int] | None = None


def split_rows(body: BinaryIO, batch: MessageBatch, seed: int) -> None:
    """Check the body of a create, and write its requests one per line.

    Raises:
        BadBatchError: one bad request refuses them all.
    """
    seen: set[str] = set()
    offset = 0
    with batch.rows.open("wb") as rows:
        for number, row in enumerate(_read_requests(body)):
            custom_id = row.get("custom_id") if isinstance(row, dict) else None
            if not isinstance(custom_id, str) or not _ROW_ID.fullmatch(custom_id):
                pattern = "'^[a-zA-Z0-9_-]{1,64}$'"
                raise BadBatchError(f"requests.{number}.custom_id: String should match pattern {pattern}")
            if custom_id in seen:
                raise BadBatchError(f"requests.{number}.custom_id: custom_ids must be unique, {custom_id} is not")
            if not isinstance(row.get("params"), dict):
                raise BadBatchError(f"requests.{number}.params: Field required")
            seen.add(custom_id)
            batch.first_row = batch.first_row or custom_id
            batch.offsets.append(offset)
            offset += rows.write(json.dumps(row).encode() + b"\n")
    if not batch.offsets:
        raise BadBatchError("requests: List should have at least 1 item after validation, not 0")
    if len(batch.offsets) > _MOST_ROWS:
        raise BadBatchError(f"requests: List should have at most {_MOST_ROWS} items after validation")
    random.Random(f"{seed}:{batch.id}").shuffle(batch.offsets)  # noqa: S311 - not a secret


def _read_requests(body: BinaryIO) -> Iterator[Any]:
    """The members of `requests`, one by one: a batch may have 256 MB, and is never whole in memory.

    A member that ends beyond what was read so far does not parse; then as much again is read, and it is tried again.
    """
    decoder = getincrementaldecoder("utf-8")()
    parse = json.JSONDecoder().raw_decode
    text, at, ended = "", 0, False
    beginning = re.compile(r'\s*\{\s*"requests"\s*:\s*\[\s*')
    between = re.compile(r"\s*,?\s*")
    end = re.compile(r"\s*\]\s*\}\s*")
    begun = False
    while True:
        if not begun and (found := beginning.match(text)):
            begun, at = True, found.end()
        while begun:
            if (found := end.match(text, at)) and found.end() == len(text) and ended:
                return
            start = between.match(text, at)
            assert start
            try:
                row, at = parse(text, start.end())
            except ValueError:
                break
            yield row
        if ended:
            raise BadBatchError("The request body is not valid JSON")
        text, at = text[at:], 0
        block = body.read(max(_CHUNK, len(text)))
        ended = not block
        try:
            text += decoder.decode(block, final=ended)
        except UnicodeDecodeError:
            raise BadBatchError("The request body is not valid JSON") from None


def has_ended(batch: MessageBatch, scenario: Scenario, now: float) -> bool:
    """Whether all that can be done for its rows has been done."""
    return Clock(batch, scenario, now).status in ("completed", "expired", "cancelled")


def write_results(batch: MessageBatch, scenario: Scenario) -> None:
    """Make the results of a batch that has ended: one line for each of its rows."""
    now = time.time()
    if batch.counts is not None or not has_ended(batch, scenario, now):
        return
    clock = Clock(batch, scenario, now)
    answered = clock.answered
    unanswered = "expired" if clock.status == "expired" else "canceled"
    counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    with batch.rows.open("rb") as rows, batch.results.open("wb") as results:
        for number, offset in enumerate(batch.offsets):
            rows.seek(offset)
            row = json.loads(rows.readline())
            recorded = recorded_line(scenario, "custom_id", row["custom_id"])
            if recorded and number < answered:
                counts[parsed(recorded)["result"]["type"]] += 1
                results.write(recorded)
                continue
            result = _result(batch, scenario, row) if number < answered else {"type": unanswered}
            counts[result["type"]] += 1
            line = json.dumps({"custom_id": row["custom_id"], "result": result}, separators=(",", ":"))
            prompt = prompt_of(row["params"])
            dropped = bool(scenario.drop and re.search(scenario.drop, prompt))
            repeated = bool(scenario.repeat and re.search(scenario.repeat, prompt))
            results.write((line + "\n").encode() * (not dropped) * (1 + repeated))
    batch.counts = counts


def _result(batch: MessageBatch, scenario: Scenario, row: dict[str, Any]) -> dict[str, Any]:
    params = row["params"]
    if scenario.fail_job:
        return _errored("invalid_request_error", f"The job was failed by the scenario: {scenario.fail_job}.")
    if problem := _problem_of(params, batch.version):
        return _errored("invalid_request_error", problem)
    if refusal := refusal_for(scenario, prompt_of(params), row["custom_id"]):
        usual = "overloaded_error" if refusal.status == 529 else "api_error" if refusal.status >= 500 else refusal.type
        return _errored(_ERROR_TYPES.get(refusal.status, usual), refusal.message)
    return {"type": "succeeded", "message": _message(scenario, params, row["custom_id"])}


def _problem_of(params: dict[str, Any], version: str) -> str | None:
    """What is wrong with a row; nobody looks at it before it runs."""
    for name in _REQUIRED:
        if name not in params:
            return f"{name}: Field required"
    if version >= _NEW_VERSION:
        for name in _REMOVED:
            if name in params:
                return f"{name}: Extra inputs are not permitted"
    if params.get("stream"):
        return "stream: Streaming is not supported in batches"
    if not isinstance(params["max_tokens"], int) or params["max_tokens"] < 1:
        return "max_tokens: Input should be greater than or equal to 1"
    effort = (params.get("output_config") or {}).get("effort")
    if effort is not None and effort not in _EFFORTS:
        return "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'"
    return _problem_of_messages(params["messages"], version)


def _problem_of_messages(messages: Any, version: str) -> str | None:
    if not isinstance(messages, list) or not messages:
        return "messages: at least one message is required"
    for number, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in ("user", "assistant"):
            return f"messages.{number}.role: Input should be 'user' or 'assistant'"
        if number == 0 and role != "user":
            return 'messages: first message must use the "user" role'
        kinds = [block.get("type") for block in content] if isinstance(content, list) else []
        if "document" in kinds and role == "assistant" and version >= _NEW_VERSION:
            return f"messages.{number}: document blocks are not permitted in assistant turns"
        if "tool_result" in kinds and kinds != sorted(kinds, key="tool_result".__ne__):
            return f"messages.{number}: tool_result blocks must come before other content"
    return None


def _errored(kind: str, message: str) -> dict[str, Any]:
    error = {"details": None, "type": kind, "message": message}
    return {"type": "errored", "error": {"type": "error", "error": error, "request_id": None}}


def _message(scenario: Scenario, params: dict[str, Any], row_id: str) -> dict[str, Any]:
    """A message as the service returns it (compare the recorded rows)."""
    text = text_for(scenario, prompt_of(params))
    return {
        "id": f"msg_{row_id}",
        "type": "message",
        "role": "assistant",
        "model": params["model"],
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": len(str(params["messages"])) // 4 + 1,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": len(text) // 4 + 1,
            "service_tier": "batch",
            "inference_geo": "not_available",
        },
    }


def describe(batch: MessageBatch, scenario: Scenario, now: float, results_url: str) -> dict[str, Any]:
    """The batch object of the API. Until all rows have ended, it says nothing of how they fare."""
    clock = Clock(batch, scenario, now)
    counts = batch.counts
    waiting = {"processing": len(batch.offsets), "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    ended_at = clock.cancelled if batch.cancelled_at is not None else clock.ended
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if counts else "canceling" if batch.cancelled_at else "in_progress",
        "request_counts": counts or waiting,
        "ended_at": _time(ended_at) if counts else None,
        "created_at": _time(batch.created_at),
        "expires_at": _time(batch.created_at + _DAY),
        "archived_at": None,
        "cancel_initiated_at": _time(batch.cancelled_at) if batch.cancelled_at else None,
        "results_url": results_url if counts else None,
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")
