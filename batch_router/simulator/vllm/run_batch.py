"""The stand-in's `run-batch`: rows from a file, answers to a file."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from ..answers import answer_or_refusal, prompt_of, refusal_for
from ..scenario import Refusal, Scenario
from .answers import answer
from .engine import CRASH, give_up, is_crash, note_received

_URLS = ("/v1/chat/completions", "/v1/embeddings", "/v1/audio/transcriptions", "/v1/audio/translations")
_URL_ENDS = ("/score", "/rerank")


def read_rows(scenario: Scenario, path: str, output: str) -> list[dict[str, Any]]:
    """All rows of the input; one bad row ends the process, and so does an output that is the input."""
    if path == output:
        give_up("ValueError: the input and the output are the same file")
    note_received(scenario, Path(path).read_bytes())
    with Path(path).open("rb") as lines:
        return [_read_row(line, number) for number, line in enumerate(lines, 1) if line.strip()]


def _read_row(line: bytes, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line.decode())  # as text: a BOM is an error
    except ValueError:
        row = None
    if not _is_valid(row):
        give_up(f"ValueError: Invalid request on line {number}")
    return dict(row)


def _is_valid(row: Any) -> bool:
    """Whether the real one reads the row; it checks the values in a complete body only when the row runs."""
    if not isinstance(row, dict) or not isinstance(row.get("body"), dict):
        return False
    if not all(isinstance(row.get(name), str) for name in ("custom_id", "method", "url")):
        return False
    return row["url"] != "/v1/chat/completions" or isinstance(row["body"].get("messages"), list)


def answer_all(scenario: Scenario, rows: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    """Answer the rows one by one, with the progress on stderr."""
    _show_progress(0, len(rows))
    pause = scenario.latency.in_progress / max(1, len(rows))
    served = arguments.served_model_name or arguments.model
    with Path(arguments.output_file).open("w") as output:
        for number, row in enumerate(rows):
            if is_crash(scenario, number, prompt_of(row["body"])):
                give_up(CRASH)
            time.sleep(pause)
            output.write(json.dumps(_answer(scenario, row, number, served)) + "\n")
            output.flush()
            _show_progress(number + 1, len(rows))


def _show_progress(done: int, total: int) -> None:
    sys.stderr.write(f"Running batch: Completed | {done}/{total} [00:00<00:00]\n")


def _answer(scenario: Scenario, row: dict[str, Any], number: int, served: str) -> dict[str, Any]:
    row_id, body = row["custom_id"], row["body"]
    answered = _refusal(scenario, row, served) or answer_or_refusal(
        lambda: answer(scenario, row["url"], body, row_id, int(time.time()))
    )
    response: dict[str, Any] = {"status_code": 200, "request_id": f"vllm-batch-{row_id}", "body": answered}
    error: Any = None
    if isinstance(answered, Refusal):
        response |= {"status_code": answered.status, "body": None}
        known = {"message": answered.message, "type": "BadRequestError", "param": None, "code": answered.status}
        error = {"error": known} if number % 2 == 0 else answered.message  # the real one has both forms
    return {"id": f"vllm-{row_id}", "custom_id": row_id, "response": response, "error": error}


def _refusal(scenario: Scenario, row: dict[str, Any], served: str) -> Refusal | None:
    """Why the row is refused."""
    body = row["body"]
    if row["url"] not in _URLS and not row["url"].endswith(_URL_ENDS):
        return Refusal(message=f"URL {row['url']} was used. Supported endpoints: {', '.join(_URLS + _URL_ENDS)}")
    if body.get("model") not in (None, served):
        return Refusal(status=404, message=f"The model `{body['model']}` does not exist.")
    if body.get("stream"):
        return Refusal(message="Request must not be sent in stream mode")
    if body.get("messages") == []:
        return Refusal(message="list index out of range")
    return refusal_for(scenario, str(body.get("messages") or prompt_of(body)), row["custom_id"])
