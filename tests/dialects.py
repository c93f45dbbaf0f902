"""Rows of the providers' own batch files, on their way to any provider."""

import json
from typing import Any, NamedTuple

import msgspec

from batch_router.bounds import Bounds
from batch_router.core import NativeRow
from batch_router.intake.encode import RowEncoder
from batch_router.intake.options import Defaults
from batch_router.intake.problems import Problems
from batch_router.intake.rows import RowReader
from batch_router.providers import find_provider
from batch_router.settings import Settings

PROVIDERS = ("openai", "anthropic", "google", "vllm")
HI = {"role": "user", "content": "hi"}
#: dialect -> a plain row of it
PLAIN: dict[str, dict[str, Any]] = {
    "chat": {
        "custom_id": "q",
        "url": "/v1/chat/completions",
        "body": {"model": "m", "max_tokens": 9, "messages": [HI]},
    },
    "responses": {
        "custom_id": "q",
        "url": "/v1/responses",
        "body": {"model": "m", "max_output_tokens": 9, "input": "hi"},
    },
    "embeddings": {"custom_id": "q", "url": "/v1/embeddings", "body": {"model": "m", "input": "hi"}},
    "anthropic": {"custom_id": "q", "params": {"model": "m", "max_tokens": 9, "messages": [HI]}},
    "gemini": {
        "key": "q",
        "request": {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 9}},
    },
}
#: where a row's request is, in every dialect
BODIES = ("body", "params", "request")
#: The providers whose own each dialect is.
OWN = {
    "chat": {"openai", "vllm"},
    "responses": {"openai"},
    "embeddings": {"openai", "vllm"},
    "anthropic": {"anthropic"},
    "gemini": {"google"},
}


class Sent(NamedTuple):
    """What came of a row.

    Attributes:
        request: as it is sent.
        dropped: what was left out, by name.
        adjusted: what of schemas is sent in another way, by name.
        is_native: whether it goes as it stands.
    """

    request: Any
    dropped: dict[str, int]
    adjusted: dict[str, int]
    is_native: bool


def row_of(dialect: str, **members: Any) -> dict[str, Any]:
    """The plain row of a dialect with these members in its body."""
    row = PLAIN[dialect]
    body = next(name for name in BODIES if name in row)
    return row | {body: row[body] | members}


def send(provider: str, row: Any, unsupported: Any = "error", **defaults: Any) -> Sent:
    """A row as it goes to a provider, by default to the model `m`.

    Raises:
        ValidationError: it is refused.
    """
    kind, problems = find_provider(provider), Problems()
    found = list(
        RowReader(kind.native, Defaults(**{"model": "m"} | defaults), problems, Bounds()).read(
            [json.dumps(row).encode()]
        )
    )
    problems.raise_any()
    ((_, read),) = found
    encoder = RowEncoder(kind, unsupported, Settings())
    wire = json.loads(msgspec.json.encode(encoder.encode(read, "t-0")))
    request = next(wire[name] for name in BODIES if name in wire)
    return Sent(request, dict(encoder.dropped), dict(encoder.adjusted), isinstance(read, NativeRow))
