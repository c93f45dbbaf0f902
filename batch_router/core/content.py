"""The parts of a message."""

from typing import Annotated, Literal

from msgspec import Meta

from .record import JsonObject, Record


class TextContent(Record, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """Text."""

    text: str

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
    """

    source_type: Literal["base64", "url"]
    media_type: Annotated[str, Meta(pattern="^image/")]
    data: str
    detail: str | None = None

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
    """

    source_type: Literal["base64", "url"]
    media_type: str
    data: str
    filename: str | None = None

    @property
    def type(self) -> Literal["document"]:
        """The part's tag on the wire."""
        return "document"


class ToolCallContent(Record, frozen=True, kw_only=True, tag_field="type", tag="tool_call"):
    """A call of a tool by the assistant in an earlier turn; the `tool_calls` of a result have the same fields.

    Attributes:
        id: ties the tool's result to this call.
        arguments: as the model gave them.
    """

    id: str
    name: str
    arguments: JsonObject

    @property
    def type(self) -> Literal["tool_call"]:
        """The part's tag on the wire."""
        return "tool_call"


class ToolResultContent(Record, frozen=True, kw_only=True, tag_field="type", tag="tool_result", omit_defaults=True):
    """What a tool returned; it belongs in a turn of the user.

    Attributes:
        tool_call_id: the call that it answers.
        content: the outcome, as text; JSON where it is data.
        name: the tool's name, where the call itself is not among the messages.
        is_error: whether the tool failed.
    """

    tool_call_id: str
    content: str
    name: str | None = None
    is_error: bool = False

    @property
    def type(self) -> Literal["tool_result"]:
        """The part's tag on the wire."""
        return "tool_result"


Content = TextContent | ImageContent | DocumentContent | ToolCallContent | ToolResultContent
