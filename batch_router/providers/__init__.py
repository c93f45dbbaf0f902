"""The providers: those in the folders here, and those that other packages bring by entry point.

Importing this costs nothing: a provider's folder is imported when it is asked for, its SDK when it connects.
"""

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules

from ..exceptions import ProviderNotFoundError
from .access import Access
from .base import Client, Codec, Limits, Loaded, LocalClient, Provider, Rows

ENTRY_POINTS = "batch_router.providers"

__all__ = [
    "Access",
    "Client",
    "Codec",
    "Limits",
    "Loaded",
    "LocalClient",
    "Provider",
    "Rows",
    "find_provider",
    "provider_names",
]


def provider_names() -> tuple[str, ...]:
    """The names of all providers that are installed."""
    return tuple(sorted(_folders() | {entry.name for entry in entry_points(group=ENTRY_POINTS)}))


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
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        brought: type[Provider] = entry.load()
        return brought
    raise ProviderNotFoundError(name, provider_names())


def __getattr__(attribute: str) -> type[Provider]:
    """`from batch_router.providers import OpenAIProvider`, found by the class's name."""
    for name in provider_names():
        if attribute.lower() == f"{name}provider":
            return find_provider(name)
    raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
