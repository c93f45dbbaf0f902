"""Reading JSON objects so that nothing of them disappears."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from ..losses import LEAVE_OUT, Loss

_T = TypeVar("_T")
#: Names, and the values that say no more than leaving them out.
Defaults = Mapping[str, tuple[object, ...]]

_KINDS: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}


def _same(name: str) -> str:
    return name


class Given:
    """A JSON object in another provider's dialect. Its members are taken by name; what is left is lost by name.

    Null and empty lists say nothing: they count as left out.

    Args:
        members: the object.
        path: where it is in the row.
        losses: takes what is lost.
        spell: the name by which a member is taken, of the name that the row has.
    """

    def __init__(
        self, members: dict[str, Any], path: str, losses: list[Loss], spell: Callable[[str], str] = _same
    ) -> None:
        self._left: dict[str, Any] = {}
        self._written = {spell(name): name for name in members} if spell is not _same else {}
        for name, value in members.items():
            if value is None or value == []:
                continue
            if self._written.get(spell(name), name) != name:
                losses.append(Loss(f"{path}.{name}", name, "it is given in another spelling, too; keep one"))
            else:
                self._left[spell(name)] = value
        self._spell = spell
        self.path = path
        self.losses = losses

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def at(self, name: str) -> str:
        """Where a member is in the row."""
        return f"{self.path}.{self._written.get(name, name)}"

    def take(self, name: str) -> Any:
        """A member of any type; None: there is none."""
        return self._left.pop(name, None)

    def text(self, name: str) -> str | None:
        """A member that is a text."""
        return self._typed(name, str)

    def member(self, name: str) -> "Given | None":
        """A member that is an object."""
        members = self._typed(name, dict)
        return None if members is None else Given(members, self.at(name), self.losses, self._spell)

    def kept(self, name: str) -> dict[str, Any] | None:
        """A member that is an object and goes on as it stands: a schema, a cache marker."""
        return self._typed(name, dict)

    def items(self, name: str) -> list[tuple[str, Any]]:
        """The items of a member that is a list, each with its path."""
        items = self._typed(name, list)
        return [(f"{self.at(name)}[{number}]", item) for number, item in enumerate(items or ())]

    def members(self, name: str) -> "list[Given]":
        """The same of a list of objects."""
        found = [self.inner(item, path) for path, item in self.items(name)]
        return [item for item in found if item is not None]

    def inner(self, value: Any, path: str) -> "Given | None":
        """An object further inside; None, and it is lost: it is none."""
        if isinstance(value, dict):
            return Given(value, path, self.losses, self._spell)
        self.losses.append(Loss(path, path.rpartition(".")[2].partition("[")[0], "give an object"))
        return None

    def lose(self, name: str, remedy: str = LEAVE_OUT, *, kind: str | None = None) -> None:
        """Note a member that cannot be translated, taken or not."""
        self._left.pop(name, None)
        self.losses.append(Loss(self.at(name), kind or self._written.get(name, name), remedy))

    def lose_all(self, kind: str, remedy: str = LEAVE_OUT, *, is_content: bool = False) -> None:
        """Note that the whole object cannot be translated."""
        self._left.clear()
        self.losses.append(Loss(self.path, kind, remedy, is_content))

    def close(self, defaults: Defaults | None = None) -> None:
        """Note what was not taken, but for what says nothing."""
        for name, value in list(self._left.items()):
            if not _says_nothing(value, (defaults or {}).get(name, ())):
                self.lose(name)

    def make(self, kind: type[_T], value: object, name: str) -> _T | None:
        """A value as one of our types; None, and it is lost under a name: it does not fit."""
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            self.losses.append(misfit(self.path, name, error))
            return None

    def _typed(self, name: str, kind: type[_T]) -> _T | None:
        value = self.take(name)
        if value is None or isinstance(value, kind):
            return value
        self.lose(name, f"give {_KINDS[kind]}")
        return None


def misfit(path: str, name: str, error: msgspec.ValidationError) -> Loss:
    """The loss of a value that does not fit a type of ours."""
    what, _, _ = str(error).partition(" - at `$")
    return Loss(path, name, what[:1].lower() + what[1:])


def _says_nothing(value: object, defaults: tuple[object, ...]) -> bool:
    return any(value == default and isinstance(value, bool) == isinstance(default, bool) for default in defaults)
