"""The simulated providers of a stack: their process, where they are, and what they keep in the home."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..exceptions import ValidationError
from ..security.files import make_home, open_private, read_private
from .free_port import free_port
from .readiness import Site

if TYPE_CHECKING:
    from ..simulator import Scenario

#: The name of the process, and of its folder in the home.
SIMULATOR = "simulator"
_PORT, _LONGEST = "port", 5


class SimulatedProviders:
    """Simulated providers that keep their jobs and files in the home, and stay at the address that jobs remember.

    Args:
        home: of the stack.
        scenario: how they behave.

    Raises:
        ValidationError: the home could have been prepared by another user.
    """

    def __init__(self, home: Path, scenario: Path | None) -> None:
        self._folder = home.absolute() / SIMULATOR
        self._scenario = scenario and scenario.absolute()
        make_home(self._folder)
        self.port = free_port(*_last_port(self._folder))
        with open(self._folder / _PORT, "w", opener=open_private) as stream:
            stream.write(str(self.port))

    @property
    def url(self) -> str:
        """Where all of them are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def site(self) -> Site:
        """The same, for people."""
        return Site(self.port, f"Simulated providers: {self.url}")

    @property
    def command(self) -> str:
        """What runs them, for a shell."""
        options = ["--port", str(self.port), "--directory", str(self._folder)]
        options += ["--scenario", str(self._scenario)] if self._scenario else []
        return f"exec {shlex.join([sys.executable, '-P', '-m', 'batch_router.simulator', *options])}"

    @property
    def environment(self) -> dict[str, str]:
        """What leads workers to them."""
        engine = {"BATCH_ROUTER_VLLM_COMMAND": shlex.join([sys.executable, "-P", "-m", "batch_router.simulator.vllm"])}
        if self._scenario is not None:
            engine["BATCH_ROUTER_VLLM_SCENARIO"] = str(self._scenario)
        return engine | {
            "BATCH_ROUTER_SIMULATED": "true",
            "BATCH_ROUTER_OPENAI_BASE_URL": f"{self.url}/openai/v1",
            "OPENAI_API_KEY": "sk-simulated",
            "BATCH_ROUTER_GOOGLE_BASE_URL": f"{self.url}/google",
            "GOOGLE_API_KEY": "simulated",
            "BATCH_ROUTER_ANTHROPIC_BASE_URL": f"{self.url}/anthropic",
            "ANTHROPIC_API_KEY": "sk-ant-simulated",
        }


def load_scenario(path: Path | None) -> "Scenario":
    """How simulated providers behave, by a file or by default.

    Raises:
        ValidationError: the file is wrong; says where.
    """
    from ..simulator import load_scenario as load

    try:
        return load(path)
    except ValueError as error:
        raise ValidationError(f"scenario: {error}") from error


def _last_port(folder: Path) -> list[int]:
    try:
        written = read_private(folder / _PORT, _LONGEST)
    except FileNotFoundError:
        return []
    return [int(written)] if written.isdigit() else []
