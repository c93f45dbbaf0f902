"""A model that plainly is another provider's is warned of, once, before anything is sent."""

import json
import logging
from pathlib import Path

import pytest

from batch_router.intake import models
from batch_router.intake.check import check_file
from batch_router.intake.models import warn_of_foreign_model
from batch_router.intake.options import Options
from batch_router.providers import find_provider
from batch_router.settings import Settings


@pytest.fixture(autouse=True)
def fresh() -> None:
    """What was said before is forgotten."""
    models._warn.cache_clear()


@pytest.mark.parametrize(
    ("provider", "model", "owner"),
    [
        ("google", "gpt-4o", "openai"),
        ("google", "ft:gpt-4o-mini:acme::x", "openai"),
        ("anthropic", "o3", "openai"),
        ("anthropic", "o4-mini", "openai"),
        ("google", "text-embedding-3-small", "openai"),
        ("openai", "claude-opus-4-7", "anthropic"),
        ("google", "claude-sonnet-4-6", "anthropic"),
        ("openai", "gemini-2.5-flash", "google"),
        ("anthropic", "models/gemini-2.5-pro", "google"),
        ("openai", "gemma-3-27b-it", "google"),
        ("openai", "text-embedding-004", "google"),
    ],
)
def test_a_foreign_model_is_warned_of(caplog: pytest.LogCaptureFixture, provider: str, model: str, owner: str) -> None:
    """The line names the model, whose it looks like, where it goes, and what to do; it comes once."""
    for _ in range(3):
        warn_of_foreign_model(model, find_provider(provider), Settings())
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"the model {model} looks like one of {owner}'s, and goes to {provider}; " in record.getMessage()


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-5-mini"),
        ("openai", "o3-mini"),
        ("openai", "omni-moderation-latest"),
        ("openai", "my-own"),
        ("anthropic", "claude-opus-4-7"),
        ("google", "gemini-2.5-flash"),
        ("google", "models/gemini-2.5-flash"),
        ("google", "tunedModels/mine"),
        ("anthropic", "gpt-oss-120b"),
        ("google", "olmo-2"),
        ("vllm", "google/gemma-3-4b-it"),
        ("vllm", "gpt-4o"),
    ],
)
def test_other_models_are_not(caplog: pytest.LogCaptureFixture, provider: str, model: str) -> None:
    """Its own, those that no provider claims, and all at an engine: what it loads may be called anything."""
    warn_of_foreign_model(model, find_provider(provider), Settings())
    assert caplog.records == []


def test_gateways_and_services_have_models_of_all_kinds(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """OpenAI's wire at another address is spoken by all."""
    (tmp_path / "services.toml").write_text('[one]\nbase_url = "https://x.example"\n')
    (tmp_path / "services.toml").chmod(0o600)
    settings = Settings(services=tmp_path / "services.toml", base_urls={"openai": "http://localhost:4000/v1"})
    warn_of_foreign_model("claude-opus-4-7", find_provider("openai"), settings)
    warn_of_foreign_model("claude-opus-4-7", find_provider("openai")(base_url="http://localhost:4000/v1"), Settings())
    warn_of_foreign_model("claude-opus-4-7", find_provider("one", settings), settings)
    assert caplog.records == []


def test_the_models_of_all_rows_are_looked_at(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """The batch's, a row's own, and that of a row that is sent as it stands; one line for each."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
    rows = [
        {"custom_id": "a", "prompt": "Hi"},
        {"custom_id": "b", "prompt": "Hi", "model": "claude-opus-4-7"},
        {"custom_id": "c", "prompt": "Hi", "model": "claude-opus-4-7"},
        {"custom_id": "d", "method": "POST", "url": "/v1/chat/completions", "body": body},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    check_file(tmp_path / "in.jsonl", find_provider("openai"), Options(model="gemini-2.5-flash"), Settings())
    assert [record.getMessage().split()[2] for record in caplog.records] == ["gemini-2.5-flash", "claude-opus-4-7"]
