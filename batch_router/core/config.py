"""Generation parameters, in one spelling for all providers."""

from typing import Annotated, Any

from msgspec import Meta

from .record import Record


class GenerationConfig(Record, kw_only=True, omit_defaults=True):
    """How to generate. A parameter left out is not sent: the provider's default holds.

    Attributes:
        max_tokens: the most tokens to generate, reasoning included where the provider counts it.
        stop_sequences: texts at which generation stops.
    """

    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=1)] | None = None
    stop_sequences: list[str] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The parameters that are set."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}

    def over(self, defaults: "GenerationConfig") -> "GenerationConfig":
        """This configuration, with `defaults` for whatever it leaves out."""
        return GenerationConfig(**(defaults.to_dict() | self.to_dict()))
