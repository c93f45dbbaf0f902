"""Which account a client's jobs belong to: its service, the name of its key, and a digest of the key."""

import msgspec
import pytest

from batch_router.core.jobs import Account
from batch_router.providers import Access, find_provider
from batch_router.settings import Settings

KEY = "sk-canary-0123456789"
URLS = {
    "openai": ("https://api.openai.com/v1", "OPENAI_BASE_URL"),
    "anthropic": ("https://api.anthropic.com", "ANTHROPIC_BASE_URL"),
    "google": ("https://generativelanguage.googleapis.com/", "GOOGLE_GEMINI_BASE_URL"),
}


@pytest.mark.parametrize("name", URLS)
def test_the_service_is_the_host_that_is_called(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default the real service; a base URL, or the SDK's own variable for one, makes it another service."""
    url, variable = URLS[name]
    monkeypatch.delenv(variable, raising=False)
    provider = find_provider(name)

    def service(base_url: str | None = None) -> str:
        client = provider(api_key=KEY, base_url=base_url).connect(Settings())
        client.close()
        return client.access.service

    assert service() == f"{name}@{url.split('/')[2]}"
    assert service("http://127.0.0.1:8123/x/v1") == f"{name}@127.0.0.1:8123"
    monkeypatch.setenv(variable, "http://proxy.example/v1")
    assert service() == f"{name}@proxy.example"


def test_engines_of_our_own_have_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a server elsewhere all vLLM jobs of a fleet have one constant account; a server has one of its own."""
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    provider = find_provider("vllm")
    assert provider().connect(Settings()).access.account(None) == Account(service="vllm")
    elsewhere = provider(base_url="http://gpu:8000/v1").connect(Settings()).access
    assert elsewhere.account(None).service == "vllm@gpu:8000"
    assert elsewhere.has_key_of(elsewhere.account(None))


def test_a_key_is_known_again_and_not_told() -> None:
    """The same key fits the record, another does not; neither key nor URL password is in the record."""
    access = Access("openai", f"https://user:{KEY}@api.openai.com/v1", KEY)
    account = access.account("team-a")
    assert (account.service, account.credential, account.name) == (
        "openai@api.openai.com",
        "team-a",
        "openai@api.openai.com/team-a",
    )
    assert KEY not in f"{account!r} {msgspec.json.encode(account)!r}"
    stored = msgspec.json.decode(msgspec.json.encode(account), type=Account)
    assert Access("openai", "https://api.openai.com/v1", KEY).has_key_of(stored)
    assert not Access("openai", "https://api.openai.com/v1", f"{KEY}0").has_key_of(stored)
    assert not Access("openai", "https://api.openai.com/v1").has_key_of(stored)


def test_equal_keys_do_not_show() -> None:
    """Two records of one key differ: the salt is random. Those of one client are the same."""
    access = Access("openai", "https://a", KEY)
    assert access.account(None) == access.account(None)
    assert access.account(None).key != Access("openai", "https://a", KEY).account(None).key


def test_a_service_without_a_key_has_an_account() -> None:
    """Nothing to compare: it fits any client without a key, and none with one."""
    account = Access("vllm", "http://gpu:8000").account(None)
    assert Access("vllm", "http://gpu:8000").has_key_of(account)
    assert not Access("vllm", "http://gpu:8000", KEY).has_key_of(account)


def test_plain_http_to_another_host_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """The key and the rows could be read on the way; on this machine there is none."""
    for url in ("http://127.0.0.1:1/v1", "http://localhost/v1", "http://[::1]:1/v1", "https://far.example/v1"):
        Access("openai", url, KEY)
    assert caplog.text == ""
    for _ in range(2):
        Access("openai", f"http://user:{KEY}@far.example/v1", KEY)
    assert caplog.text.count("openai@far.example is called over http://") == 1
    assert KEY not in caplog.text
