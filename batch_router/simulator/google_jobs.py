"""The life of a Gemini batch: what its rows say, and what the operation says of it."""

import json
import random
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from .answers import refusal_for, text_for
from .files import FileStore
from .jobs import Clock
from .recorded import parsed, recorded_line
from .scenario import Scenario

_STATES = {
    "validating": "PENDING",
    "in_progress": "RUNNING",
    "finalizing": "RUNNING",
    "cancelling": "RUNNING",
    "completed": "SUCCEEDED",
    "failed": "FAILED",
    "expired": "EXPIRED",
}
_TYPE = "type.googleapis.com/google.ai.generativelanguage.v1main."

# google.rpc.Code
CANCELLED, INVALID_ARGUMENT, INTERNAL = 1, 3, 13
_HTTP_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 429: 8, 500: 13, 503: 14}


@dataclass
class GoogleJob:
    """A batch at the provider.

    Attributes:
        name: `batches/...`.
        rows: its requests, one per line; those that came inline too.
        input: `inputConfig`, as the operation repeats it; None for inline requests, which it does not repeat.
        embeds: whether it makes embeddings.
        offsets: where the rows begin, in the order in which they are answered.
        errors: why it fails, if it does; only the first is told.
    """

    name: str
    model: str
    display_name: str
    rows: Path
    input: dict[str, Any] | None
    embeds: bool
    created_at: float
    offsets: list[int] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    cancelled_at: float | None = None
    output_file: str | None = None
    inlined: list[dict[str, Any]] | None = None
    counts: tuple[int, int] | None = None


def validate(job: GoogleJob, scenario: Scenario) -> None:
    """Read the input: the rows' places, or what is wrong with them."""
    offset = 0
    with job.rows.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                _validate_row(job, line, number)
                job.offsets.append(offset)
            offset += len(line)
    if not job.offsets:
        job.errors.append({"code": INVALID_ARGUMENT, "message": "The input has no requests."})
    if scenario.fail_job:
        # A number is a google.rpc code; a word is one of the other providers'.
        code = int(scenario.fail_job) if scenario.fail_job.isdigit() else INVALID_ARGUMENT
        job.errors.append({"code": code, "message": f"The job was failed by the scenario: {scenario.fail_job}."})
    random.Random(f"{scenario.seed}:{job.name}").shuffle(job.offsets)  # noqa: S311 - not a secret


def _validate_row(job: GoogleJob, line: bytes, number: int) -> None:
    try:
        request = json.loads(line)["request"]
        _ = request["content" if job.embeds else "contents"]
    except (ValueError, KeyError, TypeError):
        if not job.errors:
            job.errors.append({"code": INVALID_ARGUMENT, "message": f"Line {number} is not a request."})


def state_of(job: GoogleJob, scenario: Scenario, now: float) -> str:
    """PENDING, RUNNING...: a job that is cancelled before it begins is CANCELLED, one that runs ends SUCCEEDED."""
    clock = Clock(job, scenario, now)
    if clock.status != "cancelled":
        return _STATES[clock.status]
    return "CANCELLED" if (job.cancelled_at or 0) < clock.started else "SUCCEEDED"


def is_done(state: str) -> bool:
    """Whether nothing will happen to a job in that state."""
    return state not in ("PENDING", "RUNNING")


def write_outputs(job: GoogleJob, files: FileStore, scenario: Scenario) -> None:
    """Make the file of responses, or the list of them, of a job that succeeded; the others have none."""
    now = time.time()
    if job.counts is not None or state_of(job, scenario, now) != "SUCCEEDED":
        return
    file_id, path = files.begin()
    file_id = f"files/batch-{job.name.partition('/')[2]}"
    answered = Clock(job, scenario, now).answered
    counts = [0, 0]
    with job.rows.open("rb") as rows, path.open("wb") as output:
        for number, offset in enumerate(job.offsets):
            rows.seek(offset)
            row = json.loads(rows.readline())
            counts[_answer(job, scenario, row, output, is_served=number < answered)] += 1
    if job.input is None:
        job.inlined = [_inline(json.loads(line)) for line in path.read_bytes().split(b"\n") if line]
        path.unlink()
    else:
        files.add(file_id, path, "", "GENERATED")
        job.output_file = file_id
    job.counts = (counts[0], counts[1])


def _inline(row: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"key": row.pop("key")}, **row}


def _answer(job: GoogleJob, scenario: Scenario, row: dict[str, Any], output: BinaryIO, *, is_served: bool) -> int:
    """Write the row's line; 0 if it was answered, 1 if not."""
    key, request = row.get("key"), row["request"]
    if is_served and (recorded := recorded_line(scenario, "key", str(key))):
        output.write(recorded)
        return 0 if "response" in parsed(recorded) else 1
    prompt = prompt_of(request)
    refusal = refusal_for(scenario, prompt, str(key))
    answer: dict[str, Any]
    if not is_served:
        answer = {"error": {"code": CANCELLED, "message": "The batch was cancelled before this request ran."}}
    elif refusal:
        answer = {"error": {"code": _HTTP_CODES.get(refusal.status, INTERNAL), "message": refusal.message}}
    elif job.embeds:
        answer = {"response": embedding(scenario, prompt, request)}
    else:
        answer = {"response": content(scenario, job.model, request, prompt)}
    chooser = random.Random(f"{scenario.seed}:{key}")  # noqa: S311 - not a secret
    line = json.dumps(_shuffled({"key": key} | answer, chooser)).encode() + b"\n"
    if not (scenario.drop and re.search(scenario.drop, prompt)):
        output.write(line)
    if scenario.repeat and re.search(scenario.repeat, prompt):
        output.write(line)
    return 0 if "response" in answer else 1


def _shuffled(value: Any, chooser: random.Random) -> Any:
    """The same with the keys of each object in some order: the service writes them in any."""
    if isinstance(value, list):
        return [_shuffled(each, chooser) for each in value]
    if not isinstance(value, dict):
        return value
    keys = list(value)
    chooser.shuffle(keys)
    return {key: _shuffled(value[key], chooser) for key in keys}


def prompt_of(request: dict[str, Any]) -> str:
    """The texts of the last turn."""
    contents = request.get("contents")
    last = contents[-1] if isinstance(contents, list) and contents else contents or request.get("content") or {}
    parts = last.get("parts") or [] if isinstance(last, dict) else []
    return " ".join(str(part["text"]) for part in parts if isinstance(part, dict) and "text" in part)


def content(scenario: Scenario, model: str, request: dict[str, Any], prompt: str) -> dict[str, Any]:
    """A GenerateContentResponse as the service returns it (compare the recorded rows)."""
    text = text_for(scenario, prompt)
    asked, said = len(str(request.get("contents"))) // 4 + 1, len(text) // 4 + 1
    return {
        "candidates": [
            {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP", "index": 0},
        ],
        "usageMetadata": {
            "promptTokenCount": asked,
            "candidatesTokenCount": said,
            "totalTokenCount": asked + said,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": asked}],
        },
        "modelVersion": model.removeprefix("models/"),
        "responseId": f"resp-{random.Random(f'{scenario.seed}:{prompt}').getrandbits(64):016x}",  # noqa: S311
    }


def embedding(scenario: Scenario, prompt: str, request: dict[str, Any]) -> dict[str, Any]:
    """An EmbedContentResponse: numbers that depend on the text."""
    size = int(request.get("outputDimensionality") or request.get("output_dimensionality") or 8)
    chooser = random.Random(f"{scenario.seed}:{prompt}")  # noqa: S311 - not a secret
    return {"embedding": {"values": [round(chooser.uniform(-1, 1), 6) for _ in range(size)]}}


def describe(job: GoogleJob, scenario: Scenario, now: float, *, with_inlined: bool = True) -> dict[str, Any]:
    """The operation: int64 as strings; what is zero, or not there yet, is left out."""
    clock = Clock(job, scenario, now)
    state = state_of(job, scenario, now)
    done = is_done(state)
    kind = "EmbedContentBatch" if job.embeds else "GenerateContentBatch"
    stats = _stats(job, clock, state)
    output: dict[str, Any] = {}
    if state == "SUCCEEDED" and job.output_file:
        output = {"responsesFile": job.output_file}
    elif state == "SUCCEEDED" and job.inlined is not None and with_inlined:
        output = {"inlinedResponses": {"inlinedResponses": job.inlined}}
    ended = clock.cancelled if job.cancelled_at else clock.started if state == "FAILED" else clock.ended
    metadata = {
        "@type": _TYPE + kind,
        "model": job.model,
        "displayName": job.display_name,
        **({"inputConfig": job.input} if job.input else {}),
        **({"output": output} if output else {}),
        "createTime": _time(job.created_at),
        **({"endTime": _time(ended)} if done else {}),
        "updateTime": _time(ended if done else max(now, job.created_at)),
        "batchStats": {name: str(count) for name, count in stats.items() if count},
        "state": f"BATCH_STATE_{state}",
        "name": job.name,
    }
    operation: dict[str, Any] = {"name": job.name, "metadata": metadata}
    if done:
        operation["done"] = True
    if state == "SUCCEEDED":
        operation["response"] = {"@type": f"{_TYPE}{kind}Output", **output}
    elif state == "FAILED":
        operation["error"] = job.errors[0]
    elif state == "CANCELLED":
        operation["error"] = {"code": INTERNAL, "message": "The batch was cancelled."}
    return operation


def _stats(job: GoogleJob, clock: Clock, state: str) -> dict[str, int]:
    total = len(job.offsets)
    good, bad = job.counts or (clock.answered if state == "RUNNING" else 0, 0)
    pending = total - good - bad if state in ("PENDING", "RUNNING") else 0
    return {
        "requestCount": total,
        "successfulRequestCount": good,
        "failedRequestCount": bad,
        "pendingRequestCount": pending,
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "000Z")
