"""The providers: those in the folders here, those that other packages bring by entry point, and the services of a file.

A provider's SDK is imported when it connects. Another folder here is another provider: it is found by a scan, and only
its own name is not exported here.
"""

from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from ..exceptions import ProviderNotFoundError, ValidationError
from ..settings import Settings
from .access import Access
from .anthropic import AnthropicProvider
from .base import (
    SLOWEST_SENDING,
    Client,
    Codec,
    Limits,
    Loaded,
    LocalClient,
    NativeFormat,
    Provider,
    Rows,
    UnlabelledClient,
)
from .google import GoogleProvider
from .openai import OpenAIProvider
from .services import read_services
from .vllm import VLLMProvider

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

ENTRY_POINTS = "batch_router.providers"

__all__ = [
    "SLOWEST_SENDING",
    "Access",
    "AnthropicProvider",
    "Client",
    "Codec",
    "GoogleProvider",
    "Limits",
    "Loaded",
    "LocalClient",
    "NativeFormat",
    "OpenAIProvider",
    "Provider",
    "Rows",
    "UnlabelledClient",
    "VLLMProvider",
    "find_provider",
    "provider_names",
]


def provider_names(settings: Settings | None = None) -> tuple[str, ...]:
    """The names of all providers: those that are installed, and the services of the settings.

    Args:
        settings: None: those of the environment.

    Raises:
        ValidationError: the file of services is wrong; says where.
    """
    return tuple(sorted(_installed() | _services(settings).keys()))


def find_provider(name: str, settings: Settings | None = None) -> type[Provider]:
    """The class of a provider: the attribute `PROVIDER` of its folder, what its entry point names, or a service's.

    Args:
        name: the provider's.
        settings: whose services count; None: those of the environment.

    Raises:
        ProviderNotFoundError: there is none of that name, or its package cannot be imported.
        ValidationError: the file of services is wrong; says where.
    """
    if name in _installed():
        return _load(name)
    service = _services(settings).get(name)
    if service is None:
        raise ProviderNotFoundError(name, provider_names(settings))
    return service


def _entry_points() -> "EntryPoints":
    from importlib.metadata import entry_points  # takes a fifteenth of the import of batch_router

    return entry_points(group=ENTRY_POINTS)


@cache
def _installed() -> frozenset[str]:
    return frozenset(_folders() | {entry.name for entry in _entry_points()})


def _folders() -> set[str]:
    """The providers' folders; one whose name begins with `_` is shared by several of them."""
    return {module.name for module in iter_modules(__path__) if module.ispkg and not module.name.startswith("_")}


@cache
def _load(name: str) -> type[Provider]:
    if name in _folders():
        built_in: type[Provider] = import_module(f"{__name__}.{name}").PROVIDER
        return built_in
    (brought, *_) = _entry_points().select(name=name)
    try:
        loaded: type[Provider] = brought.load()
    except Exception as error:  # of another package
        why = f"its package cannot be imported here ({type(error).__name__})"
        raise ProviderNotFoundError(name, why=why) from error
    return loaded


def _services(settings: Settings | None) -> dict[str, type[Provider]]:
    file = (settings or Settings.from_env()).services
    return {} if file is None else _read(file.absolute())


@cache
def _read(file: Path) -> dict[str, type[Provider]]:
    """Once in a process: a batch finds the same class all the time."""
    found = read_services(file)
    for name in _installed() & found.keys():
        raise ValidationError(f"BATCH_ROUTER_SERVICES: [{name}] is a provider already; give the service another name")
    return found
