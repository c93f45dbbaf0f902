"""Input rows: three forms, one request; an error names the field."""

import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from batch_router.bounds import Bounds
from batch_router.core import GenerationConfig, NativeRow, TextContent, UnifiedMessage, UnifiedRequest
from batch_router.exceptions import InvalidInputError, ValidationError
from batch_router.intake.losses import Translated
from batch_router.intake.options import Defaults
from batch_router.intake.problems import DuplicateFinder, Problems
from batch_router.intake.rows import RowReader, fill_defaults, request_from, row_from
from batch_router.jsonl import Line, read_lines
from batch_router.providers import find_provider

CHAT = "/v1/chat/completions"
HI = {"role": "user", "content": "hi"}
SYSTEM = {"role": "system", "content": "be brief"}
MODEL = Defaults(model="m")
BOUNDS = Bounds()


def parse(row: Any, defaults: Defaults = MODEL) -> UnifiedRequest:
    return parse_line(json.dumps(row).encode(), defaults)


def parse_line(line: bytes, defaults: Defaults = MODEL) -> UnifiedRequest:
    problems = Problems(Path("in.jsonl"))
    requests = [request for _, request in read_rows([line], defaults, problems)]
    problems.raise_any()
    return requests[0]


def read_rows(lines: Iterable[Line], defaults: Defaults, problems: Problems) -> Iterator[tuple[int, UnifiedRequest]]:
    """As for a provider without rows of its own: each row is translated."""
    for line, row in RowReader(None, defaults, problems, BOUNDS).read(lines):
        assert not isinstance(row, NativeRow)
        yield line, requested(row)


def requested(row: UnifiedRequest | Translated) -> UnifiedRequest:
    return row.request if isinstance(row, Translated) else row


def openai_row(**body: Any) -> dict[str, Any]:
    return {"custom_id": "q1", "method": "POST", "url": CHAT, "body": {"model": "m", "messages": [HI]} | body}


@pytest.mark.parametrize(
    "row",
    [
        {"custom_id": "q1", "model": "m", "messages": [HI]},
        {"custom_id": "q1", "messages": [HI]},
        {"custom_id": "q1", "model": None, "messages": [HI], "generation_config": None},
        {"custom_id": "q1", "prompt": "hi"},
        {"custom_id": "q1", "model": "m", "prompt": "hi"},
        openai_row(),
        openai_row(model=None),
    ],
)
def test_three_forms_make_one_request(row: dict[str, Any]) -> None:
    """A unified row, the short form and a row of an OpenAI batch file say the same."""
    expected = UnifiedRequest(custom_id="q1", model="m", messages=[UnifiedMessage(role="user", content="hi")])
    assert replace(parse(row), endpoint=None) == expected
    assert replace(fill_defaults(requested(row_from(row)), MODEL), endpoint=None) == expected


def test_the_short_form_takes_the_other_fields() -> None:
    """Whatever a unified row may say beside its messages, the short form may say too."""
    row = {
        "custom_id": "q1",
        "prompt": [{"type": "text", "text": "hi"}],
        "system_prompt": ["a", "b"],
        "generation_config": {"max_tokens": 3},
        "provider_kwargs": {"seed": 1},
    }
    assert parse(row) == UnifiedRequest(
        custom_id="q1",
        model="m",
        messages=[UnifiedMessage(role="user", content=[TextContent(text="hi")])],
        system_prompt=["a", "b"],
        generation_config=GenerationConfig(max_tokens=3),
        provider_kwargs={"seed": 1},
    )


@pytest.mark.parametrize(
    ("leading", "system_prompt"),
    [
        ([], None),
        ([SYSTEM], "be brief"),
        ([{"role": "developer", "content": "be brief"}], "be brief"),
        ([SYSTEM, {"role": "developer", "content": "be kind"}], ["be brief", "be kind"]),
        ([{"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}], ["a", "b"]),
        ([{"role": "system", "content": [{"type": "text", "text": "a"}]}], "a"),
    ],
)
def test_leading_system_messages_are_the_system_prompt(leading: list[Any], system_prompt: object) -> None:
    """In both forms that have messages, with either name of the role, as a text or as parts."""
    for row in ({"custom_id": "q1", "messages": [*leading, HI]}, openai_row(messages=[*leading, HI])):
        read = parse(row)
        assert read.system_prompt == system_prompt
        assert read.messages == [UnifiedMessage(role="user", content="hi")]


def test_a_row_wins_over_its_batch() -> None:
    """The batch's word counts where the row says nothing, parameter by parameter."""
    own = GenerationConfig(temperature=0)
    defaults = Defaults(model="m", system_prompt="s", generation_config=GenerationConfig(temperature=1, max_tokens=9))
    silent = parse({"custom_id": "q1", "prompt": "hi"}, defaults)
    assert (silent.model, silent.system_prompt, silent.generation_config) == ("m", "s", defaults.generation_config)
    outspoken = parse(
        {"custom_id": "q2", "prompt": "hi", "model": "n", "system_prompt": "t", "generation_config": own.to_dict()},
        defaults,
    )
    assert (outspoken.model, outspoken.system_prompt) == ("n", "t")
    assert outspoken.generation_config == GenerationConfig(temperature=0, max_tokens=9)


def test_a_request_that_lacks_nothing_is_not_copied() -> None:
    """Defaults make another request where one is filled in; where none is, the request passes as it is."""
    request = request_from({"custom_id": "q1", "prompt": "hi"})
    filled = fill_defaults(request, MODEL)
    assert (request.model, filled.model) == (None, "m")
    assert fill_defaults(filled, MODEL) is filled


def changed(**change: Any) -> dict[str, Any]:
    return {"custom_id": "q1", "messages": [HI]} | change


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({}, ".*`custom_id`"),
        ({"prompt": "hi"}, ".*`custom_id`"),
        ({"custom_id": "q1"}, ".*`messages`"),
        (changed(custom_id=5), "custom_id: .*`int`"),
        (changed(custom_id=None), "custom_id: .*`null`"),
        (changed(custom_id=""), "custom_id: "),
        (changed(modell="m"), ".*unknown field `modell`"),
        (changed(prompt="hi"), ".*unknown field `prompt`"),
        (changed(model=""), "model: "),
        (changed(model=["m"]), "model: .*`array`"),
        (changed(messages=[]), "messages: "),
        (changed(messages="hi"), "messages: .*`str`"),
        (changed(messages=[HI, "hi"]), r"messages\[1\]: .*`str`"),
        (changed(messages=[HI, HI | {"role": "robot"}]), r"messages\[1\].role: .*'robot'.*'user' or 'assistant'"),
        (changed(messages=[HI, SYSTEM]), r"messages\[1\].role: .*'system'.*in front"),
        (changed(messages=[{"role": "user"}]), r"messages\[0\]: .*`content`"),
        (changed(messages=[HI | {"content": ""}]), r"messages\[0\].content: "),
        (changed(messages=[HI | {"content": []}]), r"messages\[0\].content: "),
        (changed(messages=[HI | {"content": [{"type": "text"}]}]), r"messages\[0\].content\[0\]: .*`text`"),
        (changed(messages=[HI | {"content": [{"type": "video"}]}]), r"messages\[0\].content\[0\].*'video'"),
        (changed(generation_config={"temperature": 3}), "generation_config.temperature: .*2"),
        (changed(generation_config={"temperature": "hot"}), "generation_config.temperature: .*`str`"),
        (changed(generation_config={"heat": 1}), "generation_config: .*unknown field `heat`"),
        (changed(provider_kwargs=[1]), "provider_kwargs: "),
        (changed(system_prompt=5), "system_prompt: .*`int`"),
        (changed(messages=[SYSTEM]), "messages: only a system prompt"),
        (changed(messages=[SYSTEM, HI], system_prompt="s"), "system_prompt: given twice"),
        (changed(messages=[{"role": "system", "content": []}, HI]), ".*(content|system)"),
        (changed(messages=[{"role": "system", "content": None}, HI]), ".*(content|system)"),
        (changed(messages=[{"role": "system"}, HI]), ".*(content|system)"),
        (changed(messages=[{"role": "system", "content": [{"type": "image_url"}]}, HI]), ".*(content|system)"),
        ({"custom_id": "q1", "prompt": 5}, "prompt: "),
        ({"custom_id": "q1", "prompt": ""}, "prompt: "),
        (openai_row() | {"url": "/v1/images/edits"}, "url: '/v1/images/edits' is only for .*; .* others: /v1/chat"),
        (openai_row() | {"url": "/v1/image"}, "url: '/v1/image' is not supported; these are: /v1/chat"),
        (openai_row() | {"url": "/v1/embeddings"}, "body.input: must be one text"),
        (openai_row() | {"method": "GET"}, "method: "),
        (openai_row() | {"body": "hi"}, "body: must be an object"),
        (openai_row() | {"model": "m"}, "unknown field `model`; an OpenAI batch row has: custom_id, method, url, body"),
        (openai_row(messages=None), "body.messages: at least one turn of the user is needed"),
        (
            openai_row(messages=[HI | {"content": [{"type": "input_audio"}]}]),
            r"body.messages: .*: body.messages\[0\].content\[0\]: input_audio: no other provider reads it",
        ),
        ([], ".*must be an object, not list"),
        ("hi", ".*must be an object, not str"),
        (None, ".*must be an object, not NoneType"),
    ],
)
def test_a_bad_row_is_refused_by_field(row: Any, complaint: str) -> None:
    """The refusal names the field; a row as plain data is refused as the same row in a file is."""
    with pytest.raises(ValidationError, match=f"^{complaint}"):
        row_from(row)
    with pytest.raises(ValidationError, match=f"^in.jsonl, line 1: {complaint}"):
        parse(row)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"hello", "not valid JSON: .*; each line must be one JSON object"),
        (b'{"custom_id": "q1", "prompt": "hi"', "not valid JSON"),
        (b'{"custom_id": "q1", "prompt": "hi"} {}', "more than one JSON value; each line must be one JSON object"),
        (b'{"custom_id": "q1", "prompt": "\\ud800"}', "prompt: half of a character"),
        (b'{"custom_id": "q1", "prompt": NaN}', "not valid JSON: NaN is no number there; write null"),
        (b'{"custom_id": "q1", "prompt": -Infinity}', "not valid JSON: -Infinity is no number there"),
        (
            b'{"custom_id": "q1", "messages": [{"role": "user", "content": "\\udc00"}]}',
            r"messages\[0\].content: half of",
        ),
        (b'{"custom_id": "q1", "\\ud800": "x"}', "the names: half of a character"),
        (b"{'custom_id': 'q1', 'prompt': 'hi'}", "text in single quotes, as Python prints it; .*json.dumps"),
        (b'{"custom_id": "q1", "a": True}', "True, where JSON has true"),
        (b'{"custom_id": "q1", "a": None}', "None, where JSON has null"),
        (b'{custom_id: "q1"}', "the name 'custom_id' is not in double quotes"),
        (b'{"custom_id": "q1", "prompt": "hi"},', "a comma behind the object; leave it out"),
        (b'{"custom_id": "q1", "prompt": "hi",}', "a comma before the closing bracket; leave it out"),
        (b'{"custom_id": "q1", "a": [1,]}', "a comma before the closing bracket"),
        (b'{"custom_id": "q1"}{"custom_id": "q2"}', "more than one JSON value; .*put a line end between them"),
        (b'{"custom_id": "q1"} \x1b[2J', r"'\\x1b\[2J' stands behind the object"),
        (b'{"custom_id": "q1", "prompt": "a\tb"}', r"a text holds the character '\\t' itself"),
        (b'{"custom_id": "q1", "prompt": "h', "the line ends within a value: it was cut off, or goes on"),
        (b'{"custom_id": "q1", "prompt": "\xff"}', "not valid UTF-8 at byte 32 .0xff.; save the file as UTF-8"),
        (b'{"custom_id": "q1", "prompt": "hi"}'.decode().encode("utf-16"), "not valid (UTF-8|JSON)"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'{"custom_id": "q1", "prompt": "hi", "provider_kwargs": {"a": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_line_that_is_not_json_is_refused(line: bytes, complaint: str) -> None:
    """The refusal says what the line should be."""
    with pytest.raises(ValidationError, match=complaint):
        parse_line(line)


@pytest.mark.parametrize("defaults", [Defaults(), Defaults(model="")])
def test_a_model_is_needed(defaults: Defaults) -> None:
    """Where neither row nor batch names one, the refusal says where it can be given."""
    with pytest.raises(ValidationError, match=r": model: .*in the row.*model="):
        parse({"custom_id": "q1", "prompt": "hi"}, defaults)


ODD_FILES = {
    "plain": b'{"custom_id": "a", "prompt": "1"}\n{"custom_id": "b", "prompt": "2"}\n',
    "no newline at the end": b'{"custom_id": "a", "prompt": "1"}\n{"custom_id": "b", "prompt": "2"}',
    "CRLF": b'{"custom_id": "a", "prompt": "1"}\r\n{"custom_id": "b", "prompt": "2"}\r\n',
    "BOM": b'\xef\xbb\xbf{"custom_id": "a", "prompt": "1"}\n{"custom_id": "b", "prompt": "2"}\n',
    "indented": b'  {"custom_id": "a", "prompt": "1"}\t\n {"custom_id": "b", "prompt": "2"} \n',
}


@pytest.mark.parametrize("name", ODD_FILES)
def test_odd_files_are_read(name: str) -> None:
    """What editors and other systems leave around a row is not part of it."""
    lines = read_lines(io.BytesIO(ODD_FILES[name]), 1000)
    assert [(line, row.custom_id) for line, row in read_rows(lines, MODEL, Problems())] == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("text", ["a\u2028b", "a\u2029b", "a\x85b", "a\x1cb", "\ufeff"])
def test_only_newlines_end_a_row(tmp_path: Path, text: str) -> None:
    """A character that other tools take for the end of a line stays within its row."""
    path = tmp_path / "in.jsonl"
    row = json.dumps({"custom_id": text, "prompt": text}, ensure_ascii=text == "a\x1cb")
    path.write_text(f"{row}\n{row}\n", encoding="utf-8", newline="")
    problems = Problems(Path("in.jsonl"))
    with path.open("rb") as stream:
        requests = [request for _, request in read_rows(read_lines(stream, 1000), MODEL, problems)]
    assert [(request.custom_id, request.messages[0].content) for request in requests] == [(text, text)] * 2
    assert problems.total == 0


def test_blank_lines_count_but_hold_no_row() -> None:
    """The numbers of the lines are those that an editor shows."""
    problems = Problems(Path("in.jsonl"))
    lines = [b"", b'{"custom_id": "a", "prompt": "1"}', b" \t\r", b"x", b'{"custom_id": "b", "prompt": "2"}']
    assert [(line, request.custom_id) for line, request in read_rows(lines, MODEL, problems)] == [
        (2, "a"),
        (5, "b"),
    ]
    with pytest.raises(InvalidInputError, match=r"^in.jsonl, line 4: not valid JSON"):
        problems.raise_any()


@pytest.mark.parametrize("bad", [0, 1, 20, 21, 1000])
def test_the_first_problems_are_described(bad: int) -> None:
    """Twenty are described in order, three of a kind, the rest is counted; none is no error."""
    problems = Problems(Path("in.jsonl"))
    rows = [json.dumps({"custom_id": "a", "prompt": "b", f"x{number}": 1}).encode() for number in range(bad)]
    assert list(read_rows(rows, MODEL, problems)) == []
    error = None
    try:
        problems.raise_any()
    except InvalidInputError as caught:
        error = caught
    shown = [text.partition(": ")[0] for text in error.problems] if error else []
    assert shown == [f"in.jsonl, line {line}" for line in range(1, min(bad, 20) + 1)]
    assert (error.total if error else 0) == bad
    assert str(error).endswith(f"... and {bad - 20} more") == (bad > 20)


# --- repeated ids ---------------------------------------------------------------------------------------------------


class ShortRuns(DuplicateFinder):
    """Merges many runs where the usual one would merge one."""

    _RUN = 4


class FewLooks(DuplicateFinder):
    """Looks at two repeated ids and counts the rest."""

    _MOST = 2


class Clash(str):
    """An id that shares its hash with all others of its kind."""

    __slots__ = ()

    def __hash__(self) -> int:
        return 7


def find(ids: list[str], finder: DuplicateFinder | None = None) -> tuple[list[str], int]:
    """The problems that a finder reports of ids on lines from 1 on, and how many it counts."""
    finder = finder or DuplicateFinder()
    problems = Problems(Path("in.jsonl"))
    for custom_id in ids:
        finder.add(custom_id)
    finder.report(lambda: iter(enumerate(ids, 1)), problems)
    try:
        problems.raise_any()
    except InvalidInputError as error:
        return error.problems, error.total
    return [], 0


def described(problems: list[str]) -> list[str]:
    """Those that are described: three with the same sentence, and twenty in all."""
    sentences = [each.partition(": ")[2] for each in problems]
    return [each for at, each in enumerate(problems) if sentences[:at].count(sentences[at]) < 3][:20]


def repeated(ids: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    return [
        f"in.jsonl, line {line}: custom_id: {name!r} was used before, at line {seen[name]}; make it unique"
        for line, name in enumerate(ids, 1)
        if seen.setdefault(name, line) != line
    ]


@pytest.mark.parametrize(
    "ids",
    [[], ["a"], ["a", "b"], ["a", "a"], ["a", "b", "a", "a"], ["b", "a", "a", "b"], ["\ud800", "\ud800"], ["a"] * 20],
)
def test_repeated_ids_are_found(ids: list[str]) -> None:
    """Each repetition is named with its line and the line of the first."""
    assert find(ids) == (described(repeated(ids)), len(repeated(ids)))


@given(st.lists(st.sampled_from("abcdefghijklmnop") | st.integers().map(str)))
def test_the_finder_knows_what_a_set_knows(ids: list[str]) -> None:
    """However the ids fall into runs, the repeated ones are those that a set would find."""
    expected = repeated(ids)
    assert find(ids, ShortRuns()) == (described(expected), len(expected))


def test_ids_that_share_a_hash_are_different() -> None:
    """A collision is looked at and found to be none; a repetition among colliding ids is found."""
    assert find([Clash("a"), Clash("b"), Clash("c")]) == ([], 0)
    ids: list[str] = [Clash("a"), Clash("b"), Clash("a")]
    assert find(ids) == (repeated(ids), 1)


def test_a_flood_of_repetitions_is_counted() -> None:
    """Beyond the ids that are looked at, repetitions are still counted, each once."""
    ids = ["a", "b", "c", "d"] * 3
    described, total = find(ids, FewLooks())
    assert total == len(repeated(ids)) == 8
    assert described == [line for line in repeated(ids) if line in described]
    assert len(described) == 4


def test_unique_ids_are_not_read_again() -> None:
    """The second reading, which costs as much as the first, is only for those who need it."""
    finder = ShortRuns()
    for number in range(1000):
        finder.add(str(number))

    def reread() -> Iterator[tuple[int, str]]:
        pytest.fail("read again for nothing")

    finder.report(reread, Problems(Path("in.jsonl")))


def test_all_faults_of_a_row_are_told_at_once() -> None:
    """Each with its field, in the order of the record, and no more than a few."""
    parts = [{"type": "text", "txt": "a"}, {"type": "video"}]
    row = changed(
        promtp="x",
        custom_id=5,
        messages=[HI | {"role": "robot"}, HI | {"content": parts}],
        generation_config={"heat": 1, "temperature": 3, "tools": [{"nme": "f"}], "tool_choice": {"name": 5}},
    )
    with pytest.raises(ValidationError) as caught:
        request_from(row)
    assert str(caught.value).split("; ") == [
        "unknown field `promtp`",
        "did you mean `prompt`?",
        "custom_id: Expected `str`, got `int`",
        "write it in quotes, as a text",
        "messages[0].role: Invalid enum value 'robot'",
        "'user' or 'assistant', and a system prompt only in front",
        "messages[1].content[0]: unknown field `txt`",
        "did you mean `text`?",
        "messages[1].content[0]: missing field `text`",
        "messages[1].content[1].type: Invalid value 'video'",
        "generation_config: unknown field `heat`",
        f"it may have: {', '.join(GenerationConfig.__struct_fields__)}",
        "generation_config.temperature: Expected `float` <= 2.0",
        "generation_config.tools[0]: unknown field `nme`",
        "did you mean `name`?",
        "generation_config.tools[0]: missing field `name`",
        "and more",
    ]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"label": "x"}, "unknown field `label`; a row may have: custom_id, prompt, model, endpoint, messages, "),
        ({"modle": "x"}, "unknown field `modle`; did you mean `model`?"),
        ({"modle": "x", "promt": "y"}, "unknown fields `modle`, `promt`; did you mean `model`, `prompt`?"),
        ({f"x{number}": 1 for number in range(9)}, "unknown fields `x0`, `x1`, `x2`, `x3`, `x4` and 4 more; a row may"),
        (
            {"temperature": 1, "max_tokens": 5},
            "unknown fields `temperature`, `max_tokens`; parameters belong into `gen",
        ),
        ({"parms": {}}, "unknown field `parms`; did you mean `params`?"),
        ({"key": "a", "reqest": {}}, "unknown fields `key`, `reqest`; did you mean `request`?"),
        ({"key": "a"}, "unknown field `key`; a row may have: custom_id"),
        ({"modle": "x", "label": "y"}, "unknown fields `modle`, `label`; a row may have: custom_id"),
        ({"prompt": "x"}, "unknown field `prompt` beside `messages`; keep one of the two"),
        ({"a\x1b[2J" + "b" * 10**6: 1}, r"unknown field `a\x1b[2Jbbb"),
    ],
)
def test_unknown_fields_are_named(more: dict[str, Any], says: str) -> None:
    """With what was probably meant, or with all that a row may have; printable and short."""
    with pytest.raises(ValidationError) as caught:
        request_from(changed(**more))
    assert str(caught.value).startswith(says)
    assert len(str(caught.value)) < 500


def test_a_row_of_another_form_is_named_by_its_form() -> None:
    """The fields of a provider's own batch files are told apart from those of a request."""
    line = json.dumps(openai_row() | {"label": "x"}).encode()
    problems = Problems()
    native = find_provider("openai").native
    assert list(RowReader(native, MODEL, problems, BOUNDS).read([line])) == []
    with pytest.raises(InvalidInputError, match=r"unknown field `label`; a row \{.*\} has no others"):
        problems.raise_any()
