"""When the stack is ready, and what it says then."""

import re
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import NamedTuple

import msgspec

from ..connect import open_store
from ..exceptions import BatchRouterError
from ..settings import PREFIX, Settings

_LOOK_EVERY = 0.2
_QUEUES = re.compile(r" -Q (\S+)")
_ROW = '{"custom_id": "q1", "prompt": "What is 2 + 2?"}'
# What a client must have in common with the stack.
_SHARED = tuple(f"{PREFIX}{name}" for name in ("HOME", "REDIS_URL", "BROKER_URL", "PREFIX"))
_MODELS = {
    "OPENAI_API_KEY": ("openai", "gpt-5-mini"),
    "ANTHROPIC_API_KEY": ("anthropic", "claude-haiku-4-5"),
    "GOOGLE_API_KEY": ("google", "gemini-2.5-flash"),
    "GEMINI_API_KEY": ("google", "gemini-2.5-flash"),
}


class Site(NamedTuple):
    """What the stack serves on this machine: at which port, and in words."""

    port: int
    words: str


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """What a stack waits for: queues with workers that listen, and sites that answer."""

    queues: tuple[str, ...]
    sites: tuple[Site, ...]

    def wait(self, settings: Settings) -> str:
        """Wait until all is there; says so."""
        began = time.monotonic()
        while not (all(_answers(site.port) for site in self.sites) and _listen(settings, self.queues)):
            time.sleep(_LOOK_EVERY)
        waited = time.monotonic() - began
        who = f": workers listen on {', '.join(self.queues)}" if self.queues else ""
        return "\n".join([f"Ready after {waited:.0f} s{who}", *(site.words for site in self.sites)])


def queues_of(commands: Iterable[str]) -> tuple[str, ...]:
    """The queues that the workers of a Procfile listen on."""
    return tuple(queue for command in commands for found in _QUEUES.findall(command) for queue in found.split(","))


def forget_listeners(settings: Settings, queues: Iterable[str]) -> None:
    """Forget the workers of an earlier stack, which are no sign that this one is ready.

    The server remembers them for some seconds. A worker that was started by hand, and lives, says so again within one.

    Args:
        settings: of a stack that has just started its server.
        queues: that its workers will listen on.
    """
    with closing(open_store(settings)) as store:
        for queue in queues:
            for worker in store.listeners(queue):
                store.announce(worker, [queue], ttl=-1)


def next_step(environment: Mapping[str, str]) -> str:
    """What to type in another terminal, so that something happens."""
    provider, model = next((_MODELS[key] for key in _MODELS if environment.get(key)), _MODELS["OPENAI_API_KEY"])
    shared = [name for name in _SHARED if environment.get(name)]
    where = f"with the same {' and '.join(shared)}" if shared else "in this folder"
    return (
        f"Try, in another terminal {where}:\n"
        f"  echo '{_ROW}' | batch-router submit - --provider {provider} --model {model} --wait"
    )


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _listen(settings: Settings, queues: Iterable[str]) -> bool:
    try:
        with closing(open_store(settings)) as store:
            return all(store.listeners(queue) for queue in queues)
    except BatchRouterError:  # the workers wait for it, too, and say so
        return False
