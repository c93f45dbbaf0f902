"""The local stack: `up` runs what the Procfile lists, `simulate` the providers' stand-ins."""

import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from honcho.environ import parse_procfile

from ..connect import embedded_server
from ..exceptions import StoreUnavailableError, ValidationError
from ..providers import provider_names
from ..security.files import make_home
from ..settings import PREFIX, Settings
from ..startup import check_server, check_settings
from .exit_codes import ExitCode
from .processes import Processes
from .terminal import say, tell

if TYPE_CHECKING:
    from ..simulator import Scenario

_FLOWER_PORT = 5555
#: Where the processes of the stack run. Celery imports from the folder where it is started, Flower executes a
#: `flowerconfig.py` in it, and a folder that came with a clone or an archive is not to be executed.
NEUTRAL = "/"
# Longer than honcho waits for the processes of the stack before it kills them.
_END_WITHIN = 15.0
_HERE = Path(__file__).parent


@click.command()
@click.argument("processes", nargs=-1, metavar="[PROCESS]...")
@click.option("--simulate", "simulated", is_flag=True, help="Talk to simulated providers: no keys, no cost.")
@click.option(
    "--scenario", type=click.Path(exists=True, path_type=Path), help="How the simulated providers behave, as TOML."
)
def up(processes: Sequence[str], simulated: bool, scenario: Path | None) -> int:
    """Run the local stack in the foreground: Redis if there is none, workers, Flower.

    A process that ends is started again. PROCESS names processes of the Procfile; the default is all of them.
    """
    settings = Settings.from_env()
    commands = parse_procfile(_procfile().read_text()).processes
    unknown = [name for name in processes if name not in commands]
    if unknown:
        raise click.UsageError(f"the Procfile has no process {unknown[0]!r}; it has {', '.join(commands)}")
    check_settings(settings)
    make_home(settings.home)
    provider_names(settings)  # a wrong file of services is told now, before the workers start
    with ExitStack() as stack:
        environment = os.environ | _without_folder(settings)
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
        environment["PYTHONUNBUFFERED"] = "1"
        if settings.redis_url is None:
            stack.enter_context(embedded_server(settings))
        with suppress(StoreUnavailableError):  # workers wait for it
            check_server(settings)
        if simulated or scenario:
            environment |= _simulated_providers(stack.enter_context(_simulator(scenario)), scenario)
        wanted = list(processes or commands)
        if "flower" in wanted:
            environment |= _flower_settings(environment)
        running = Processes()
        for name in wanted:
            running.add_process(name, commands[name], env=environment, cwd=NEUTRAL)
        running.loop()
        return int(running.returncode or 0)


@click.command()
@click.option("--port", default=0, show_default=True, help="0 takes any free port.")
@click.option("--scenario", type=click.Path(exists=True, path_type=Path), help="How the providers behave, as TOML.")
@click.option(
    "--directory", type=click.Path(path_type=Path), help="Keep the providers' files and the log of requests here."
)
def simulate(port: int, scenario: Path | None, directory: Path | None) -> int:
    """Serve the providers' wire protocols on this machine; the first line of output is the URL."""
    from ..simulator import serve  # aiohttp: only here

    serve(port, _load_scenario(scenario), directory, on_ready=tell)
    return ExitCode.OK


def _load_scenario(path: Path | None) -> "Scenario":
    from ..simulator import load_scenario

    try:
        return load_scenario(path)
    except ValueError as error:
        raise ValidationError(f"scenario: {error}") from error


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


@contextmanager
def _simulator(scenario: Path | None) -> Iterator[str]:
    """Run the simulator as its own process while the block runs; gives its URL."""
    _load_scenario(scenario)  # a bad one is refused here, in one sentence
    arguments = [sys.executable, "-P", "-m", "batch_router.simulator", "--port", "0"]
    if scenario:
        arguments += ["--scenario", str(scenario.absolute())]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            url = str(process.stdout.readline()).strip() if process.stdout else ""
            if not url:
                raise click.ClickException("the simulator did not start")
            say(f"Simulated providers: {url}")
            yield url
        finally:
            end_process(process)


def end_process(process: subprocess.Popen[Any]) -> None:
    """Ask a process to end; kill it if it does not."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_END_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _simulated_providers(url: str, scenario: Path | None) -> dict[str, str]:
    engine = {"BATCH_ROUTER_VLLM_COMMAND": shlex.join([sys.executable, "-P", "-m", "batch_router.simulator.vllm"])}
    if scenario is not None:
        engine["BATCH_ROUTER_VLLM_SCENARIO"] = str(scenario.absolute())
    return engine | {
        "BATCH_ROUTER_OPENAI_BASE_URL": f"{url}/openai/v1",
        "OPENAI_API_KEY": "sk-simulated",
        "BATCH_ROUTER_GOOGLE_BASE_URL": f"{url}/google",
        "GOOGLE_API_KEY": "simulated",
        "BATCH_ROUTER_ANTHROPIC_BASE_URL": f"{url}/anthropic",
        "ANTHROPIC_API_KEY": "sk-ant-simulated",
    }


def _flower_settings(environment: dict[str, str]) -> dict[str, str]:
    """Where Flower listens and who may look: its pages show every batch's tasks."""
    port = environment.get("FLOWER_PORT") or str(_free_port(_FLOWER_PORT))
    account = environment.get("FLOWER_BASIC_AUTH")
    if not account:
        account = f"batch-router:{secrets.token_urlsafe(9)}"
        say(f"Flower's account for this run is {account} (set FLOWER_BASIC_AUTH to choose one)")
    say(f"Flower: http://127.0.0.1:{port}")
    return {"FLOWER_PORT": port, "FLOWER_BASIC_AUTH": account}


def _free_port(preferred: int) -> int:
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port")
