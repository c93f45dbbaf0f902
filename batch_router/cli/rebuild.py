"""`batch-router rebuild`: batches of a lost Redis, found again in storage."""

from contextlib import closing

import click

from ..connect import open_context
from ..operations.rebuild import rebuild as rebuild_store
from ..settings import Settings
from .exit_codes import ExitCode
from .options import json_option
from .terminal import say, tell_fact


@click.command()
@click.option("--store", metavar="NAME", help="Of several stores that the storage knows, the one that is lost.")
@click.option("--yes", is_flag=True, help="Also into a store that has batches; no other store may work on them.")
@json_option
def rebuild(store: str | None, yes: bool, as_json: bool) -> int:
    """Put all batches that a lost store had taken into this one, from what lies in storage; prints their ids.

    Batches that had ended are there as they ended. The others are cut again, and each job that the provider or the
    storage still has is found: nothing is paid twice.
    """
    with closing(open_context(Settings.from_env())) as context:
        done = rebuild_store(context, store, into_others=yes)
    for batch_id in done.restored:
        tell_fact(as_json, batch_id=batch_id)
    say(f"{len(done.restored)} batches were restored")
    for name in done.never_accepted:
        say(f"no store took this submission, and its caller heard so: {name}")
    return ExitCode.OK
