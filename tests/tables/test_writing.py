"""Columns out: their names, and what spreadsheet programs make of cells."""

import csv
import io

import pytest

from batch_router.core import ErrorType, ResultError, ResultStatus, UnifiedResult, Usage
from batch_router.exceptions import ValidationError
from batch_router.tables.answers import AnswerColumns
from batch_router.tables.writing import FORMATS, csv_lines

SCHEMA = {"type": "object", "properties": {"label": {}, "status": {}}}
ANSWERED = UnifiedResult(
    custom_id="a",
    status=ResultStatus.SUCCEEDED,
    text="t",
    parsed={"label": [1]},
    response={},
    usage=Usage(input_tokens=5),
)
REFUSED = UnifiedResult(
    custom_id="b", status=ResultStatus.ERRORED, error=ResultError(type=ErrorType.SERVER, message="no")
)


def test_each_property_is_a_column() -> None:
    """A name that the table or the schema has gets `answer_` in front; an error says what and why."""
    columns = AnswerColumns(SCHEMA)
    assert columns.beside({"text": "x", "answer_text": "y"}, ANSWERED) == {
        "text": "x", "answer_text": "y", "label": [1], "status": None, "answer_answer_text": "t",
        "answer_status": "succeeded", "error": None, "input_tokens": 5, "output_tokens": None, "cost": None,
    }  # fmt: skip
    assert columns.beside({"id": 1}, REFUSED)["error"] == "server: no"
    assert set(columns.beside({"id": 1}, None)) == set(columns.beside({"id": 1}, REFUSED))


def test_a_schema_without_properties_is_one_column() -> None:
    """A list is; without a schema there is no such column."""
    assert AnswerColumns({"type": "array"}).beside({}, ANSWERED)["parsed"] == {"label": [1]}
    assert "parsed" not in AnswerColumns(None).beside({}, ANSWERED)


@pytest.mark.parametrize("cell", ["=1+1", "+49 30 1", "-a", "@SUM(A1)", "\t=1", "\r=1", "-1-1", "+"])
def test_a_formula_is_defused(cell: str) -> None:
    """An apostrophe in front, in names of columns too."""
    assert list(csv.reader(io.StringIO(b"".join(csv_lines([{cell: cell}])).decode(), newline=""))) == [[f"'{cell}"]] * 2


def test_other_cells_stay() -> None:
    """Numbers, texts, nothing, and the line ends in them."""
    row = {"a": -1, "b": "-1.5e3", "c": "+2", "d": 'x "=1"\r\n', "e": None, "f": {"g": [1]}, "h": "1=1"}
    lines = b"".join(csv_lines([row, {"b": "2"}])).decode()
    assert list(csv.reader(io.StringIO(lines, newline=""))) == [
        list("abcdefh"),
        ["-1", "-1.5e3", "+2", 'x "=1"\r\n', "", '{"g": [1]}', "1=1"],
        ["", "2", "", "", "", "", ""],
    ]


def test_what_cannot_be_written_is_refused() -> None:
    """A row with another column than the first one, and Parquet."""
    with pytest.raises(ValidationError, match=r"row 2 has a column 'b' that the first row has not.*--format jsonl"):
        list(csv_lines([{"a": 1}, {"b": 1}]))
    with pytest.raises(ValidationError, match="--format parquet needs pyarrow"):
        FORMATS["parquet"]([])
