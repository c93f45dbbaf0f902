"""Checks of single rows: vLLM gives up a whole run on one bad row. And the answers of rows that no engine gets."""

import msgspec

from .codec import read_row_id

#: The HTTP status of a row that breaks the engine down, and of one that it would refuse together with all others.
BREAKDOWN, INVALID = 500, 400
BREAKDOWN_MESSAGE = "the engine breaks down on this row, also when it is the only one"

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
    n: int | None = None
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


_BODIES: dict[str, type[msgspec.Struct]] = {"/v1/chat/completions": _Chat, "/v1/embeddings": _Embedding}


class _Row(msgspec.Struct):
    """A line of the rows."""

    custom_id: str
    url: str
    body: dict[str, object]


_decode = msgspec.json.Decoder(_Row).decode


def check(line: bytes) -> str | None:
    """Why vLLM would give up the whole run because of this row; None: it would not."""
    try:
        row = _decode(line)
        kind = _BODIES.get(row.url)
        if kind is None:
            return f"vLLM has no {row.url} for batches; it has {', '.join(_BODIES)}"
        msgspec.convert(row.body, kind, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return f"the row is not valid: {error}"
    return None


def refuse(line: bytes, status: int, message: str) -> bytes:
    """The answer of a row that the engine does not answer: an error in vLLM's own form."""
    error = {"message": message, "type": "invalid_request_error" if status == INVALID else "engine_error"}
    response = {"status_code": status, "request_id": None, "body": None}
    row_id = read_row_id(line) or ""
    return msgspec.json.encode({"id": "", "custom_id": row_id, "response": response, "error": error}) + b"\n"
