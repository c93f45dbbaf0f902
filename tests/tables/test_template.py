"""Names of columns in braces, and nothing else in them."""

import datetime
from decimal import Decimal

import pytest

from batch_router.exceptions import ValidationError
from batch_router.tables.rendering import render_table
from batch_router.tables.template import Template, text_of

ROW = {"text": "{id} \u00fc", "id": 7, "a.b": None, "x y": [1, "\u00fc"]}


@pytest.mark.parametrize(
    ("prompt", "rendered"),
    [
        ("Classify: {text}", "Classify: {id} \u00fc"),
        ("{id}{id}|{a.b}|{x y}", '77||[1, "\u00fc"]'),
        ('{{"id": {id}}}', '{"id": 7}'),
        ("{{{id}}} {{{{}}}}", "{7} {{}}"),
    ],
)
def test_a_row_is_rendered(prompt: str, rendered: str) -> None:
    """Values are put in as they are, also where they look like a name."""
    assert [request["prompt"] for request in render_table([ROW], prompt)] == [rendered]


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("{txt}", "table, row 1: prompt: no column 'txt'; there are: text, id, a.b, x y; a brace that is text is"),
        ("{text.__class__}", "table, row 1: prompt: no column 'text.__class__'"),
        ("{id:>99999999}", "table, row 1: prompt: no column 'id:>99999999'"),
        ("{text!r}", "table, row 1: prompt: no column 'text!r'"),
        ("{}", "table, row 1: prompt: no column ''"),
        ("a {id} b}", "prompt: a single } at character 9; a brace that is text is written twice: {{ }}"),
        ("{ {id}", "prompt: a single { at character 1"),
        ("Hello", "prompt: it names no column"),
    ],
)
def test_a_bad_prompt_is_refused(prompt: str, sentence: str) -> None:
    """Formats and attributes are names of columns that are not there."""
    with pytest.raises(ValidationError) as caught:
        list(render_table([ROW], prompt))
    assert str(caught.value).startswith(sentence)


def test_ids_and_system_prompts_are_of_the_row() -> None:
    """Ids are a column's texts, or numbers from 1; a system prompt may name columns as well."""
    first, second = render_table([ROW, ROW | {"id": 8}], "{text}", id_column="id", system_prompt="On {id}")
    assert (first["custom_id"], second["custom_id"], second["system_prompt"]) == ("7", "8", "On 8")
    assert [request["custom_id"] for request in render_table([ROW, ROW], "{text}")] == ["1", "2"]
    with pytest.raises(ValidationError, match="row 1: id_column: no column 'ID'"):
        list(render_table([ROW], "{text}", id_column="ID"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), ""),
        (True, "true"),
        (2.50, "2.5"),
        (Decimal("2.50"), "2.50"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (10**30, str(10**30)),
        (object, str(object)),
    ],
)
def test_a_value_has_a_text(value: object, text: str) -> None:
    """Nothing is empty, dates are ISO 8601, and what JSON does not have is as Python prints it."""
    assert text_of(value) == text
    assert Template("{a}", "prompt").render({"a": value}) == text
