"""The output and the error file of an OpenAI batch."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from ..answers import answer_or_refusal, copies_of, prompt_of, refusal_for
from ..bill import Tokens
from ..files import FileStore
from ..openai_answers import answer_for
from ..progress import Progress
from ..recorded import parsed, recorded_line
from ..rows import encode_line, encode_whole, read_rows
from ..scenario import Refusal, Scenario
from .errors import error_body
from .jobs import Job

# The reasoning models refuse the old name of the parameter.
_REASONING_MODEL = re.compile(r"gpt-5|o\d")
# The endpoints whose answers have no fractions.
_WHOLE = ("/v1/chat/completions", "/v1/completions")
_NO_MAX_TOKENS = Refusal(
    code="unsupported_parameter",
    message="Unsupported parameter: 'max_tokens' is not supported with this model. "
    "Use 'max_completion_tokens' instead.",
)


class _Answer(NamedTuple):
    """A row's lines, whether they go to the output file or to the error file, and the body that is answered."""

    succeeded: bool
    lines: bytes
    body: dict[str, Any]


def write_outputs(job: Job, files: FileStore, scenario: Scenario) -> None:
    """Write the files of a job that has ended; a file without rows is not created."""
    progress = Progress(job, scenario, scenario.now())
    if not progress.has_ended or job.counts is not None:
        return
    output_id, output = files.begin()
    error_id, refused = files.begin()
    answered, counts = progress.answered, [0, 0]
    with output.open("wb") as good, refused.open("wb") as bad:
        for number, row in enumerate(read_rows(job.rows, job.offsets)):
            is_answered = number < answered
            answer = _answer(scenario, row) if is_answered else _unanswered(row, progress.status)
            (good if answer.succeeded else bad).write(answer.lines)
            counts[not answer.succeeded] += is_answered
    job.output_file_id = _keep(files, output_id, output, f"{job.id}_output.jsonl")
    job.error_file_id = _keep(files, error_id, refused, f"{job.id}_error.jsonl")
    job.counts = (counts[0], counts[1])


def _keep(files: FileStore, file_id: str, path: Path, filename: str) -> str | None:
    if path.stat().st_size == 0:
        path.unlink()
        return None
    return files.add(file_id, path, filename, "batch_output").id


def tokens_of(job: Job, scenario: Scenario, row: dict[str, Any]) -> Tokens | None:
    """The tokens of the row's answer; None: it is refused."""
    del job  # it depends on the row alone
    answer = _answer(scenario, row)
    return _tokens(answer.body) if answer.succeeded else None


def _answer(scenario: Scenario, row: dict[str, Any]) -> _Answer:
    row_id, body = row["custom_id"], row["body"]
    if recorded := recorded_line(scenario, "custom_id", row_id):
        response = parsed(recorded)["response"] or {}
        return _Answer(response.get("status_code") == 200, recorded, response.get("body") or {})
    url, prompt = row["url"], prompt_of(body)
    answered = _refusal(scenario, body, prompt, row_id) or answer_or_refusal(
        lambda: answer_for(scenario, url, body, row_id, int(scenario.now()))
    )
    if isinstance(answered, Refusal):
        # A refused row has its error in the body, while `error` is null.
        refused = error_body(answered.type, answered.message, code=answered.code)
        return _Answer(False, encode_line(_line(row_id, _response(row_id, answered.status, refused))), refused)
    encode = encode_whole if url in _WHOLE else encode_line
    line = encode(_line(row_id, _response(row_id, 200, answered)))
    return _Answer(True, line * copies_of(scenario, prompt), answered)


def _tokens(body: dict[str, Any]) -> Tokens:
    """Chat, completions and embeddings have one set of names, responses and images another."""
    usage = body.get("usage") or {}
    given, written = (usage.get(f"{name}_tokens") for name in ("prompt", "completion"))
    return Tokens(given or usage.get("input_tokens") or 0, written or usage.get("output_tokens") or 0)


def _refusal(scenario: Scenario, body: dict[str, Any], prompt: str, row_id: str) -> Refusal | None:
    if body.get("max_tokens") is not None and _REASONING_MODEL.match(str(body.get("model"))):
        return _NO_MAX_TOKENS
    return refusal_for(scenario, prompt, row_id)


def _unanswered(row: dict[str, Any], status: str) -> _Answer:
    code = "batch_expired" if status == "expired" else "batch_cancelled"
    error = {"code": code, "message": "This request could not be executed before the batch ended."}
    return _Answer(False, encode_line(_line(row["custom_id"], error=error)), {})


def _response(row_id: str, status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {"status_code": status, "request_id": f"req_{row_id}", "body": body}


def _line(row_id: str, response: dict[str, Any] | None = None, error: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"id": f"batch_req_{row_id}", "custom_id": row_id, "response": response, "error": error}
