"""Random rows of each dialect: what is taken out of one changes what is sent or counted, and drop rescues."""

import copy
import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_router.exceptions import ValidationError
from tests.conftest import ROOT
from tests.dialects import BODIES, OWN, PROVIDERS, row_of, send

FEATURES: dict[str, dict[str, str]] = tomllib.loads((ROOT / "tests" / "dialect_features.toml").read_text())
PAIRS = [(dialect, name) for dialect, own in OWN.items() for name in PROVIDERS if name not in own]
PAIRS = [pair for pair in PAIRS if pair != ("embeddings", "anthropic")]

#: Why a row is refused although parts of it may be dropped.
REASONS = re.compile(
    "at least one turn of the user is needed|must be one text|anthropic wants (it in every request|the user to speak)"
    "|needs the tool's name|tool_result|thinking"
)

# Members that say nothing, or only what their place says (docs/providers.md), by the end of their path.
SILENT = re.compile(
    r"\.(type|role|method|url)$"  # what an object is; without it, it is the plain kind, or nothing at all
    r"|\.(strict|filename|title|displayName|mimeType|media_type|detail|responseMimeType)$"
    r"|json_schema\.name$|format\.name$"
    r"|max_tokens$|\.model$"
    r"|tool_calls\[\d+\]\.id$|tool_call_id$|call_id$|tool_use_id$"  # which call is meant, where there is one only
)

NOTHING: tuple[Any, ...] = (None, [], {}, False, "{}", "auto", "AUTO", {"type": "object", "properties": {}}, "a.pdf")


def merged(dialect: str, features: list[str]) -> dict[str, Any]:
    """The plain row with several features: their turns and tools one after the other."""
    members: dict[str, Any] = {}
    for feature in features:
        for name, value in json.loads(FEATURES[dialect][feature]).items():
            before = members.get(name)
            if isinstance(value, list) and isinstance(before, list):
                members[name] = before + value
            elif isinstance(value, dict) and isinstance(before, dict):
                members[name] = before | value
            else:
                members[name] = value
    return row_of(dialect, **members)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all members and items within a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield (*path, key)
        yield from places(each, (*path, key))


def shown(path: tuple[Any, ...]) -> str:
    return "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in path)[1:]


def at(row: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        row = row[key]
    return row


def without(row: Any, path: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(row)
    del at(changed, path[:-1])[path[-1]]
    return changed


def came_of(provider: str, row: Any) -> object:
    """What is sent of a row and counted of it, or why it is refused."""
    try:
        got = send(provider, row, "drop")
    except ValidationError as error:
        return str(error)
    return got.request, got.dropped, got.adjusted


def lost(provider: str, row: Any) -> list[str]:
    """The places of what is lost of a row, as its refusal names them."""
    try:
        send(provider, row)
    except ValidationError as error:
        return re.findall(r"(?:body|params|request)[\w.\[\]]*", str(error))
    return []


@st.composite
def rows(draw: st.DrawFn, dialect: str) -> dict[str, Any]:
    return merged(dialect, draw(st.lists(st.sampled_from(sorted(FEATURES[dialect])), min_size=1, max_size=4)))


@st.composite
def rows_and_places(draw: st.DrawFn, dialect: str) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """A row, and the way to something in its body."""
    row = draw(rows(dialect))
    body = next(name for name in BODIES if name in row)
    return row, draw(st.sampled_from([(body, *path) for path in places(row[body])]))


@pytest.mark.parametrize(("dialect", "provider"), PAIRS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_is_taken_out_is_missed(dialect: str, provider: str, data: st.DataObject) -> None:
    """Unless it says nothing, or stands in what is lost as a whole and by name."""
    row, path = data.draw(rows_and_places(dialect))
    if SILENT.search(shown(path)) or at(row, path) in NOTHING:
        return
    if any(shown(path).startswith(place) for place in lost(provider, row)):
        return
    came = came_of(provider, row)
    assert isinstance(came, str) or came != came_of(provider, without(row, path)), shown(path)


@pytest.mark.parametrize(("dialect", "provider"), PAIRS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_key_that_no_provider_knows_is_counted(dialect: str, provider: str, data: st.DataObject) -> None:
    """Wherever it stands: in the body, in a message, in a part, in a tool; but not in a schema, which is the user's."""
    row = data.draw(rows(dialect))
    body = next(name for name in BODIES if name in row)
    objects = [(body, *path) for path in [(), *places(row[body])] if isinstance(at(row[body], path), dict)]
    path = data.draw(st.sampled_from(objects))
    if re.search(r"schema|parameters|Schema|\.args|response\.|input$|cache_control|\.response$", shown(path)):
        return
    changed = copy.deepcopy(row)
    at(changed, path)["x_unknown"] = 1
    whole = any(shown(path).startswith(place) for place in lost(provider, changed))
    came = came_of(provider, changed)
    assert whole or isinstance(came, str) or came[1]["x_unknown"] == 1, shown(path)  # type: ignore[index]


@pytest.mark.parametrize(("dialect", "provider"), PAIRS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_drop_rescues_what_has_a_meaning(dialect: str, provider: str, data: st.DataObject) -> None:
    """A row is refused for a reason of a short list only, and never in another way than as a bad row."""
    came = came_of(provider, data.draw(rows(dialect)))
    assert not isinstance(came, str) or REASONS.search(came), came


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(0, 1) | st.sampled_from(["", "a", "user", "text"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "id"]), inner),
    max_leaves=6,
)


@pytest.mark.parametrize(("dialect", "provider"), PAIRS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_values_of_other_types_are_lost_or_refused(dialect: str, provider: str, data: st.DataObject) -> None:
    """Any JSON in the place of any value: the row is sent, or refused as a bad row, and nothing else happens."""
    row, path = data.draw(rows_and_places(dialect))
    changed = copy.deepcopy(row)
    at(changed, path[:-1])[path[-1]] = data.draw(JSON)
    came_of(provider, changed)
