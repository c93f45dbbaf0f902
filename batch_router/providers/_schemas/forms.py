"""A schema as it is sent, made once for all rows that share it."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

import msgspec

from ...core import OutputSchema, Tool
from ...exceptions import ValidationError

_Source = TypeVar("_Source", OutputSchema, Tool)
#: Bytes of a schema whose form is kept.
LARGEST = 64 << 10
# Forms that are kept: a batch has few schemas, or one of each row's own.
_MOST = 256

_encode = msgspec.json.Encoder().encode


class Written(NamedTuple):
    """A schema as it is sent.

    Attributes:
        value: what is sent.
        changed: the keywords of the schema that it has in another way, or lacks.
        member: the name that it is sent under, where the provider has several.
    """

    value: object
    changed: frozenset[str] = frozenset()
    member: str = ""


class Form(NamedTuple):
    """The same as JSON."""

    value: msgspec.Raw
    changed: frozenset[str] = frozenset()
    member: str = ""


class Forms(Generic[_Source]):
    """The forms of schemas.

    Args:
        kind: of what has the schema.
        make: its form: what is sent, and the keywords that were changed.
    """

    def __init__(self, kind: type[_Source], make: Callable[[_Source], Written]) -> None:
        self._make: Callable[[_Source], Written] = make
        self._decode: Callable[[bytes], _Source] = msgspec.json.Decoder(kind).decode
        self._known = lru_cache(_MOST)(self._new_of)
        self._last: tuple[_Source | None, Form] = (None, Form(msgspec.Raw()))

    def of(self, source: _Source) -> Form:
        """The form of a schema.

        Raises:
            ValidationError: it has none; says why.
        """
        last, form = self._last
        if last is not source:
            encoded = _encode(source)
            form = self._known(encoded) if len(encoded) <= LARGEST else self._new(source)
            self._last = source, form
        return form

    def _new_of(self, encoded: bytes) -> Form:
        return self._new(self._decode(encoded))

    def _new(self, source: _Source) -> Form:
        try:
            made = self._make(source)
        except (AttributeError, KeyError, TypeError) as error:  # a keyword's value has another type than JSON schema's
            raise ValidationError(f"generation_config: {_where(source)} is no JSON schema: {error}") from None
        return Form(msgspec.Raw(_encode(made.value)), made.changed, made.member)


def _where(source: OutputSchema | Tool) -> str:
    return "output_schema" if isinstance(source, OutputSchema) else f"the parameters of the tool {source.name}"


class Schemas(NamedTuple):
    """How a provider takes schemas.

    Attributes:
        output: of the answer.
        tool: of a tool's arguments, or the whole tool.
    """

    output: Forms[OutputSchema]
    tool: Forms[Tool]

    def changes(self, output: OutputSchema | None, tools: Iterable[Tool] = ()) -> list[str]:
        """What of these schemas is sent in another way than they say it, by name: `output_schema.minLength`.

        Raises:
            ValidationError: the provider does not take one of them; says why.
        """
        changed = [f"tools.{name}" for tool in tools for name in self.tool.of(tool).changed]
        if output is not None:
            changed += [f"output_schema.{name}" for name in self.output.of(output).changed]
        return changed
