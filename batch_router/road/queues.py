"""Which queue the next step of an item goes to."""

from collections.abc import Iterator

from ..providers import find_provider, provider_names
from ..settings import Settings
from ..state.base import Hint
from ..state.census import Standing
from ..state.table import State


def queue_of(item: Hint | Standing) -> str:
    """The queue of the step that an item waits for: the item's own or its provider's, where there is one."""
    return item.queue or find_provider(item.provider).queue or str(item.state.queue)


def queues_of(settings: Settings) -> frozenset[str]:
    """All queues that the settings of this process give work to."""
    return frozenset(_queues(settings))


def _queues(settings: Settings) -> Iterator[str]:
    yield from (state.queue for state in State)
    for name in provider_names(settings):
        provider = find_provider(name, settings)
        yield from provider.model_queues(settings) or ([provider.queue] if provider.queue else [])
