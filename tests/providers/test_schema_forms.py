"""Schemas in the forms that the providers accept, beside what the official SDKs make of the same classes."""

import copy
import re
from typing import Any

import anthropic
import msgspec
import pydantic
import pytest
from google.genai import _transformers
from openai.lib._pydantic import to_strict_json_schema

from batch_router.core import GenerationConfig, OutputSchema, Tool
from batch_router.exceptions import ValidationError
from batch_router.providers import Provider, find_provider
from batch_router.providers._schemas.forms import Form
from tests.providers import schema_classes as classes

PROVIDERS = ("openai", "anthropic", "google")


def form(name: str, schema: Any, **fields: Any) -> Form:
    schemas = find_provider(name).schemas
    assert schemas is not None
    return schemas.output.of(OutputSchema(schema=schema, **fields))


def sent(name: str, schema: Any, **fields: Any) -> dict[str, Any]:
    value: dict[str, Any] = msgspec.json.decode(form(name, schema, **fields).value)
    return value["schema"] if name == "openai" else value


def remarks(schema: Any) -> Any:
    """A schema without what says nothing about the data, and with references to it written out."""
    return _without_remarks(_inline(schema, schema.get("$defs", {})))


def _inline(node: Any, parts: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inline(each, parts) for each in node]
    if not isinstance(node, dict):
        return node
    if isinstance(reference := node.get("$ref"), str):
        return _inline(parts[reference.removeprefix("#/$defs/")], parts)
    return {name: _inline(each, parts) for name, each in node.items() if name != "$defs"}


def _without_remarks(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_remarks(each) for each in node]
    if not isinstance(node, dict):
        return node
    said = ("description", "title", "default", "discriminator")
    return {name: _without_remarks(each) for name, each in node.items() if name not in said or isinstance(each, dict)}


# --- beside the SDKs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in classes.PLAIN if kind is not classes.Formats])
def test_anthropic_gets_what_its_sdk_sends(kind: type[pydantic.BaseModel]) -> None:
    """The same types, properties, values, closed objects and formats; bounds are words in both."""
    assert remarks(sent("anthropic", kind)) == remarks(anthropic.transform_schema(kind))


@pytest.mark.parametrize("kind", [classes.Label, classes.Choices, classes.Bounds, classes.Nested, classes.Linked])
def test_openai_gets_what_its_sdk_sends(kind: type[pydantic.BaseModel]) -> None:
    """Where nothing may be left out, the strict forms are the same."""
    theirs = to_strict_json_schema(kind)
    assert form("openai", kind).changed == frozenset()
    if kind is classes.Linked:  # it cannot be written out
        assert sent("openai", kind)["required"] == theirs["required"]
        assert sent("openai", kind)["$defs"].keys() == theirs["$defs"].keys()
    else:
        assert remarks(sent("openai", kind)) == remarks(theirs)


@pytest.mark.parametrize(
    "kind", [classes.Label, classes.Documented, classes.Optionals, classes.Defaults, classes.Nested]
)
def test_google_gets_what_its_sdk_sends(kind: type[pydantic.BaseModel]) -> None:
    """OpenAPI's form: types in capitals, `nullable`, the order of properties, no references."""
    theirs = _transformers.t_schema(None, kind)
    assert theirs is not None
    assert form("google", kind).member == "responseSchema"
    assert remarks(sent("google", kind)) == remarks(theirs.model_dump(mode="json", by_alias=True, exclude_none=True))


# The keywords of each form, as the services name them.
STRICT = """
$ref $defs type title description enum const properties required additionalProperties items anyOf format pattern
minLength maxLength minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minItems maxItems
"""
CLOSED = (
    "$ref $defs type title description enum const properties required additionalProperties items anyOf format minItems"
)
OPENAPI = """
type format title description nullable enum items maxItems minItems properties required minProperties maxProperties
minimum maximum minLength maxLength pattern anyOf propertyOrdering
"""
WORDS = "minimum exclusiveMaximum exclusiveMinimum multipleOf minLength maxLength pattern minItems maxItems"


# --- what each form has -----------------------------------------------------------------------------------------------


def nodes(schema: Any) -> list[dict[str, Any]]:
    """All parts of a schema that are schemas themselves."""
    found = [schema]
    for name in ("properties", "$defs"):
        found += [part for each in schema.get(name, {}).values() for part in nodes(each)]
    for name in ("anyOf", "allOf", "prefixItems"):
        found += [part for each in schema.get(name, ()) for part in nodes(each)]
    if isinstance(schema.get("items"), dict):
        found += nodes(schema["items"])
    return found


@pytest.mark.parametrize("kind", [*classes.PLAIN, *classes.RECURSIVE])
def test_openais_strict_form_is_strict(kind: type[pydantic.BaseModel]) -> None:
    """Every property is required and no other allowed, and each keyword is one that the service names."""
    assert msgspec.json.decode(form("openai", kind).value)["strict"] is True
    for node in nodes(sent("openai", kind)):
        assert node.keys() <= set(STRICT.split())
        assert "$ref" not in node or len(node) == 1
        if "properties" in node:
            assert node["required"] == list(node["properties"])
            assert node["additionalProperties"] is False


@pytest.mark.parametrize("kind", classes.PLAIN)
def test_anthropics_form_is_closed_and_without_bounds(kind: type[pydantic.BaseModel]) -> None:
    """No other property is allowed, and each keyword is one that the service names."""
    for node in nodes(sent("anthropic", kind)):
        assert node.keys() <= set(CLOSED.split())
        assert node.get("minItems", 0) in (0, 1)
        assert ("properties" in node) == (node.get("additionalProperties") is False)


@pytest.mark.parametrize("kind", classes.PLAIN)
def test_googles_form_is_openapis(kind: type[pydantic.BaseModel]) -> None:
    """Where it is used: no references, and each keyword is one that the published API has."""
    if form("google", kind).member == "responseSchema":
        for node in nodes(sent("google", kind)):
            assert node.keys() <= set(OPENAPI.split())
            assert node.get("type", "STRING").isupper()
    else:
        assert kind is classes.Choices  # a number cannot be an enum there


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        (classes.Label, {}),
        (classes.Optionals, {}),
        (classes.Defaults, {"openai": {"required"}}),
        (classes.Pets, {name: {"oneOf"} for name in PROVIDERS}),
        (
            classes.Bounds,
            {
                "anthropic": set(WORDS.split()),
                "google": {"exclusiveMaximum", "exclusiveMinimum", "multipleOf"},
            },
        ),
        (classes.Formats, {"openai": {"format"}, "anthropic": {"format", "minLength"}, "google": {"format"}}),
        (list[classes.Label], {"openai": {"type"}, "anthropic": {"type"}}),
        (classes.FreeNames, {"openai": {"strict"}}),
    ],
)
def test_what_changes_is_named(kind: Any, changed: dict[str, set[str]]) -> None:
    """The keywords that are sent in another way, for each provider."""
    for name in PROVIDERS if kind is not classes.FreeNames else ("openai", "google"):
        assert form(name, kind).changed == changed.get(name, set()), name


def test_a_bound_becomes_words() -> None:
    """What the service cannot enforce, the model can read."""
    age = sent("anthropic", classes.Bounds)["properties"]["age"]
    assert age == {"type": "integer", "title": "Age", "description": "{exclusiveMaximum: 150, minimum: 0}"}


@pytest.mark.parametrize(
    ("name", "kind", "complaint"),
    [
        *[("anthropic", kind, "anthropic takes no schema that contains itself") for kind in classes.RECURSIVE],
        ("anthropic", classes.FreeNames, "no object whose names are free"),
        ("anthropic", classes.Anything, "no part that may be anything"),
        ("anthropic", {"type": "object", "properties": {"a": True}}, "'?True'? stands where a schema should"),
        ("google", {"$ref": "https://example.com/schema"}, "'https://example.com/schema' is not in it"),
        ("openai", {"$ref": "#/$defs/a"}, "is not in it"),
        ("openai", {"type": "object", "properties": []}, "properties: must be an object of schemas"),
        ("google", {"anyOf": 1}, "anyOf: must be a list of schemas"),
    ],
)
def test_what_a_provider_cannot_take_is_refused(name: str, kind: Any, complaint: str) -> None:
    """With a sentence that names the place."""
    with pytest.raises(ValidationError, match=rf"^generation_config.output_schema: .*{complaint}"):
        form(name, kind, strict=True)


def test_a_schema_that_grows_without_end_is_refused() -> None:
    """Parts that are written out again and again have a bound."""
    parts = {f"p{number}": {"type": "object", "properties": {
        side: {"$ref": f"#/$defs/p{number + 1}"} for side in "ab"}} for number in range(40)}  # fmt: skip
    schema = {"$ref": "#/$defs/p0", "$defs": parts | {"p40": {"type": "string"}}}
    with pytest.raises(ValidationError, match=r"responseSchema does not fit: more than 10,000 parts"):
        form("google", schema, google_form="schema")
    assert form("google", schema).member == "responseJsonSchema"


@pytest.mark.parametrize("kind", classes.RECURSIVE)
def test_google_gets_a_schema_that_contains_itself_as_json_schema(kind: type[pydantic.BaseModel]) -> None:
    """References are not written out there."""
    assert form("google", kind).member == "responseJsonSchema"
    assert "$ref" in str(sent("google", kind))


def test_the_user_chooses_googles_form() -> None:
    """By name; what does not fit the chosen one is refused."""
    assert form("google", classes.Label, google_form="json_schema").member == "responseJsonSchema"
    assert sent("google", classes.Label, google_form="json_schema")["type"] == "object"
    with pytest.raises(ValidationError, match="google_form: responseSchema does not fit"):
        form("google", classes.FreeNames, google_form="schema")


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_a_list_is_wrapped_where_an_object_must_be_at_the_top(name: str) -> None:
    """Its items stand in `value`; a schema that is not strict is wrapped, too."""
    for strict in (True, False):
        schema = sent(name, list[classes.Label], strict=strict)
        assert schema["type"] == "object"
        assert schema["required"] == ["value"]
        assert schema["properties"]["value"]["type"] == "array"
        assert "Label" in schema["$defs"]


def test_a_schema_that_is_not_strict_stays_as_it_is() -> None:
    """At OpenAI, where the user decides about that, and at vLLM in any case."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "default": "x"}}, "patternProperties": {}}
    config = GenerationConfig(output_schema=OutputSchema(schema=schema, strict=None))
    assert sent("openai", schema) == schema
    assert find_provider("vllm").schemas is None
    assert config.output_schema.schema == schema


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_description_of_a_form_goes_along(name: str) -> None:
    """In its own place at OpenAI, and in front of the schema's own elsewhere."""
    made = msgspec.json.decode(form(name, classes.Documented, description="Reviews.").value)
    assert made["description"] == ("Reviews." if name == "openai" else "Reviews.\n\nWhat it is about.")


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_tools_of_a_class_are_strict(name: str) -> None:
    """Their parameters have the provider's form; those of a tool that is not strict stay, but for Google's fields."""
    tool = Tool(parameters=classes.Bounds)  # type: ignore[call-arg]
    strict, loose = (
        written_tool(find_provider(name), each) for each in (tool, msgspec.structs.replace(tool, strict=None))
    )
    if name == "google":
        assert strict == loose
        assert strict["parameters"]["type"] == "OBJECT"
        return
    parameters = strict["parameters"] if name == "openai" else strict
    assert parameters["additionalProperties"] is False
    assert (loose["parameters"] if name == "openai" else loose) == tool.parameters


def written_tool(provider: type[Provider], tool: Tool) -> dict[str, Any]:
    assert provider.schemas is not None
    written: dict[str, Any] = msgspec.json.decode(provider.schemas.tool.of(tool).value)
    return written


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_users_schema_does_not_change(name: str) -> None:
    """It is what the answer is checked against."""
    for kind in (*classes.PLAIN, list[classes.Label]):
        schema = OutputSchema(schema=kind)
        before = copy.deepcopy(schema.schema)
        form(name, schema.schema)
        assert schema.schema == before


def test_a_schema_is_written_once() -> None:
    """All rows that share it, or have an equal one, get the same bytes."""
    assert form("openai", classes.Bounds).value is form("openai", classes.Bounds).value


@pytest.mark.parametrize("text", ["$schema", "$id", "$comment"])
def test_what_says_nothing_about_the_data_is_left_out(text: str) -> None:
    """And is no change."""
    for name in PROVIDERS:
        made = form(
            name, {text: "x", "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, strict=True
        )
        assert not made.changed
        assert not re.search(rf"\{text}", bytes(made.value).decode())
