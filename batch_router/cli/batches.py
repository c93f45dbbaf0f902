"""The commands about batches: submit, convert, status, watch, results, list, retry, resolve, purge."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypedDict, Unpack, cast

import click
import msgspec

from ..client import BatchClient
from ..core import BatchStatus, BatchStatusResponse, Endpoint
from ..exceptions import BatchExpiredError, BatchFailedError
from ..intake.check import RowCheck, check_file, input_file
from ..intake.encode import Unsupported
from ..intake.options import SubmitOptions, read_options, with_schema
from ..providers import find_provider
from ..settings import Settings
from ..state.table import State
from .confirm import needs_yes, yes
from .display import follow, render, summary
from .exit_codes import ExitCode
from .standard_input import STREAM, file_of
from .tables import lines_of, read_schema, result_options, rows_of, table_options
from .terminal import say, stderr, stdout, table, tell, tell_json, tell_lines
from .waiting import client_with_workers

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


_QUARANTINED = 5  # items that `list` names
_ENDPOINTS = [endpoint.value for endpoint in Endpoint]


class _RowOptions(TypedDict):
    """What `_row_options` adds to a command, besides the file and the provider."""

    model: str | None
    replace_model: bool
    endpoint: Literal["chat", "responses", "embeddings"] | None
    system_prompt: str | None
    temperature: float | None
    max_tokens: int | None
    unsupported: Unsupported


class _BatchOptions(_RowOptions):
    """What `submit` takes besides."""

    batch_id: str | None
    idempotency_key: str | None
    row_retries: int
    invalid_retries: int
    credential: str | None
    timeout: float | None
    keep_remote: bool
    completion_window: str | None


def _row_options(command: Callable[..., int]) -> Callable[..., int]:
    """The options of the commands that read rows."""
    for option in reversed(
        (
            click.argument("file", type=click.Path(path_type=Path)),
            click.option("--provider", required=True, help="openai, anthropic, google, vllm ..."),
            click.option("--model", help="The model of rows without one."),
            click.option("--replace-model", is_flag=True, help="Take --model for all rows, whatever they name."),
            click.option(
                "--endpoint",
                type=click.Choice(_ENDPOINTS, case_sensitive=False),
                help="The endpoint of rows without one.",
            ),
            click.option("--system-prompt", help="The system prompt of rows without one."),
            click.option("--temperature", type=float, help="For rows without one."),
            click.option("--max-tokens", type=int, help="For rows without one."),
            click.option(
                "--unsupported",
                type=click.Choice(["error", "drop"]),
                default="error",
                help="Refuse what the provider does not take, or leave it out and count it.",
            ),
        )
    ):
        command = option(command)
    return command


@click.command()
@_row_options
@table_options
@click.option("--batch-id", help="An id of your own: letters, digits, _ and -.")
@click.option(
    "--row-retries", type=int, default=2, help="How often to send rows again that failed for a passing reason."
)
@click.option(
    "--invalid-retries", type=int, default=0, help="How often to ask again where an answer does not fit its schema."
)
@click.option("--idempotency-key", help="Submitting the same file with the same key again gives the same batch.")
@click.option("--credential", metavar="NAME", help="The name of the provider key to use; the workers know the key.")
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="A note that status shows; can be repeated.")
@click.option("--timeout", type=float, help="Cancel the batch after this many seconds; finished answers are kept.")
@click.option("--keep-remote", is_flag=True, help="Leave uploaded files and result files at the provider.")
@click.option("--completion-window", metavar="TIME", help="The time that the provider may take, in its words: 24h.")
@click.option("--header", multiple=True, metavar="NAME=VALUE", help="A header of the request that creates a job.")
@click.option("--beta", multiple=True, metavar="NAME", help="A feature of Anthropic's that is not yet for all.")
@click.option(
    "--engine-option", multiple=True, metavar="NAME[=VALUE]", help="An option of a vLLM engine; can be repeated."
)
@click.option("--wait", is_flag=True, help="Wait for the end, and show the progress.")
@_json
def submit(
    file: Path,
    provider: str,
    metadata: Sequence[str],
    engine_option: Sequence[str],
    header: Sequence[str],
    beta: Sequence[str],
    wait: bool,
    as_json: bool,
    prompt: str | None,
    id_column: str | None,
    schema: str | None,
    **given: Unpack[_BatchOptions],
) -> int:
    """Send the requests in a JSONL FILE (-: standard input), or ask --prompt about each row of a table.

    Every row is checked before anything is sent.
    """
    options = with_schema(_options(given), read_schema(schema))
    options["metadata"] = _read_pairs("--metadata", metadata)
    options["headers"] = _read_pairs("--header", header)
    options["betas"] = beta
    options["engine_options"] = _read_engine_options(engine_option)
    settings = Settings.from_env()
    kind = find_provider(provider, settings)
    checked = read_options(options)
    queue = kind.queue_of(checked.model, settings) or str(State.QUEUED.queue)
    kind.check_engine_options(checked.engine_options, settings)
    kind.check_job_options(checked.job_options)
    if prompt is None and file != STREAM:
        check_file(file, kind, checked, settings)
    with rows_of(file, prompt, id_column, options, settings) as sent:
        client = client_with_workers(queue, settings)
        # Celery takes a third of a second to import; only this command sends a message.
        from batch_router.worker.tasks import submit_batch

        job = submit_batch.delay(provider, **sent)
    if not wait:
        _tell_id(job.id, as_json)
        return ExitCode.OK
    return _wait(client, job.id, as_json)


@click.command()
@_row_options
def convert(file: Path, provider: str, **given: Unpack[_RowOptions]) -> int:
    """Print the rows of a JSONL FILE (-: standard input) as the provider gets them. Needs no server."""
    settings = Settings.from_env()
    kind = find_provider(provider, settings)
    options = read_options(_options(given))
    check = RowCheck(kind, options, settings, file)
    encode = msgspec.json.Encoder().encode
    with file_of(file, settings) as (path, source), input_file(path, settings) as stream:
        check_file(path, kind, options, settings, source)
        rows = enumerate(check.accept(row) for _, row in check.read(stream))
        tell_lines(encode(check.encode(row, str(number))) + b"\n" for number, row in rows)
    for what, count in check.dropped.items():
        say(f"dropped: {what} in {count} place{'s' if count != 1 else ''}, which {provider} does not take")
    for what, count in check.adjusted.items():
        say(f"adjusted: {what} in {count} rows, in another way that {provider} takes")
    return ExitCode.OK


def _options(given: _RowOptions) -> SubmitOptions:
    config = {"temperature": given["temperature"], "max_tokens": given["max_tokens"]}
    rest = {name: value for name, value in given.items() if name not in config}
    return cast(SubmitOptions, rest | {"generation_config": config})


@click.command()
@click.argument("batch_id")
@_json
def status(batch_id: str, as_json: bool) -> int:
    """Show the state of a batch, and why it does not move."""
    found = BatchClient().status(batch_id)
    if as_json:
        tell_json(found)
    else:
        stdout().print(render(found))
    return _exit_code(found)


@click.command()
@click.argument("batch_id")
@click.option("--timeout", type=float, help="Stop watching after this many seconds; the batch continues.")
@_json
def watch(batch_id: str, timeout: float | None, as_json: bool) -> int:
    """Wait for the end of a batch, and show its progress."""
    return _wait(BatchClient(), batch_id, as_json, timeout)


@click.command()
@click.argument("batch_id")
@click.option("--partial", is_flag=True, help="Print the results so far, even if the batch has not ended.")
@click.option("--verify", is_flag=True, help="First read them all and compare them with the manifest.")
@result_options
def results(batch_id: str, partial: bool, verify: bool, join: Path | None, form: str | None) -> int:
    """Print the results of a finished batch: JSON lines in input order, one per request; or as columns."""
    if partial and verify:
        raise click.UsageError("--partial and --verify exclude each other: the manifest is written at the end")
    client = BatchClient()
    found = client.status(batch_id)
    if verify:
        books = client.verify(batch_id)
        say(f"{books.request_counts.total} results in {len(books.parts)} parts are as the manifest lists them")
    if not tell_lines(lines_of(client, batch_id, join, form, partial=partial)):
        return ExitCode.OK
    return _exit_code(found)


@click.command()
@click.argument("item_id", metavar="ID")
@click.option("--attach", metavar="JOB", help="The shard owns this job; JOB is the provider's id.")
@click.option("--recreate", is_flag=True, help="The provider has no job of this shard: create it.")
@click.option("--give-up", is_flag=True, help="End the rows that have no answer as undecided.")
@yes
def resolve(item_id: str, attach: str | None, recreate: bool, give_up: bool, yes: bool) -> int:
    """Decide about a parked shard. ID is the shard's, or the batch's if only one of its shards is parked."""
    if recreate:
        needs_yes(yes, f"if the provider has a job of {item_id} after all, its rows are paid for twice")
    if give_up:
        needs_yes(yes, f"if the provider has a job of {item_id}, it may be paid for, and its answers are not fetched")
    tell(BatchClient().resolve(item_id, attach=attach, recreate=recreate, give_up=give_up))
    return ExitCode.OK


@click.command()
@click.argument("batch_id", required=False)
@click.option("--older-than", type=float, metavar="DAYS", help="Purge all batches that ended longer ago than this.")
@yes
def purge(batch_id: str | None, older_than: float | None, yes: bool) -> int:
    """Delete all files and the state of ended batches here; prints their ids."""
    if (batch_id is None) == (older_than is None):
        raise click.UsageError("give either the id of a batch or --older-than DAYS")
    which = batch_id or f"the batches that ended more than {older_than:g} days ago"
    needs_yes(
        yes,
        f"the rows, the results and the state of {which} would be deleted, and the id and the idempotency key be free: "
        "the same submission again would be paid again",
    )
    client = BatchClient()
    if batch_id is not None:
        client.purge(batch_id)
        tell(batch_id)
    elif older_than is not None:
        for purged in client.purge_older(older_than):
            tell(purged)
    return ExitCode.OK


@click.command()
@click.argument("batch_id")
@yes
@_json
def retry(batch_id: str, yes: bool, as_json: bool) -> int:
    """Send the failed rows of a finished batch again, as a new batch; prints the new id."""
    new_id = BatchClient().retry(batch_id, undecided=yes)
    _tell_id(new_id, as_json)
    return ExitCode.OK


@click.command()
@click.argument("batch_id")
def resume(batch_id: str) -> int:
    """Have a batch go on that ended with a loss, once the cause is gone; prints the items that go on."""
    for item_id in BatchClient().resume(batch_id):
        tell(item_id)
    return ExitCode.OK


@click.command("list")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many batches to show.")
@click.option("--provider", help="Only batches of this provider.")
@click.option(
    "--status", type=click.Choice([status.value for status in BatchStatus]), help="Only those in this status."
)
@click.option("--prefix", default="", help="Only those whose ids begin like this.")
@_json
def list_batches(limit: int, provider: str | None, status: str | None, prefix: str, as_json: bool) -> int:
    """List the newest batches."""
    client = BatchClient()
    batches = client.list(limit, provider=provider, status=status, prefix=prefix)
    for item in client.quarantined(_QUARANTINED):
        say(f"{item.id} is in the quarantine ({item.reason}); `batch-router doctor` says what helps")
    if as_json:
        for batch in batches:
            tell_json(batch)
        return ExitCode.OK
    shown = table("batch", "provider", "status", "requests", "succeeded", "created")
    for batch in batches:
        counts = batch.request_counts
        row = (batch.batch_id, batch.provider, batch.status, str(counts.total), str(counts.succeeded), batch.created_at)
        shown.add_row(*row)
    stdout().print(shown)
    return ExitCode.OK


def _wait(client: BatchClient, batch_id: str, as_json: bool, timeout: float | None = None) -> int:
    try:
        with follow(stderr()) as show:
            client.wait(batch_id, timeout, on_status=show)
    except (BatchExpiredError, BatchFailedError):
        pass  # the status says so, and the exit code
    found = client.status(batch_id)
    if as_json:
        tell_json(found)
    else:
        tell(batch_id)
        say(summary(found))
    return _exit_code(found)


def _exit_code(status: BatchStatusResponse) -> ExitCode:
    if status.status is BatchStatus.FAILED:
        return ExitCode.BATCH_FAILED
    if not status.is_complete():
        return ExitCode.NOT_FINISHED
    counts = status.request_counts
    return ExitCode.OK if counts.succeeded == counts.total else ExitCode.UNANSWERED


def _read_engine_options(options: Sequence[str]) -> dict[str, str | bool]:
    """Read `max-model-len=4096` or `enforce-eager`, with or without vLLM's leading dashes."""
    pairs = [option.lstrip("-").partition("=") for option in options]
    return {name: value if equals else True for name, equals, value in pairs}


def _read_pairs(option: str, pairs: Sequence[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    for key, equals, _ in split:
        if not key or not equals:
            raise click.UsageError(f"{option} takes KEY=VALUE, not {key!r}")
    return {key: value for key, _, value in split}


def _tell_id(batch_id: str, as_json: bool) -> None:
    if as_json:
        tell_json({"version": 1, "batch_id": batch_id})
    else:
        tell(batch_id)
