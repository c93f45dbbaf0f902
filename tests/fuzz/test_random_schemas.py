"""Schemas and answers at random: keywords with any value, references anywhere."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from batch_router.core import NativeRow, OutputSchema, Tool
from batch_router.core.enums import Endpoint
from batch_router.exceptions import ValidationError
from batch_router.providers import find_provider
from batch_router.road.asked import SchemaList
from batch_router.road.schema_check import SchemaCheck
from tests.fuzz.anything import examples

WORDS = ["object", "array", "string", "integer", "number", "boolean", "null", "#", "#/$defs/a", "#/$defs/b", "x"]
SINGLE = ["type", "enum", "const", "$ref", "format", "pattern", "minLength", "maximum", "minItems", "uniqueItems"]
SEVERAL = ["properties", "$defs", "anyOf", "oneOf", "allOf", "prefixItems", "patternProperties", "required"]
KEYWORDS = [
    *SINGLE,
    *SEVERAL,
    "items",
    "not",
    "additionalProperties",
    "default",
    "description",
    "title",
    "nullable",
    "a",
]
PLAIN = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.sampled_from(WORDS)
ANYTHING = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=4),
    max_leaves=25,
)
#: Mostly of the right shape: a random value would rarely get far.
SCHEMAS = st.recursive(
    st.fixed_dictionaries({"type": st.sampled_from(WORDS[:7])})
    | st.sampled_from([{"$ref": "#/$defs/a"}, {"$ref": "#"}]),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(WORDS[:7]) | st.lists(st.sampled_from(WORDS[:7]), max_size=3) | ANYTHING,
            "properties": st.dictionaries(st.sampled_from(["a", "b", "value"]), inner, max_size=3),
            "required": st.lists(st.sampled_from(["a", "b"]), max_size=2) | ANYTHING,
            "items": inner,
            "anyOf": st.lists(inner, max_size=3),
            "oneOf": st.lists(inner, max_size=3),
            "enum": st.lists(PLAIN, max_size=3) | ANYTHING,
            "const": ANYTHING,
            "additionalProperties": st.booleans() | inner,
            "$defs": st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
            "description": ANYTHING,
            "format": ANYTHING,
            "default": ANYTHING,
        },
    ),
    max_leaves=12,
)
OBJECTS = SCHEMAS | st.dictionaries(st.sampled_from(KEYWORDS), ANYTHING, max_size=5)


@examples(200)
@given(schema=OBJECTS, strict=st.booleans())
def test_any_schema_has_a_form_or_is_refused(schema: dict[str, object], strict: bool) -> None:
    """By each provider, with an error of ours; the form is JSON, and the user's schema is as it was."""
    before = msgspec.json.encode(schema)
    for name in ("openai", "anthropic", "google"):
        schemas = find_provider(name).schemas
        assert schemas is not None
        try:
            form = schemas.output.of(OutputSchema(schema=schema, strict=strict))
            msgspec.json.decode(form.value)
            msgspec.json.decode(schemas.tool.of(Tool(name="f", parameters=schema, strict=strict)).value)
        except ValidationError as error:
            assert str(error).startswith("generation_config")  # noqa: PT017 - both ends are fine
    assert msgspec.json.encode(schema) == before


@examples(200)
@given(schema=OBJECTS, data=ANYTHING)
def test_any_answer_fits_a_schema_or_does_not(schema: dict[str, object], data: object) -> None:
    """There is data, or a sentence about it; what is wrong with the schema is no error."""
    parsed, problem = SchemaCheck(schema).fit(data)
    assert problem is None or (0 < len(problem) <= 500 and problem.isprintable())
    if problem is not None and not problem.startswith("not checked: "):
        assert parsed is None


@examples(200)
@given(form=ANYTHING)
def test_any_form_of_a_native_row_is_understood_or_not(form: object) -> None:
    """What a body says about its answer costs no row."""
    for name in ("openai", "anthropic", "google"):
        provider = find_provider(name)
        members = ("response_format", "text", "output_config", "generationConfig")
        format_ = {"type": "json_schema", "schema": form, "json_schema": form}
        given_ = {"format": format_, "responseSchema": form, "response_json_schema": form, **format_}
        body = msgspec.Raw(msgspec.json.encode(dict.fromkeys(members, given_)))
        row = NativeRow("a", "m", Endpoint.CHAT, body, says_form=True)
        SchemaList(provider.native).number_of(row)
