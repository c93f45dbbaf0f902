"""The life of an OpenAI batch: where it stands is a function of the time since its creation."""

import json
import random
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from .answers import answer_for, prompt_of, refusal_of
from .files import FileStore
from .recorded import parsed, recorded_line
from .scenario import Scenario

#: The service stops counting errors of an input file somewhere; so do we.
_MOST_ERRORS = 20
_MOST_ROWS = 50_000
_DAY = 24 * 3600


@dataclass
class Job:
    """A batch at the provider.

    Attributes:
        offsets: where the rows of the input begin, in the order in which they are answered.
        errors: why validation fails, if it does.
    """

    id: str
    endpoint: str
    input_file_id: str
    metadata: dict[str, str] | None
    created_at: float
    model: str | None = None
    offsets: list[int] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    cancelled_at: float | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    counts: tuple[int, int] | None = None


def validate(job: Job, rows: Path, scenario: Scenario) -> None:
    """Read the input as the service does after `validating`: the rows' places, or what is wrong with them."""
    seen: set[str] = set()
    offset = 0
    with rows.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                _validate_row(job, line, number, seen)
                job.offsets.append(offset)
            offset += len(line)
    if not job.offsets:
        job.errors.append(_error("empty_file", "The input file is empty."))
    if len(job.offsets) > _MOST_ROWS:
        job.errors.append(_error("too_many_tasks", f"The batch has more than {_MOST_ROWS} requests."))
    if scenario.fail_job:
        job.errors.append(_error(scenario.fail_job, "The job was failed by the scenario."))
    random.Random(f"{scenario.seed}:{job.id}").shuffle(job.offsets)  # noqa: S311 - not a secret


def _validate_row(job: Job, line: bytes, number: int, seen: set[str]) -> None:
    if len(job.errors) >= _MOST_ERRORS:
        return
    try:
        row = json.loads(line)
        custom_id, url, body = row["custom_id"], row["url"], row["body"]
    except (ValueError, KeyError, TypeError):
        job.errors.append(_error("invalid_json_line", "This line is not parseable as a request.", number))
        return
    if custom_id in seen:
        job.errors.append(_error("duplicate_custom_id", f"The custom_id {custom_id!r} was used before.", number))
    seen.add(custom_id)
    if url != job.endpoint:
        job.errors.append(_error("url_mismatch", f"The url {url!r} is not the batch's endpoint.", number))
    job.model = job.model or body.get("model")
    if body.get("model") != job.model:
        job.errors.append(_error("model_mismatch", "All requests of a batch must have the same model.", number))


def _error(code: str, message: str, line: int | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "param": None, "line": line}


class Timed(Protocol):
    """What a job's course depends on."""

    created_at: float
    offsets: list[int]
    errors: list[dict[str, Any]]
    cancelled_at: float | None


class Clock:
    """Where a job stands at a moment."""

    def __init__(self, job: Timed, scenario: Scenario, now: float) -> None:
        latency = scenario.latency
        self._job = job
        self._scenario = scenario
        self._now = now
        self.started = job.created_at + latency.validating
        self.finalizing = self.started + latency.in_progress
        self.ended = self.finalizing + latency.finalizing
        self.cancelled = (job.cancelled_at or 0) + latency.cancelling

    @property
    def status(self) -> str:
        """The word of the API."""
        job, now = self._job, self._now
        if job.cancelled_at is not None:
            return "cancelled" if now >= self.cancelled else "cancelling"
        if now < self.started:
            return "validating"
        if job.errors:
            return "failed"
        if now < self.finalizing:
            return "in_progress"
        if now < self.ended:
            return "finalizing"
        return "completed" if self._scenario.expire_after is None else "expired"

    @property
    def answered(self) -> int:
        """How many rows have been worked on."""
        total = len(self._job.offsets)
        now = min(self._now, self._job.cancelled_at or self._now)
        if now < self.started or self._job.errors:
            return 0
        span = self.finalizing - self.started
        share = 1.0 if now >= self.finalizing else (now - self.started) / span
        return int(total * min(share, 1.0 if self._scenario.expire_after is None else self._scenario.expire_after))


def write_outputs(job: Job, files: FileStore, scenario: Scenario) -> None:
    """Make the output and the error file of a job that has ended; a file without rows is not made."""
    clock = Clock(job, scenario, time.time())
    if clock.status not in ("completed", "expired", "cancelled") or job.counts is not None:
        return
    output_id, output = files.begin()
    error_id, refused = files.begin()
    answered = clock.answered
    code = "batch_expired" if clock.status == "expired" else "batch_cancelled"
    with (
        files.files[job.input_file_id].path.open("rb") as rows,
        output.open("wb") as good,
        refused.open("wb") as bad,
    ):
        counts = [0, 0]
        for number, offset in enumerate(job.offsets):
            rows.seek(offset)
            row = json.loads(rows.readline())
            if number < answered:
                counts[_answer(scenario, row, good, bad)] += 1
            else:
                message = "This request could not be executed before the batch ended."
                bad.write(_line({"custom_id": row["custom_id"], "error": {"code": code, "message": message}}))
    for file_id, path in ((output_id, output), (error_id, refused)):
        if path.stat().st_size:
            kind = "output" if file_id == output_id else "error"
            files.add(file_id, path, f"{job.id}_{kind}.jsonl", "batch_output")
        else:
            path.unlink()
    job.output_file_id = output_id if output_id in files.files else None
    job.error_file_id = error_id if error_id in files.files else None
    job.counts = (counts[0], counts[1])


def _answer(scenario: Scenario, row: dict[str, Any], good: BinaryIO, bad: BinaryIO) -> int:
    """Write the row's line; 0 if it was answered, 1 if it was refused."""
    body = row["body"]
    row_id = row["custom_id"]
    if line := recorded_line(scenario, "custom_id", row_id):
        succeeded = (parsed(line)["response"] or {}).get("status_code") == 200
        (good if succeeded else bad).write(line)
        return 0 if succeeded else 1
    if refusal := refusal_of(scenario, body, row_id):
        error = {"message": refusal.message, "type": refusal.type, "param": None, "code": refusal.code}
        # A refused row has its error in the body, while `error` is null.
        response = {"status_code": refusal.status, "request_id": f"req_{row_id}", "body": {"error": error}}
        bad.write(_line({"custom_id": row_id, "response": response}))
        return 1
    prompt = prompt_of(body)
    answered = answer_for(scenario, row["url"], body, row_id, int(time.time()))
    response = {"status_code": 200, "request_id": f"req_{row_id}", "body": answered}
    line = _line({"custom_id": row_id, "response": response})
    if not (scenario.drop and re.search(scenario.drop, prompt)):
        good.write(line)
    if scenario.repeat and re.search(scenario.repeat, prompt):
        good.write(line)
    return 0


def _line(row: dict[str, Any]) -> bytes:
    whole = {"id": f"batch_req_{row['custom_id']}", "response": None, "error": None} | row
    ordered = {key: whole[key] for key in ("id", "custom_id", "response", "error")}
    return json.dumps(ordered).encode() + b"\n"


def describe(job: Job, scenario: Scenario, now: float) -> dict[str, Any]:
    """The batch object of the API."""
    clock = Clock(job, scenario, now)
    status = clock.status
    total = 0 if status in ("validating", "failed") else len(job.offsets)
    completed, failed = job.counts or (clock.answered, 0)
    reached = {
        "in_progress_at": clock.started if total and now >= clock.started else None,
        "finalizing_at": clock.finalizing if status in ("finalizing", "completed", "expired") else None,
        "completed_at": clock.ended if status == "completed" else None,
        "failed_at": clock.started if status == "failed" else None,
        "expired_at": clock.ended if status == "expired" else None,
        "cancelling_at": job.cancelled_at,
        "cancelled_at": clock.cancelled if status == "cancelled" else None,
    }
    return {
        "id": job.id,
        "object": "batch",
        "endpoint": job.endpoint,
        "model": job.model if total else None,
        "errors": {"object": "list", "data": job.errors} if status == "failed" else None,
        "input_file_id": job.input_file_id,
        "completion_window": "24h",
        "status": status,
        "output_file_id": job.output_file_id,
        "error_file_id": job.error_file_id,
        "created_at": int(job.created_at),
        "expires_at": int(job.created_at) + _DAY,
        **{name: int(at) if at is not None else None for name, at in reached.items()},
        "request_counts": {"total": total, "completed": completed if total else 0, "failed": failed if total else 0},
        "usage": {
            "input_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 0,
        },
        "metadata": job.metadata,
    }
