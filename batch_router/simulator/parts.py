"""What the tables of a scenario have in common."""

from typing import Annotated

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(ge=0)]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file; an unknown key is an error."""


class Calls(Part, frozen=True, kw_only=True):
    """With which calls something happens.

    Attributes:
        match: method and path below the provider's prefix, e.g. `POST /batches`, as a regular expression.
        after: how many matching calls come before the first of them.
        times: how many follow; None: all.
    """

    match: str = ".*"
    after: int = 0
    times: int | None = None
