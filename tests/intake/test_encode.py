"""What a provider does not take: refused by name, or dropped and counted."""

from typing import Any

import msgspec
import pytest

from batch_router.core import DocumentContent, Endpoint, GenerationConfig, TextContent, UnifiedMessage, UnifiedRequest
from batch_router.exceptions import UnsupportedContentTypeError, ValidationError
from batch_router.intake.encode import RowEncoder
from batch_router.intake.rows import row_from
from batch_router.providers import find_provider
from batch_router.settings import Settings

OPENAI = find_provider("openai")
PDF = DocumentContent(source_type="url", media_type="application/pdf", data="https://a/b.pdf")


def request(*content: Any, **fields: Any) -> UnifiedRequest:
    messages = [UnifiedMessage(role="user", content=list(content) or "hi")]
    return UnifiedRequest(**{"custom_id": "a", "model": "m", "messages": messages} | fields)


@pytest.mark.parametrize(
    ("refused", "kind", "complaint"),
    [
        (
            request(generation_config=GenerationConfig(top_k=5)),
            ValidationError,
            "generation_config.top_k: openai does not take it; leave it out, or submit with unsupported='drop'",
        ),
        (
            request(TextContent(text="look"), PDF),
            UnsupportedContentTypeError,
            r"messages\[0\].content\[1\]: document.url: openai does not take it; send it as base64",
        ),
    ],
)
def test_what_the_provider_does_not_take_is_refused(refused: Any, kind: type[Exception], complaint: str) -> None:
    """The refusal names field and provider, and says what to do."""
    with pytest.raises(kind, match=complaint):
        RowEncoder(OPENAI, "error", Settings()).encode(refused, "r")


def test_what_the_provider_does_not_take_is_dropped_and_counted() -> None:
    """The rest of the request goes out, and the default that other requests share is left alone."""
    shared = GenerationConfig(top_k=5, temperature=0.5)
    encoder = RowEncoder(OPENAI, "drop", Settings())
    for _ in range(2):
        row: Any = encoder.encode(request(TextContent(text="look"), PDF, generation_config=shared), "r")
        assert (row.body.top_k, row.body.temperature) == (None, 0.5)
        assert row.body.messages == [{"role": "user", "content": "look"}]
    assert encoder.dropped == {"top_k": 2, "document.url": 2}
    assert shared.top_k == 5


def openai_row(**body: Any) -> dict[str, Any]:
    turn = {"role": "user", "content": "hi"}
    body = {"model": "m", "max_tokens": 9, "messages": [turn], **body}
    return {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}


@pytest.mark.parametrize("provider", ["anthropic", "google"])
def test_keys_of_an_openai_row_are_foreign_elsewhere(provider: str) -> None:
    """They are refused by name, or dropped and counted; what has a unified name goes along."""
    row = openai_row(logprobs=True, n=2, stop="END")
    kind = find_provider(provider)
    drop: Any = RowEncoder(kind, "drop", Settings())
    with pytest.raises(ValidationError, match=rf"body\.logprobs: {provider} does not take it; leave it out"):
        RowEncoder(kind, "error", Settings()).encode(row_from(row), "r")
    sent = msgspec.json.encode(drop.encode(row_from(row), "r"))
    assert (drop.dropped["logprobs"], drop.dropped["n"], b"logprobs" in sent) == (1, 1, False)


def test_a_turn_of_which_nothing_is_left_goes_too() -> None:
    """What else the row says is sent; where that is nothing, the row is refused."""
    turns = [UnifiedMessage(role="user", content=[PDF]), UnifiedMessage(role="user", content="hi")]
    row: Any = RowEncoder(OPENAI, "drop", Settings()).encode(request(messages=turns), "r")
    assert row.body.messages == turns[1:]
    with pytest.raises(ValidationError, match=r"^messages\[0\].content\[0\]: document.url: openai does not take it"):
        RowEncoder(OPENAI, "drop", Settings()).encode(request(PDF), "r")


def test_an_endpoint_that_the_provider_does_not_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal says which ones there are."""
    monkeypatch.setattr(OPENAI, "endpoints", {Endpoint.CHAT: {}})
    with pytest.raises(ValidationError, match="openai has no 'embeddings'; it has: chat"):
        RowEncoder(OPENAI, "drop", Settings()).encode(request(endpoint="embeddings"), "r")
