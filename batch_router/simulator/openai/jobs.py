"""An OpenAI batch: how its input is validated, and how the API describes it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..answers import prompt_of, refusal_for
from ..progress import Progress
from ..rows import Line, read_json, read_lines, seeded
from ..scenario import Scenario

#: The service reports only the first errors of an input file.
_MOST_ERRORS = 20
_MOST_ROWS = 50_000
_DAY = 24 * 3600
_USAGE = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}


@dataclass
class Job:
    """A batch at the provider.

    Attributes:
        rows: its input, which stays when the file is deleted.
        offsets: where the rows of the input begin, in the order in which they are answered.
        errors: why validation fails, if it does.
        tokens: how many its rows have.
        counts: answered and refused rows, once the outputs are written.
    """

    id: str
    endpoint: str
    input_file_id: str
    rows: Path
    metadata: dict[str, str] | None
    created_at: float
    window: str = "24h"
    model: str | None = None
    tokens: int = 0
    offsets: list[int] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    cancelled_at: float | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    counts: tuple[int, int] | None = None


def validate(job: Job, scenario: Scenario, queued: int) -> None:
    """Read the input as the service does while `validating`: note where the rows are, or what is wrong with them.

    `queued` is how many tokens the running jobs have.
    """
    seen: set[str] = set()
    for line in read_lines(job.rows):
        job.offsets.append(line.offset)
        job.tokens += len(line.content) // 4 + 1
        if len(job.errors) < _MOST_ERRORS:
            job.errors += _row_errors(job, line, seen, scenario)
    if not job.offsets:
        job.errors.append(_error("empty_file", "The input file is empty."))
    if len(job.offsets) > _MOST_ROWS:
        job.errors.append(_error("too_many_tasks", f"The batch has more than {_MOST_ROWS} requests."))
    if scenario.queued_tokens is not None and job.tokens + queued > scenario.queued_tokens:
        job.errors.append(_error("token_limit_exceeded", _too_many_tokens(job, scenario.queued_tokens)))
    if scenario.fail_job:
        job.errors.append(_error(scenario.fail_job, "The job was failed by the scenario."))
    seeded(scenario.seed, job.id).shuffle(job.offsets)


def _too_many_tokens(job: Job, most: int) -> str:
    """The words of the service."""
    return (
        f"Enqueued token limit reached for {job.model} in organization org-simulated. Limit: {most:,} enqueued tokens. "
        "Please try again once some in_progress batches have been completed."
    )


def _row_errors(job: Job, line: Line, seen: set[str], scenario: Scenario) -> list[dict[str, Any]]:
    """What is wrong with a row; adds its `custom_id` to `seen`, and takes the batch's model from the first row."""
    try:
        row = read_json(line.content)
        custom_id, url, body = str(row["custom_id"]), row["url"], dict(row["body"])
    except (ValueError, KeyError, TypeError):
        return [_error("invalid_json_line", "This line is not parseable as a request.", line.number)]
    job.model = job.model or body.get("model")
    problems = {}
    if custom_id in seen:
        problems["duplicate_custom_id"] = f"The custom_id {custom_id!r} was used before."
    if url != job.endpoint:
        problems["url_mismatch"] = f"The url {url!r} is not the batch's endpoint."
    if body.get("model") != job.model:
        problems["model_mismatch"] = "All requests of a batch must have the same model."
    seen.add(custom_id)
    if scenario.refuse and (refusal := refusal_for(scenario, prompt_of(body), custom_id, job=True)):
        problems[refusal.code or refusal.type] = refusal.message
    return [_error(code, message, line.number) for code, message in problems.items()]


def _error(code: str, message: str, line: int | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "param": None, "line": line}


def describe(job: Job, scenario: Scenario, now: float) -> dict[str, Any]:
    """The batch object of the API."""
    progress = Progress(job, scenario, now)
    status = progress.status
    is_read = status not in ("validating", "failed")
    return {
        "id": job.id,
        "object": "batch",
        "endpoint": job.endpoint,
        "model": job.model if is_read else None,
        "errors": {"object": "list", "data": job.errors} if status == "failed" else None,
        "input_file_id": job.input_file_id,
        "completion_window": job.window,
        "status": status,
        "output_file_id": job.output_file_id,
        "error_file_id": job.error_file_id,
        "created_at": int(job.created_at),
        "expires_at": int(job.created_at) + _DAY,
        **_times(job, progress, now),
        "request_counts": _counts(job, progress) if is_read else {"total": 0, "completed": 0, "failed": 0},
        "usage": _USAGE,
        "metadata": job.metadata,
    }


def _times(job: Job, progress: Progress, now: float) -> dict[str, int | None]:
    """When the job reached each state; None for those that it did not reach."""
    status = progress.status
    has_begun = status not in ("validating", "failed") and now >= progress.started
    reached = {
        "in_progress_at": progress.started if has_begun else None,
        "finalizing_at": progress.finalizing if status in ("finalizing", "completed", "expired") else None,
        "completed_at": progress.ended if status == "completed" else None,
        "failed_at": progress.started if status == "failed" else None,
        "expired_at": progress.ended if status == "expired" else None,
        "cancelling_at": job.cancelled_at,
        "cancelled_at": progress.cancelled if status == "cancelled" else None,
    }
    return {name: int(at) if at is not None else None for name, at in reached.items()}


def _counts(job: Job, progress: Progress) -> dict[str, int]:
    completed, failed = job.counts or (progress.answered, 0)
    return {"total": len(job.offsets), "completed": completed, "failed": failed}
