"""Providers are found by name."""

import subprocess
import sys

import pytest

from batch_router.exceptions import CredentialsError, ProviderNotFoundError
from batch_router.providers import (
    AnthropicProvider,
    GoogleProvider,
    OpenAIProvider,
    VLLMProvider,
    find_provider,
    provider_names,
)
from batch_router.settings import Settings


@pytest.mark.parametrize("name", provider_names())
def test_a_provider_is_found_by_its_name(name: str) -> None:
    """By the name of its folder, which is its own; its limits are those of one job."""
    provider = find_provider(name)
    assert provider.name == name
    assert 0 < provider.limits.rows <= 50_000
    assert provider.limits.bytes > 0


def test_the_four_are_exported_by_name() -> None:
    """What type checkers see is what the names find."""
    exported = (AnthropicProvider, GoogleProvider, OpenAIProvider, VLLMProvider)
    assert [find_provider(provider.name) for provider in exported] == list(exported)


def test_importing_providers_imports_no_sdk() -> None:
    """Half a second each: only a client that connects pays."""
    sdks = {"openai", "anthropic", "google.genai", "aiohttp", "httpx2"}
    script = f"import sys, batch_router.providers; print({sdks!r} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "set()\n"


def test_an_unknown_provider_is_named() -> None:
    """The error says which are known."""
    with pytest.raises(ProviderNotFoundError, match=r"'opnai' not found; known: .*openai"):
        find_provider("opnai")


def test_a_missing_key_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting without a key says which variable to set, and where."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(CredentialsError, match="set OPENAI_API_KEY where the workers run"):
        find_provider("openai")().connect(Settings(http_timeout=1))
