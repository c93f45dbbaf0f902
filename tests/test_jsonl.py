r"""Bytes to lines and values: split on `\n` only, whatever the blocks; paid answers are read even when they are odd."""

import io
import json
import math
from pathlib import Path

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from batch_router.jsonl import HashingReader, LongLine, bounded_lines, decode_leniently, is_blank, is_clean, read_lines

BOM = b"\xef\xbb\xbf"


def split(data: bytes) -> list[bytes]:
    lines = data.removeprefix(BOM).split(b"\n")
    return [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


ANY_BYTES = st.lists(st.sampled_from([b"\n", b"\r\n", b"a", b"{}", BOM, "\u2028".encode(), b"\x85", b""])).map(b"".join)


@given(data=ANY_BYTES)
def test_lines_end_at_newlines_and_nowhere_else(data: bytes) -> None:
    """Put together again they are the stream, but for the mark in front."""
    assert list(read_lines(io.BytesIO(data), 100)) == split(data)


@given(data=ANY_BYTES, longest=st.integers(1, 6))
def test_a_line_that_is_too_long_is_passed_over(data: bytes, longest: int) -> None:
    """Its size is known, and the lines above and below it are what they are."""
    expected = [
        (LongLine, len(line)) if len(line.rstrip(b"\n")) > longest else line for line in io.BytesIO(data).readlines()
    ]
    read = bounded_lines(io.BytesIO(data), longest)
    assert [(LongLine, line.size) if isinstance(line, LongLine) else line for line in read] == expected


def test_the_ends_of_a_long_line_are_kept() -> None:
    """Some thousand bytes of each, and its size."""
    line = b"begin" + b"x" * 1_000_000 + b"end\n"
    stream = io.BufferedReader(io.BytesIO(line + b"next"))
    long, following = read_lines(stream, 10_000)
    assert isinstance(long, LongLine)
    assert (long.head[:6], long.tail[-5:], long.size, following) == (b"beginx", b"xend\n", len(line), b"next")
    assert max(len(long.head), len(long.tail)) < 10_000


@pytest.mark.parametrize(
    ("content", "blank"), [(b"", True), (BOM, True), (b" \r\n\t\n" * 100_000, True), (b"\n" * 300_000 + b"x", False)]
)
def test_a_blank_stream_is_known(content: bytes, blank: bool) -> None:
    """However long it is."""
    assert is_blank(io.BytesIO(content)) == blank


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (BOM, []),
        (b"a", [b"a"]),
        (b"a\n\nb", [b"a\n", b"\n", b"b"]),
        (b"a\r\nb\r\n", [b"a\r\n", b"b\r\n"]),
        (BOM + b"a\n" + BOM + b"b", [b"a\n", BOM + b"b"]),
        ("a\u2028b\u2029c\x85d\x0b\x0ce\x1cf\n".encode(), ["a\u2028b\u2029c\x85d\x0b\x0ce\x1cf\n".encode()]),
    ],
)
def test_odd_characters_are_part_of_a_line(data: bytes, lines: list[bytes]) -> None:
    """Blank lines count, the last newline may be missing, and no other character ends a line."""
    assert list(read_lines(io.BytesIO(data), 100)) == lines


def test_a_file_is_hashed_while_it_is_read(tmp_path: Path) -> None:
    """The hash is that of all bytes, however few the reader asks for at a time."""
    data = BOM + b"a\r\n" + b"b" * 600_000 + b"\n\n"
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb", buffering=0) as file:
        reader = HashingReader(file)
        assert b"".join(io.BufferedReader(reader, 100)) == data
    assert reader.hexdigest() == xxhash.xxh3_128(data).hexdigest()


@pytest.mark.parametrize(
    ("line", "clean"),
    [
        (b'{"a": "\xc3\xa9\\u00e9"}', True),
        (b"", True),
        (b'"\xff"', False),
        (b'"\xed\xa0\x80"', False),  # a surrogate, written out in three bytes
    ],
)
def test_lines_that_need_a_look_are_known(line: bytes, clean: bool) -> None:
    """Invalid UTF-8, which msgspec lets pass where it skips a field, is not passed on unread."""
    assert is_clean(line) == clean


@pytest.mark.parametrize(
    ("line", "value", "repaired"),
    [
        (b'{"a": 1}', {"a": 1}, False),
        (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}", False),
        ('"\u2028"'.encode(), "\u2028", False),
        (b"[NaN, Infinity, -Infinity, 1]", [None, None, None, 1], True),
        (b'"a\\ud800b"', "a\ufffd\ufffd\ufffdb", True),
        (b'"a\xffb"', "a\ufffdb", True),
        (b'{"\xff": NaN}', {"\ufffd": None}, True),
        (b"[1e999, 1.5]", [None, 1.5], True),
        (b"[%b, 15]" % (b"1" * 5000), [None, 15], True),
    ],
)
def test_odd_values_are_read(line: bytes, value: object, repaired: bool) -> None:
    """What strict JSON refuses is read and flagged; what is strict is not flagged."""
    assert decode_leniently(line) == (value, repaired)


@pytest.mark.parametrize(
    "line", [b"", b"{", b"<html>", b'{"a": 1} x', b"\x00", b"[" * 100_000, b"[" * 10**5 + b"]" * 10**5]
)
def test_what_is_not_json_is_an_error(line: bytes) -> None:
    """A torn line, HTML or absurd nesting is a ValueError and no other."""
    with pytest.raises(ValueError, match=r"."):
        decode_leniently(line)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=10,
)


def strict(value: object) -> object:
    match value:
        case float() if not math.isfinite(value):
            return None
        case str():
            return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        case list():
            return [strict(each) for each in value]
        case dict():
            return {strict(key): strict(each) for key, each in value.items()}
    return value


@given(JSON)
def test_nothing_but_the_odd_changes(value: object) -> None:
    """A repaired value is the one that was sent, but for NaN and characters that do not exist."""
    read, repaired = decode_leniently(json.dumps(value).encode())
    assert read == strict(value)
    assert repaired or read == value


@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_are_a_surprise(line: bytes) -> None:
    """Whatever the bytes, they are read exactly when the standard library can read their characters."""
    text = line.decode("utf-8", "replace")
    try:
        json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            decode_leniently(line)
    else:
        decode_leniently(line)
