"""`batch-router metrics`: the numbers of a fleet, for Prometheus."""

from contextlib import suppress

import click

from ..connect import broker_server
from ..exceptions import StoreUnavailableError
from ..providers import provider_names
from ..security.logs import log_as_json
from ..settings import Settings
from .exit_codes import ExitCode
from .terminal import tell


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=9464, show_default=True, help="0 takes any free port.")
def metrics(host: str, port: int) -> int:
    """Serve the numbers of the store and the queues over HTTP, for Prometheus; the first line of output is the URL."""
    from ..metrics import serve_metrics

    settings = Settings.from_env()
    if settings.log_format == "json":
        log_as_json()
    with suppress(StoreUnavailableError):  # it may come later
        broker_server(settings)  # a wrong URL is told now
    provider_names(settings)  # and so is a wrong file of services
    server, thread = serve_metrics(settings, host, port)
    tell(f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}/metrics")
    thread.join()
    return ExitCode.OK
