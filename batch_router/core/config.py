"""Generation parameters, in one spelling for all providers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from .classes import as_name, is_class, name_of, schema_of_class
from .record import JsonObject, Record, to_plain

#: How long the model thinks before it answers; each provider has its own meaning of it in tokens.
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


if TYPE_CHECKING:  # callers may give a class, or a JSON schema: see `_written`
    _Schema: TypeAlias = Any
    _OutputSchema: TypeAlias = Any
else:
    _Schema = JsonObject
    _OutputSchema = "OutputSchema | None"


class Tool(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A function that the model may call.

    Attributes:
        parameters: the arguments, as a JSON schema of an object, or a class: a pydantic model, a dataclass, a TypedDict
            or a msgspec.Struct.
        strict: whether the arguments must fit the schema exactly, where the provider can promise that; of a class, True
            by default.
        cache_control: the end of a prompt's part that the provider should cache: `{"type": "ephemeral"}`.
    """

    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: _Schema = msgspec.field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None
    cache_control: JsonObject | None = None

    @classmethod
    def _written(cls, fields: dict[str, object]) -> dict[str, object]:
        return _with_schema(fields, "parameters")


class NamedTool(Record, frozen=True, kw_only=True):
    """The one tool that the model must call."""

    name: str


class OutputSchema(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The form of the answer's text: JSON that fits a schema.

    Each provider gets the form of it that it accepts; the answer is checked against the schema as it is given here.

    Attributes:
        schema: a JSON schema, or a class: a pydantic model, a dataclass, a TypedDict, a msgspec.Struct, or what is made
            of them (`list[Label]`).
        name: of the form, which the model sees; of a class, its own name by default.
        description: of the form, which the model sees, where the provider has a place for it.
        strict: whether the provider must enforce it; of a class, True by default.
        google_form: the field in which it goes to Google: `schema` is `responseSchema`, with fewer keywords, and
            `json_schema` is `responseJsonSchema`; by default the former where the schema fits it.
    """

    schema: _Schema
    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")] = "output"
    description: str | None = None
    strict: bool | None = None
    google_form: Literal["schema", "json_schema"] | None = None

    @classmethod
    def _written(cls, fields: dict[str, object]) -> dict[str, object]:
        return _with_schema(fields, "schema")


class GenerationConfig(Record, frozen=True, kw_only=True, omit_defaults=True):
    """How to generate. A parameter left out is not sent: the provider's default holds.

    Attributes:
        max_tokens: the most tokens to generate, reasoning included where the provider counts it.
        stop_sequences: texts at which generation stops.
        seed: makes answers repeatable, as far as the provider supports it.
        tools: what the model may call; the calls come back in `UnifiedResult.tool_calls`.
        tool_choice: whether it may (`auto`), must not (`none`), must (`required`), or must call the one that is named.
        output_schema: the form of the answer: an `OutputSchema`, or a class or a JSON schema in its place.
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
    output_schema: _OutputSchema = None
    json_object: bool | None = None
    service_tier: str | None = None

    @classmethod
    def _written(cls, fields: dict[str, object]) -> dict[str, object]:
        return written_config(fields)

    def to_dict(self) -> JsonObject:
        """The parameters that are set, as plain data."""
        return to_plain(self)

    def over(self, defaults: "GenerationConfig") -> "GenerationConfig":
        """This configuration, with the parameters of `defaults` where it has none."""
        own = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}
        return msgspec.structs.replace(defaults, **own)


# Keywords that a JSON schema at least one of has; an `OutputSchema` as a dict has a `schema` instead.
_KEYWORDS = frozenset({"$ref", "$schema", "allOf", "anyOf", "const", "enum", "items", "oneOf", "properties", "type"})


def written_config(config: dict[str, object]) -> dict[str, object]:
    """The parameters as JSON has them, where a class or a JSON schema stands for an output schema, or in a tool.

    Raises:
        ValidationError: a class has no JSON schema.
    """
    written = dict(config)
    if (given := config.get("output_schema")) is not None:
        written["output_schema"] = written_schema(given)
    if isinstance(tools := config.get("tools"), list):
        written["tools"] = [_with_schema(tool, "parameters") if isinstance(tool, dict) else tool for tool in tools]
    return written


def written_schema(given: Any) -> Any:
    """An output schema as JSON has it, where a class or a JSON schema stands for it."""
    if is_class(given):
        return _with_schema({"schema": given}, "schema")
    if not isinstance(given, Mapping):
        return given
    if "schema" not in given and not _KEYWORDS.isdisjoint(given):
        title = given.get("title")
        return {"schema": given, **({"name": as_name(title)} if isinstance(title, str) else {})}
    return _with_schema(given, "schema")


def _with_schema(fields: Mapping[str, object], name: str) -> dict[str, object]:
    """The fields, with its schema in place of a class, which is named by itself and strict."""
    given = fields.get(name)
    if not is_class(given):
        return dict(fields)
    known = {"name": name_of(given), "strict": True}
    return {**known, **fields, name: schema_of_class(given)}
