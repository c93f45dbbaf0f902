"""Files that hold no JSON lines are recognised by their beginning, with one sentence that says what to do."""

import gzip
import io
import json
import pickle
import sqlite3
import zipfile
from pathlib import Path

import pytest

from batch_router.exceptions import ValidationError
from batch_router.intake.check import check_file
from batch_router.intake.options import Options
from batch_router.intake.recognise import recognise
from batch_router.providers import find_provider
from batch_router.settings import Settings

ROWS = [{"custom_id": "a", "prompt": "Hi"}, {"custom_id": "b", "prompt": "Ho"}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
PRETTY = json.dumps(ROWS, indent=2)
MARK = b"\xef\xbb\xbf"


def what(content: bytes) -> str | None:
    stream = io.BytesIO(content)
    found = recognise(stream)
    assert stream.tell() == 0
    return found


@pytest.mark.parametrize(
    "content",
    [
        LINES.encode(),
        MARK + LINES.encode(),
        b"\n\r\n" + LINES.replace("\n", "\r\n").encode(),
        LINES.encode("latin-1") + b'{"custom_id": "c", "prompt": "\xe9"}\n',
        b"hello\n" + LINES.encode(),
        b"[INFO] 2 rows\n" + LINES.encode(),
        b'{"custom_id": "a", "messages": [',
        b"{'custom_id': 'a'}\n",
        b'{"custom_id": "a", "prompt": "x",\n' + LINES.encode(),
        b'{"custom_id": "a", "prompt": "x\n',
        b'{"custom_id": "a", "prompt": "\x00"}\n',
        b'{"custom_id": "a", "prompt": "' + b"x" * 100_000,
        b"1\n2\n",
        b'["a"]\n["b"]\n',
        b" " * 100_000 + LINES.encode(),
    ],
)
def test_rows_are_left_to_their_check(content: bytes) -> None:
    """Lines of which at least one is an object, or all are JSON: the check of the rows says which are wrong."""
    assert what(content) is None


@pytest.mark.parametrize(
    "content", [b"", b" \n\t\r\n", MARK, b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\x00\x00", b"\n" * 10**5]
)
def test_an_empty_file_is_called_so(content: bytes) -> None:
    """White space and byte order marks are nothing."""
    assert what(content) == "is empty: there is nothing to send"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", [LINES, "\n" + LINES, PRETTY, "custom_id,prompt\na,Hi\n"])
def test_wide_encodings_are_recognised(encoding: str, text: str) -> None:
    """With and without a byte order mark; the remedy names an encoding that iconv has, and works."""
    found = what(text.encode(encoding))
    name = encoding.upper().replace("-LE", "LE").replace("-BE", "BE")
    assert found == f"is {name} text; save it as UTF-8: iconv -f {name} -t UTF-8 FILE > rows.jsonl"


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("rows.jsonl", LINES)
    return stream.getvalue()


def database() -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("create table rows (id)")
        content: bytes = connection.serialize()
        return content


#: content -> how the sentence begins
OTHERS: list[tuple[bytes, str]] = [
    (
        gzip.compress(LINES.encode()),
        "is compressed with gzip; unpack it first: gzip -dc FILE | batch-router submit",
    ),
    (b"\xfd7zXZ\x00\x00\x04", "is compressed with xz; unpack it first: xz -dc"),
    (b"\x28\xb5\x2f\xfd\x04", "is compressed with zstd; unpack it first: zstd -dc"),
    (b"BZh91AY", "is compressed with bzip2"),
    (zipped(), "is a zip archive, or an Excel workbook"),
    (b"PAR1\x15\x04", "is a Parquet file; write its rows as JSON lines"),
    (b"ARROW1\x00\x00", "is an Arrow file"),
    (database(), "is an SQLite database; write its rows"),
    *((pickle.dumps(ROWS, protocol), "is a Python pickle; write its rows") for protocol in (2, 3, 4, 5)),
    (b"%PDF-1.7\n%\xe2\xe3", "is a PDF; it goes into a row"),
    (b"\x7fELF\x02\x01\x01\x00", "is a binary file"),
    (json.dumps(ROWS).encode(), "is one JSON array; write each object on a line of its own: jq -c '.[]' FILE"),
    (MARK + json.dumps(ROWS).encode() + b"\n", "is one JSON array"),
    (json.dumps(ROWS * 10_000).encode(), "is one JSON array"),
    (PRETTY.encode(), "is one JSON array"),
    (json.dumps(ROWS * 10_000, indent=1).encode(), "is one JSON array"),
    (b"[\n" + LINES.replace("\n", ",\n").encode() + b"]", "is one JSON array"),
    (b"[]", "is one JSON array"),
    (json.dumps(ROWS[0], indent=2).encode(), "holds JSON objects over several lines; write each object on a line"),
    (b"".join(json.dumps(row, indent="\t").encode() + b"\n" for row in ROWS), "holds JSON objects over several"),
    (json.dumps({"custom_id": "a", "prompt": "x" * 10**5}, indent=2).encode(), "holds JSON objects over several"),
    (b'{"custom_id": "a",\r\n "prompt": "Hi"}\r\n', "holds JSON objects over several lines"),
    (
        b"custom_id,prompt\na,Hi\n",
        "looks like a table with the columns custom_id, prompt; say what to ask about each row",
    ),
    (MARK + b'"custom_id";"prompt"\r\n"a";"Hi; Ho"\r\n', "looks like a table with the columns custom_id, prompt"),
    (b"id\tquestion\n1\tHi\n", "looks like a table with the columns id, question"),
    (b'custom_id,body\na,"{""model"": ""m""}"\n', "looks like a table with the columns custom_id, body"),
    (",".join("abcdefghij").encode(), "looks like a table with the columns a, b, c, d, e, f, g, h and 2 more"),
    (b"<!DOCTYPE html>\n<p>Sign in</p>", "is an HTML or XML page"),
    (b"- custom_id: a\n  prompt: Hi\n", "is text, and no JSON"),
    (b"Hello, world.\nHow are you?\n", "is text, and no JSON"),
]


@pytest.mark.parametrize(("content", "words"), OTHERS, ids=range(len(OTHERS)))
def test_other_files_are_recognised(content: bytes, words: str) -> None:
    """By what they begin with, whatever they are called; the sentence says what to do."""
    assert str(what(content)).startswith(words)


def test_a_table_with_odd_names_shows_no_escapes() -> None:
    """What stands in the file does not steer the terminal that shows the sentence."""
    assert "\x1b" not in str(what(b"a\x1b[2J,b\n1,2\n"))


def test_the_sentence_is_the_only_one(tmp_path: Path) -> None:
    """The file is named once, and no row of it is."""
    path = tmp_path / "rows.json"
    path.write_text(PRETTY)
    with pytest.raises(ValidationError) as caught:
        check_file(path, find_provider("openai"), Options(model="m"), Settings())
    assert str(caught.value).startswith(f"input: {path} is one JSON array; ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("30b-utf16.jsonl", "30b-utf16.jsonl is UTF-16 text; save it as UTF-8"),
        ("30h-array-file.json", "30h-array-file.json is one JSON array"),
        ("30j-pretty-array.json", "30j-pretty-array.json is one JSON array"),
        ("30e-lone-surrogate.jsonl", "30e-lone-surrogate.jsonl, line 1: prompt: half of a character"),
        ("17c-extra-column.jsonl", "line 1: unknown field `label`; a row may have: custom_id, prompt"),
        ("18-custom-id-int.jsonl", "line 1: custom_id: Expected `str`, got `int`; write it in quotes, as a text"),
    ],
)
@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "vllm"])
def test_the_shared_cases_come_right(shared: Path, name: str, words: str, provider: str) -> None:
    """Each is one line, for every provider."""
    options = Options(model="m", generation_config=None)
    with pytest.raises(ValidationError) as caught:
        check_file(shared / "cases" / "rows" / name, find_provider(provider), options, Settings())
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
