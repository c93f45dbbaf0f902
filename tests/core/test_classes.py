"""Classes that describe data, wherever a schema may stand."""

import dataclasses
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest
from msgspec import Meta

from batch_router.core import GenerationConfig, OutputSchema, Tool, UnifiedRequest
from batch_router.core.classes import instance_of
from batch_router.exceptions import ValidationError
from batch_router.intake.given import line_of
from batch_router.intake.options import read_options
from batch_router.intake.rows import request_from


class Model(pydantic.BaseModel):
    city: str


class Struct(msgspec.Struct):
    city: str


@dataclasses.dataclass
class Data:
    city: str


class Dict(TypedDict):
    city: str


class Plain:
    """Describes no data."""


CLASSES: list[Any] = [Model, Struct, Data, Dict]


def shape(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: schema[name] for name in ("type", "required")} | {"properties": list(schema["properties"])}


@pytest.mark.parametrize("kind", CLASSES)
def test_a_class_is_a_schema_with_its_name(kind: Any) -> None:
    """Of each kind of class: the schema is that of an object, the name is the class's, and it is strict."""
    schema = OutputSchema(schema=kind)
    assert shape(schema.schema) == {"type": "object", "required": ["city"], "properties": ["city"]}
    assert (schema.name, schema.strict) == (kind.__name__, True)
    tool = Tool(parameters=kind)  # type: ignore[call-arg]
    assert (tool.name, tool.strict, tool.parameters) == (kind.__name__, True, schema.schema)


def test_what_is_given_beside_a_class_counts() -> None:
    """A name, and that it is not strict."""
    assert OutputSchema(schema=Model, name="x", strict=False) == OutputSchema(
        schema=Model.model_json_schema(), name="x", strict=False
    )


@pytest.mark.parametrize(
    ("kind", "schema", "data"),
    [
        (list[Model], {"type": "array", "items": {"$ref": "#/$defs/Model"}}, [{"city": "a"}]),
        (list[Data], {"type": "array", "items": {"$ref": "#/$defs/Data"}}, [{"city": "a"}]),
        (Struct | None, {"anyOf": [{"$ref": "#/$defs/Struct"}, {"type": "null"}]}, None),
        (Annotated[int, Meta(ge=1)], {"type": "integer", "minimum": 1}, 3),
        (Annotated[int, {"no": "hash"}], {"type": "integer"}, 3),
        (Literal["a", "b"], {"enum": ["a", "b"]}, "b"),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 1}),
    ],
)
def test_what_is_made_of_classes_is_a_schema(kind: Any, schema: dict[str, Any], data: Any) -> None:
    """Lists, unions, literals, annotated types; and data that fits becomes an instance again."""
    written = OutputSchema(schema=kind).schema
    assert {name: value for name, value in written.items() if name != "$defs"} == schema
    assert msgspec.to_builtins(instance_of(kind, data), builtin_types=(Model,)) in (data, [Model(city="a")])


def test_a_class_stands_wherever_a_schema_may() -> None:
    """In a configuration, in dicts of rows and options, as an option: always the same record."""
    expected = GenerationConfig(output_schema=OutputSchema(schema=Model), tools=[Tool(parameters=Model)])  # type: ignore[call-arg]
    tools = [{"parameters": Model}]
    given: dict[str, Any] = {"output_schema": Model, "tools": tools}
    assert GenerationConfig(**given) == expected
    assert GenerationConfig(output_schema={"schema": Model}, tools=tools) == expected  # type: ignore[arg-type]
    assert read_options({"generation_config": given}).generation_config == expected
    assert read_options({"generation_config": {"tools": tools}, "output_schema": Model}).generation_config == expected
    assert read_options({"output_schema": Model}).generation_config == GenerationConfig(output_schema=Model)
    row: dict[str, Any] = {"custom_id": "a", "messages": [{"role": "user", "content": "?"}], "generation_config": given}
    assert UnifiedRequest(**row).generation_config == expected
    assert msgspec.json.decode(line_of(row), type=UnifiedRequest).generation_config == expected
    assert request_from(msgspec.json.decode(line_of(row | {"generation_config": expected}))) == UnifiedRequest(**row)


def test_a_json_schema_stands_for_an_output_schema() -> None:
    """It is known by its keywords, its title is the name, and it is as strict as the user says: here not at all."""
    schema = {"title": "A label!", "type": "object", "properties": {"schema": {"type": "string"}}}
    expected = OutputSchema(schema=schema, name="A_label")
    assert GenerationConfig(output_schema=schema).output_schema == expected
    assert read_options({"output_schema": schema}).generation_config == GenerationConfig(output_schema=expected)
    row = {"custom_id": "a", "prompt": "?", "generation_config": {"output_schema": schema}}
    assert request_from(row).generation_config == GenerationConfig(output_schema=expected)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"output_schema": Plain}, "^a schema must be a JSON schema, a pydantic model, .*Plain"),
        ({"output_schema": 5}, "^generation_config.output_schema: Expected `object"),
        ({"output_schema": {"shema": {}}}, "^generation_config.output_schema: .*`shema`"),
        (
            {"output_schema": Model, "generation_config": {"output_schema": Model}},
            "^output_schema: given twice, as an option and in generation_config; keep one",
        ),
    ],
)
def test_what_is_no_schema_is_refused(options: dict[str, Any], complaint: str) -> None:
    """With a sentence that names it."""
    with pytest.raises(ValidationError, match=complaint):
        read_options(options)
