"""The providers: those in the folders here, and those that other packages bring by entry point.

A provider's SDK is imported when it connects. Another folder here is another provider: it is found by a scan, and only
its own name is not exported here.
"""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from ..exceptions import ProviderNotFoundError
from .access import Access
from .anthropic import AnthropicProvider
from .base import Client, Codec, Limits, Loaded, LocalClient, Provider, Rows
from .google import GoogleProvider
from .openai import OpenAIProvider
from .vllm import VLLMProvider

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

ENTRY_POINTS = "batch_router.providers"

__all__ = [
    "Access",
    "AnthropicProvider",
    "Client",
    "Codec",
    "GoogleProvider",
    "Limits",
    "Loaded",
    "LocalClient",
    "OpenAIProvider",
    "Provider",
    "Rows",
    "VLLMProvider",
    "find_provider",
    "provider_names",
]


def provider_names() -> tuple[str, ...]:
    """The names of all providers that are installed."""
    return tuple(sorted(_folders() | {entry.name for entry in _entry_points()}))


def _entry_points() -> "EntryPoints":
    from importlib.metadata import entry_points  # takes a fifteenth of the import of batch_router

    return entry_points(group=ENTRY_POINTS)


def _folders() -> set[str]:
    """The providers' folders; one whose name begins with `_` is shared by several of them."""
    return {module.name for module in iter_modules(__path__) if module.ispkg and not module.name.startswith("_")}


@cache
def find_provider(name: str) -> type[Provider]:
    """The class of a provider: the attribute `PROVIDER` of its folder, or what its entry point names.

    Raises:
        ProviderNotFoundError: there is none of that name.
    """
    if name in _folders():
        built_in: type[Provider] = import_module(f"{__name__}.{name}").PROVIDER
        return built_in
    for entry in _entry_points():
        if entry.name == name:
            brought: type[Provider] = entry.load()
            return brought
    raise ProviderNotFoundError(name, provider_names())
