"""The responses of a Gemini batch: a file, or a list for inline requests."""

import json
import random
from typing import Any

from ..answers import answer_or_refusal, copies_of, count_tokens, count_tokens_of, refusal_for, text_for, vector_for
from ..bill import Tokens
from ..files import FileStore
from ..progress import Progress
from ..recorded import parsed, recorded_line
from ..rows import encode_line, read_rows, seeded
from ..scenario import Refusal, Scenario
from .codes import BY_STATUS, CANCELLED, INTERNAL
from .jobs import Job, state_of
from .prompts import prompt_of
from .wanted import call_of, either, form_of

_NOT_RUN = {"error": {"code": CANCELLED, "message": "The batch was cancelled before this request ran."}}


def write_outputs(job: Job, files: FileStore, scenario: Scenario) -> None:
    """Make the file or the list of responses of a job that succeeded; other jobs have none."""
    now = scenario.now()
    if job.counts is not None or state_of(job, scenario, now) != "SUCCEEDED":
        return
    _, path = files.begin()
    answered, counts = Progress(job, scenario, now).answered, [0, 0]
    with path.open("wb") as output:
        for number, row in enumerate(read_rows(job.rows, job.offsets)):
            succeeded, lines = _answer(job, scenario, row, is_served=number < answered)
            output.write(lines)
            counts[not succeeded] += 1
    if job.input is None:
        job.inlined = [_inline(json.loads(line)) for line in path.read_bytes().split(b"\n") if line]
        path.unlink()
    else:
        job.output_file = files.add(f"files/batch-{job.name.partition('/')[2]}", path, "", "GENERATED").id
    job.counts = (counts[0], counts[1])


def tokens_of(job: Job, scenario: Scenario, row: dict[str, Any]) -> Tokens | None:
    """The tokens of the row's answer, thoughts included; None: it is refused."""
    recorded = recorded_line(scenario, "key", str(row.get("key")))
    answer = parsed(recorded) if recorded else _response(job, scenario, row, prompt_of(row["request"]))
    if "response" not in answer:
        return None
    usage = answer["response"].get("usageMetadata") or {"promptTokenCount": answer["response"].get("tokenCount")}
    given, written = (
        sum(int(usage.get(f"{name}TokenCount") or 0) for name in names)
        for names in (("prompt", "toolUsePrompt"), ("candidates", "thoughts"))
    )
    return Tokens(given, written)


def _inline(row: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"key": row.pop("key")}, **row}


def _answer(job: Job, scenario: Scenario, row: dict[str, Any], *, is_served: bool) -> tuple[bool, bytes]:
    """Whether the row is answered, and its lines."""
    key = row.get("key")
    if is_served and (recorded := recorded_line(scenario, "key", str(key))):
        return "response" in parsed(recorded), recorded
    prompt = prompt_of(row["request"])
    answer = _response(job, scenario, row, prompt) if is_served else _NOT_RUN
    line = encode_line(_shuffled({"key": key} | answer, seeded(scenario.seed, str(key))))
    return "response" in answer, line * copies_of(scenario, prompt)


def _response(job: Job, scenario: Scenario, row: dict[str, Any], prompt: str) -> dict[str, Any]:
    make = _embedding if job.embeds else _content
    row_id = str(row.get("key"))
    answered = refusal_for(scenario, prompt, row_id) or answer_or_refusal(
        lambda: make(scenario, job.model, prompt, row["request"], row_id)
    )
    if isinstance(answered, Refusal):
        return {"error": {"code": BY_STATUS.get(answered.status, INTERNAL), "message": answered.message}}
    return {"response": answered}


def _shuffled(value: Any, chooser: random.Random) -> Any:
    """The same value with each object's keys in a random order, as the service writes them."""
    if isinstance(value, list):
        return [_shuffled(each, chooser) for each in value]
    if not isinstance(value, dict):
        return value
    keys = list(value)
    chooser.shuffle(keys)
    return {key: _shuffled(value[key], chooser) for key in keys}


def _content(scenario: Scenario, model: str, prompt: str, request: dict[str, Any], row_id: str) -> dict[str, Any]:
    """A GenerateContentResponse as the service returns it (compare the recorded rows)."""
    call = call_of(scenario, request)
    text = json.dumps(call.written) if call else text_for(scenario, prompt, form_of(request), row_id)
    part = {"functionCall": {"name": call.name, "args": call.written}} if call else {"text": text}
    count = either(either(request, "generationConfig"), "candidateCount") or 1
    given, written = count_tokens_of(request.get("contents")), count * count_tokens(text)
    return {
        "candidates": [
            {"content": {"parts": [part], "role": "model"}, "finishReason": "STOP", "index": index}
            for index in range(count)
        ],
        "usageMetadata": {
            "promptTokenCount": given,
            "candidatesTokenCount": written,
            "totalTokenCount": given + written,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": given}],
        },
        "modelVersion": model.removeprefix("models/"),
        "responseId": f"resp-{seeded(scenario.seed, prompt).getrandbits(64):016x}",
    }


def _embedding(scenario: Scenario, model: str, prompt: str, request: dict[str, Any], row_id: str) -> dict[str, Any]:
    """A row of a batch of embeddings, as recorded: its count of tokens is text, and there is no `usageMetadata`."""
    del model, row_id  # the answer names neither
    size = either(request, "outputDimensionality") or 8
    values = vector_for(scenario, prompt, int(size))
    return {"tokenCount": str(count_tokens(prompt)), "embedding": {"values": values}}
