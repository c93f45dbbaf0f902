"""`batch-router storage`: where the payloads of the store lie, and the change to another storage."""

from contextlib import closing

import click

from ..connect import open_context
from ..road.storage_mark import bind_here, check
from ..settings import Settings
from .confirm import needs_yes, yes
from .exit_codes import ExitCode
from .options import json_option
from .terminal import tell, tell_json


@click.command()
@click.option("--move", is_flag=True, help="Bind the store to the storage that this process has.")
@yes
@json_option
def storage(move: bool, yes: bool, as_json: bool) -> int:
    """Show which storage the store is bound to, or bind it to this one.

    A folder that was moved keeps its mark, and needs no --move: set BATCH_ROUTER_HOME to its new place.
    """
    with closing(open_context(Settings.from_env())) as context:
        if move:
            here = context.storage.address
            needs_yes(yes, f"workers with another storage than {here} end, and batches whose files are not in it fail")
            bind_here(context)
        bound = context.store.bound_storage()
        if as_json:
            tell_json({"version": 1, "bound": bound and bound._asdict()})
        else:
            tell(f"{bound.address} (mark {bound.mark})" if bound else "none yet: the first worker decides")
        check(context)
    return ExitCode.OK
