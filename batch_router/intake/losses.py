"""What a row says and the provider that it goes to does not take."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from ..core import UnifiedRequest

LEAVE_OUT = "leave it out"


class Loss(NamedTuple):
    """One such thing.

    Attributes:
        path: where the row says it: `body.messages[0].name`.
        name: under which it is counted when it is dropped: a key, a kind of part, item or tool.
        remedy: what the user can do instead.
        is_content: whether it is a part of a message.
        needed: whether the row makes no sense without it: it cannot be dropped.
    """

    path: str
    name: str
    remedy: str = LEAVE_OUT
    is_content: bool = False
    needed: bool = False

    def __str__(self) -> str:
        """Where and what it is."""
        return self.path if self.path.endswith(self.name) else f"{self.path}: {self.name}"


class Translated(msgspec.Struct, frozen=True, gc=False):
    """A row of another provider's batch file, as a unified request.

    Attributes:
        request: what could be translated.
        losses: all that a unified request has no place for.
        places: path in the request -> path in the row that it came from.
    """

    request: UnifiedRequest
    losses: list[Loss]
    places: Mapping[str, str]

    @property
    def custom_id(self) -> str:
        """The user's name for it."""
        return self.request.custom_id

    @property
    def model(self) -> str | None:
        """The model that it names."""
        return self.request.model


def place_of(path: str, places: Mapping[str, str]) -> str:
    """Where the row says what stands at a path of the request."""
    known = path
    while known and known not in places:
        known = known[: max(known.rfind("."), known.rfind("["), 0)]
    return places[known] + path[len(known) :] if known else path
