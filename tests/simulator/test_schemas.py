"""The instances that the simulator answers with fit their schemas, whatever these ask for."""

import json
import random
import re
from enum import Enum
from typing import Any, Literal

import jsonschema
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_router.simulator.schemas import instance_of, match_of

NODE = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
        "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
    },
    "required": ["value", "children", "next"],
    "additionalProperties": False,
}
SCHEMAS: list[Any] = [
    True,
    {},
    {"type": "object"},
    {"type": ["string", "null"]},
    {"const": {"a": [1, None]}},
    {"enum": ["a", 2, None]},
    {"type": "string", "enum": ["a", "b"]},
    {"$ref": "#/$defs/node", "$defs": {"node": NODE}},
    {"properties": {"a": {"$ref": "#"}}, "type": "object"},
    {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 3, "maxItems": 3},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}], "items": False, "minItems": 2},
    {"type": "array", "items": {"type": "integer"}, "contains": {"const": 7}},
    {"type": "array", "maxItems": 0},
    {"type": "string", "minLength": 40, "maxLength": 41},
    {"type": "string", "maxLength": 1},
    {"type": "string", "pattern": r"^[A-Z]{2}-\d{4}(-x|-y)?$"},
    {"type": "string", "pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"},
    {"type": "string", "pattern": "^a+$", "minLength": 5, "maxLength": 6},
    {"type": "integer", "minimum": 5, "maximum": 5},
    {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7},
    {"type": "integer", "minimum": -10, "maximum": -3, "multipleOf": 4},
    {"type": "number", "exclusiveMinimum": 0, "maximum": 0.001},
    {"type": "number", "multipleOf": 0.01, "minimum": 1.5},
    {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 3},
    {"type": "object", "propertyNames": {"pattern": "^x_[a-z]+$"}, "minProperties": 2},
    {"type": "object", "required": ["b"], "properties": {"a": {"type": "null"}}},
    {"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 3}]},
    {"allOf": [{"properties": {"a": {"minimum": 3}}}, {"properties": {"a": {"maximum": 3}}, "required": ["a"]}]},
    {"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object", "properties": {"a": {"type": "null"}}},
    {"oneOf": [{"type": "integer", "minimum": 1}, {"type": "string"}]},
    {"anyOf": [False, {"type": "boolean"}]},
]


def check(schema: Any, seed: int = 0) -> None:
    instance = instance_of(schema, random.Random(seed))
    jsonschema.validate(instance, schema, jsonschema.Draft202012Validator)
    assert json.loads(json.dumps(instance)) == instance
    assert instance_of(schema, random.Random(seed)) == instance


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
@pytest.mark.parametrize("seed", range(5))
def test_each_keyword_is_kept(schema: Any, seed: int) -> None:
    """The instance is valid, it is JSON, and the same choices give the same one."""
    check(schema, seed)


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "integer", "minimum": 2, "maximum": 1},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/a"}}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
        {"$ref": "https://host.example/schema.json"},
        {"type": "string", "pattern": r"^\p{Lu}$"},
    ],
)
def test_what_cannot_be_written_is_an_error(schema: Any) -> None:
    """Nothing fits the schema, or its language is not ours."""
    with pytest.raises(ValueError, match=r"."):
        instance_of(schema, random.Random(0))


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Part(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=2, max_length=9)
    weight: float | None
    tags: set[Literal["a", "b"]] = pydantic.Field(max_length=2)


class Label(pydantic.BaseModel):
    mood: Mood
    score: float = pydantic.Field(ge=0, le=1)
    parts: list[Part] = pydantic.Field(min_length=1, max_length=3)
    by_name: dict[str, Part]
    pair: tuple[int, str]
    parent: "Label | None" = None
    day: "str | int | None" = pydantic.Field(default=None, description="any")


@pytest.mark.parametrize("seed", range(20))
def test_classes_read_what_their_schemas_ask_for(seed: int) -> None:
    """An instance of a pydantic class's schema is one of the class."""
    schema = Label.model_json_schema()
    check(schema, seed)
    Label.model_validate(instance_of(schema, random.Random(seed)))


LEAF = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
AGAIN = {"type": "array", "items": {"$ref": "#"}}
counts = st.integers(0, 9)
bounds = st.integers(-50, 50)
values = st.lists(st.integers() | st.text(max_size=3), min_size=1, max_size=4)
leaves = st.one_of(
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"const": 1}, {"$ref": "#/$defs/leaf"}, AGAIN]),
    st.builds(lambda values: {"enum": values}, values),
    st.builds(lambda low, size: {"type": "integer", "minimum": low, "maximum": low + size}, bounds, counts),
    st.builds(lambda low: {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + 1}, bounds),
    st.builds(lambda least, more: {"type": "string", "minLength": least, "maxLength": least + more}, counts, counts),
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["a", "b", "type", "properties", "$ref", "é"])
    objects = st.builds(
        lambda properties, required, closed: {
            "type": "object",
            "properties": properties,
            "required": [name for name in properties if name in required],
            "additionalProperties": not closed,
        },
        st.dictionaries(names, inner, max_size=4),
        st.sets(names),
        st.booleans(),
    )
    arrays = st.builds(
        lambda items, least, more: {"type": "array", "items": items, "minItems": least, "maxItems": least + more},
        inner,
        st.integers(0, 3),
        st.integers(0, 3),
    )
    return objects | arrays | st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3))


@settings(max_examples=300, deadline=None)
@given(schema=st.recursive(leaves, nested, max_leaves=12), seed=st.integers(0, 5))
def test_any_schema_is_kept(schema: dict[str, Any], seed: int) -> None:
    """Whatever a schema combines, its instance is valid."""
    schema = schema | {"$defs": {"leaf": LEAF}}
    jsonschema.validate(instance_of(schema, random.Random(seed)), schema, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "pattern", [r"\w+@\w+\.com", r"^(a|b)\1$", r"[^a-z]{3}", r"^\s?$", "x{2,}", r"^[\d.-]+$", "a.c", r"\D\S\W"]
)
def test_a_pattern_is_found_in_its_text(pattern: str) -> None:
    """The text has a match of the pattern."""
    text = match_of(pattern, random.Random(0))
    assert text is not None
    assert re.search(pattern, text)
