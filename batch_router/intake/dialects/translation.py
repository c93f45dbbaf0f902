"""A unified request in the making, whatever dialect its row has."""

from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from ...core import Endpoint, GenerationConfig, Tool, UnifiedRequest
from ...core.record import explain
from ...exceptions import ValidationError
from ..losses import Loss, Translated
from .given import Given, misfit

_SHOWN_LOSSES = 10


class Translation:
    """Takes what a reader finds in a row.

    Attributes:
        losses: what the reader could not translate.
        calls: the tool calls so far.
    """

    def __init__(self) -> None:
        self.losses: list[Loss] = []
        self.calls = Calls()
        self._places: dict[str, str] = {}
        self._system: list[Any] = []
        self._turns: list[dict[str, Any]] = []
        self._config: dict[str, Any] = {}
        self._names: dict[str, str] = {}
        self._tools: list[Tool] = []

    def add_system(self, path: str, parts: list[Any]) -> None:
        """The parts of a system prompt, or of a system message in front: texts, or text parts as plain data."""
        self._places.setdefault("system_prompt", path)
        for part in parts:
            self._places[f"system_prompt[{len(self._system)}]"] = path
            self._system.append(part)

    @property
    def begun(self) -> bool:
        """Whether there is a turn."""
        return bool(self._turns)

    def add_turn(self, role: str, path: str, content: str | list[tuple[str, dict[str, Any]]]) -> None:
        """A turn of the user or of the assistant: a text, or parts as plain data with their paths; empty, it is none.

        Results of tools one after the other answer one turn's calls, and become one turn; a call joins the turn of the
        assistant before it.
        """
        if not content:
            return
        parts = content if isinstance(content, list) else []
        if parts and self._turns and self._turns[-1]["role"] == role and self._joins(parts):
            before = self._turns[-1]["content"]
            if isinstance(before, str):
                before = self._turns[-1]["content"] = [{"type": "text", "text": before}]
        else:
            self._places[f"messages[{len(self._turns)}]"] = path
            before = []
            self._turns.append({"role": role, "content": before if parts else content})
        number = len(self._turns) - 1
        for place, part in parts:
            self._places[f"messages[{number}].content[{len(before)}]"] = place
            before.append(part)

    def _joins(self, parts: list[tuple[str, dict[str, Any]]]) -> bool:
        kinds = {part["type"] for _, part in parts}
        if kinds == {"tool_result"}:
            before = self._turns[-1]["content"]
            return isinstance(before, list) and all(part["type"] == "tool_result" for part in before)
        return kinds == {"tool_call"}

    @contextmanager
    def all_needed(self) -> Iterator[list[tuple[str, dict[str, Any]]]]:
        """For what must not become empty: where parts were lost and none was kept, the last loss cannot be dropped."""
        before = len(self.losses)
        kept: list[tuple[str, dict[str, Any]]] = []
        yield kept
        if not kept and len(self.losses) > before:
            self.losses[-1] = self.losses[-1]._replace(needed=True)

    def set(self, field: str, value: object, path: str, name: str | None = None) -> None:
        """A parameter of `GenerationConfig`; None: it is left out."""
        if value is not None:
            self._config[field] = value
            self._places[f"generation_config.{field}"] = path
            self._names[field] = name or path.rpartition(".")[2]

    def add_tool(self, given: Given, tool: dict[str, Any]) -> None:
        """A tool as plain data, read from an object of the row."""
        made = given.make(Tool, {name: value for name, value in tool.items() if value is not None}, "tools")
        if made is not None:
            self._places[f"generation_config.tools[{len(self._tools)}]"] = given.path
            self._tools.append(made)

    def choose_tool(self, choice: str | dict[str, Any], given: Given, name: str) -> None:
        """Whether a tool must be called, or which one; called after all tools were added."""
        known = [tool.name for tool in self._tools]
        if isinstance(choice, dict) and choice.get("name") not in known:
            given.lose(name, "name one of the tools that are sent")
        elif known:
            self.set("tool_choice", choice, given.at(name))
        elif choice not in ("auto", "none"):
            given.lose(name, "there is no tool to call; leave it out")

    def finish(self, custom_id: Any, model: Any, endpoint: Endpoint | None, turns: str) -> Translated:
        """The request.

        Args:
            custom_id: the user's name for the row.
            model: that the row names.
            endpoint: what it asks for; None: it does not say.
            turns: path of the turns in the row.

        Raises:
            ValidationError: there is no turn in it, or its id is none.
        """
        if not self._turns:
            raise ValidationError(f"{turns}: at least one turn of the user is needed{_without(self.losses)}")
        request: dict[str, Any] = {
            "custom_id": custom_id, "model": model, "endpoint": endpoint, "messages": self._turns,
            "system_prompt": self._system_prompt(), "generation_config": self._build_config(),
        }  # fmt: skip
        try:
            return Translated(msgspec.convert(request, UnifiedRequest), self.losses, self._places)
        except msgspec.ValidationError as error:
            raise ValidationError(explain(error)) from None

    def _system_prompt(self) -> Any:
        return self._system[0] if len(self._system) == 1 and isinstance(self._system[0], str) else self._system or None

    def _build_config(self) -> GenerationConfig | None:
        if self._tools:
            self._config["tools"] = self._tools
        if not self._config:
            return None
        try:
            return msgspec.convert(self._config, GenerationConfig)
        except msgspec.ValidationError:
            fitting = {field: value for field, value in self._config.items() if self._fits(field, value)}
            return msgspec.convert(fitting, GenerationConfig) if fitting else None

    def _fits(self, field: str, value: object) -> bool:
        try:
            msgspec.convert({field: value}, GenerationConfig)
        except msgspec.ValidationError as error:
            self.losses.append(misfit(self._places[f"generation_config.{field}"], self._names[field], error))
            return False
        return True


class Calls:
    """The tool calls of a conversation, and which of them a result answers.

    Attributes:
        lost: ids of those that could not be translated: their results are lost with them.
    """

    def __init__(self) -> None:
        self.lost: set[str] = set()
        self._count = 0
        self._open: dict[str, deque[str]] = defaultdict(deque)

    def made(self, name: str, call_id: str | None = None) -> str:
        """The id of a call; one of ours where the dialect has none."""
        self._count += 1
        call_id = call_id or f"call_{self._count}"
        self._open[name].append(call_id)
        return call_id

    def answered(self, name: str, call_id: str | None = None) -> str:
        """The id of the call that a result of a tool answers: without an id, the first open one of that tool."""
        pending = self._open[name]
        return call_id or (pending.popleft() if pending else self.made(name))


def _without(losses: list[Loss]) -> str:
    if not losses:
        return ""
    told = "; ".join(f"{loss}: {loss.remedy}" for loss in losses[:_SHOWN_LOSSES])
    return f"; none is left without what only the row's own provider takes: {told}"
