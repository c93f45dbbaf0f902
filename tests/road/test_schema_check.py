"""Answers against the user's schema: what fits, what does not, and schemas that would do harm."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from batch_router.core import FinishReason, OutputSchema, ResultStatus, UnifiedResult
from batch_router.road.context import Context
from batch_router.road.parsing import AnswerParser
from batch_router.road.schema_check import SchemaCheck
from tests.items import new_shard
from tests.providers import schema_classes as classes

ITEM = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"]}


def fit(schema: Any, data: Any) -> tuple[Any, str | None]:
    return SchemaCheck(OutputSchema(schema=schema).schema).fit(data)


@pytest.mark.parametrize(
    ("schema", "data", "parsed"),
    [
        (ITEM, {"a": 1}, {"a": 1}),
        (ITEM, {"a": 1, "b": None}, {"a": 1}),  # what may be left out is null in OpenAI's strict form
        (ITEM, {"a": 1, "b": "x", "c": None}, {"a": 1, "b": "x", "c": None}),
        ({"type": "array", "items": ITEM}, [{"a": 1, "b": None}], [{"a": 1}]),
        ({"type": "array", "items": ITEM}, {"value": [{"a": 1}]}, [{"a": 1}]),
        ({"enum": ["x"]}, {"value": "x"}, "x"),
        ({"type": "object", "properties": {"value": {}}}, {"value": 1}, {"value": 1}),
        (classes.Defaults, {"count": 1, "tags": None, "label": None}, {"count": 1}),
        (classes.Optionals, {"name": "a", "nickname": None}, {"name": "a", "nickname": None}),
        (classes.Within, {"tree": {"value": 1, "children": None}}, {"tree": {"value": 1}}),
        (classes.Label | None, {"value": None}, None),
        ({}, 5, 5),
        ({"type": "string", "format": "date", "pattern": "^x$"}, "y", "y"),
        ({"patternProperties": {"^x": {"type": "string"}}, "additionalProperties": False}, {"x1": 5}, {"x1": 5}),
        ({"properties": {"pattern": {"type": "integer"}}, "required": ["pattern"]}, {"pattern": 1}, {"pattern": 1}),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "integer"}]}, [1, "x"], [1, "x"]),
    ],
)  # fmt: skip
def test_what_fits_is_data(schema: Any, data: Any, parsed: Any) -> None:
    """Nulls that stand for nothing and wrapped lists fit, too; expressions of texts are not looked at."""
    assert fit(schema, data) == (parsed, None)


@pytest.mark.parametrize(
    ("schema", "data", "problem"),
    [
        (ITEM, {}, r"^the answer does not fit the schema: \$: 'a' is a required property"),
        (ITEM, {"a": "x"}, r"\$\.a: 'x' is not of type 'integer'"),
        (ITEM, {"a": None}, r"\$\.a: None is not of type 'integer'"),
        (ITEM, {"a": "x" * 9999}, r"\$\.a: 'x.*\.\.\.$"),
        (classes.Bounds, {"age": -1, "share": 1, "word": "", "words": [], "some": []}, "the answer does not fit"),
        (classes.Closed, {"name": "a", "more": 1}, "Additional properties"),
        ({"type": "array", "items": ITEM}, {"value": [{}]}, "'a' is a required"),
        ({"uniqueItems": True}, [1, 1], "non-unique"),
    ],
)
def test_what_does_not_fit_is_told(schema: Any, data: Any, problem: str) -> None:
    """In one bounded sentence that names the place; there is no data then."""
    parsed, told = fit(schema, data)
    assert parsed is None
    assert told is not None
    with pytest.raises(ValueError, match=problem):
        raise ValueError(told)
    assert len(told) <= 500


ENDLESS = {"anyOf": [{"properties": {"a": {"$ref": "#"}}, "required": [name]} for name in ("x", "y", "z")]}


def nested(depth: int) -> Any:
    data: Any = {}
    for _ in range(depth):
        data = {"a": data}
    return data


@pytest.mark.parametrize(
    ("schema", "data", "problem"),
    [
        ({"type": "strng"}, 1, "no JSON schema"),
        ({"properties": []}, {}, "no JSON schema"),
        ({"$ref": "https://example.com/schema.json"}, {}, "https://example.com/schema.json"),
        ({"$ref": "file:///etc/passwd"}, {}, "file:///etc/passwd"),
        ({"$ref": "#/$defs/none"}, {}, "none"),
        ({"$ref": "#"}, {}, "nested too deeply|too many"),
        (ENDLESS, nested(60), "too many alternatives"),
        ({"uniqueItems": True}, [{} for _ in range(5000)], "too many alternatives"),
        ({"items": {"enum": list(range(1000))}}, [999] * 1000, "too many alternatives"),
    ],
)
def test_a_schema_that_cannot_be_used_costs_no_answer(schema: Any, data: Any, problem: str) -> None:
    """The data is there, and why it was not checked; no such check takes long, and none fetches anything."""
    parsed, told = fit(schema, data)
    assert parsed == data
    with pytest.raises(ValueError, match=f"^not checked: .*({problem})"):
        raise ValueError(told)


def test_an_expression_without_end_is_not_run() -> None:
    """A text that such an expression would take years for is data."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}},
              "patternProperties": {"^(a+)+$": {}}, "propertyNames": {"pattern": "^(a+)+$"}}  # fmt: skip
    data = {"a" * 60 + "!": 1, "a": "a" * 60 + "!"}
    assert fit(schema, data) == (data, None)


@pytest.mark.parametrize("kind", [*classes.PLAIN, *classes.RECURSIVE, *classes.LOOSE])
def test_the_check_says_what_jsonschema_says(kind: Any) -> None:
    """Of data that fits and of data that does not."""
    schema = OutputSchema(schema=kind).schema
    tried: tuple[Any, ...] = ({}, {"name": "a", "score": 1}, {"value": 1}, {"value": 1, "children": [{}]}, [], None)
    for data in tried:
        assert (fit(schema, data)[1] is None) == Draft202012Validator(schema).is_valid(data)


# --- texts ------------------------------------------------------------------------------------------------------------


def parse(context: Context, text: str | None, **fields: Any) -> UnifiedResult:
    result = UnifiedResult(custom_id="a", status=ResultStatus.SUCCEEDED, text=text, response={}, **fields)
    return AnswerParser(context, new_shard()).parse(result, 0)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ('{"a": 1}', {"a": 1}),
        ('\n {"a": 1}\n', {"a": 1}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('```\n{"a": "```"}\n```', None),
        ("12345678901234567890123", 12345678901234567890123),
        ("null", None),
    ],
)
def test_a_text_is_read_as_json(context: Context, text: str, parsed: Any) -> None:
    """Also one in a fence, as models write it."""
    result = parse(context, text)
    assert result.parsed == parsed
    assert (result.parse_error is None) == ('```"' not in text)


@pytest.mark.parametrize(
    ("text", "fields", "problem"),
    [
        ("Sure! {}", {}, "^the text is no JSON: JSON is malformed"),
        ("", {}, "^the text is no JSON"),
        ('{"a": ', {"finish_reason": FinishReason.LENGTH}, "; it was cut off$"),
        ('```json\n{"a": 1}\n``` and\n```json\n{}\n```', {}, "^the text is no JSON"),
        ("[" * 900 + "]" * 900, {}, "^the text is no JSON: nested too deeply|^None"),
        ("[" * 100_000, {}, "^the text is no JSON"),
        ("NaN", {}, "^the text is no JSON"),
        ("1e999", {}, "^the text is no JSON"),
        ('"\ud800"', {}, "^the text is no JSON: it has a lone surrogate"),
        (
            '"' + "x" * (1 << 20) + '"',
            {},
            "^the text has 1,048,578 characters: more than 1,048,576 ",
        ),
        (None, {"refusal": "no"}, "^the answer has no text$"),
    ],
)
def test_a_text_that_is_no_json_is_told(context: Context, text: str | None, fields: Any, problem: str) -> None:
    """The row stays succeeded, and its text is there."""
    result = parse(context, text, **fields)
    assert (result.status, result.text) == (ResultStatus.SUCCEEDED, text)
    with pytest.raises(ValueError, match=problem):
        raise ValueError(str(result.parse_error))


def test_calls_of_tools_are_no_missing_text(context: Context) -> None:
    """A row that asked for a schema and has tools may answer with a call."""
    assert parse(context, None, tool_calls=[{"id": "1", "name": "f", "arguments": {}}]).parse_error is None
