"""How much is tried, and values and bytes to try."""

import json
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# `make fuzz` says how many examples; without it they are few, and the same ones each time.
_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))


def examples(few: int) -> settings:
    """The settings of a fuzzer that tries this many examples in `make test`."""
    return settings(
        max_examples=_EXAMPLES or few,
        derandomize=not _EXAMPLES,
        deadline=None,
        print_blob=True,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
        ],
    )


TEXTS = st.sampled_from(["", "a", "m", "\x1b[2J", "\u2028", "x" * 600, "{}", "\U0001f600"]) | st.text(max_size=8)
ODD_NUMBERS = [0, -1, 1, 2**63, 2**64, 10**30, 1e300, float("inf"), float("nan")]
NUMBERS = st.sampled_from(ODD_NUMBERS) | st.integers() | st.floats()
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS


def json_values(names: list[str]) -> st.SearchStrategy[Any]:
    """JSON values whose objects have these names, or others."""
    keys = st.sampled_from(names) | TEXTS
    return st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=8
    )


@st.composite
def changed(draw: st.DrawFn, value: Any, others: st.SearchStrategy[Any]) -> Any:
    """A value with another one somewhere in it."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 4)) == 0:
        return draw(others)
    places = sorted(value) if isinstance(value, dict) else range(len(value))
    place = draw(st.sampled_from(places))
    copy = value.copy()
    if draw(st.integers(0, 9)) == 0:
        del copy[place]
    else:
        copy[place] = draw(changed(value[place], others))
    return copy


@st.composite
def damaged(draw: st.DrawFn, line: bytes) -> bytes:
    """Bytes with some others somewhere in them."""
    begin = draw(st.integers(0, len(line)))
    end = draw(st.integers(begin, min(len(line), begin + 20)))
    odd = st.sampled_from([b"", b"\n", b'"', b"\\", b"\xff", b"\x00", b"NaN", b"[" * 2000, b"1" * 5000, b"\\ud800"])
    return line[:begin] + draw(odd | st.binary(max_size=8)) + line[end:]


def lines_like(values: list[Any], names: list[str]) -> st.SearchStrategy[bytes]:
    """Lines that are one of these values, or nearly one, or anything."""
    whole = st.sampled_from(values)
    other = whole.flatmap(lambda value: changed(value, json_values(names)))
    return st.one_of(
        whole.map(_dump),
        other.map(_dump),
        other.flatmap(lambda value: changed(value, json_values(names))).map(_dump),
        whole.map(_dump).flatmap(damaged),
        json_values(names).map(_dump),
        st.binary(max_size=40),
    )


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")
