"""What `doctor` finds."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One thing that was looked at; `remedy` is empty where all is well."""

    what: str
    found: str
    remedy: str = ""
