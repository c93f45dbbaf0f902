"""`batch-router submit`: a batch of the rows of a file."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Literal, Unpack

import click

from ..intake.check import check_file
from ..intake.options import read_options, with_schema
from ..providers import find_provider
from ..settings import Settings
from ..state.table import State
from ..tables.rendering import Columns
from .budgets import DOLLARS
from .exit_codes import ExitCode
from .options import json_option
from .rows import RowOptions, options_of, read_engine_options, read_pairs, row_options
from .standard_input import STREAM
from .tables import read_schema, rows_of, table_options
from .terminal import tell_fact
from .waiting import client_with_workers
from .watch import wait_for


class _BatchOptions(RowOptions):
    """What `submit` takes besides."""

    batch_id: str | None
    idempotency_key: str | None
    row_retries: int
    invalid_retries: int
    credential: str | None
    timeout: float | None
    keep_remote: bool
    completion_window: str | None
    webhook: str | None
    max_cost: Decimal | None
    over_budget: Literal["wait", "end"]


@click.command()
@row_options
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
@click.option("--webhook", metavar="URL", help="Send a signed message there when the batch ends.")
@click.option("--max-cost", type=DOLLARS, help="Create no job that may make the batch cost more than this.")
@click.option(
    "--over-budget",
    type=click.Choice(["wait", "end"]),
    default="wait",
    help="Whether rows that a budget has no room for wait until it is raised, or end.",
)
@click.option("--header", multiple=True, metavar="NAME=VALUE", help="A header of the request that creates a job.")
@click.option("--beta", multiple=True, metavar="NAME", help="A feature of Anthropic's that is not yet for all.")
@click.option(
    "--engine-option", multiple=True, metavar="NAME[=VALUE]", help="An option of a vLLM engine; can be repeated."
)
@click.option("--wait", is_flag=True, help="Wait for the end, and show the progress.")
@json_option
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
    image_column: str | None,
    document_column: str | None,
    schema: str | None,
    **given: Unpack[_BatchOptions],
) -> int:
    """Send the requests in a JSONL FILE (-: standard input), or ask --prompt about each row of a table.

    Every row is checked before anything is sent.
    """
    options = with_schema(options_of(given), read_schema(schema))
    options["metadata"] = read_pairs("--metadata", metadata)
    options["headers"] = read_pairs("--header", header)
    options["betas"] = beta
    options["engine_options"] = read_engine_options(engine_option)
    settings = Settings.from_env()
    kind = find_provider(provider, settings)
    checked = read_options(options)
    queue = kind.queue_of(checked.model, settings) or str(State.QUEUED.queue)
    kind.check_engine_options(checked.engine_options, settings)
    kind.check_job_options(checked.job_options)
    if prompt is None and file != STREAM:
        check_file(file, kind, checked, settings)
    columns = Columns(id_column, image_column, document_column)
    with rows_of(file, prompt, columns, options, settings) as sent:
        client = client_with_workers(queue, settings)
        # Celery takes a third of a second to import; only this command sends a message.
        from batch_router.worker.tasks import submit_batch

        job = submit_batch.delay(provider, **sent)
    if not wait:
        tell_fact(as_json, batch_id=job.id)
        return ExitCode.OK
    return wait_for(client, [job.id], as_json)
