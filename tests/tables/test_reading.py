"""Rows of files: CSV, TSV, JSON lines, gzip and UTF-16 of them; what cannot be read is one sentence, with the line."""

import gzip
from pathlib import Path

import pytest

from batch_router.exceptions import ValidationError
from batch_router.settings import Settings
from batch_router.tables.reading import table_from

MARK = b"\xef\xbb\xbf"
CSV = 'id,text\r\nT1,"Hi, ""you"",\nthere"\r\n\r\nT2,\u00fc\u2028\r\n'
ROWS = [{"id": "T1", "text": 'Hi, "you",\nthere'}, {"id": "T2", "text": "\u00fc\u2028"}]
SETTINGS = Settings()


def rows_of(path: Path, content: bytes, settings: Settings = SETTINGS) -> list[object]:
    path.write_bytes(content)
    return list(table_from(path, settings).read())


@pytest.mark.parametrize(
    "content",
    [
        CSV.encode(),
        b"\r\n" + CSV.encode().replace(b"\r\n", b"\n"),
        MARK + CSV.encode(),
        CSV.encode("utf-16"),
        CSV.encode("utf-16-be"),
        gzip.compress(CSV.encode()),
        gzip.compress(CSV.encode("utf-16")),
        CSV.replace("id,text", "id;text").replace("T1,", "T1;").replace("T2,", "T2;").encode(),
        CSV.replace("id,text", "id\ttext").replace("T1,", "T1\t").replace("T2,", "T2\t").encode(),
        b'{"id": "T1", "text": "Hi, \\"you\\",\\nthere"}\n\n{"id": "T2", "text": "\xc3\xbc\xe2\x80\xa8"}',
    ],
    ids=range(10),
)
def test_a_table_is_read(tmp_path: Path, content: bytes) -> None:
    """The same rows in every form, whatever the file is called."""
    assert rows_of(tmp_path / "t", content) == ROWS


def test_cells_of_json_lines_keep_their_types(tmp_path: Path) -> None:
    """Rows may have any columns and any values."""
    lines = b'{"a": 1, "b": null}\n{"a": [1.5, {"c": true}], "d": ""}\n'
    assert rows_of(tmp_path / "t.jsonl", lines) == [{"a": 1, "b": None}, {"a": [1.5, {"c": True}], "d": ""}]


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    """A prompt has more characters than Python's CSV reader takes by itself."""
    assert rows_of(tmp_path / "t", b"a,b\n1," + b"x" * 10**6) == [{"a": "1", "b": "x" * 10**6}]


#: content -> what the sentence says behind the file's name
BAD: list[tuple[bytes, str]] = [
    (b"", " is empty"),
    (MARK + b"\n \n", " is empty"),
    (b"a,b\n", " has a first line with the names of columns, and no rows"),
    (b"a,,c\n1,2,3\n", ", line 1: column 2 has no name"),
    (b"\na,b,a\n1,2,3\n", ", line 2: two columns are named 'a'"),
    (b'a,"b"c\n1,2\n', ", line 1: not CSV"),
    (b"a,b\n1,2\n1,2,3\n", ", line 3: 3 cells, and the first line names 2 columns"),
    (b'a,b\n"1\n1",2\n\n1\n', ", line 5: 1 cells, and the first line names 2 columns"),
    (b'a,b\n1,2\n3,"4\n5,6\n', ", line 3: a quoted cell that begins here has no end"),
    (b'a,b\n1,"2"3\n', ", line 2: not CSV"),
    (b"a,b\r1,2\r", ", line 1: a carriage return stands alone"),
    (b"a,b\n1,2\n\xff,2\n", r", line 3: not valid UTF-8 at byte 1 (0xff); save the file as UTF-8"),
    (b"a,b\n" + b"1,2\n" * 10**5 + b"\x00,2\n", ", line 100002: a NUL character"),
    (b"a,b\n1," + b"x" * 5000 + b"\n", ", line 2: 5,003 bytes, more than 4,096 (BATCH_ROUTER_MAX_ROW_BYTES)"),
    (b"\xff\xfea\x00,\x00b\x00\n\x00\x00\xd8\n\x00", " is not valid UTF-16; save it as UTF-8"),
    (gzip.compress(CSV.encode())[:-9], " is damaged: "),
    (b'{"a": 1}\n[1]\n', ", line 2: must be an object, not list"),
    (b'{"a": 1}\n\n{"a"\n', ", line 3: not valid JSON"),
    (b'[{"a": 1}]', " is one JSON array; write each object on a line of its own"),
    (b"<html></html>\n", " is an HTML or XML page"),
    (b"PAR1\x15\x04", " is a Parquet file; it needs pyarrow, which this version does not use"),
    (b"\x28\xb5\x2f\xfd\x04", " is compressed with zstd; it needs zstandard, which this version does not use"),
    (b"PK\x03\x04", " is a zip archive, or an Excel workbook"),
    (b"BZh91AY&SY", " is compressed with bzip2"),
]


@pytest.mark.parametrize(("content", "sentence"), BAD, ids=range(len(BAD)))
def test_a_bad_table_is_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    """It names the file, the line and what is wrong there."""
    path = tmp_path / "t.csv"
    with pytest.raises(ValidationError) as caught:
        rows_of(path, content, Settings.from_env({"BATCH_ROUTER_MAX_ROW_BYTES": "4096"}))
    assert str(caught.value).startswith(f"{path}{sentence}")
    assert "\n" not in str(caught.value)


class Frame:
    """Stands for what pandas, polars, pyarrow and DuckDB have."""

    def __arrow_c_stream__(self) -> object:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (Frame(), "table: a Frame comes in through Arrow, which needs pyarrow"),
        (iter([{"a": 1}]), "table: an iterator can be read only once"),
        ({"a": [1]}, "table must be a list of dicts or the path of a file, not dict"),
        ([{"a": 1}, ["b"]], "table, row 2: must be a mapping of columns to values, not list"),
    ],
)
def test_what_is_no_table_is_refused(given: object, sentence: str) -> None:
    """With the words for what is missing, or what to give instead."""
    with pytest.raises(ValidationError) as caught:
        list(table_from(given, SETTINGS).read())  # type: ignore[arg-type]
    assert str(caught.value).startswith(sentence)
