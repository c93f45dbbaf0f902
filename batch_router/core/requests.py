"""What a user asks: one request, and the batch around it."""

from collections import Counter
from typing import Annotated

import msgspec
from msgspec import Meta

from ..exceptions import ValidationError
from .config import GenerationConfig, written_config
from .content import TextContent
from .enums import Endpoint
from .messages import UnifiedMessage
from .record import JsonObject, Record, to_plain


class UnifiedRequest(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One request, in the form that all providers share.

    Attributes:
        custom_id: the user's name for it, unique in its batch, of up to 512 characters; the result carries it.
        model: the provider's model id; where it is left out, the batch's model.
        endpoint: what is asked for; where it is left out, the batch's endpoint, or `chat`. A batch may mix them.
        messages: the turns so far.
        system_prompt: a text, or several (texts or text parts) that are joined by a blank line.
        generation_config: parameters; where one is left out, the batch's.
        provider_kwargs: keys that are merged into the provider's request body last.
    """

    custom_id: Annotated[str, Meta(min_length=1, max_length=512)]
    model: Annotated[str, Meta(min_length=1)] | None = None
    endpoint: Endpoint | None = None
    messages: Annotated[list[UnifiedMessage], Meta(min_length=1)]
    system_prompt: str | list[str | TextContent] | None = None
    generation_config: GenerationConfig | None = None
    provider_kwargs: JsonObject = msgspec.field(default_factory=dict)

    @classmethod
    def _written(cls, fields: dict[str, object]) -> dict[str, object]:
        return written_request(fields)

    @property
    def system_text(self) -> str | None:
        """The system prompt as one text."""
        prompt = self.system_prompt
        if prompt is None or isinstance(prompt, str):
            return prompt
        return "\n\n".join(part if isinstance(part, str) else part.text for part in prompt)

    def to_dict(self) -> JsonObject:
        """The request as plain data; what is at its default is left out."""
        return to_plain(self)


def written_request(request: dict[str, object]) -> dict[str, object]:
    """A request's fields as JSON has them, where classes or JSON schemas stand for output schemas and in tools.

    Raises:
        ValidationError: a class has no JSON schema.
    """
    config = request.get("generation_config")
    return {**request, "generation_config": written_config(config)} if isinstance(config, dict) else request


class UnifiedBatchMetadata(Record, frozen=True, kw_only=True):
    """Requests on their way to one provider, with the user's own notes about them."""

    provider: str
    requests: Annotated[list[UnifiedRequest], Meta(min_length=1)]
    metadata: JsonObject = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        counts = Counter(request.custom_id for request in self.requests)
        repeated = sorted(custom_id for custom_id, count in counts.items() if count > 1)
        if repeated:
            raise ValidationError(f"custom_id must be unique; repeated: {', '.join(repeated)}")

    def get_request_count(self) -> int:
        """How many requests the batch holds."""
        return len(self.requests)
