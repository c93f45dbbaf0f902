"""Checks of single rows, and the answers of rows that no engine gets.

vLLM gives up a whole run on one bad row. And a row's author is trusted with a prompt only: a row says what to answer,
and nothing of how the engine works. An engine gets what was read here, written again: never the row's own bytes, in
which a key that stands twice might mean one thing here and another there.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ...security.printable import printable
from .codec import read_row_id

#: The HTTP status of a row that breaks the engine down, of one that it would refuse together with all others, and of
#: one whose media cannot be had at present.
BREAKDOWN, INVALID, UNREACHABLE = 500, 400, 504
BREAKDOWN_MESSAGE = "the engine breaks down on this row, also when it is the only one"

# Of a schema or a list of choices that the answer must fit: vLLM makes a program of it.
_MOST_SHAPE_BYTES = 64 << 10
# As many as OpenAI gives to one row.
_MOST_ANSWERS = 128
_SHOWN = 300

_Texts = str | list[str]


class _Chat(msgspec.Struct):
    """The fields of a chat body whose types vLLM checks; it reads numbers in quotes, and ignores unknown fields."""

    messages: list[dict[str, object]]
    model: str | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    temperature: float | None = None
    top_p: float | None = None
    min_p: float | None = None
    top_k: int | None = None
    n: Annotated[int, Meta(le=_MOST_ANSWERS)] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    min_tokens: int | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    stop: _Texts | None = None
    stop_token_ids: list[int] | None = None
    stream: bool | None = None
    tools: list[dict[str, object]] | None = None
    tool_choice: str | dict[str, object] | None = None
    response_format: dict[str, object] | None = None
    chat_template: str | None = None
    chat_template_kwargs: dict[str, object] | None = None
    user: str | None = None


class _Embedding(msgspec.Struct):
    input: str | list[object]
    model: str | None = None
    dimensions: int | None = None
    user: str | None = None


class _Score(msgspec.Struct):
    """What is compared, by the names that vLLM has for it. Only texts: in anything else there may be media."""

    model: str | None = None
    text_1: _Texts | None = None
    text_2: _Texts | None = None
    queries: _Texts | None = None
    documents: _Texts | None = None
    items: _Texts | None = None
    data_1: _Texts | None = None
    data_2: _Texts | None = None


class _Rerank(msgspec.Struct):
    query: str
    documents: list[str]
    model: str | None = None
    top_n: int | None = None


_BODIES: dict[str, type[msgspec.Struct]] = {
    "/v1/chat/completions": _Chat,
    "/v1/embeddings": _Embedding,
    "/v1/score": _Score,
    "/v1/rerank": _Rerank,
}


_PROGRAM = "a program in a row could hold the engine for ever"
_PLUGIN = "it is for plugins of the engine"
_PREPROCESSING = "it changes how the engine reads media, and what that takes"
_NETWORK = "it makes the engine connect to other machines"
_SHAPE = "a grammar can take the engine's time and memory without end; give a JSON schema, in response_format"

#: What no row may have in its body, and why.
REFUSED: Mapping[str, str] = {
    "chat_template": _PROGRAM,
    "ec_transfer_params": _NETWORK,
    "guided_grammar": _SHAPE,
    "guided_regex": _SHAPE,
    "guided_decoding_backend": _PLUGIN,
    "guided_whitespace_pattern": _SHAPE,
    "kv_transfer_params": _NETWORK,
    "logits_processors": "it names code that the engine runs",
    "lora_request": "it names files of the engine",
    "media_io_kwargs": _PREPROCESSING,
    "mm_processor_kwargs": _PREPROCESSING,
    "priority": "a row does not go before others",
    "request_id": "with the id of another row it could end that one",
    "structural_tag": _SHAPE,
    "vllm_xargs": _PLUGIN,
}
# Names within others.
_REFUSED_WITHIN: Mapping[str, Mapping[str, str]] = {
    "chat_template_kwargs": {"chat_template": _PROGRAM},
    "structured_outputs": dict.fromkeys(("grammar", "regex", "structural_tag", "whitespace_pattern"), _SHAPE),
}
_ANSWER_SHAPES = ("text", "json_object", "json_schema")
_SHAPES = ("guided_choice", "guided_json", "response_format", "structured_outputs", "tools")


class Row(msgspec.Struct):
    """A row that an engine may get."""

    custom_id: str
    url: str
    body: dict[str, object]
    method: Literal["POST"] = "POST"


class RowError(Exception):
    """No engine gets the row.

    Attributes:
        status: the HTTP status of its answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


_decode = msgspec.json.Decoder(Row).decode


def read(line: bytes, model: str) -> Row:
    """A row, if an engine may get it.

    Args:
        line: as it is in storage.
        model: of the job.

    Raises:
        RowError: vLLM would give up the whole run because of it, or it wants what no row may have.
    """
    try:
        row = _decode(line)
        kind = _BODIES.get(row.url)
        if kind is None:
            known = ", ".join(_BODIES)
            raise RowError(INVALID, f"vLLM has no {printable(row.url, _SHOWN)} for batches; it has {known}")
        msgspec.convert(row.body, kind, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RowError(INVALID, f"the row is not valid: {printable(str(error), _SHOWN)}") from error
    if problem := _problem_of(row.body, model):
        raise RowError(INVALID, problem)
    return row


def _problem_of(body: dict[str, object], model: str) -> str | None:
    if body.get("model") not in (None, model):
        return "model: the row names another model than its job"
    for name in REFUSED.keys() & body.keys():
        if body[name] is not None:
            return f"{name}: no row may have it: {REFUSED[name]}"
    for name in _REFUSED_WITHIN.keys() & body.keys():
        within = body[name]
        for inner in _REFUSED_WITHIN[name].keys() & (within.keys() if isinstance(within, dict) else ()):
            return f"{name}.{inner}: no row may have it: {_REFUSED_WITHIN[name][inner]}"
    shape = body.get("response_format")
    if isinstance(shape, dict) and shape.get("type") not in _ANSWER_SHAPES:
        return f"response_format: only {', '.join(_ANSWER_SHAPES)} are taken from a row"
    for name in _SHAPES:
        if name in body and len(msgspec.json.encode(body[name])) > _MOST_SHAPE_BYTES:
            return f"{name}: more than {_MOST_SHAPE_BYTES:,} bytes, of which the engine makes a program"
    return None


def refuse(row_id: str, status: int, message: str) -> bytes:
    """The answer of a row that the engine does not answer: an error in vLLM's own form."""
    error = {"message": message, "type": "invalid_request_error" if status == INVALID else "engine_error"}
    response = {"status_code": status, "request_id": None, "body": None}
    return msgspec.json.encode({"id": "", "custom_id": row_id, "response": response, "error": error}) + b"\n"


def row_id_of(line: bytes) -> str:
    """The id of a row, also of one that cannot be read otherwise."""
    return read_row_id(line) or ""
