"""Generation parameters, in one spelling for all providers."""

from typing import Any

import msgspec

from ..exceptions import ValidationError

_UNBOUNDED = float("inf")
_BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "max_tokens": (1, _UNBOUNDED),
    "top_p": (0, 1),
    "top_k": (1, _UNBOUNDED),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}


class GenerationConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """How to generate. A parameter left out is not sent: the provider's default holds.

    Attributes:
        temperature: 0 to 2.
        max_tokens: the most tokens to generate, reasoning included where the provider counts it.
        top_p: 0 to 1.
        top_k: at least 1.
        stop_sequences: texts at which generation stops.
        presence_penalty: -2 to 2.
        frequency_penalty: -2 to 2.
    """

    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None

    def __post_init__(self) -> None:
        # One expression, since this runs once per row; which bound it was is found out only when one is broken.
        if not (
            (self.temperature is None or 0 <= self.temperature <= 2)
            and (self.max_tokens is None or self.max_tokens >= 1)
            and (self.top_p is None or 0 <= self.top_p <= 1)
            and (self.top_k is None or self.top_k >= 1)
            and (self.presence_penalty is None or -2 <= self.presence_penalty <= 2)
            and (self.frequency_penalty is None or -2 <= self.frequency_penalty <= 2)
        ):
            self._refuse()

    def _refuse(self) -> None:
        for name, (lowest, highest) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not lowest <= value <= highest:
                span = f"between {lowest} and {highest}" if highest < _UNBOUNDED else f"at least {lowest}"
                raise ValidationError(f"{name} must be {span}, not {value}")

    def to_dict(self) -> dict[str, Any]:
        """The parameters that are set."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}

    def over(self, defaults: "GenerationConfig") -> "GenerationConfig":
        """This configuration, with `defaults` for whatever it leaves out."""
        return GenerationConfig(**(defaults.to_dict() | self.to_dict()))
