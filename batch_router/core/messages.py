"""One turn of a conversation."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ..exceptions import ValidationError
from .content import Content, TextContent
from .record import JsonObject, Record


class UnifiedMessage(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A turn of the user or of the assistant; the system prompt belongs to the request.

    Attributes:
        role: who speaks.
        content: a text, or a list of parts.
        provider_kwargs: keys that are merged into the provider's message last.
    """

    role: Literal["user", "assistant"]
    content: Annotated[str, Meta(min_length=1)] | Annotated[list[Content], Meta(min_length=1)]
    provider_kwargs: JsonObject = msgspec.field(default_factory=dict)

    @classmethod
    def from_text(cls, role: Literal["user", "assistant"], text: str, **provider_kwargs: Any) -> "UnifiedMessage":
        """A message of one text part."""
        return cls(role=role, content=[TextContent(text=text)], provider_kwargs=provider_kwargs)

    def is_text_only(self) -> bool:
        """Whether the message is a single text."""
        return isinstance(self.content, str) or (len(self.content) == 1 and isinstance(self.content[0], TextContent))

    def get_text(self) -> str:
        """The text of a text-only message.

        Raises:
            ValidationError: the message holds something else.
        """
        if isinstance(self.content, str):
            return self.content
        if len(self.content) == 1 and isinstance(self.content[0], TextContent):
            return self.content[0].text
        raise ValidationError("message is not text-only")
