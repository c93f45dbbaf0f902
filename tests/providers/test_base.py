"""What all providers share: reading `Retry-After`, quoting answers, and being found by name."""

from datetime import UTC, datetime

import pytest

from batch_router import providers
from batch_router.exceptions import CredentialsError, ProviderNotFoundError
from batch_router.providers import find_provider, provider_names
from batch_router.providers.base import quote_start, read_retry_after
from batch_router.settings import Settings

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
KEY = "sk-canary-0123456789"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        ("2.5", 2.5),
        (" 30 ", 30),
        ("86400", 86400),
        ("Thu, 01 Jan 2026 12:01:30 GMT", 90),
        ("Thu, 01 Jan 2026 14:00:10 +0200", 10),
        ("Thu, 01 Jan 2026 11:59:59 GMT", None),  # past
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("", None),
        ("soon", None),
        ("Thu, 32 Jan 2026 12:00:00 GMT", None),
        ("Thu, 01 Jan 99999999999999999999 12:00:00 GMT", None),
        ("Thu, 01 Jan 2026 12:00:10 -0000", None),  # a date that does not say where
    ],
)
def test_retry_after_is_read(value: str, seconds: float | None) -> None:
    """Seconds and dates become seconds from now; nonsense and the past are as good as nothing."""
    assert read_retry_after({"retry-after": value}, NOW) == seconds


def test_a_date_is_reckoned_by_the_sender_s_clock() -> None:
    """However wrong ours is; without the sender's, or where that is nonsense, there is nothing to go by but ours."""
    asked = {"retry-after": "Thu, 01 Jan 2026 15:00:30 GMT"}
    assert read_retry_after(asked | {"date": "Thu, 01 Jan 2026 15:00:00 GMT"}, NOW) == 30
    assert read_retry_after(asked, NOW) == 3 * 3600 + 30
    assert read_retry_after(asked | {"date": "today"}, NOW) is None


def test_there_may_be_no_retry_after() -> None:
    """Most answers have no such header."""
    assert read_retry_after({"x-request-id": "1"}, NOW) is None


@pytest.mark.parametrize("body", [f"Incorrect key {KEY}.", f"Incorrect key {KEY}.".encode(), f"{KEY} {KEY}"])
def test_the_key_is_not_quoted(body: str | bytes) -> None:
    """A provider that repeats the key does not bring it into our errors."""
    quoted = quote_start(body, KEY)
    assert KEY not in quoted
    assert "***" in quoted


@pytest.mark.parametrize("before", range(170, 205, 5))
def test_a_key_at_the_cut_is_not_quoted(before: int) -> None:
    """Not even the beginning of a key is left where the quotation ends."""
    assert "canary" not in quote_start("x" * before + KEY + "y" * 100, KEY)


@pytest.mark.parametrize(
    ("body", "quoted"),
    [
        ("<html>", "'<html>'"),
        (b"\xff\x00", r"'\ufffd\x00'".replace(r"\ufffd", "\ufffd")),
        ("a\nb\x1b[2J", r"'a\nb\x1b[2J'"),
        ("", "''"),
        ("z" * 1000, f"'{'z' * 200}'"),
    ],
)
def test_answers_are_quoted_safely(body: str | bytes, quoted: str) -> None:
    """A quotation is one short line, whatever the bytes."""
    assert quote_start(body) == quoted
    assert quote_start(body, KEY) == quoted
    assert quote_start(body, "") == quoted


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
