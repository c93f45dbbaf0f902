"""The results of a Message Batch: one line for each of its rows."""

import json
from typing import Any

from ..answers import (
    answer_or_refusal,
    copies_of,
    count_tokens,
    count_tokens_of,
    prompt_of,
    refusal_for,
    text_for,
)
from ..bill import Tokens
from ..progress import Progress
from ..recorded import parsed, recorded_line
from ..rows import read_rows
from ..scenario import Refusal, Scenario
from .jobs import MessageBatch
from .params import problem_of
from .wanted import call_of, form_of

_ENDINGS = ("processing", "succeeded", "errored", "canceled", "expired")
_ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


def write_results(batch: MessageBatch, scenario: Scenario) -> None:
    """Write the results of a batch that has ended."""
    progress = Progress(batch, scenario, scenario.now())
    if batch.counts is not None or not progress.has_ended:
        return
    answered, counts = progress.answered, dict.fromkeys(_ENDINGS, 0)
    unanswered = {"type": "expired" if progress.status == "expired" else "canceled"}
    with batch.results.open("wb") as results:
        for number, row in enumerate(read_rows(batch.rows, batch.offsets)):
            recorded = recorded_line(scenario, "custom_id", row["custom_id"]) if number < answered else None
            if recorded:
                counts[parsed(recorded)["result"]["type"]] += 1
                results.write(recorded)
                continue
            result = _result(batch, scenario, row) if number < answered else unanswered
            counts[result["type"]] += 1
            line = _line(row["custom_id"], result)
            results.write(line * copies_of(scenario, prompt_of(row["params"])))
    batch.counts = counts


def tokens_of(batch: MessageBatch, scenario: Scenario, row: dict[str, Any]) -> Tokens | None:
    """The tokens of the row's answer, those of the cache included; None: it is refused."""
    recorded = recorded_line(scenario, "custom_id", row["custom_id"])
    result = parsed(recorded)["result"] if recorded else _result(batch, scenario, row)
    if result["type"] != "succeeded":
        return None
    usage = result["message"]["usage"]
    cached = (usage.get(f"cache_{what}_input_tokens") or 0 for what in ("read", "creation"))
    return Tokens(sum(cached, usage["input_tokens"]), usage["output_tokens"])


def _line(row_id: str, result: dict[str, Any]) -> bytes:
    return json.dumps({"custom_id": row_id, "result": result}, separators=(",", ":")).encode() + b"\n"


def _result(batch: MessageBatch, scenario: Scenario, row: dict[str, Any]) -> dict[str, Any]:
    if scenario.fail_job:
        return _errored("invalid_request_error", f"The job was failed by the scenario: {scenario.fail_job}.")
    result = answer_or_refusal(lambda: _answered(batch, scenario, row))
    return _errored(_error_type(result), result.message) if isinstance(result, Refusal) else result


def _answered(batch: MessageBatch, scenario: Scenario, row: dict[str, Any]) -> dict[str, Any]:
    params = row["params"]
    if problem := problem_of(params, batch.version):
        return _errored("invalid_request_error", problem)
    if refusal := refusal_for(scenario, prompt_of(params), row["custom_id"]):
        return _errored(_error_type(refusal), refusal.message)
    return {"type": "succeeded", "message": _message(scenario, params, row["custom_id"])}


def _error_type(refusal: Refusal) -> str:
    usual = "overloaded_error" if refusal.status == 529 else "api_error" if refusal.status >= 500 else refusal.type
    return _ERROR_TYPES.get(refusal.status, usual)


def _errored(kind: str, message: str) -> dict[str, Any]:
    error = {"details": None, "type": kind, "message": message}
    return {"type": "errored", "error": {"type": "error", "error": error, "request_id": None}}


def _message(scenario: Scenario, params: dict[str, Any], row_id: str) -> dict[str, Any]:
    """A message as the service returns it (compare the recorded rows)."""
    call = call_of(scenario, params)
    text = json.dumps(call.written) if call else text_for(scenario, prompt_of(params), form_of(params), row_id)
    content = {"type": "text", "text": text}
    if call:
        content = {"type": "tool_use", "id": f"toolu_{row_id}", "name": call.name, "input": call.written}
    return {
        "id": f"msg_{row_id}",
        "type": "message",
        "role": "assistant",
        "model": params["model"],
        "content": [content],
        "stop_reason": "tool_use" if call else "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": count_tokens_of(params["messages"]),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": count_tokens(text),
            "service_tier": "batch",
            "inference_geo": "not_available",
        },
    }
