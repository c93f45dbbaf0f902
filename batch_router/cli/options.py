"""What several commands take: the id of a batch, which may be cut short, and `--json`."""

from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem

from ..client import BatchClient
from ..exceptions import BatchRouterError, ValidationError

# Ids that a shell offers, and that an ambiguous beginning is told.
_OFFERED, _TOLD = 50, 5

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def complete_id(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The newest batches whose ids begin like this; none where there is no server to ask."""
    try:
        with BatchClient() as client:
            return [CompletionItem(each) for each in client.ids(begun, _OFFERED)]
    except BatchRouterError:
        return []


batch_argument = click.argument("batch_id", metavar="ID", shell_complete=complete_id)
batches_argument = click.argument("batch_ids", metavar="ID...", nargs=-1, required=True, shell_complete=complete_id)
optional_batch_argument = click.argument("batch_id", metavar="[ID]", required=False, shell_complete=complete_id)
item_argument = click.argument("item_id", metavar="ID", shell_complete=complete_id)


def open_client() -> BatchClient:
    """The client of a command, closed with it."""
    return click.get_current_context().with_resource(BatchClient())


def whole_id(client: BatchClient, given: str) -> str:
    """The id of a batch or a shard, of which the batch's part may be cut short; what no batch has is as it was given.

    Raises:
        ValidationError: several batches begin like this.
    """
    begun, dot, number = given.partition(".")
    found = client.ids(begun, _TOLD + 1) if begun else []
    if len(found) > 1 and found[0] != begun:
        raise ValidationError(f"{begun} begins the ids of several batches: {_listed(found)}; give more of the id")
    return f"{found[0]}{dot}{number}" if found else given


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_TOLD]) + (" and others" if len(ids) > _TOLD else "")
