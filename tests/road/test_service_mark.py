"""The real service and a simulated one never both have batches of a provider in one storage."""

from pathlib import Path

import pytest

from batch_router.exceptions import ValidationError
from batch_router.road.service_mark import bind_services, services_of
from batch_router.settings import Settings
from batch_router.storage import FolderStorage


@pytest.mark.parametrize("simulated", [True, False])
def test_the_other_kind_is_refused_while_there_are_batches(simulated: bool, tmp_path: Path) -> None:
    """Workers of the same kind come and go; the other kind takes over only a storage without the provider's batches."""
    storage = FolderStorage(tmp_path)
    ours, other = {"openai": simulated, "google": True}, {"openai": not simulated, "google": True}
    bind_services(storage, other)
    bind_services(storage, ours)
    for provider in ("openai", "google"):
        with storage.write(f"generated/{provider}/b/input.jsonl") as stream:
            stream.write(b"{}")
    bind_services(storage, ours)
    with pytest.raises(ValidationError, match=r"^the openai batches in .* BATCH_ROUTER_OPENAI_BASE_URL.*purge"):
        bind_services(storage, other)
    storage.delete("generated/openai/b/input.jsonl")
    bind_services(storage, other)


def test_a_service_on_this_machine_is_a_simulated_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its base URL alone; a service without key and address is another worker's, and vLLM may run here."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY", "VLLM_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GEMINI_API_KEY_TEAM_A", "k")
    urls = {"openai": "http://localhost:4711/v1", "vllm": "http://127.0.0.1:8000"}
    found = {
        name: services_of(Settings(base_urls=urls)).get(name) for name in ("openai", "anthropic", "google", "vllm")
    }
    assert found == {"openai": True, "anthropic": None, "google": False, "vllm": False}
    assert set(services_of(Settings(simulated=True)).values()) == {True}
    assert services_of(Settings(base_urls={"openai": "https://gateway.example/v1"}))["openai"] is False
