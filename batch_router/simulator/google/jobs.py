"""A Gemini batch: its input and its states."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..answers import refusal_for
from ..progress import Progress
from ..rows import read_json, read_lines, seeded
from ..scenario import Scenario
from .codes import INVALID_ARGUMENT
from .prompts import prompt_of

_STATES = {
    "validating": "PENDING",
    "in_progress": "RUNNING",
    "finalizing": "RUNNING",
    "cancelling": "RUNNING",
    "completed": "SUCCEEDED",
    "failed": "FAILED",
    "expired": "EXPIRED",
}


@dataclass
class Job:
    """A batch at the provider.

    Attributes:
        name: `batches/...`.
        rows: its requests, one per line; also those that came inline.
        input: `inputConfig` as the operation repeats it; None for inline requests, which it does not repeat.
        embeds: whether it makes embeddings.
        tokens: how many its rows have.
        offsets: where the rows begin, in the order in which they are answered.
        errors: why it fails, if it does; the operation shows only the first.
        counts: answered and failed rows, once the outputs are written.
    """

    name: str
    model: str
    display_name: str
    rows: Path
    input: dict[str, Any] | None
    embeds: bool
    created_at: float
    tokens: int = 0
    offsets: list[int] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    cancelled_at: float | None = None
    output_file: str | None = None
    inlined: list[dict[str, Any]] | None = None
    counts: tuple[int, int] | None = None


def validate(job: Job, scenario: Scenario) -> None:
    """Read the input: note where the rows are, or what is wrong with them."""
    for line in read_lines(job.rows):
        job.offsets.append(line.offset)
        job.tokens += len(line.content) // 4 + 1
        problem = None if job.errors else _problem_of(job, line.content, scenario)
        if problem:
            job.errors.append(_invalid(f"Line {line.number}: {problem}"))
    if not job.offsets:
        job.errors.append(_invalid("The input has no requests."))
    if scenario.fail_job:
        # A number is a google.rpc code; a word is meant for the other providers.
        code = int(scenario.fail_job) if scenario.fail_job.isdigit() else INVALID_ARGUMENT
        job.errors.append({"code": code, "message": f"The job was failed by the scenario: {scenario.fail_job}."})
    seeded(scenario.seed, job.name).shuffle(job.offsets)


def _problem_of(job: Job, content: bytes, scenario: Scenario) -> str | None:
    """Why a row is refused, and the job with it."""
    try:
        row = read_json(content)
        is_request = ("content" if job.embeds else "contents") in dict(row["request"])
    except (ValueError, KeyError, TypeError):
        is_request = False
    if not is_request:
        return "This is not a request."
    refusal = refusal_for(scenario, prompt_of(row["request"]), str(row.get("key")), job=True)
    return refusal.message if refusal else None


def _invalid(message: str) -> dict[str, Any]:
    return {"code": INVALID_ARGUMENT, "message": message}


def state_of(job: Job, scenario: Scenario, now: float) -> str:
    """The state without its prefix; a job cancelled before it starts is CANCELLED, one cancelled later SUCCEEDED."""
    progress = Progress(job, scenario, now)
    if progress.status != "cancelled":
        return _STATES[progress.status]
    return "CANCELLED" if (job.cancelled_at or 0) < progress.started else "SUCCEEDED"


def is_done(state: str) -> bool:
    """Whether this state is final."""
    return state not in ("PENDING", "RUNNING")
