"""A command that would lose something asks first, on a terminal; elsewhere it wants `--yes`."""

import sys

import click

from ..exceptions import ValidationError
from .terminal import say

yes = click.option("--yes", is_flag=True, help="Do it, though something may be lost; without this, it asks or refuses.")


def needs_yes(given: bool, what: str) -> None:
    """Go on only with `--yes`, or where a person at a terminal says so.

    Args:
        given: whether there was a `--yes`.
        what: would be lost.

    Raises:
        ValidationError: says what would be lost.
    """
    if given:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ValidationError(f"{what}; nothing was done: --yes does it")
    say(what)
    if not click.confirm("Do it?", err=True):
        raise ValidationError("nothing was done")
