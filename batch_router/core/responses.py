"""What a user gets back: one result per request."""

from typing import Any, TypeVar

import msgspec

from ..exceptions import ValidationError
from ..security.printable import printable
from .classes import instance_of, name_of
from .content import Content, TextContent, ThinkingContent, ToolCallContent
from .enums import ErrorType, FinishReason, ResultStatus
from .messages import UnifiedMessage
from .record import JsonObject
from .shown import Shown
from .texts import read_json

_T = TypeVar("_T")
# Characters of an error, and of what the model wrote, that are shown.
_SHOWN = 500

# Python takes 0.1 µs to find a member of an enumeration, and each row needs these.
_SUCCEEDED, _ERRORED = ResultStatus.SUCCEEDED, ResultStatus.ERRORED


class Usage(Shown, frozen=True, kw_only=True):
    """Tokens of one request; None where the provider does not report them.

    Attributes:
        input_tokens: of the prompt, those read from and written to the provider's cache included.
        cached_tokens: of the input, those read from the cache.
        cache_write_tokens: of the input, those written to the cache.
        output_tokens: of the answer, reasoning included.
        server_tools: how often the provider ran tools of its own, by its name for them.
    """

    input_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    server_tools: dict[str, int] | msgspec.UnsetType = msgspec.UNSET


class ResultError(Shown, frozen=True, kw_only=True):
    """Why a request has no answer.

    Attributes:
        retryable: whether the same request may succeed another time.
        code: the provider's own word or number for it.
        raw: the provider's own error, unchanged.
    """

    type: ErrorType
    message: str
    retryable: bool = False
    code: str | None = None
    raw: Any = None


class UnifiedResult(Shown, frozen=True, kw_only=True):
    """The result of one request: an answer or an error, in one shape for all providers.

    Attributes:
        custom_id: the `custom_id` of the request.
        text: the answer's text.
        tool_calls: `{"id", "name", "arguments"}` each; `arguments` is an object, or what the model wrote if it is not.
            A `signature` is the provider's seal of the thought behind the call.
        thoughts: the parts of `reasoning` with the provider's seals, in the form of `ThinkingContent`: put them
            in front of the assistant's turn when the conversation goes on.
        images: `{"media_type", "data"}` each, `data` in base64; or `{"url"}`.
        citations: the sources that the answer names, each as the provider has it.
        parsed: the text as data, where a schema or JSON was asked for; None if it does not fit.
        parse_error: why there is no such data, or why it could not be checked; the row has succeeded unless
            `invalid_retries` asked for more.
        embedding: the numbers of the (first) input, in results of embeddings only.
        embeddings: the numbers of each input, where there were several.
        finish_reason: why the model stopped; `finish_reason_raw` is the provider's word for it.
        request_id: the provider's id of the call, for its support desk.
        response: the provider's body, whole.
    """

    custom_id: str
    status: ResultStatus
    text: str | None = None
    tool_calls: list[JsonObject] = msgspec.field(default_factory=list)
    reasoning: str | None = None
    thoughts: list[JsonObject] = msgspec.field(default_factory=list)
    images: list[JsonObject] = msgspec.field(default_factory=list)
    citations: list[JsonObject] = msgspec.field(default_factory=list)
    parsed: Any = None
    parse_error: str | None = None
    refusal: str | None = None
    finish_reason: FinishReason | None = None
    finish_reason_raw: str | None = None
    usage: Usage | None = None
    model: str | None = None
    request_id: str | None = None
    error: ResultError | None = None
    response: Any = None
    embedding: list[float] | msgspec.UnsetType = msgspec.UNSET
    embeddings: list[list[float]] | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        if self.response is None and self.status is _SUCCEEDED:
            raise ValidationError("a succeeded result needs a response")
        if self.error is None and self.status is _ERRORED:
            raise ValidationError("an errored result needs an error")

    def is_successful(self) -> bool:
        """Whether the request was answered."""
        return self.status is _SUCCEEDED

    def parse(self, kind: type[_T]) -> _T:
        """The answer as an instance of a class: a pydantic model, a dataclass, a TypedDict, a msgspec.Struct...

        Raises:
            ValidationError: there is no answer, or it does not fit; says what the model wrote.
        """
        try:
            data = self.parsed if self.parsed is not None else read_json(self._written_text())
            instance: _T = instance_of(kind, data)
        except ValueError as error:
            wrote = f"; the model wrote {printable(self.text, _SHOWN)!r}" if self.text else ""
            raise ValidationError(
                f"custom_id {printable(self.custom_id, _SHOWN)!r}: the answer is no {name_of(kind)}: "
                f"{printable(str(error), _SHOWN)}{wrote}"
            ) from error
        return instance

    def _written_text(self) -> str:
        if self.text is not None:
            return self.text
        if self.error is not None:
            raise ValueError(f"there is none: {self.error.message}")
        raise ValueError(f"it has no text (finish_reason {self.finish_reason_raw})")

    def get_content(self) -> str | None:
        """The answer's text; None where there is none."""
        return self.text

    def to_message(self) -> UnifiedMessage:
        """The answer as the assistant's turn, so that the conversation can go on: its thoughts, text and tool calls.

        Arguments that are no object (a custom tool's input) are put in one: `{"input": ...}`.

        Raises:
            ValidationError: the answer has none of them, or a call without an id or a name.
        """
        parts: list[Content] = [ThinkingContent(**thought) for thought in self.thoughts]
        if self.text:
            parts.append(TextContent(text=self.text))
        parts += [ToolCallContent(**call | {"arguments": _object(call.get("arguments"))}) for call in self.tool_calls]
        if not parts:
            raise ValidationError("the answer has no text, no thoughts and no tool calls: it makes no turn")
        return UnifiedMessage(role="assistant", content=parts)


def _object(arguments: Any) -> JsonObject:
    return arguments if isinstance(arguments, dict) else {"input": arguments}


#: A line of results as a record.
decode_result = msgspec.json.Decoder(UnifiedResult).decode
