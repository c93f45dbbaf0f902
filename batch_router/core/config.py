"""Generation parameters, in one spelling for all providers."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .record import JsonObject, Record, to_plain

#: How long the model thinks before it answers; each provider has its own meaning of it in tokens.
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Tool(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A function that the model may call.

    Attributes:
        parameters: the arguments, as a JSON schema of an object, or a pydantic class.
        strict: whether the arguments must fit the schema exactly, where the provider can promise that.
        cache_control: the end of a prompt's part that the provider should cache: `{"type": "ephemeral"}`.
    """

    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: JsonObject = msgspec.field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None
    cache_control: JsonObject | None = None


class NamedTool(Record, frozen=True, kw_only=True):
    """The one tool that the model must call."""

    name: str


class OutputSchema(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The form of the answer's text: JSON that fits a schema.

    Attributes:
        schema: a JSON schema, or a pydantic class.
        name: of the form, which the model sees.
        description: of the form, which the model sees, where the provider has a place for it.
        strict: whether the provider must enforce it; OpenAI then wants every property required and no others allowed.
    """

    schema: JsonObject
    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")] = "output"
    description: str | None = None
    strict: bool | None = None


class GenerationConfig(Record, frozen=True, kw_only=True, omit_defaults=True):
    """How to generate. A parameter left out is not sent: the provider's default holds.

    Attributes:
        max_tokens: the most tokens to generate, reasoning included where the provider counts it.
        stop_sequences: texts at which generation stops.
        seed: makes answers repeatable, as far as the provider supports it.
        tools: what the model may call; the calls come back in `UnifiedResult.tool_calls`.
        tool_choice: whether it may (`auto`), must not (`none`), must (`required`), or must call the one that is named.
        output_schema: the form of the answer.
        json_object: the answer is a JSON object of any form.
        service_tier: the provider's word for how soon and at what price it answers.
    """

    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=1)] | None = None
    stop_sequences: list[str] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    seed: int | None = None
    reasoning_effort: ReasoningEffort | None = None
    tools: Annotated[list[Tool], Meta(min_length=1)] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedTool | None = None
    output_schema: OutputSchema | None = None
    json_object: bool | None = None
    service_tier: str | None = None

    def to_dict(self) -> JsonObject:
        """The parameters that are set, as plain data."""
        return to_plain(self)

    def over(self, defaults: "GenerationConfig") -> "GenerationConfig":
        """This configuration, with the parameters of `defaults` where it has none."""
        own = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}
        return msgspec.structs.replace(defaults, **own)
