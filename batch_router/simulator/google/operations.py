"""How the API describes a batch: as an operation. int64 is text; what is zero or unknown yet is left out."""

from datetime import UTC, datetime
from typing import Any

from ..progress import Progress
from ..scenario import Scenario
from .codes import INTERNAL
from .jobs import Job, is_done, state_of

_TYPE = "type.googleapis.com/google.ai.generativelanguage.v1main."


def describe(job: Job, scenario: Scenario, now: float, *, with_inlined: bool = True) -> dict[str, Any]:
    """The operation of a job."""
    progress = Progress(job, scenario, now)
    state = state_of(job, scenario, now)
    kind = "EmbedContentBatch" if job.embeds else "GenerateContentBatch"
    output = _output(job, with_inlined=with_inlined) if state == "SUCCEEDED" else {}
    metadata = {
        "@type": _TYPE + kind,
        "model": job.model,
        "displayName": job.display_name,
        **({"inputConfig": job.input} if job.input else {}),
        **({"output": output} if output else {}),
        **_times(job, progress, state, now),
        "batchStats": {name: str(count) for name, count in _stats(job, progress, state).items() if count},
        "state": f"BATCH_STATE_{state}",
        "name": job.name,
    }
    response = {"@type": f"{_TYPE}{kind}Output", **output}
    return {"name": job.name, "metadata": metadata, **_ending(job, state, response)}


def _output(job: Job, *, with_inlined: bool) -> dict[str, Any]:
    if job.output_file:
        return {"responsesFile": job.output_file}
    if job.inlined is not None and with_inlined:
        return {"inlinedResponses": {"inlinedResponses": job.inlined}}
    return {}


def _times(job: Job, progress: Progress, state: str, now: float) -> dict[str, str]:
    created = _time(job.created_at)
    if not is_done(state):
        return {"createTime": created, "updateTime": _time(max(now, job.created_at))}
    ended = progress.cancelled if job.cancelled_at else progress.started if state == "FAILED" else progress.ended
    return {"createTime": created, "endTime": _time(ended), "updateTime": _time(ended)}


def _stats(job: Job, progress: Progress, state: str) -> dict[str, int]:
    total = len(job.offsets)
    good, bad = job.counts or (progress.answered if state == "RUNNING" else 0, 0)
    return {
        "requestCount": total,
        "successfulRequestCount": good,
        "failedRequestCount": bad,
        "pendingRequestCount": 0 if is_done(state) else total - good - bad,
    }


def _ending(job: Job, state: str, response: dict[str, Any]) -> dict[str, Any]:
    match state:
        case "PENDING" | "RUNNING":
            return {}
        case "SUCCEEDED":
            return {"done": True, "response": response}
        case "FAILED":
            return {"done": True, "error": job.errors[0]}
        case "CANCELLED":
            return {"done": True, "error": {"code": INTERNAL, "message": "The batch was cancelled."}}
    return {"done": True}


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "000Z")
