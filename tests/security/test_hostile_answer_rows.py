"""A provider's answers of any size and shape: a result for each row, and no answer takes more memory than its bound."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batch_router.bounds import Bounds
from batch_router.core import BatchStatus, UnifiedResult
from batch_router.core.jobs import Job
from batch_router.road.context import Context
from batch_router.road.steps.normalize import normalize
from batch_router.state.items import Shard
from batch_router.state.parts import Part
from batch_router.state.table import State
from tests.items import fetched

MB = 1_000_000
LABEL = "0123abcd"
PROVIDERS = ["openai", "anthropic", "google", "vllm"]
Normalized = tuple[list[UnifiedResult], Part, int]
Normalize = Callable[..., Normalized]


def answer(provider: str, row: int, text: Any = "fine") -> bytes:
    """An answer as the provider writes it; a `text` that is bytes is JSON."""
    body: dict[str, Any]
    raw = msgspec.Raw(text) if isinstance(text, bytes) else text
    match provider:
        case "anthropic":
            body = {"result": {"type": "succeeded", "message": {"content": [{"type": "text", "text": raw}]}}}
            return _encode({"custom_id": f"{LABEL}-{row}"} | body)
        case "google":
            body = {"response": {"candidates": [{"content": {"parts": [{"text": raw}]}}]}}
            return _encode(body | {"key": f"{LABEL}-{row}"})
    body = {"object": "chat.completion", "choices": [{"message": {"content": raw}}]}
    response = {"status_code": 200, "request_id": "r", "body": body}
    return _encode({"id": "b", "custom_id": f"{LABEL}-{row}", "response": response, "error": None})


def refusal(provider: str, row: int, message: str) -> bytes:
    match provider:
        case "anthropic":
            error = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
            return _encode({"custom_id": f"{LABEL}-{row}", "result": {"type": "errored", "error": error}})
        case "google":
            return _encode({"key": f"{LABEL}-{row}", "error": {"code": 3, "message": message}})
        case "openai":
            response = {"status_code": 400, "request_id": "r", "body": {"error": {"message": message}}}
            return _encode({"id": "b", "custom_id": f"{LABEL}-{row}", "response": response, "error": None})
    response = {"status_code": 400, "request_id": "r", "body": None}
    error = {"error": {"message": message}}
    return _encode({"id": "b", "custom_id": f"{LABEL}-{row}", "response": response, "error": error})


def _encode(value: Any) -> bytes:
    return msgspec.json.encode(value) + b"\n"


@pytest.fixture
def normalized(make_context: Callable[..., Context]) -> Normalize:
    """`normalized(provider, lines, rows)`: results, part, and bytes of the results, of a shard with these answers."""

    def run(provider: str, answers: Sequence[bytes], rows: int, **bounds: int) -> Normalized:
        context = make_context(sections=(Bounds(**bounds),))
        with context.storage.write("ids") as stream:
            stream.writelines(_encode([row, f"q{row}"]) for row in range(rows))
        with context.storage.write("answers") as stream:
            stream.writelines(answers)
        outcome = normalize(context, shard_of(provider, rows, context.storage.size("answers")))
        part = outcome.facts.get("part")
        assert isinstance(part, Part)
        content = Path(context.storage.address, part.name).read_bytes()
        results = [msgspec.json.decode(line, type=UnifiedResult) for line in content.split(b"\n")[:-1]]
        assert [result.custom_id for result in results] == [f"q{row}" for row in range(rows)]
        assert part.succeeded + part.errored + part.cancelled + part.expired == rows
        return results, part, len(content)

    return run


def shard_of(provider: str, rows: int, size: int) -> Shard:
    done = Job(id="job", status=BatchStatus.COMPLETED, created_at=0)
    return Shard(
        id="b.0", batch="b", state=State.NORMALIZING, version=9, provider=provider, label=LABEL, model="m", rows=rows,
        size=1, first_row=0, requests="requests", row_ids="ids", answers=fetched("answers", size), job=done,
    )  # fmt: skip


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_large_answer_is_an_error_of_its_row(normalized: Normalize, provider: str) -> None:
    """The error names the bound, and says that the answer is kept; the answers around it are read."""
    lines = [answer(provider, row, "x" * 3000 if row == 1 else "fine") for row in range(3)]
    results, part, _ = normalized(provider, lines, 3, max_answer_bytes=2000)
    assert [result.text for result in results] == ["fine", None, "fine"]
    error = results[1].error
    assert error is not None
    assert (error.type, error.retryable, error.raw, part.unexpected) == ("malformed", False, None, 0)
    size = len(lines[1])
    assert error.message == (
        f"the provider's answer cannot be read: it has {size:,} bytes, more than 2,000 "
        "(BATCH_ROUTER_MAX_ANSWER_BYTES); the storage keeps it as it came"
    )


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_large_answer_to_no_row_is_counted(normalized: Normalize, provider: str) -> None:
    """One that names another's row, a row twice, or within a text only."""
    foreign = answer(provider, 0, "x" * 3000).replace(LABEL.encode(), b"another0")
    quoting = foreign.replace(b"xxx", msgspec.json.encode(f'"{LABEL}-1"')[1:-1], 1)
    lines = [foreign, answer(provider, 0), quoting, answer(provider, 0, "x" * 3000), answer(provider, 1)]
    results, part, _ = normalized(provider, lines, 2, max_answer_bytes=2000)
    assert ([result.text for result in results], part.unexpected) == (["fine", "fine"], 3)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("value", [b"[],", b'{"a":{}},', b"[[[[]]]],", b"1,"])
def test_an_answer_of_many_values_is_an_error_of_its_row(normalized: Normalize, provider: str, value: bytes) -> None:
    """It is not parsed, not even to find out whose it is."""
    many = b"[" + value * (2 * MB // len(value)) + b"0]"
    lines = [answer(provider, row, many if row == 1 else "fine") for row in range(3)]
    lines[1] = lines[1].replace(b"{", b'{"first":NaN,', 1)
    results, part, _ = normalized(provider, lines, 3, max_answer_values=200_000)
    assert [result.text for result in results] == ["fine", None, "fine"]
    error = results[1].error
    assert error is not None
    assert "too many JSON values, more than 200,000 (BATCH_ROUTER_MAX_ANSWER_VALUES)" in error.message
    assert part.unexpected == 0


@pytest.mark.parametrize("provider", PROVIDERS)
def test_large_errors_are_not_kept_for_each_row(normalized: Normalize, provider: str) -> None:
    """Rows with an error of half a megabyte each have results of some kilobytes each; the stored answers have all."""
    lines = [refusal(provider, row, "x\x1b" * 250_000) for row in range(20)]
    results, part, size = normalized(provider, lines, 20)
    assert (part.errored, size < 20 * 24_000) == (20, True)
    for result in results[:2]:
        assert result.error is not None
        assert result.error.message == "x\x1b" * 1000
        assert isinstance(result.error.raw, str)
        assert result.response is None


@pytest.mark.parametrize("provider", PROVIDERS)
def test_small_errors_are_kept_as_they_are(normalized: Normalize, provider: str) -> None:
    """The provider's own error stands in the result."""
    results, _, _ = normalized(provider, [refusal(provider, 0, "no such thing")], 1)
    assert results[0].error is not None
    assert (results[0].error.message, isinstance(results[0].error.raw, dict)) == ("no such thing", True)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_of_any_depth_has_a_result(normalized: Normalize, provider: str) -> None:
    """Where the parser reads it and the writer cannot write it, too; in the answer, and in a text that holds JSON."""
    depths = [10, *range(900, 1010), 50_000]
    nested = [b'{"a":' * depth + b"1" + b"}" * depth for depth in depths]
    odd = [answer(provider, row, value) for row, value in enumerate(nested)]
    strict = [line.replace(b"{", b'{"first":NaN,', 1) for line in odd]
    for lines in (odd, strict):
        results, _, _ = normalized(provider, lines, len(lines))
        assert {result.error.type for result in results if result.error} <= {"malformed"}


def test_arguments_of_any_depth_have_a_result(normalized: Normalize) -> None:
    """A model may write them, in a text: they are read as an object where that can be written again."""
    depths = [10, *range(900, 1010), 50_000]
    lines = []
    for row, depth in enumerate(depths):
        arguments = '{"a":' * depth + "1" + "}" * depth
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
        line = answer("openai", row).replace(b'"content":"fine"', b'"tool_calls":' + msgspec.json.encode([call]))
        lines.append(line)
    results, part, _ = normalized("openai", lines, len(depths))
    assert part.succeeded == len(depths)
    assert isinstance(results[0].tool_calls[0]["arguments"], dict)


# --- memory ---------------------------------------------------------------------------------------------------------

_CHILD = """
import sys
from pathlib import Path
import msgspec
from batch_router.bounds import Bounds
from batch_router.road.context import Clients, Context
from batch_router.road.lease import LeaseKeeper
from batch_router.road.steps.normalize import normalize
from batch_router.settings import Settings
from batch_router.state.memory import MemoryStore
from batch_router.storage import FolderStorage
from tests.memory import peak_memory
from tests.security.test_hostile_answer_rows import shard_of

home, provider, longest = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
settings = Settings(home=home, sections=(Bounds(max_answer_bytes=longest),))
store = MemoryStore()
keeper = LeaseKeeper(store, lease=15, every=5)
context = Context(settings, store, FolderStorage(home), "w", Clients(settings), keeper)
before = peak_memory()
outcome = normalize(context, shard_of(provider, 3, context.storage.size("answers")))
part = outcome.facts["part"]
print(peak_memory() - before, part.succeeded, part.errored)
"""


_DOWNLOADING = """
import sys
from pathlib import Path
from batch_router.bounds import Bounds
from batch_router.core import BatchStatus
from batch_router.core.jobs import Job
from batch_router.providers.openai import OpenAIProvider
from batch_router.road.context import Clients, Context
from batch_router.road.lease import LeaseKeeper
from batch_router.road.steps.download import download
from batch_router.settings import Settings
from batch_router.state.memory import MemoryStore
from batch_router.storage import FolderStorage
from tests.memory import peak_memory
from tests.security.test_hostile_answer_rows import shard_of

class Provider(OpenAIProvider):
    def connect(self, settings):
        return self

    def download(self, job, into):
        into.write(b'{"id": "b", "custom_id": "0123abcd-0", "x": "')
        into.seek(600_000_000, 1)
        into.write(b'"}')

home, longest = Path(sys.argv[1]), int(sys.argv[2])
settings = Settings(home=home, sections=(Bounds(max_answer_bytes=longest),))
store = MemoryStore()
keeper = LeaseKeeper(store, lease=15, every=5)
context = Context(settings, store, FolderStorage(home), "w", Clients(settings, {"openai": Provider()}), keeper)
before = peak_memory()
outcome = download(context, shard_of("openai", 1, 0))
print(peak_memory() - before, outcome.facts["answers"][-1].size)
"""


def test_answers_are_counted_in_the_memory_of_one(tmp_path: Path) -> None:
    """Also where the last one, which is looked at, is 600 MB long."""
    bound = 8 << 20
    command = [sys.executable, "-c", _DOWNLOADING, str(tmp_path), str(bound)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    peak, size = map(int, done.stdout.split())
    assert size > 600 * MB
    assert peak < 3 * bound + 64 * MB


def normalize_in_child(home: Path, provider: str, *, longest: int) -> tuple[int, int, int]:
    """The memory that the answers of three rows in this folder took, and how many succeeded and failed."""
    (home / "ids").write_bytes(b"".join(_encode([row, f"q{row}"]) for row in range(3)))
    command = [sys.executable, "-c", _CHILD, str(home), provider, str(longest)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    peak, succeeded, failed = map(int, done.stdout.split())
    return peak, succeeded, failed


def write_long(path: Path, lines: Sequence[bytes], size: int) -> None:
    """Lines of which the second one is as long as this: it has zeros in the middle, which take no space."""
    first, long, last = lines
    head, tail = long.split(b"fine")
    with path.open("wb") as stream:
        stream.write(first + head)
        stream.truncate(stream.tell() + size)
        stream.seek(0, os.SEEK_END)
        stream.write(tail + last)


@pytest.mark.parametrize("provider", ["openai", "google"])  # one has the row's id in front, the other behind
def test_an_answer_of_600_mb_takes_the_memory_of_its_bound(tmp_path: Path, provider: str) -> None:
    """It stays where it is; its row has an error, and the other rows their answers."""
    write_long(tmp_path / "answers", [answer(provider, row) for row in range(3)], 600 * MB)
    bound = 8 << 20
    peak, succeeded, failed = normalize_in_child(tmp_path, provider, longest=bound)
    assert (succeeded, failed) == (2, 1)
    assert peak < 5 * bound + 64 * MB


@pytest.mark.parametrize("shape", ["text", "repaired", "values"])
def test_an_answer_within_its_bound_takes_a_multiple_of_it(tmp_path: Path, shape: str) -> None:
    """Texts of characters that take four bytes each, JSON that must be repaired, and as many values as there may be."""
    bound = 16 << 20
    text = '"%s"' % ("\U0001f600" * (bound // 4 - 1000))
    values = "[%s0]" % ('{"a":{}},' * 330_000)
    large = answer("openai", 1, {"text": text, "repaired": text, "values": values}[shape].encode())
    if shape != "text":
        large = large.replace(b"{", b'{"first":NaN,', 1)
    (tmp_path / "answers").write_bytes(answer("openai", 0) + large + answer("openai", 2))
    peak, succeeded, failed = normalize_in_child(tmp_path, "openai", longest=bound)
    assert (succeeded, failed) == (3, 0)
    assert peak < 5 * bound + 200 * MB * (shape == "values") + 64 * MB
