"""Rows of other people's projects, and what must become of each: a collection that may lie beside the checkout."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batch_router.core import NativeRow
from batch_router.exceptions import ValidationError
from batch_router.intake.check import RowCheck, check_file, input_file
from batch_router.intake.options import Options
from batch_router.providers import find_provider
from batch_router.settings import Settings

BODY = {"openai": "body", "vllm": "body", "anthropic": "params", "google": "request"}
MODELS = {"openai": "gpt-5-mini", "anthropic": "claude-haiku-4-5", "google": "gemini-2.5-flash", "vllm": "qwen"}

#: What becomes of a file: the bodies that are sent, or the refusal's words; what was dropped, by name.
Outcome = tuple[list[Any] | None, str, dict[str, int]]
Check = Callable[[list[dict[str, Any]], Outcome, str], None]


def _outcome(path: Path, provider: str, unsupported: str) -> Outcome:
    kind = find_provider(provider)
    given: dict[str, Any] = {"model": MODELS[provider], "unsupported": unsupported}
    if provider == "anthropic" and b'"params"' not in path.read_bytes():
        given["generation_config"] = {"max_tokens": 9}  # it wants one, and a row that is sent as it stands takes none
    options = msgspec.convert(given, Options)
    try:
        check_file(path, kind, options, Settings())
    except ValidationError as error:
        return None, str(error), {}
    check = RowCheck(kind, options, Settings(), path)
    with input_file(path, Settings()) as stream:
        accepted = [check.accept(row) for _, row in check.read(stream)]
    bodies = [json.loads(msgspec.json.encode(check.encode(row, "t-0")))[BODY[provider]] for row in accepted]
    native = all(isinstance(row, NativeRow) for row in accepted)
    return bodies, "native" if native else "translated", dict(check.dropped)


def verbatim(rows: list[dict[str, Any]], outcome: Outcome, provider: str) -> None:
    """The body is sent as it stands, with the batch's model where it has none."""
    bodies, how, dropped = outcome
    assert bodies is not None, how
    assert (how, dropped) == ("native", {})
    model = {} if provider == "google" else {"model": MODELS[provider]}
    assert bodies == [model | row[BODY[provider]] for row in rows]


def says(*patterns: str) -> Check:
    """The file is refused, in one line that has all of these."""

    def check(_: list[dict[str, Any]], outcome: Outcome, __: str) -> None:
        bodies, words, _dropped = outcome
        assert bodies is None, bodies
        assert all(re.search(pattern, words) for pattern in patterns), words
        assert "\n" not in words

    return check


def sends(*fragments: object, without: tuple[object, ...] = ()) -> Check:
    """The body is translated, and has each of these somewhere: members of an object, or values."""

    def check(_: list[dict[str, Any]], outcome: Outcome, __: str) -> None:
        bodies, words, _dropped = outcome
        assert bodies is not None, words
        for fragment in fragments:
            assert _holds(bodies, fragment), (fragment, bodies)
        for fragment in without:
            assert not _holds(bodies, fragment), (fragment, bodies)

    return check


def loses(name: str) -> Check:
    """Refused by name; with `unsupported="drop"` it is left out and counted."""

    def check(_: list[dict[str, Any]], outcome: Outcome, __: str) -> None:
        bodies, words, dropped = outcome
        if bodies is None:
            assert name in words, words
        else:
            assert any(name in each for each in dropped), dropped

    return check


def _holds(value: object, fragment: object) -> bool:
    if value == fragment:
        return True
    if isinstance(value, dict):
        if isinstance(fragment, dict) and all(name in value and value[name] == fragment[name] for name in fragment):
            return True
        return any(_holds(each, fragment) for each in (*value, *value.values()))
    return isinstance(value, list) and any(_holds(each, fragment) for each in value)


CASES: list[tuple[str, str, Check]] = [
    *((f"{name}.jsonl", "openai vllm", verbatim) for name in ("01-effort-xhigh", "07-system-in-middle")),
    *((f"{name}.jsonl", "openai vllm", verbatim) for name in ("03-toolcall-bad-args", "07b-system-only")),
    *(
        (f"{name}.jsonl", "openai", verbatim)
        for name in (
            "02-json-schema-description",
            "04-embeddings-list",
            "05-web-search-tool",
            "06-moderations",
            "11-file-id",
            "12-audio",
            "13-tool-output-image",
            "14-reasoning-item",
            "20-allowed-tools",
            "20b-custom-tool",
            "20d-tool-empty",
            "24-url-full",
            "32-no-method-url",
            "41-cache-breakpoint",
            "42-responses-phase",
            "43-azure-url",
            "in_responses_strict_left_out",
        )
    ),
    ("15b-assistant-empty.jsonl", "openai vllm", verbatim),
    ("16-topk-minus1.jsonl", "vllm", verbatim),
    ("17-native-anthropic.jsonl", "anthropic", verbatim),
    ("17b-native-gemini.jsonl", "google", verbatim),
    ("01c-effort-max-unified.jsonl", "anthropic", sends({"effort": "max"})),
    ("02-json-schema-description.jsonl", "google anthropic vllm", sends("A person")),
    ("03-toolcall-bad-args.jsonl", "google anthropic", loses("arguments")),
    ("05-web-search-tool.jsonl", "google vllm", loses("web_search")),
    ("07-system-in-middle.jsonl", "google anthropic", loses("system")),
    ("08-message-name-anthropic.jsonl", "anthropic google", loses("name")),
    (
        "09-cache-control-part.jsonl",
        "anthropic",
        sends(
            {"text": "LONG", "cache_control": {"type": "ephemeral"}},
            {"text": "hi", "cache_control": {"type": "ephemeral"}},
        ),
    ),
    ("10-image-jpg.jsonl", "anthropic", sends({"media_type": "image/jpeg"})),
    ("10-image-jpg.jsonl", "google", sends({"mimeType": "image/jpeg"})),
    ("10c-image-charset.jsonl", "anthropic", sends({"media_type": "image/png", "data": "iVBORw0KGgo="})),
    ("10c-image-charset.jsonl", "google", sends({"mimeType": "image/png", "data": "iVBORw0KGgo="})),
    ("13-tool-output-image.jsonl", "vllm", says("image")),
    ("13-tool-output-image.jsonl", "google anthropic", sends("iVBORw0KGgo=")),
    ("17-native-anthropic.jsonl", "openai google vllm", sends("Say hi")),
    ("17b-native-gemini.jsonl", "openai vllm", sends("hi")),
    ("17c-extra-column.jsonl", "openai anthropic google vllm", says("label", "custom_id", "prompt")),
    ("18-custom-id-int.jsonl", "openai anthropic google vllm", says("custom_id", "quotes")),
    ("20d-tool-empty.jsonl", "google", sends("Say hi", without=("response_format",))),
    ("22-json-object-other.jsonl", "google", sends({"responseMimeType": "application/json"})),
    ("30b-utf16.jsonl", "openai anthropic google vllm", says("UTF-16", "UTF-8")),
    ("30e-lone-surrogate.jsonl", "openai anthropic google vllm", says("line 1", "prompt")),
    ("30h-array-file.json", "openai anthropic google vllm", says("array", "one")),
    ("30j-pretty-array.json", "openai anthropic google vllm", says("array", "one")),
]


@pytest.mark.parametrize(("file", "providers", "check"), CASES, ids=[f"{file}-{to}" for file, to, _ in CASES])
@pytest.mark.parametrize("unsupported", ["error", "drop"])
def test_a_row_of_others_comes_right(shared: Path, file: str, providers: str, check: Check, unsupported: str) -> None:
    """Sent as it stands, translated, refused in a sentence, or dropped and counted: as the collection says."""
    path = shared / "cases" / "rows" / file
    try:
        rows = [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
    except ValueError:
        rows = []
    for provider in providers.split():
        check(rows, _outcome(path, provider, unsupported), provider)
