"""What `doctor` finds."""

from typing import NamedTuple


class Finding(NamedTuple):
    """The result of one check; `remedy` is empty if there is nothing to do."""

    what: str
    found: str
    remedy: str = ""
