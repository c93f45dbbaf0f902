"""The local stack: `up` runs what the Procfile lists, `simulate` the providers' stand-ins."""

import os
import secrets
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click
from honcho.environ import parse_procfile

from ..connect import broker_server, embedded_server
from ..exceptions import StoreUnavailableError, ValidationError
from ..providers import provider_names
from ..road.service_mark import bind_services, services_of
from ..security.files import make_home
from ..settings import PREFIX, Settings, warn_of_unknown_variables
from ..startup import check_base_urls, check_server, check_settings
from ..storage import FolderStorage
from .exit_codes import ExitCode
from .free_port import free_port
from .owner import own
from .processes import Processes
from .readiness import Readiness, Site, forget_listeners, next_step, queues_of
from .simulated import SIMULATOR, SimulatedProviders, load_scenario
from .terminal import tell

_FLOWER_PORT = 5555
_HERE = Path(__file__).parent


@click.command()
@click.argument("processes", nargs=-1, metavar="[PROCESS]...")
@click.option("--simulate", "simulated", is_flag=True, help="Talk to simulated providers: no keys, no cost.")
@click.option(
    "--scenario", type=click.Path(exists=True, path_type=Path), help="How the simulated providers behave, as TOML."
)
@click.option("--verbose", is_flag=True, help="Show all that the processes write, not only what needs attention.")
def up(processes: Sequence[str], simulated: bool, scenario: Path | None, verbose: bool) -> int:
    """Run the local stack in the foreground: Redis if there is none, workers, Flower.

    A process that ends is started again. PROCESS names processes of the Procfile; the default is all of them.
    """
    settings = Settings.from_env()
    commands = _commands(processes)
    check_settings(settings)
    check_base_urls(settings)
    make_home(settings.home)
    # A wrong file of services is told now, before the workers start, and a wrong scenario.
    warn_of_unknown_variables(provider_names(settings))
    load_scenario(scenario)
    with ExitStack() as stack:
        simulated = simulated or scenario is not None
        stack.enter_context(own(settings.home, simulated=simulated))
        _bind(settings, simulated=simulated)
        providers = SimulatedProviders(settings.home, scenario) if simulated else None
        if settings.redis_url is None:
            stack.enter_context(embedded_server(settings))
            forget_listeners(settings, queues_of(commands.values()))
        broker_server(settings)  # a wrong URL is told now
        try:
            check_server(settings)
        except StoreUnavailableError as error:
            tell(f"{error} The workers wait for it.")
        return _run(settings, commands, providers, verbose=verbose)


def _bind(settings: Settings, *, simulated: bool) -> None:
    """Decide where the batches of all providers go, also of those that have no key yet."""
    everywhere = dict.fromkeys(provider_names(settings), simulated or settings.simulated)
    bind_services(FolderStorage(settings.home), everywhere | ({} if simulated else services_of(settings)))


def _commands(names: Sequence[str]) -> dict[str, str]:
    """The commands of the Procfile, or of these processes."""
    commands: dict[str, str] = parse_procfile(_procfile().read_text()).processes
    unknown = [name for name in names if name not in commands]
    if unknown:
        raise click.UsageError(f"the Procfile has no process {unknown[0]!r}; it has {', '.join(commands)}")
    return {name: commands[name] for name in names or commands}


def _run(settings: Settings, commands: dict[str, str], providers: SimulatedProviders | None, *, verbose: bool) -> int:
    """Run the processes until the end of the stack; the exit code."""
    environment = _environment(settings)
    sites = []
    queues = queues_of(commands.values())
    if providers:
        environment |= providers.environment
        commands = {SIMULATOR: providers.command} | commands
        sites.append(providers.site)
    if "flower" in commands:
        sites.append(_set_flower(environment))
    ready = Readiness(queues=queues, sites=tuple(sites))
    running = Processes(commands, environment, last={SIMULATOR}, verbose=verbose)
    threading.Thread(target=_tell_when_ready, args=(running, ready, settings), name="readiness", daemon=True).start()
    return running.run()


def _tell_when_ready(running: Processes, ready: Readiness, settings: Settings) -> None:
    running.tell(f"{ready.wait(settings)}\n{next_step(os.environ)}")


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 takes any free port.")
@click.option("--scenario", type=click.Path(exists=True, path_type=Path), help="How the providers behave, as TOML.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    help="Keep the providers' jobs, files and the log of requests here, for the next one, too.",
)
def simulate(port: int, scenario: Path | None, directory: Path | None) -> int:
    """Serve the providers' wire protocols on this machine; the first line of output is the URL."""
    from ..simulator import serve  # aiohttp: only here

    serve(port, load_scenario(scenario), directory, on_ready=tell)
    return ExitCode.OK


def _environment(settings: Settings) -> dict[str, str]:
    """That of the processes: they find our programs, and write each line at once."""
    found = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}", "PYTHONUNBUFFERED": "1"}
    return os.environ | _without_folder(settings) | found


def _without_folder(settings: Settings) -> dict[str, str]:
    """The variables that name paths, for processes that run elsewhere."""
    fields = {name: getattr(settings, name) for name in settings.__struct_fields__}
    paths = {PREFIX + name.upper(): str(it.absolute()) for name, it in fields.items() if isinstance(it, Path)}
    imports = [str(Path(each).absolute()) for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    return paths | ({"PYTHONPATH": os.pathsep.join(imports)} if imports else {})


def _procfile() -> Path:
    """The Procfile: beside this module in a wheel, at the top of a checkout."""
    packaged = _HERE / "Procfile"
    return packaged if packaged.exists() else _HERE.parents[1] / "Procfile"


def _set_flower(environment: dict[str, str]) -> Site:
    """Decide where Flower listens and who may look: its pages show every batch's tasks."""
    port = _flower_port(environment.get("FLOWER_PORT"))
    environment["FLOWER_PORT"] = str(port)
    words = f"Flower: http://127.0.0.1:{port}"
    if not environment.get("FLOWER_BASIC_AUTH"):
        account = environment["FLOWER_BASIC_AUTH"] = f"batch-router:{secrets.token_urlsafe(9)}"
        words += f" (its account for this run is {account}; FLOWER_BASIC_AUTH sets another)"
    return Site(port, words)


def _flower_port(chosen: str | None) -> int:
    if not chosen:
        return free_port(_FLOWER_PORT)
    if not chosen.isdecimal() or not 0 < int(chosen) <= 65535:
        raise ValidationError("FLOWER_PORT must be the number of a port, 1 to 65535")
    if free_port(int(chosen)) != int(chosen):
        raise ValidationError(
            f"FLOWER_PORT is {chosen}, and another program listens there, or this user may not: choose another one, or"
            " leave it out for any free one"
        )
    return int(chosen)
