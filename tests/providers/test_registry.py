"""Providers are found by name."""

import pytest

from batch_router import providers
from batch_router.exceptions import CredentialsError, ProviderNotFoundError
from batch_router.providers import find_provider, provider_names
from batch_router.settings import Settings


@pytest.mark.parametrize("name", provider_names())
def test_a_provider_is_found_by_its_name(name: str) -> None:
    """The folder's name, the class's name and the attribute of the package agree."""
    provider = find_provider(name)
    assert provider.name == name
    assert getattr(providers, provider.__name__) is provider
    assert 0 < provider.limits.rows <= 50_000
    assert provider.limits.bytes > 0


def test_an_unknown_provider_is_named() -> None:
    """The error says which are known."""
    with pytest.raises(ProviderNotFoundError, match=r"'opnai' not found; known: .*openai"):
        find_provider("opnai")
    with pytest.raises(AttributeError, match="NoSuchProvider"):
        _ = providers.NoSuchProvider


def test_a_missing_key_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting without a key says which variable to set, and where."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(CredentialsError, match="set OPENAI_API_KEY where the workers run"):
        find_provider("openai")().connect(Settings(http_timeout=1))
