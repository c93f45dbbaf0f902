"""Whether `deploy/compose.yaml` fits the code: Docker is not where this runs, and the file is data.

Each provider's keys and address reach the services that call it, each queue has a worker, each command and each option
exists, and each service has a health check, which asks about what the service does.
"""

import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise

import click
import flower.options  # noqa: F401 - defines what Flower takes
import msgspec.yaml
from celery.bin.celery import celery
from tornado.options import options as tornado_options

from batch_router.cli import cli
from batch_router.providers import Provider, find_provider, provider_names
from batch_router.settings import PREFIX
from batch_router.state.table import State

from .source import Measure

# What a worker's name ends with, so that a health check beside it knows it for its own.
_OF_THIS_HOST = "@%h"


class Healthcheck(msgspec.Struct):
    """How Docker asks whether a container is well."""

    test: list[str]


class Service(msgspec.Struct):
    """A container, as far as it concerns the code."""

    command: str | list[str]
    environment: dict[str, str] = {}
    healthcheck: Healthcheck | None = None

    @property
    def words(self) -> list[str]:
        return shlex.split(self.command) if isinstance(self.command, str) else self.command


class Compose(msgspec.Struct):
    """The file."""

    services: dict[str, Service]


def measure_compose(text: str) -> Measure:
    services = msgspec.yaml.decode(text, type=Compose).services
    faults = [f"compose.yaml: {fault}" for fault in (*_faults(services), *_keys(services), *_idle(services))]
    return Measure("services of compose.yaml", str(len(services)), "", faults)


def _faults(services: dict[str, Service]) -> Iterator[str]:
    for name, service in services.items():
        try:
            _check_command(service.words)
            if service.healthcheck is None:
                yield f"{name} has no health check"
                continue
            how, *question = service.healthcheck.test
            if how == "CMD":
                _check_command(question)
            if (queues := _queues(service)) and _asked(question) != queues:
                yield f"the health check of {name} does not ask about {', '.join(queues)}"
        except click.ClickException as error:
            yield f"{name}: {error.format_message()}"


def _keys(services: dict[str, Service]) -> Iterator[str]:
    """Of every provider, and its address."""
    for provider in map(find_provider, provider_names()):
        callers = {each: it for each, it in services.items() if _serves(it, provider)}
        for variable in (*provider.key_variables, f"{PREFIX}{provider.name.upper()}_BASE_URL"):
            for name, service in callers.items():
                if service.environment.get(variable) != f"${{{variable}:-}}":
                    yield f"{name} calls {provider.name}, and does not get {variable}"


def _serves(service: Service, provider: type[Provider]) -> bool:
    """Whether it runs steps that call the provider."""
    calling = {provider.queue} if provider.queue else {"io", "poll"}
    return not calling.isdisjoint(_queues(service))


def _idle(services: dict[str, Service]) -> Iterator[str]:
    """Queues without a worker."""
    needed = {str(state.queue) for state in State} | {find_provider(name).queue for name in provider_names()}
    served = {queue for service in services.values() for queue in _queues(service)}
    yield from (f"no service has a worker for {queue}" for queue in sorted(filter(None, needed - served)))


def _check_command(words: Sequence[str]) -> None:
    """Of a program of ours or of Celery's, by what they declare.

    Raises:
        click.ClickException: a command or an option does not exist.
    """
    program, *arguments = words
    if program == "batch-router":
        command, rest = cli.commands.get(arguments[0]), arguments[1:]
        if command is None:
            raise click.UsageError(f"batch-router has no command {arguments[0]!r}")
        command.make_context(arguments[0], rest)
    elif program == "celery":
        _check_celery(arguments)


def _check_celery(arguments: list[str]) -> None:
    _, (name, *rest), _ = _parsed(celery, arguments)
    if name == "flower":
        for option in (word.removeprefix("--").partition("=")[0] for word in rest):
            if option not in tornado_options:
                raise click.NoSuchOption(option)
        return
    given, _, _ = _parsed(celery.commands[name], rest)
    if name == "worker" and not given["hostname"].endswith(_OF_THIS_HOST):
        raise click.UsageError(f"the worker's name {given['hostname']!r} does not end with {_OF_THIS_HOST}")


def _queues(service: Service) -> list[str]:
    """What its worker listens on."""
    words = service.words
    return words[words.index("-Q") + 1].split(",") if "-Q" in words else []


def _asked(question: Sequence[str]) -> list[str]:
    """The queues that a health check asks about."""
    return [word for flag, word in pairwise(question) if flag == "--queue"]


def _parsed(command: click.Command, arguments: list[str]) -> tuple[dict[str, str], list[str], object]:
    """Options, and the rest; nothing is called or converted."""
    return command.make_parser(click.Context(command, allow_interspersed_args=False)).parse_args(arguments)
