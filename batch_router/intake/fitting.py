"""Requests without what a provider lacks."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from msgspec.structs import replace

from ..core import (
    DocumentContent,
    GenerationConfig,
    ImageContent,
    TextContent,
    ThinkingContent,
    ToolResultContent,
    UnifiedMessage,
    UnifiedRequest,
)
from ..core.content import Content
from ..core.media import plain_media_type
from .losses import Loss

_CONFIG_FIELDS = frozenset(GenerationConfig.__struct_fields__)
_MARKER = "cache_control"
# Fields that are looked at in any case: of two at least `attrgetter` makes a tuple.
_DOUBTFUL = ("json_object", "reasoning_effort")
# What a part may have beside its content -> what it is when it says nothing, the default first.
_ATTRIBUTES: Mapping[str, tuple[object, ...]] = {_MARKER: (None,), "detail": (None, "auto"), "is_error": (False,)}


class Fitting:
    """Takes out of requests what one endpoint of a provider lacks; see `Provider.endpoints` for the names.

    Args:
        lacks: what it does not take, with what the user can do instead.
        media_types: see `Provider.media_types`.
    """

    def __init__(self, lacks: Mapping[str, str], media_types: Mapping[str, tuple[str, ...]]) -> None:
        self._lacks = lacks
        self._media_types = media_types
        self._fields = [name for name in lacks if name in _CONFIG_FIELDS]
        self._words: dict[str, dict[str, str]] = {}
        self._kinds: set[str] = set()
        for name in lacks:
            head, _, word = name.partition(".")
            if word and head in _CONFIG_FIELDS:
                self._words.setdefault(head, {})[word] = name
            elif head not in _CONFIG_FIELDS:
                self._kinds.add(name)
        self._attributes = [(name, nothing) for name, nothing in _ATTRIBUTES.items() if name in lacks]
        self._takes_parts = not (self._kinds or media_types)
        marked = ["tools"] if _MARKER in lacks else []
        doubtful = {*_DOUBTFUL, *self._fields, *self._words, *marked}
        self._read_doubtful = attrgetter(*doubtful)
        self._nothing = (None,) * len(doubtful)

    def takes(self, request: UnifiedRequest) -> bool:
        """Whether a look is enough to see that the request has nothing of it; most have not."""
        config = request.generation_config
        if config is not None and self._read_doubtful(config) != self._nothing:
            return False
        if self._takes_parts:
            return True
        for message in request.messages:
            if message.content.__class__ is not str:
                return False
        return request.system_prompt.__class__ is not list

    def fit(self, request: UnifiedRequest, losses: list[Loss]) -> UnifiedRequest:
        """The request without it: the very same one, if there is none of it; `losses` takes what went."""
        config = request.generation_config
        if config is not None:
            request = self._fit_config(request, config, losses)
        if self._takes_parts:
            return request
        if request.system_prompt.__class__ is list:
            request = self._fit_system(request, losses)
        return self._fit_messages(request, losses)

    def _fit_config(self, request: UnifiedRequest, config: GenerationConfig, losses: list[Loss]) -> UnifiedRequest:
        for field in self._fields:
            if getattr(config, field) is not None:
                request = self._drop_field(request, field, self._lacks[field], losses)
        for field, words in self._words.items():
            if (word := getattr(config, field)) is not None and word in words:
                request = self._drop_field(request, field, self._lacks[words[word]], losses)
        if config.tools is not None and _MARKER in self._lacks:
            request = self._without_tool_markers(request, losses)
        return request

    @staticmethod
    def _drop_field(request: UnifiedRequest, field: str, remedy: str, losses: list[Loss]) -> UnifiedRequest:
        losses.append(Loss(f"generation_config.{field}", field, remedy))
        config = request.generation_config or GenerationConfig()
        return replace(request, generation_config=replace(config, **{field: None}))

    def _without_tool_markers(self, request: UnifiedRequest, losses: list[Loss]) -> UnifiedRequest:
        config = request.generation_config or GenerationConfig()
        tools = config.tools or []
        marked = [number for number, tool in enumerate(tools) if tool.cache_control is not None]
        losses += [Loss(f"generation_config.tools[{n}].{_MARKER}", _MARKER, self._lacks[_MARKER]) for n in marked]
        if not marked:
            return request
        plain = [replace(tool, cache_control=None) for tool in tools]
        return replace(request, generation_config=replace(config, tools=plain))

    def _fit_system(self, request: UnifiedRequest, losses: list[Loss]) -> UnifiedRequest:
        before = len(losses)
        parts = [
            part if isinstance(part, str) else self._without_attributes(part, f"system_prompt[{number}]", losses)
            for number, part in enumerate(request.system_prompt or ())
        ]
        return replace(request, system_prompt=parts) if len(losses) > before else request

    def _fit_messages(self, request: UnifiedRequest, losses: list[Loss]) -> UnifiedRequest:
        before = len(losses)
        messages: list[UnifiedMessage] = []
        for number, message in enumerate(request.messages):
            if isinstance(message.content, str):
                messages.append(message)
            elif fitted := self._fit_message(message, f"messages[{number}].content", losses):
                messages.append(fitted)
        if not messages:  # a request has at least one turn
            losses[-1] = losses[-1]._replace(needed=True)
            return request
        return replace(request, messages=messages) if len(losses) > before else request

    def _fit_message(self, message: UnifiedMessage, where: str, losses: list[Loss]) -> UnifiedMessage | None:
        """The turn; None: nothing is left of it."""
        before = len(losses)
        kept: list[Content] = []
        for number, part in enumerate(message.content):
            assert not isinstance(part, str)
            path = f"{where}[{number}]"
            loss = self._lacking(part, path, "", f"{message.role}.")
            if loss is not None:
                losses.append(loss)
                continue
            if self._attributes:
                part = self._without_attributes(part, path, losses)
            if isinstance(part, ToolResultContent) and not isinstance(part.content, str):
                part = self._fit_result(part, part.content, path, losses)
            kept.append(part)
        if len(losses) == before:
            return message
        return replace(message, content=kept) if kept else None

    def _lacking(self, part: Content, path: str, *prefixes: str) -> Loss | None:
        """The loss of a part; None: the provider takes it."""
        kind = kind_of(part)
        for prefix in prefixes:
            if (name := f"{prefix}{kind}") in self._kinds:
                return Loss(path, name, self._lacks[name], is_content=True)
        taken = self._media_types.get(part.type)
        if taken and isinstance(part, ImageContent | DocumentContent) and part.source_type == "base64":
            media_type = plain_media_type(part.media_type)
            if media_type not in taken:
                return Loss(path, media_type, f"convert it to one of {', '.join(taken)}", is_content=True)
        return None

    def _fit_result(
        self, result: ToolResultContent, parts: list[Any], path: str, losses: list[Loss]
    ) -> ToolResultContent:
        """A tool's result, which is never empty for want of a part that the provider does not take."""
        before = len(losses)
        kept: list[Any] = []
        for number, part in enumerate(parts):
            place = f"{path}.content[{number}]"
            if (loss := self._lacking(part, place, "tool_result.")) is not None:
                losses.append(loss)
            else:
                kept.append(self._without_attributes(part, place, losses))
        if parts and not kept:
            losses[-1] = losses[-1]._replace(needed=True)
            return result
        return replace(result, content=kept) if len(losses) > before else result

    def _without_attributes(self, part: Any, path: str, losses: list[Loss]) -> Any:
        for name, nothing in self._attributes:
            if getattr(part, name, nothing[0]) not in nothing:
                losses.append(Loss(f"{path}.{name}", name, self._lacks[name]))
                part = replace(part, **{name: nothing[0]})
        return part


def kind_of(part: Content) -> str:
    """What a part is, as `Provider.endpoints` names it: `image.url`, `document.base64`, `tool_call`..."""
    if isinstance(part, TextContent):
        return "text"
    if isinstance(part, ThinkingContent):
        return f"thinking.{_seal_of(part)}"
    source: str | None = getattr(part, "source_type", None)
    return f"{part.type}.{source}" if source else part.type


def _seal_of(thought: ThinkingContent) -> str:
    """How a thought is sealed, by which the providers' own differ."""
    if thought.id is not None:
        return "item"
    if thought.data is not None:
        return "encrypted"
    return "plain" if thought.signature is None else "signed"
