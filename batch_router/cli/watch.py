"""`batch-router status` and `watch`: how batches stand, and their end."""

import time
from collections.abc import Callable, Sequence

import click

from ..client import BatchClient
from ..core import BatchStatus, BatchStatusResponse
from ..exceptions import BatchTimeoutError
from ..operations.waiting import pauses
from .display import follow, print_status, summary
from .exit_codes import ExitCode
from .options import batch_argument, batches_argument, json_option, open_client, whole_id
from .terminal import say, stderr, stdout, tell, tell_json


@click.command()
@batch_argument
@json_option
def status(batch_id: str, as_json: bool) -> int:
    """Show the state of a batch, why it does not move, and why rows have no answer."""
    client = open_client()
    found = client.status(whole_id(client, batch_id))
    if as_json:
        tell_json(found)
    else:
        print_status(stdout(), found)
    return exit_code_of(found)


@click.command()
@batches_argument
@click.option("--timeout", type=float, help="Stop watching after this many seconds; the batches continue.")
@json_option
def watch(batch_ids: Sequence[str], timeout: float | None, as_json: bool) -> int:
    """Wait for the end of one or more batches, and show their progress."""
    client = open_client()
    ids = dict.fromkeys(whole_id(client, each) for each in batch_ids)
    return wait_for(client, [*ids], as_json, timeout)


def wait_for(client: BatchClient, batch_ids: Sequence[str], as_json: bool, timeout: float | None = None) -> ExitCode:
    """Wait for the end of batches; the highest of their exit codes. An interrupt ends the wait alone."""
    try:
        with follow(stderr()) as show:
            ended = _wait(client, batch_ids, timeout, show)
    except KeyboardInterrupt:
        say_how_to_come_back(batch_ids, f"watch {' '.join(batch_ids)}")
        raise
    for each in ended:
        if as_json:
            tell_json(each)
        else:
            tell(each.batch_id)
            say(summary(each))
    return max(map(exit_code_of, ended))


def say_how_to_come_back(batch_ids: Sequence[str], command: str) -> None:
    """What a user reads who interrupts a wait; the command takes it up again."""
    what = "the batch goes on" if len(batch_ids) == 1 else "the batches go on"
    say(f"{what}; to come back: batch-router {command}")


def _wait(
    client: BatchClient, batch_ids: Sequence[str], timeout: float | None, show: Callable[..., None]
) -> Sequence[BatchStatusResponse]:
    found: dict[str, BatchStatusResponse] = {}
    for pause in pauses(timeout):
        time.sleep(pause)
        for each in batch_ids:
            if each not in found or not found[each].is_complete():
                found[each] = client.status(each)
        show(*found.values())
        if all(each.is_complete() for each in found.values()):
            return [*found.values()]
    raise BatchTimeoutError(", ".join(each for each in batch_ids if not found[each].is_complete()), timeout or 0)


def exit_code_of(status: BatchStatusResponse) -> ExitCode:
    """What the exit code says of a batch."""
    if status.status is BatchStatus.FAILED:
        return ExitCode.BATCH_FAILED
    if not status.is_complete():
        return ExitCode.NOT_FINISHED
    counts = status.request_counts
    return ExitCode.OK if counts.succeeded == counts.total else ExitCode.UNANSWERED
