"""What a user asks: one request, and the batch around it."""

from typing import Any

import msgspec

from ..exceptions import ValidationError
from .config import GenerationConfig
from .messages import UnifiedMessage


class UnifiedRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One request, in the form that all providers share.

    Attributes:
        custom_id: the user's name for it, unique in its batch; the result carries it.
        model: the provider's model id; where it is left out, the batch's model.
        messages: the turns so far.
        system_prompt: a text, or several that are joined by a blank line.
        generation_config: parameters; where one is left out, the batch's.
        provider_kwargs: keys that are merged into the provider's request body last.
    """

    custom_id: str
    model: str | None = None
    messages: list[UnifiedMessage]
    system_prompt: str | list[str] | None = None
    generation_config: GenerationConfig | None = None
    provider_kwargs: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.custom_id:
            raise ValidationError("custom_id must not be empty")
        if self.model is not None and not self.model:
            raise ValidationError("model must not be empty")
        if not self.messages:
            raise ValidationError("messages must not be empty")
        if self.messages[0].__class__ is not UnifiedMessage:
            raise ValidationError("messages must be a list of UnifiedMessage")

    def to_dict(self) -> dict[str, Any]:
        """The request as plain data; what is left at its default is left out."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


class UnifiedBatchMetadata(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Requests on their way to one provider, with the user's own notes about them."""

    provider: str
    requests: list[UnifiedRequest]
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.requests:
            raise ValidationError("requests must not be empty")
        seen: set[str] = set()
        repeated = {r.custom_id for r in self.requests if r.custom_id in seen or seen.add(r.custom_id)}  # type: ignore[func-returns-value]
        if repeated:
            raise ValidationError(f"custom_id must be unique; repeated: {', '.join(sorted(repeated))}")

    def get_request_count(self) -> int:
        """How many requests the batch holds."""
        return len(self.requests)
