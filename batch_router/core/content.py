"""The parts of a message."""

from typing import Annotated, Literal

from msgspec import Meta

from ..exceptions import UnsupportedContentTypeError
from .record import JsonObject, Record

# Where a provider caches prompts by markers (Anthropic), the prompt up to a part with one is cached.
_CacheControl = JsonObject | None


class TextContent(Record, frozen=True, kw_only=True, tag_field="type", tag="text", omit_defaults=True):
    """Text.

    Attributes:
        cache_control: the end of a prompt's part that the provider should cache: `{"type": "ephemeral"}`.
    """

    text: str
    cache_control: _CacheControl = None

    @property
    def type(self) -> Literal["text"]:
        """The part's tag on the wire."""
        return "text"


class ImageContent(Record, frozen=True, kw_only=True, tag_field="type", tag="image", omit_defaults=True):
    """An image.

    Attributes:
        source_type: whether `data` holds the image or is its URL.
        media_type: `image/jpeg`, `image/png`, `image/gif` or `image/webp`.
        data: base64 without the `data:` prefix, or a URL.
        detail: how closely to look (`low`, `high`, `auto`), where the provider has such a setting.
        cache_control: as of a text.
    """

    source_type: Literal["base64", "url"]
    media_type: Annotated[str, Meta(pattern="^image/")]
    data: str
    detail: str | None = None
    cache_control: _CacheControl = None

    @property
    def type(self) -> Literal["image"]:
        """The part's tag on the wire."""
        return "image"


class DocumentContent(Record, frozen=True, kw_only=True, tag_field="type", tag="document", omit_defaults=True):
    """A PDF.

    Attributes:
        source_type: whether `data` holds the document or is its URL.
        media_type: `application/pdf`.
        data: base64 without the `data:` prefix, or a URL.
        filename: of the document, which the model sees.
        cache_control: as of a text.
    """

    source_type: Literal["base64", "url"]
    media_type: str
    data: str
    filename: str | None = None
    cache_control: _CacheControl = None

    @property
    def type(self) -> Literal["document"]:
        """The part's tag on the wire."""
        return "document"


class ThinkingContent(Record, frozen=True, kw_only=True, tag_field="type", tag="thinking", omit_defaults=True):
    """What the model thought in an earlier turn; the `thoughts` of a result have the same fields.

    A provider that signs thoughts reads its own again in the next turn; another one cannot.

    Attributes:
        text: the thought, or its summary; may be empty.
        signature: the provider's seal of it.
        data: the thought itself, encrypted.
        id: the provider's name of it.
    """

    text: str = ""
    signature: str | None = None
    data: str | None = None
    id: str | None = None

    @property
    def type(self) -> Literal["thinking"]:
        """The part's tag on the wire."""
        return "thinking"


class ToolCallContent(Record, frozen=True, kw_only=True, tag_field="type", tag="tool_call", omit_defaults=True):
    """A call of a tool by the assistant in an earlier turn; the `tool_calls` of a result have the same fields.

    Attributes:
        id: ties the tool's result to this call.
        arguments: as the model gave them.
        signature: the provider's seal of the thought behind the call.
        cache_control: as of a text.
    """

    id: str
    name: str
    arguments: JsonObject
    signature: str | None = None
    cache_control: _CacheControl = None

    @property
    def type(self) -> Literal["tool_call"]:
        """The part's tag on the wire."""
        return "tool_call"


class ToolResultContent(Record, frozen=True, kw_only=True, tag_field="type", tag="tool_result", omit_defaults=True):
    """What a tool returned; it belongs in a turn of the user.

    Attributes:
        tool_call_id: the call that it answers.
        content: the outcome: a text (JSON where it is data), or parts.
        name: the tool's name, where the call itself is not among the messages.
        is_error: whether the tool failed.
        cache_control: as of a text.
    """

    tool_call_id: str
    content: str | list[TextContent | ImageContent | DocumentContent]
    name: str | None = None
    is_error: bool = False
    cache_control: _CacheControl = None

    @property
    def type(self) -> Literal["tool_result"]:
        """The part's tag on the wire."""
        return "tool_result"

    def get_text(self) -> str:
        """The outcome as one text.

        Raises:
            UnsupportedContentTypeError: a part of it is no text.
        """
        if isinstance(self.content, str):
            return self.content
        texts = [part.text for part in self.content if isinstance(part, TextContent)]
        if len(texts) < len(self.content):
            raise UnsupportedContentTypeError("tool_result: its content must be text here; send the rest as a turn")
        return "\n".join(texts)


Content = TextContent | ImageContent | DocumentContent | ThinkingContent | ToolCallContent | ToolResultContent
