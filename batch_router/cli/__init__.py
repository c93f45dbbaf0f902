"""The command line, `batch-router`."""

import io
import signal
import sys
import traceback

import click

from ..exceptions import (
    BatchFailedError,
    BatchNotFinishedError,
    BatchRouterError,
    BatchTimeoutError,
    NoWorkerError,
    StoreUnavailableError,
    UnbalancedError,
)
from ..system_errors import describe
from .budgets import budget, limit, pause, unpause
from .cancel import cancel
from .convert import convert
from .costs import costs, estimate
from .decisions import resolve, resume, retry
from .demo import demo
from .doctor import doctor
from .exit_codes import ExitCode
from .health import health
from .listing import list_batches
from .metrics import metrics
from .purge import purge
from .rebuild import rebuild
from .results import results
from .stack import simulate, up
from .storage import storage
from .submit import submit
from .terminal import say, silence
from .watch import status, watch
from .webhook import webhook

# The first match counts; every other error of ours is a usage error.
_EXIT_CODES: tuple[tuple[type[BatchRouterError], ExitCode], ...] = (
    (BatchFailedError, ExitCode.BATCH_FAILED),
    (BatchNotFinishedError, ExitCode.NOT_FINISHED),
    (BatchTimeoutError, ExitCode.NOT_FINISHED),
    (StoreUnavailableError, ExitCode.NO_STORE),
    (NoWorkerError, ExitCode.NO_STORE),
    (UnbalancedError, ExitCode.FOUND_SOMETHING),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="batch-router")
def cli() -> None:
    """Send batches of LLM requests and get exactly one result per request."""


for command in (
    demo,
    up,
    submit,
    estimate,
    convert,
    status,
    watch,
    results,
    list_batches,
    costs,
    cancel,
    pause,
    unpause,
    budget,
    limit,
    retry,
    resolve,
    resume,
    purge,
    rebuild,
    doctor,
    health,
    metrics,
    simulate,
    storage,
    webhook,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line; an error of ours prints one sentence and sets the exit code, without a traceback."""
    # Even if the parent ignores these signals, both end a command after its clean-up.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    try:
        sys.exit(cli.main(standalone_mode=False))
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)
        say(said.getvalue().rstrip())
        sys.exit(ExitCode.USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(ExitCode.INTERRUPTED)
    except BatchRouterError as error:
        say(f"batch-router: {error}")
        sys.exit(next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), ExitCode.USAGE))
    except BrokenPipeError:
        silence()
        sys.exit(ExitCode.INTERRUPTED)
    except OSError as error:
        say(f"batch-router: {describe(error)}")
        sys.exit(ExitCode.USAGE)
    except Exception:  # a mistake of ours; its words may quote anything
        say(traceback.format_exc().rstrip())
        sys.exit(1)
