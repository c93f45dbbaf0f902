"""A batch's output schema beside rows that are sent as they stand."""

import io
import json
from typing import Any

import msgspec
import pytest

from batch_router.bounds import Bounds
from batch_router.core import GenerationConfig, NativeRow, UnifiedMessage, UnifiedRequest
from batch_router.exceptions import ValidationError
from batch_router.intake.check import RowCheck
from batch_router.intake.encode import RowEncoder
from batch_router.intake.options import read_options
from batch_router.intake.problems import Problems
from batch_router.intake.rows import RowReader
from batch_router.jsonl import read_lines
from batch_router.providers import find_provider
from batch_router.settings import Settings

LABEL = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CLOSED = LABEL | {"additionalProperties": False}
OPENAPI = {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "required": ["a"]}
CHAT = {"type": "json_schema", "json_schema": {"schema": LABEL, "name": "output"}}
FORMAT = {"type": "json_schema", "strict": False, "schema": LABEL, "name": "output"}
CLAUDE = {"type": "json_schema", "schema": CLOSED}
GEMINI = {"responseMimeType": "application/json", "responseSchema": OPENAPI}


def line(provider: str, body: str, url: str = "/v1/chat/completions") -> bytes:
    match provider:
        case "anthropic":
            return b'{"custom_id":"a","params":%b}' % body.encode()
        case "google":
            return b'{"key":"a","request":%b}' % body.encode()
    return b'{"custom_id":"a","method":"POST","url":"%b","body":%b}' % (url.encode(), body.encode())


def read(provider: str, row: bytes, **options: Any) -> NativeRow:
    native, problems = find_provider(provider).native, Problems()
    reader = RowReader(native, read_options({"model": "m", **options}), problems, Bounds())
    rows = [found for _, found in reader.read(read_lines(io.BytesIO(row), 1 << 20))]
    problems.raise_any()
    assert isinstance(rows[0], NativeRow)
    return rows[0]


@pytest.mark.parametrize(
    ("provider", "body", "url", "added"),
    [
        ("openai", '{"model":"m","n":1.0}', "/v1/chat/completions", {"response_format": CHAT}),
        ("vllm", '{"model":"m","n":1.0}', "/v1/chat/completions", {"response_format": CHAT}),
        ("openai", '{"model":"m","n":1.0,"response_format":null}', "/v1/chat/completions", {"response_format": CHAT}),
        ("openai", '{"model":"m","n":1.0}', "/v1/responses", {"text": {"format": FORMAT}}),
        (
            "openai",
            '{"model":"m","n":1.0,"text":{"verbosity":"low"}}',
            "/v1/responses",
            {"text": {"verbosity": "low", "format": FORMAT}},
        ),
        ("anthropic", '{"model":"m","n":1.0}', "", {"output_config": {"format": CLAUDE}}),
        (
            "anthropic",
            '{"model":"m","n":1.0,"output_config":{"effort":"low"}}',
            "",
            {"output_config": {"effort": "low", "format": CLAUDE}},
        ),
        ("google", '{"n":1.0}', "", {"generationConfig": GEMINI}),
        ("google", '{"n":1.0,"generationConfig":{"topK":1}}', "", {"generationConfig": GEMINI | {"topK": 1}}),
        (
            "google",
            '{"n":1.0,"generation_config":{"response_mime_type":"application/json"}}',
            "",
            {"generation_config": {"response_mime_type": "application/json", "responseSchema": OPENAPI}},
        ),
    ],
)
def test_a_batchs_schema_is_written_into_a_body_without_one(
    provider: str, body: str, url: str, added: dict[str, Any]
) -> None:
    """In the provider's form; what the body had is still there, its numbers as they were written."""
    row = read(provider, line(provider, body, url), output_schema=LABEL)
    assert json.loads(bytes(row.body)) == json.loads(body) | added
    assert b'"n":1.0' in bytes(row.body)
    assert row.output_schema is not None
    native = find_provider(provider).native
    assert native is not None
    asked = native.asked_schema(row)
    assert asked == (CLOSED if provider == "anthropic" else LABEL)


@pytest.mark.parametrize(
    ("provider", "body", "url", "asked"),
    [
        ("openai", '{"model":"m","response_format":{"type":"json_object"}}', "/v1/chat/completions", {}),
        ("openai", '{"model":"m","response_format":{"type":"text"}}', "/v1/chat/completions", None),
        ("openai", '{"model":"m","response_format":"odd \\"json_schema\\""}', "/v1/chat/completions", None),
        ("openai", json.dumps({"model": "m", "response_format": CHAT}), "/v1/chat/completions", LABEL),
        ("openai", json.dumps({"model": "m", "text": {"format": FORMAT}}), "/v1/responses", LABEL),
        ("openai", '{"model":"m","text":"odd"}', "/v1/responses", None),
        ("anthropic", json.dumps({"model": "m", "output_config": {"format": CLAUDE}}), "", CLOSED),
        ("google", '{"generationConfig":{"responseSchema":{"type":"ARRAY"}}}', "", {"type": "array"}),
        ("google", '{"generationConfig":{"response_json_schema":{"type":"array"}}}', "", {"type": "array"}),
        ("google", '{"generationConfig":{"responseMimeType":"text/x.enum"}}', "", None),
        ("google", '{"generationConfig":{"responseSchema":"odd"}}', "", None),
    ],
)  # fmt: skip
def test_a_body_with_a_form_of_its_own_stays(provider: str, body: str, url: str, asked: Any) -> None:
    """Byte for byte; what it asks for is read from it, unless it cannot be understood."""
    row = read(provider, line(provider, body, url), output_schema=LABEL)
    assert bytes(row.body) == body.encode()
    assert row.output_schema is None
    native = find_provider(provider).native
    assert native is not None
    assert native.asked_schema(row) == asked


def test_a_body_that_asks_for_a_text_asks_for_no_schema() -> None:
    """Whatever words are in its messages."""
    for provider in ("openai", "anthropic", "google"):
        row = read(provider, line(provider, '{"model":"m","x":"\\"json_schema\\" responseSchema"}'))
        native = find_provider(provider).native
        assert native is not None
        assert native.asked_schema(row) is None


def test_another_default_beside_a_native_row_is_still_refused() -> None:
    """Only the schema has a place of its own; and rows without such a place refuse it, too."""
    with pytest.raises(ValidationError, match=r"generation_config\.max_tokens: a row"):
        read("openai", line("openai", "{}"), output_schema=LABEL, generation_config={"max_tokens": 5})
    with pytest.raises(ValidationError, match="output_schema: rows for 'embeddings' have none"):
        read("openai", line("openai", '{"input":"a"}', "/v1/embeddings"), output_schema=LABEL)
    with pytest.raises(ValidationError, match="output_schema: rows of embeddings have none"):
        read("google", line("google", '{"content":{}}'), output_schema=LABEL)


def test_what_changes_is_counted() -> None:
    """For native rows that got the batch's schema, and for translated ones."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "minLength": 1}}}
    options = read_options({"model": "m", "generation_config": {"max_tokens": 1}, "output_schema": schema})
    rows = b'{"custom_id":"a","prompt":"1"}\n{"custom_id":"b","prompt":"2"}\n'
    assert _adjusted(options, rows) == {"output_schema.minLength": 2}
    config = GenerationConfig(output_schema=schema)
    native = msgspec.structs.replace(options, generation_config=config)
    assert _adjusted(native, line("anthropic", "{}")) == {"output_schema.minLength": 1}


def test_a_schema_that_the_provider_cannot_take_is_refused_or_dropped() -> None:
    """As a parameter is: the error says why, and what is dropped is counted."""
    config: Any = {"max_tokens": 1, "output_schema": {"type": "object", "additionalProperties": True}}
    message = UnifiedMessage.from_text("user", "?")
    row = UnifiedRequest(custom_id="a", model="m", messages=[message], generation_config=config)
    encoder = RowEncoder(find_provider("anthropic"), "error", Settings())
    with pytest.raises(ValidationError, match=r"^generation_config.output_schema: .*names are free.*'drop'$"):
        encoder.fit(row)
    encoder = RowEncoder(find_provider("anthropic"), "drop", Settings())
    fitted = encoder.fit(row)
    assert isinstance(fitted, UnifiedRequest)
    assert fitted.generation_config == GenerationConfig(max_tokens=1)
    assert encoder.dropped == {"output_schema": 1}


def _adjusted(options: Any, rows: bytes) -> dict[str, int]:
    check = RowCheck(find_provider("anthropic"), options, Settings())
    for _, row in check.read(io.BytesIO(rows)):
        check.accept(row)
    check.finish(lambda: io.BytesIO(rows))
    return dict(check.adjusted)
