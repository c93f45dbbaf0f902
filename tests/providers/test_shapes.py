"""Records made of what can be read: each part on its own."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_router.providers._rows.shapes import Shape, count_of, fit, says_something


class Inner(msgspec.Struct):
    name: str | None = None
    count: int | None = None


class Outer(msgspec.Struct, rename="camel"):
    text: str | list[Inner] | None = None
    the_inner: Inner | None = None
    inners: list[Inner] | None = None
    numbers: list[float] | None = None
    names: list[str] | None = None
    plain: dict[str, Any] | None = None
    number: int = 0
    flag: bool | None = None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, Outer()),
        ({"text": "a", "theInner": {"name": 5, "count": 1}}, Outer(text="a", the_inner=Inner(count=1))),
        ({"text": [{"name": "a"}], "theInner": 5}, Outer(text=[Inner("a")])),
        (
            {"text": 5, "inners": [{"name": "a"}, 5, {"count": {}}, {}]},
            Outer(inners=[Inner("a"), Inner(), Inner(), Inner()]),
        ),
        ({"inners": {}, "numbers": [1, 2.5], "names": ["a", 5, "b"]}, Outer(numbers=[1.0, 2.5], names=["a", "b"])),
        ({"numbers": [1, "2"], "plain": [], "flag": True}, Outer(flag=True)),
        ({"number": "12", "flag": 0}, Outer(number=12)),
        ({"number": None, "text": None}, Outer()),
        ([], Outer()),
        (None, Outer()),
    ],
)
def test_a_part_of_another_shape_is_left_out(value: Any, expected: Outer) -> None:
    """The rest is read; a record in a list keeps its place, and one odd number spoils its list."""
    assert fit(value, Outer) == expected
    assert Shape(Outer).read(msgspec.json.encode(value)) == expected


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "text": st.none() | st.text() | st.lists(st.fixed_dictionaries({"name": st.text()})),
        "theInner": st.none() | st.fixed_dictionaries({}, optional={"count": st.integers(0, 9)}),
        "numbers": st.lists(st.floats(allow_nan=False, allow_infinity=False)),
        "plain": st.dictionaries(st.text(), st.integers(0, 9)),
        "more": st.text(),
    },
)


@given(VALUES)
def test_what_fits_is_decoded_alike(value: Any) -> None:
    """The slow way reads what the fast way reads."""
    assert fit(value, Outer) == msgspec.convert(value, Outer)


@pytest.mark.parametrize(
    ("value", "count"),
    [
        *((5, 5), ("5", 5), (5.0, 5), (0, 0), ("\u0663", 3), (-1, None), (5.5, None), (True, None), ("", None)),
        *(("-1", None), (10**13, None), ("1" * 5000, None), (1e300, None), (float("inf"), None), (None, None)),
    ],
)
def test_a_count_is_read_in_any_spelling(value: Any, count: int | None) -> None:
    """As a number, a text, or with a point; what no count can be is none."""
    assert count_of(value) == count


@pytest.mark.parametrize("value", [None, "", {}, [], 0, False, {"a": None, "b": {"c": ""}}, [[], {}]])
def test_an_empty_error_says_nothing(value: Any) -> None:
    """Nor does one whose fields are all empty."""
    assert not says_something(value)
    assert says_something({"a": value, "b": "x"})
