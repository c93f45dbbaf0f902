"""A command that would lose something does it only with `--yes`."""

import click

from ..exceptions import ValidationError

yes = click.option("--yes", is_flag=True, help="Do it, though something may be lost: without this, only what is said.")


def needs_yes(given: bool, what: str) -> None:
    """Refuse without `--yes`.

    Raises:
        ValidationError: says what would be lost.
    """
    if not given:
        raise ValidationError(f"{what}; nothing was done: --yes does it")
