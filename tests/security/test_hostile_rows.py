"""Rows and options of any size, shape and origin: sent or refused with a sentence; never held whole or waited for."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest

from batch_router.bounds import Bounds
from batch_router.core import GenerationConfig, UnifiedMessage, UnifiedRequest
from batch_router.exceptions import InvalidInputError, ValidationError
from batch_router.intake.encode import RowEncoder
from batch_router.intake.options import SubmitOptions
from batch_router.intake.rows import row_from
from batch_router.operations.submit import submit
from batch_router.providers import find_provider, provider_names
from batch_router.road.context import Context
from batch_router.road.outcome import Outcome
from batch_router.road.steps.convert import convert
from batch_router.settings import Settings
from batch_router.state.items import Batch

from .test_one_place import called, modules

MakeContext = Callable[..., Context]
Stored = Callable[[], list[str]]
MB = 1_000_000

ROW: dict[str, Any] = {"custom_id": "a", "prompt": "1", "model": "m"}
LINE = json.dumps(ROW).encode() + b"\n"


def submitted(context: Context, **options: Any) -> Batch:
    """A batch that a worker has claimed."""
    hint = submit(context, "openai", cast(SubmitOptions, options))
    batch = context.store.claim(hint.id, 1, lease=60, holder="w")
    assert isinstance(batch, Batch)
    return batch


def refused(context: Context, stored: Stored, **options: Any) -> str:
    """What the refusal of a submission says, after a look at what it left."""
    with pytest.raises(ValidationError) as caught:
        submit(context, "openai", cast(SubmitOptions, options))
    assert stored() == []
    assert list(context.store.iter_batches()) == []
    return str(caught.value)


def bounded(make_context: MakeContext, **bounds: int) -> Context:
    return make_context(sections=(Bounds(**bounds),))


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["/dev/zero", "/dev/stdin", "fifo", "socket", "folder"])
def no_file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The path of something that is no regular file."""
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    path = tmp_path / request.param
    with socket.socket(socket.AF_UNIX) as listener:
        match request.param:
            case "fifo":
                os.mkfifo(path)
            case "socket":
                listener.bind("socket")
            case "folder":
                path.mkdir()
        yield path


def test_only_a_regular_file_is_read(context: Context, stored: Stored, no_file: Path) -> None:
    """A device without an end, a FIFO without a writer, a socket and a folder are refused at once."""
    assert "only a regular file is read" in refused(context, stored, input=no_file, model="m")


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="needs /dev/fd")
def test_a_pipe_is_called_so(context: Context, stored: Stored) -> None:
    """`--input <(command)` and `/dev/stdin` behind a pipe: the link to one leads to a name that is not there."""
    read, write = os.pipe()
    assert "it is a FIFO; only a regular file is read" in refused(context, stored, input=f"/dev/fd/{read}", model="m")
    os.close(read)
    os.close(write)


def test_a_file_of_many_gigabytes_is_not_copied(make_context: MakeContext, stored: Stored, tmp_path: Path) -> None:
    """One that takes no space on the disk is refused by its size."""
    path = tmp_path / "in.jsonl"
    path.touch()
    os.truncate(path, 8 << 40)
    assert "more than 100,000,000,000 (BATCH_ROUTER_MAX_INPUT_BYTES)" in refused(make_context(), stored, input=path)


@pytest.mark.skipif(not Path("/proc/self/pagemap").exists(), reason="needs Linux' /proc")
def test_a_file_that_is_larger_than_it_says_is_not_copied(make_context: MakeContext, stored: Stored) -> None:
    """This one is a regular file of 0 bytes that has terabytes."""
    context = bounded(make_context, max_input_bytes=3 * MB)
    assert refused(context, stored, input="/proc/self/pagemap", model="m").startswith(
        "input: more than 3,000,000 (BATCH_ROUTER_MAX_INPUT_BYTES) bytes"
    )


def to_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def to_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def to_another(path: Path) -> None:
    path.write_bytes(b'{"custom_id": "stolen", "prompt": "x"}\n')


@pytest.mark.parametrize("change", [to_fifo, to_device, to_another, Path.unlink])
def test_what_becomes_of_a_submitted_file_is_no_matter(
    context: Context, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """The rows are those that were checked; no worker waits for a FIFO, reads a device, or sends another file."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(LINE)
    batch = submitted(context, input=path)
    change(path)
    assert sent(context, convert(context, batch)) == ["1"]


def sent(context: Context, outcome: Outcome) -> list[str]:
    lines = [line for shard in outcome.spawn for line in content(context, shard.requests).splitlines()]
    return [json.loads(line)["body"]["messages"][0]["content"] for line in lines]


def content(context: Context, name: str) -> bytes:
    return Path(context.storage.address, name).read_bytes()


def test_workers_open_no_paths() -> None:
    """Intake, operations and road read user's files by one function, and all else from the storage."""
    opened = {
        (path, call)
        for path, tree in modules().items()
        if path.startswith(("intake/", "operations/", "road/"))
        for call in called(tree)
        if re.search(r"(^|\.)(open|open_input|read_bytes|read_text|local_file)$", call)
        and not re.search(r"\bstorage\.(open|local_file)$", call)
    }
    assert opened == {("intake/check.py", "open_input")}


# --- memory ---------------------------------------------------------------------------------------------------------

_CHILD = """
import sys
from pathlib import Path
from batch_router import BatchRouter
from batch_router.bounds import Bounds
from batch_router.exceptions import InvalidInputError
from batch_router.intake.check import check_file
from batch_router.intake.options import Options
from batch_router.providers import find_provider
from batch_router.settings import Settings
from tests.memory import peak_memory

settings = Settings(sections=(Bounds(max_row_bytes=8 << 20),))
before = peak_memory()
try:
    check_file(Path(sys.argv[1]), find_provider("openai"), Options(model="m"), settings)
except InvalidInputError as error:
    print(*error.problems, sep="\\n")
print(peak_memory() - before)
"""


def check_in_child(path: Path) -> tuple[list[str], int]:
    """The problems of a file, and the bytes of memory that it took to find them; a row has at most 8 MiB."""
    command = [sys.executable, "-c", _CHILD, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    *problems, peak = done.stdout.splitlines()
    return [problem.removeprefix(f"{path}, ") for problem in problems], int(peak)


def test_a_line_of_any_length_takes_the_memory_of_a_row(tmp_path: Path) -> None:
    """It is a problem of its line, as are others, and the lines below it are read."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(LINE)
    os.truncate(path, 500 * MB)  # zeros, which take no space
    with path.open("ab") as stream:
        stream.write(b"\n" + LINE.replace(b'"a"', b'"b"') + b"hello\n")
    problems, peak = check_in_child(path)
    assert problems[0].startswith("line 2: 499,999,9")
    assert "bytes, more than 8,388,608 (BATCH_ROUTER_MAX_ROW_BYTES); shorten it" in problems[0]
    assert [problem[:24] for problem in problems[1:]] == ["line 4: not valid JSON: "]
    assert peak < 6 * (8 << 20) + 64 * MB


@pytest.mark.parametrize("values", ["[],", '{"a":{}},', "[[[[]]]],", "1,"])
def test_a_row_of_many_values_is_not_parsed(tmp_path: Path, values: str) -> None:
    """Empty lists take thirty times their bytes."""
    path = tmp_path / "in.jsonl"
    many = values * (7 * MB // len(values))
    path.write_text(f'{{"custom_id": "a", "prompt": "1", "provider_kwargs": {{"x": [{many}0]}}}}\n')
    problems, peak = check_in_child(path)
    assert problems == ["line 1: too many JSON values, more than 1,000,000 (BATCH_ROUTER_MAX_VALUES); shorten it"]
    assert peak < 6 * (8 << 20) + 64 * MB


# --- bounds ---------------------------------------------------------------------------------------------------------


def endless(**fields: Any) -> Iterator[dict[str, Any]]:
    return (ROW | {"custom_id": str(number)} | fields for number in count())


def test_requests_without_an_end_are_refused(make_context: MakeContext, stored: Stored) -> None:
    """By their number, or by their bytes; also if none of them is good."""
    few = bounded(make_context, max_rows=50)
    assert refused(few, stored, requests=endless()).startswith("rows: more than 50 (BATCH_ROUTER_MAX_ROWS)")
    assert refused(few, stored, requests=endless(prompt=5)).startswith("rows: more than 50 (BATCH_ROUTER_MAX_ROWS)")
    small = bounded(make_context, max_input_bytes=5000)
    assert refused(small, stored, requests=endless()).startswith(
        "input: more than 5,000 (BATCH_ROUTER_MAX_INPUT_BYTES)"
    )


@pytest.mark.parametrize("line", [LINE, b"\n", b"{x\n"])
def test_lines_without_an_end_are_refused(
    make_context: MakeContext, stored: Stored, tmp_path: Path, line: bytes
) -> None:
    """Rows, rubbish and blank lines; the worker finds out what the caller did not look at."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(line * 51 + LINE)
    context = bounded(make_context, max_rows=50)
    complaint = "rows: more than 50 (BATCH_ROUTER_MAX_ROWS); split the batch"
    assert refused(context, stored, input=path, check_rows=None) == complaint
    batch = submitted(context, input=path, check_rows=0)
    before = stored()
    with pytest.raises(ValidationError, match=re.escape(complaint)):
        convert(context, batch)
    assert stored() == before


def test_a_large_request_is_refused_as_a_large_row_is(
    make_context: MakeContext, stored: Stored, tmp_path: Path
) -> None:
    """With the same words, and its neighbours are looked at."""
    context = bounded(make_context, max_row_bytes=2000)
    rows = [ROW, ROW | {"custom_id": "b", "prompt": "x" * 2000}, ROW | {"custom_id": "c", "prompt": 5}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for given in ({"requests": rows}, {"input": tmp_path / "in.jsonl"}):
        first, second = refused(context, stored, **given).splitlines()
        assert re.search(r"(line 2|requests\[1\]): 2,0\d\d bytes, more than 2,000 \(BATCH_ROUTER_MAX_ROW", first)
        assert re.search(r"(line 3|requests\[2\]): ", second)


def test_a_batch_has_only_so_many_shards(make_context: MakeContext, stored: Stored) -> None:
    """Limits of one row per job and a million rows do not make a million items in one call of the store."""
    context = make_context(max_shard_rows=1, sections=(Bounds(max_shards=3),))
    requests = [ROW | {"custom_id": str(number)} for number in range(1000)]
    assert len(convert(context, submitted(context, requests=requests[:3])).spawn) == 3
    batch = submitted(context, requests=requests)
    before = stored()
    with pytest.raises(InvalidInputError, match=r"shards: more than 3 \(BATCH_ROUTER_MAX_SHARDS\); split") as caught:
        convert(context, batch)
    assert caught.value.total == 997
    assert stored() == before


CYCLE: dict[str, Any] = {}
CYCLE["more"] = CYCLE

#: options -> what the refusal says
TOO_MUCH: list[tuple[dict[str, Any], str]] = [
    ({"metadata": {"a": "x" * 20_000}}, r"^metadata: more than 16,384 \(BATCH_ROUTER_MAX_METADATA_BYTES\) bytes"),
    ({"metadata": {"x" * 129: "a"}}, "^options: .* length <= 128 .*metadata"),
    ({"metadata": {str(number): "a" for number in range(65)}}, "^metadata: .* length <= 64"),
    ({"metadata": {"a": ["b"]}}, "^metadata.*: Expected `str`, got `array`"),
    ({"engine_options": {"a": "x" * 20_000}}, r"^engine_options: more than 16,384 \(BATCH_ROUTER_MAX_ENGINE_OPTIONS"),
    ({"engine_options": {str(number): 1 for number in range(65)}}, "^engine_options: .* length <= 64"),
    ({"engine_options": {"x" * 129: 1}}, "^options: .* length <= 128"),
    ({"system_prompt": "x" * 200_000}, r"^options: 200,\d+ bytes, more than 100,000 \(BATCH_ROUTER_MAX_ROW_BYTES\)"),
    ({"generation_config": {"output_schema": {"schema": {"x": "x" * 200_000}}}}, "^options: 200,.*MAX_ROW_BYTES"),
    ({"generation_config": {"output_schema": {"schema": CYCLE}}}, "^options: nested too deeply: about 1,000 levels"),
    ({"idempotency_key": "x" * 513}, "^idempotency_key: .* length <= 512"),
    ({"idempotency_key": "\ud800"}, "^options: cannot be written as JSON"),
    ({"model": "x" * 257}, "^model: 'x+...' is no name of one: up to 256 printable characters are"),
    ({"model": "m\n"}, r"^model: 'm\\\\n' is no name of one"),
    ({"model": "\x1b[2J"}, r"^model: '\\\\x1b\[2J' is no name of one"),
    ({"endpoint": "x" * 5_000_000}, "^endpoint: Invalid enum value 'x+...$"),
    ({"x" * 5_000_000: 1}, r"^unknown option 'x+...'; known: "),
    ({"input": "s3://" + "x" * 5_000_000, "requests": None}, r"^input: s3://x+... is a URL"),
    ({"input": "x" * 5_000_000, "requests": None}, r"^input: /.*x+... cannot be read: File name too long"),
]


@pytest.mark.parametrize(("options", "complaint"), TOO_MUCH)
def test_options_are_bounded(
    make_context: MakeContext, stored: Stored, options: dict[str, Any], complaint: str
) -> None:
    """The refusal names option and bound, and is itself short."""
    context = bounded(make_context, max_row_bytes=100_000)
    said = refused(context, stored, **({"requests": [ROW]} | options))
    assert re.search(complaint, said)
    assert len(said) < 2000


#: a field of a row -> what the refusal says
BAD_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"custom_id": "x" * 513}, "custom_id: .* length <= 512"),
    ({"model": "x" * 257}, "model: 'x+...' is no name of one"),
    ({"model": "a\x07b"}, r"model: 'a\\\\x07b' is no name of one"),
    ({"x" * MB: 1}, ".*unknown field `x+...`; a row may have: custom_id, [a-z_, ]+$"),
    ({"\x1b]0;owned\x07": 1}, r".*unknown field `\\x1b\]0;owned\\x07`"),
    ({"url": "\x1b[2J" * MB, "body": {}}, ".*"),
]


@pytest.mark.parametrize(("field", "complaint"), BAD_FIELDS)
def test_a_problem_is_short_and_printable(
    context: Context, stored: Stored, tmp_path: Path, field: dict[str, Any], complaint: str
) -> None:
    """However large the value is that it quotes, and whatever that would do to a terminal."""
    (tmp_path / "in.jsonl").write_text(json.dumps(ROW | field))
    for given in ({"requests": [ROW | field]}, {"input": tmp_path / "in.jsonl"}):
        said = refused(context, stored, **given)
        assert re.search(complaint, said)
        assert said.isprintable()
        assert len(said) < 1600


def test_names_that_are_dropped_are_counted_up_to_a_number(context: Context) -> None:
    """Each row may ask for other things that no provider takes: the store keeps some hundred names of them."""
    encoder = RowEncoder(find_provider("anthropic"), "drop", Settings())
    for number in range(1000):
        body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
        encoder.encode(row_from({"custom_id": "a", "body": body | {f"{number}{'x' * 1000}": 1}}), "0")
    assert len(encoder.dropped) == 201
    assert (sum(encoder.dropped.values()), encoder.dropped["(others)"]) == (1000, 800)
    assert max(map(len, encoder.dropped)) <= 100


# --- depth ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["provider_kwargs", "generation_config"])
def test_a_row_of_any_depth_is_sent_or_refused(context: Context, tmp_path: Path, field: str) -> None:
    """Where the parser reads it and the writer cannot write it, too: nothing but a problem of that row comes of it."""
    path = tmp_path / "in.jsonl"
    with path.open("w") as stream:
        limit = sys.getrecursionlimit()  # other libraries raise it
        for depth in (10, *range(limit - 200, limit + 10), 100_000):
            value = '{"a":' * depth + "1" + "}" * depth
            if field == "generation_config":
                value = f'{{"output_schema": {{"schema": {value}}}}}'
            stream.write(f'{{"custom_id": "{depth}", "model": "m", "prompt": "x", "{field}": {value}}}\n')
    batch = submitted(context, input=path, check_rows=0)
    with pytest.raises(InvalidInputError) as caught:
        convert(context, batch)
    assert 1 < caught.value.total < 211
    assert {problem.partition(": ")[2] for problem in caught.value.problems} == {
        "nested too deeply: about 1,000 levels are the most"
    }


# --- the model ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "endpoint"), [(name, each) for name in provider_names() for each in find_provider(name).endpoints]
)
@pytest.mark.parametrize("key", ["model", "stream", "stream_options"])
def test_a_row_cannot_change_its_model(provider: str, endpoint: Any, key: str) -> None:
    """After it was cut into the shard of its model, no key that is merged into its body names another one."""
    kind = find_provider(provider)
    message = UnifiedMessage(role="user", content="x")
    config = GenerationConfig(max_tokens=1) if endpoint == "chat" else None
    request = UnifiedRequest(
        custom_id="a", model="cheap", endpoint=endpoint, messages=[message], generation_config=config,
        provider_kwargs={key: "expensive"},
    )  # fmt: skip
    with pytest.raises(ValidationError, match=rf"^provider_kwargs\.{key}: "):
        RowEncoder(kind, "drop", Settings()).encode(request, "0")


def test_a_row_of_an_openai_file_does_not_stream(context: Context, stored: Stored) -> None:
    """One that asks for it is refused; one that says that it does not goes as it stands."""
    whole = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": False}
    row = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions"}
    said = refused(context, stored, requests=[row | {"body": whole | {"stream": True}}])
    assert re.search(r"body\.stream: a batch has no streams; leave it out", said)
    outcome = convert(context, submitted(context, requests=[row | {"body": whole}]))
    assert sent(context, outcome) == ["x"]
