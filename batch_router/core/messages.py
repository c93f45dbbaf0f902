"""One turn of a conversation."""

from typing import Any, Literal

import msgspec

from ..exceptions import ValidationError
from .content import Content, DocumentContent, ImageContent, TextContent

_ROLES = ("user", "assistant")


class UnifiedMessage(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A turn of the user or of the assistant; the system prompt belongs to the request.

    Attributes:
        role: who speaks.
        content: a text, or a list of parts.
        provider_kwargs: keys that are merged into the provider's message last.
    """

    role: Literal["user", "assistant"]
    content: str | list[Content]
    provider_kwargs: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.role not in _ROLES:
            raise ValidationError(
                f"role must be 'user' or 'assistant', not {self.role!r}; "
                "a system prompt goes into the request's system_prompt"
            )
        if not self.content:
            raise ValidationError("content must not be empty")
        if self.content.__class__ is not str and not _are_parts(self.content):
            raise ValidationError("content must be a text or a list of content parts")

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


def _are_parts(content: object) -> bool:
    kinds = (TextContent, ImageContent, DocumentContent)
    return isinstance(content, list) and all(isinstance(part, kinds) for part in content)
