"""A model that plainly is another provider's: a line on the log before anything is sent, for names are no rule."""

from functools import lru_cache

from ..providers import AnthropicProvider, GoogleProvider, OpenAIProvider, Provider
from ..security.logs import get_logger
from ..settings import Settings

log = get_logger(__name__)

_WITH_MODELS: tuple[type[Provider], ...] = (OpenAIProvider, AnthropicProvider, GoogleProvider)
_MOST_MODELS = 1000


def warn_of_foreign_model(model: str | None, provider: Provider | type[Provider], settings: Settings) -> None:
    """Say once in a process that a model looks like another provider's.

    Nothing is said of a provider that has no models of its own, nor of OpenAI's wire at another address: a gateway has
    models of all kinds there.
    """
    own = provider.models
    if model is None or own is None or own.match(model):
        return
    moved = getattr(provider, "base_url", None) or settings.base_urls.get(provider.name)
    kind = provider if isinstance(provider, type) else type(provider)
    if not (issubclass(kind, OpenAIProvider) and moved):
        for other in _WITH_MODELS:
            if other.models is not None and other.models.match(model):
                _warn(model, other.name, provider.name)


@lru_cache(_MOST_MODELS)
def _warn(model: str, owner: str, provider: str) -> None:
    log.warning(
        "the model %s looks like one of %s's, and goes to %s; give another one, and with replace_model=True "
        "(--replace-model) it takes the place of those that rows name",
        model,
        owner,
        provider,
    )
