"""A batch enters: good input is stored as it will be needed, bad input leaves nothing behind."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import xxhash
from msgspec.structs import replace

from batch_router.bounds import Bounds
from batch_router.core import DocumentContent, GenerationConfig, TextContent, UnifiedMessage, UnifiedRequest
from batch_router.exceptions import BatchRouterError, InvalidInputError, ProviderNotFoundError, ValidationError
from batch_router.intake.check import check_file
from batch_router.intake.options import Options, SubmitOptions, read_options
from batch_router.operations.submit import submit
from batch_router.providers import find_provider
from batch_router.road.context import Context
from batch_router.settings import Settings
from batch_router.state.base import Hint
from batch_router.state.items import Batch
from batch_router.state.table import State

Stored = Callable[[], list[str]]

GOOD: list[dict[str, Any]] = [{"custom_id": "a", "prompt": "1"}, {"custom_id": "b", "prompt": "2", "model": "n"}]
LINES = b"".join(json.dumps(row).encode() + b"\n" for row in GOOD)


class Dumps:
    """What a pydantic model offers."""

    def model_dump(self, *, mode: str, by_alias: bool, exclude_none: bool) -> dict[str, Any]:
        return {"custom_id": "c", "prompt": "3"} if (mode, by_alias, exclude_none) == ("json", True, True) else {}


def in_store(context: Context, batch_id: str) -> Batch:
    batch = context.store.get_batch(batch_id)
    assert batch is not None
    return batch


def content_of(context: Context, batch: Batch) -> bytes:
    with context.storage.open(batch.input.stored) as rows:
        return rows.read()


def rows_of(context: Context, batch: Batch) -> list[Any]:
    return [json.loads(line) for line in content_of(context, batch).splitlines()]


# --- good input -----------------------------------------------------------------------------------------------------


def test_inline_requests_are_stored(context: Context, stored: Stored) -> None:
    """Rows and options lie in storage, the batch is queued, and the store holds neither prompt nor row."""
    hint = submit(
        context, "openai", {"requests": GOOD, "model": "m", "system_prompt": "hush", "metadata": {"who": "ada"}}
    )
    batch = in_store(context, hint.id)
    assert hint == Hint(batch.id, 1, State.QUEUED, "openai")
    assert (batch.state, batch.version, batch.model, batch.metadata) == (State.QUEUED, 1, "m", {"who": "ada"})
    assert [row["custom_id"] for row in rows_of(context, batch)] == ["a", "b"]
    assert "hush" not in repr(batch)
    with context.storage.open(batch.submission) as stream:
        submission = json.loads(stream.read())
    assert submission["options"] == {"model": "m", "system_prompt": "hush", "metadata": {"who": "ada"}}
    assert submission["input"] == msgspec.to_builtins(batch.input)
    assert (submission["batch_id"], submission["provider"]) == (batch.id, "openai")
    mark, *objects = stored()
    assert mark == f"accepted/{batch.id}.json"
    assert len(objects) == 2
    assert all(name.startswith(f"generated/openai/{batch.id}/") for name in objects)


def test_only_a_message_that_follows_is_waited_for(context: Context) -> None:
    """Without one the next sweep takes the batch up; with one it leaves that the grace to arrive."""
    submit(context, "openai", {"requests": GOOD, "model": "m", "batch_id": "followed"}, message_follows=True)
    submit(context, "openai", {"requests": GOOD, "model": "m", "batch_id": "alone"})
    assert [hint.id for hint in context.store.take_due(10, grace=5)] == ["alone"]


def test_the_same_key_is_the_same_batch(context: Context, stored: Stored) -> None:
    """Submitted again under one idempotency key, the batch is the first one, and nothing more is stored."""
    first = submit(context, "openai", {"requests": GOOD, "model": "m", "idempotency_key": "order 7 \u2713"})
    before = stored()
    assert submit(context, "openai", {"requests": GOOD, "model": "m", "idempotency_key": "order 7 \u2713"}) == first
    assert stored() == before
    assert submit(context, "openai", {"requests": GOOD, "model": "m", "idempotency_key": "order 8"}).id != first.id


def test_the_same_key_with_other_content_is_refused(context: Context, stored: Stored) -> None:
    """Other rows or options under a used key are an error in the caller; the batch stays as it was."""
    submit(context, "openai", {"requests": GOOD, "model": "m", "idempotency_key": "k"})
    before = stored()
    others: list[SubmitOptions] = [{"model": "n"}, {"requests": GOOD[:1]}, {"metadata": {"a": "b"}}]
    for changed in others:
        with pytest.raises(ValidationError, match=r"key 'k' was used for other requests or options; use another key"):
            submit(context, "openai", {"requests": GOOD, "model": "m", "idempotency_key": "k", **changed})
    with pytest.raises(ValidationError, match="either batch_id or idempotency_key"):
        submit(context, "openai", {"requests": GOOD, "model": "m", "idempotency_key": "k", "batch_id": "b"})
    assert stored() == before


def test_a_key_from_before_an_upgrade_is_the_same_batch(
    make_context: Callable[..., Context], caplog: pytest.LogCaptureFixture
) -> None:
    """What was hashed in another way cannot be compared: the caller gets the batch that has the key, and a log line."""
    old, new = make_context(), make_context()
    arguments: SubmitOptions = {"requests": GOOD, "model": "m", "idempotency_key": "k"}
    batch = in_store(old, submit(old, "openai", arguments).id)
    for content, said in (("5ca1ab1e", "known=1"), ("3:5ca1ab1e", "known=3")):
        new.store.create(replace(batch, content=content), delay=0)
        assert submit(new, "openai", arguments).id == batch.id
        assert said in caplog.text
        new = make_context()


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"custom_id": "a", "prompt": "bad \ud83d"}, "prompt"),
        ({"custom_id": "a", "body": {"model": "m", "messages": [{"role": "user", "content": "\udc00 x"}]}}, "content"),
    ],
)
def test_half_a_character_is_told_with_its_field(context: Context, request_: dict[str, Any], field: str) -> None:
    """As in a file: JSON could escape it, and no service could read it."""
    with pytest.raises(InvalidInputError, match=rf"requests\[0\]: .*{field}.*half of a character"):
        submit(context, "openai", {"requests": [request_], "model": "m"})


def test_the_input_is_sealed(context: Context, tmp_path: Path) -> None:
    """Size and hash of the rows are remembered, of stored ones and of a file of the user's."""
    (tmp_path / "in.jsonl").write_bytes(LINES)
    both: list[SubmitOptions] = [{"requests": GOOD}, {"input": tmp_path / "in.jsonl"}]
    for arguments in both:
        batch = in_store(context, submit(context, "openai", {"model": "m", **arguments}).id)
        content = content_of(context, batch)
        assert (batch.input.size, batch.input.hash) == (len(content), xxhash.xxh3_128(content).hexdigest())


def test_a_file_is_copied(context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is resolved in the caller's folder; what becomes of the file afterwards is no matter."""
    (tmp_path / "in.jsonl").write_bytes(LINES)
    monkeypatch.chdir(tmp_path)
    batch = in_store(context, submit(context, "openai", {"input": "in.jsonl", "model": "m"}).id)
    assert batch.input.source == str(tmp_path / "in.jsonl")
    Path("in.jsonl").unlink()
    assert content_of(context, batch) == LINES


@pytest.mark.parametrize(
    "requests",
    [
        GOOD,
        tuple(GOOD),
        iter(GOOD),
        [UnifiedRequest(custom_id="a", messages=[UnifiedMessage.from_text("user", "1")]), Dumps()],
        [{"custom_id": "a", "messages": [UnifiedMessage(role="user", content="1")]}, Dumps()],
    ],
)
def test_requests_come_in_many_shapes(context: Context, requests: Any) -> None:
    """Dicts, records, pydantic models and mixtures, from anything that can be iterated."""
    batch = in_store(context, submit(context, "openai", {"requests": requests, "model": "m"}).id)
    assert [row["custom_id"] in "abc" for row in rows_of(context, batch)] == [True, True]


def test_the_callers_requests_are_left_alone(context: Context) -> None:
    """Defaults are filled in on the way, not into what the caller holds."""
    request = UnifiedRequest(custom_id="a", messages=[UnifiedMessage.from_text("user", "1")])
    row = dict(GOOD[0])
    submit(context, "openai", {"requests": [request, row | {"custom_id": "b"}], "model": "m", "system_prompt": "s"})
    assert (request.model, request.system_prompt, row) == (None, None, GOOD[0])


def test_what_one_provider_drops_another_still_gets(context: Context) -> None:
    """The caller sends one request to two providers: vLLM goes without the PDF, OpenAI gets it."""
    pdf = DocumentContent(source_type="base64", media_type="application/pdf", data="JVBE")
    message = UnifiedMessage(role="user", content=[TextContent(text="Summarize."), pdf])
    request = UnifiedRequest(custom_id="a", model="m", messages=[message])
    submit(context, "vllm", {"requests": [request], "unsupported": "drop"})
    batch = in_store(context, submit(context, "openai", {"requests": [request]}).id)
    assert [part["type"] for part in rows_of(context, batch)[0]["messages"][0]["content"]] == ["text", "document"]


@pytest.mark.parametrize("batch_id", ["a", "A-b_9", "x" * 64])
def test_a_batch_can_be_named(context: Context, batch_id: str) -> None:
    """The caller's id is the batch's; without one, each submission has its own."""
    assert submit(context, "openai", {"requests": GOOD, "model": "m", "batch_id": batch_id}).id == batch_id
    others = {submit(context, "openai", {"requests": GOOD, "model": "m"}).id for _ in range(3)}
    assert len(others) == 3


# --- bad input ------------------------------------------------------------------------------------------------------

ROW: dict[str, Any] = {"custom_id": "a", "prompt": "1"}

ENDLESS: dict[str, Any] = {}
ENDLESS["more"] = ENDLESS

#: what is given -> what the refusal says
BAD_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({}, "either requests= .*or input="),
    ({"requests": GOOD, "input": "in.jsonl"}, "either requests= .*or input="),
    ({"requests": []}, "requests is empty: there is nothing to send"),
    ({"requests": "a.jsonl"}, "requests must be a list of requests, not str"),
    ({"requests": b"{}"}, "requests must be a list of requests, not bytes"),
    ({"requests": ROW}, "requests must be a list of requests, not dict"),
    ({"requests": 5}, "requests must be a list of requests, not int"),
    ({"requests": GOOD, "modell": "m"}, "unknown option 'modell'; did you mean 'model'"),
    ({"requests": GOOD, "foo": 1}, "unknown option 'foo'; known: .*model"),
    ({"requests": GOOD, "row_retries": "3"}, "^row_retries: .*`str`"),
    ({"requests": GOOD, "timeout": "60"}, "^timeout: .*`str`"),
    ({"requests": GOOD, "unsupported": "ignore"}, "^unsupported: .*'ignore'"),
    ({"input": 5}, "^input must be the path of a JSONL file, or a binary stream, not int"),
    ({"input": "in.jsonl", "check_rows": "all"}, "^check_rows must be a number of rows, or None for all, not 'all'"),
    ({"requests": GOOD, "model": 5}, "^model: .*`int`"),
    ({"requests": GOOD, "model": ""}, "^model|: model"),
    ({"requests": GOOD, "metadata": {"a": 1}}, "^metadata.*`int`"),
    ({"requests": GOOD, "metadata": "a"}, "^metadata: .*`str`"),
    ({"requests": GOOD, "system_prompt": 5}, "^system_prompt: .*`int`"),
    ({"requests": GOOD, "generation_config": {"temperature": 3}}, "^generation_config.*temperature.*2"),
    ({"requests": GOOD, "generation_config": {"heat": 3}}, "^generation_config: .*`heat`"),
    ({"requests": GOOD, "generation_config": {"top_k": 3}}, r"^requests\[0\]: generation_config.top_k: "),
    ({"requests": GOOD, "batch_id": 5}, "^batch_id: .*`int`"),
    *[
        ({"requests": GOOD, "batch_id": name}, "batch_id.*64")
        for name in ("", "x" * 65, "a b", "a.b", "../a", "ä", "a\n")
    ],
]

#: rows -> what the refusal says of the last of them
BAD_ROWS: list[tuple[list[Any], str]] = [
    ([ROW | {"promt": "1"}], r".*unknown field `promt`"),
    ([{"prompt": "1"}], r".*`custom_id`"),
    ([{"custom_id": "a"}], r".*`messages`"),
    ([ROW | {"custom_id": 5}], r"custom_id: .*`int`"),
    ([ROW | {"custom_id": ""}], r"custom_id: "),
    ([ROW, ROW], r"custom_id: 'a' was used before"),
    ([ROW | {"generation_config": {"top_k": 5}}], r"generation_config.top_k: .*leave it out"),
    ([ROW | {"generation_config": {"temperature": 5}}], r"generation_config.temperature: "),
    (["hello"], r".*must be an object, not str"),
    ([ROW, [ROW]], r".*must be an object, not list"),
    ([None], r".*must be an object, not NoneType"),
]

#: the bytes of a file -> what the refusal says
BAD_FILES: list[tuple[bytes, str]] = [
    (b"", r"^(input: )?[^ ]*in.jsonl is empty: there is nothing to send"),
    (b"\n \r\n\t\n", r"^(input: )?[^ ]*in.jsonl is empty: there is nothing to send"),
    (b"\xef\xbb\xbf", r"^(input: )?[^ ]*in.jsonl is empty: there is nothing to send"),
    (LINES + b"hello\n", "in.jsonl, line 3: not valid JSON.*each line must be one JSON object"),
    (LINES + LINES[:20], "in.jsonl, line 3: not valid JSON"),
    (
        b"\r\n\r\n" + b'{"custom_id": "\xff", "prompt": "1"}',
        "in.jsonl, line 3: not valid UTF-8 at byte .*; save the file as UTF-8",
    ),
    (b"custom_id,prompt\na,1\n", "in.jsonl looks like a table with the columns custom_id, prompt; say what to ask"),
    (b"[\n" + LINES + b"]\n", r"in.jsonl is one JSON array; .*jq -c '.\[\]' FILE"),
]


@pytest.fixture
def refused(context: Context, stored: Stored) -> Callable[..., BatchRouterError]:
    """`refused(...)`: the error of a submission, after a look at what it left."""

    def look(kind: type[BatchRouterError], provider: str = "openai", **arguments: Any) -> BatchRouterError:
        before = (stored(), list(context.store.iter_batches()), context.store.take_due(10, grace=0))
        with pytest.raises(kind) as caught:
            submit(context, provider, cast(SubmitOptions, arguments))
        assert (stored(), list(context.store.iter_batches()), context.store.take_due(10, grace=0)) == before
        return caught.value

    return look


@pytest.mark.parametrize(("arguments", "complaint"), BAD_ARGUMENTS)
def test_bad_arguments_leave_nothing(refused: Any, arguments: dict[str, Any], complaint: str) -> None:
    """The refusal names the argument and says what to do."""
    assert_matches(complaint, refused(ValidationError, **({"model": "m"} | arguments)))


@pytest.mark.parametrize(("rows", "complaint"), BAD_ROWS)
def test_bad_requests_leave_nothing(refused: Any, rows: list[Any], complaint: str) -> None:
    """The refusal names the request by its number in the list, and the field."""
    error = refused(InvalidInputError, requests=rows, model="m")
    assert_matches(rf"^requests\[{len(rows) - 1}\]: {complaint}", error)
    assert error.total == 1


@pytest.mark.parametrize(("rows", "complaint"), BAD_ROWS)
def test_bad_rows_leave_nothing(refused: Any, tmp_path: Path, rows: list[Any], complaint: str) -> None:
    """The refusal names file, line and field, and the file is left as it was."""
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    error = refused(InvalidInputError, input=path, model="m")
    assert_matches(rf"^{path}, line {len(rows)}: {complaint}", error)
    assert (error.total, len(path.read_bytes().splitlines())) == (1, len(rows))


@pytest.mark.parametrize(("content", "complaint"), BAD_FILES)
def test_bad_files_leave_nothing(refused: Any, tmp_path: Path, content: bytes, complaint: str) -> None:
    """What is not a file of rows is refused by name and line."""
    (tmp_path / "in.jsonl").write_bytes(content)
    assert_matches(complaint, refused(ValidationError, input=str(tmp_path / "in.jsonl"), model="m"))


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("missing.jsonl", "missing.jsonl cannot be read: No such file or directory"),
        ("missing/in.jsonl", "missing/in.jsonl cannot be read: No such file or directory"),
        ("folder", "folder cannot be read: it is a folder; only a regular file is read"),
        ("in.jsonl/in.jsonl", "in.jsonl/in.jsonl cannot be read: Not a directory"),
        ("a\0b.jsonl", "cannot be read: .*null"),
        ("x" * 5000, "cannot be read: File name too long"),
    ],
)
def test_unreadable_paths_leave_nothing(refused: Any, tmp_path: Path, path: str, complaint: str) -> None:
    """The refusal names the path and what the system says of it."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "in.jsonl").write_bytes(LINES)
    assert_matches(f"^input: .*{complaint}", refused(ValidationError, input=tmp_path / path, model="m"))


def test_a_stream_is_read_to_its_end(context: Context, tmp_path: Path) -> None:
    """A binary one in place of a path; it stays open, and problems name it as it is called."""
    (tmp_path / "in.jsonl").write_bytes(LINES)
    with (tmp_path / "in.jsonl").open("rb") as stream:
        batch = context.store.get_batch(submit(context, "openai", {"input": stream, "model": "m"}).id)
        assert not stream.closed
    assert batch is not None
    assert (batch.input.source, batch.input.size) == (str(tmp_path / "in.jsonl"), len(LINES))
    nameless = io.BytesIO(LINES)
    batch = context.store.get_batch(submit(context, "openai", {"input": nameless, "model": "m"}).id)
    assert batch is not None
    assert batch.input.source == "the stream"


@pytest.mark.parametrize(
    ("stream", "complaint"),
    [
        (io.StringIO("x"), "^input: the stream is one of text; give one of bytes"),
        (io.BytesIO(LINES + b"{broken\n"), "^the stream, line 3: not valid JSON"),
        (io.BytesIO(b"[]"), "^input: the stream is one JSON array"),
    ],
)
def test_a_bad_stream_leaves_nothing(refused: Any, stream: Any, complaint: str) -> None:
    """What is wrong with it is found before anything is stored."""
    assert_matches(complaint, refused(ValidationError, input=stream, model="m"))


def test_a_stream_without_an_end_is_refused(make_context: Any) -> None:
    """By the bound of an input file."""
    context = make_context(sections=(Bounds(max_input_bytes=5000),))
    with open("/dev/zero", "rb") as stream, pytest.raises(ValidationError, match="MAX_INPUT_BYTES"):
        submit(context, "openai", {"input": stream, "model": "m"})


def test_a_file_of_another_user_leaves_nothing(refused: Any, tmp_path: Path) -> None:
    """A file that may not be read is refused by name."""
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (tmp_path / "in.jsonl").write_bytes(LINES)
    (tmp_path / "in.jsonl").chmod(0)
    error = refused(ValidationError, input=tmp_path / "in.jsonl", model="m")
    assert_matches(r"^input: .*in.jsonl cannot be read: Permission denied", error)


@pytest.mark.parametrize("url", ["s3://bucket/in.jsonl", "https://host/in.jsonl"])
def test_a_url_leaves_nothing(refused: Any, url: str) -> None:
    """What is not supported is refused, in the words in which it was asked for."""
    assert_matches(f"^input: {url} .*only files", refused(ValidationError, input=url, model="m"))


def test_an_unknown_provider_leaves_nothing(refused: Any) -> None:
    """The refusal says which are known."""
    error = refused(ProviderNotFoundError, "opnai", requests=GOOD, model="m")
    assert_matches(r"'opnai' not found; known: .*openai", error)


def test_a_provider_that_is_no_name_leaves_nothing(refused: Any) -> None:
    """The class of a provider is not its name."""
    assert_matches("^provider must be a name such as 'openai', not int", refused(ValidationError, 5, requests=GOOD))


def test_a_missing_model_leaves_nothing(refused: Any, tmp_path: Path) -> None:
    """Each row without a model is named, and both places where it can be given."""
    (tmp_path / "in.jsonl").write_bytes(LINES)
    both: list[SubmitOptions] = [{"requests": GOOD}, {"input": tmp_path / "in.jsonl"}]
    for arguments in both:
        error = refused(InvalidInputError, **arguments)
        assert_matches(r"(requests\[0\]|line 1): model: missing; give it in the row.*model=", error)
        assert error.total == 1


@pytest.mark.parametrize(
    "value",
    [
        {"custom_id": "\ud800", "prompt": "1"},
        {"custom_id": "a", "prompt": "\ud800"},
        {"custom_id": "a", "prompt": "1", "provider_kwargs": {"stop": {"a": object()}}},
        {"custom_id": "a", "prompt": "1", "provider_kwargs": ENDLESS},
    ],
)
def test_what_json_cannot_hold_leaves_nothing(refused: Any, value: dict[str, Any]) -> None:
    """A request that cannot be written down as it is, is refused by its number like any other."""
    error = refused(InvalidInputError, requests=[GOOD[0] | {"custom_id": "b"}, value], model="m")
    assert_matches(r"^requests\[1\]: ", error)


def test_a_taken_id_leaves_nothing(refused: Any, context: Context, tmp_path: Path) -> None:
    """The batch that has the id goes on untouched; the error says to choose another."""
    submit(context, "openai", {"requests": GOOD, "model": "m", "batch_id": "mine"})
    first = in_store(context, "mine")
    (tmp_path / "in.jsonl").write_bytes(LINES)
    both: list[SubmitOptions] = [{"requests": GOOD}, {"input": tmp_path / "in.jsonl"}]
    for arguments in both:
        error = refused(ValidationError, model="other", batch_id="mine", **arguments)
        assert_matches(r"^batch_id 'mine' is taken; choose another", error)
    assert in_store(context, "mine") == first
    assert len(rows_of(context, first)) == 2


def test_a_call_that_the_store_repeats_is_one_submission(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reply to `create` is lost, Redis' client asks again and hears that the id is taken: by this very batch."""
    create = context.store.create

    def create_twice(*arguments: Any, **options: Any) -> bool:
        create(*arguments, **options)
        return create(*arguments, **options)

    monkeypatch.setattr(context.store, "create", create_twice)
    hint = submit(context, "openai", {"requests": GOOD, "model": "m", "batch_id": "mine"})
    assert (hint.id, hint.version) == ("mine", 1)
    assert len(rows_of(context, in_store(context, "mine"))) == 2


def test_a_refusal_leaves_no_folder(context: Context) -> None:
    """Not even an empty folder stays for each refused attempt."""
    with pytest.raises(InvalidInputError):
        submit(context, "openai", {"requests": [ROW, ROW], "model": "m"})
    assert [path.name for path in Path(context.storage.address).rglob("*") if path.name.startswith("batch_")] == []


@pytest.mark.parametrize("where", ["requests", "input"])
def test_all_bad_rows_are_reported_at_once(refused: Any, tmp_path: Path, where: str) -> None:
    """The first 20 are described in order, the rest is counted, and repeated ids are among them."""
    rows: list[dict[str, Any]] = [{"custom_id": f"q{number}", "prompt": "fine"} for number in range(60)]
    for number in range(1, 60, 2):
        rows[number][f"x{number}"] = 1
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps(row) for row in [*rows, rows[0]]))
    given = {"requests": [*rows, rows[0]]} if where == "requests" else {"input": tmp_path / "in.jsonl"}
    error = refused(InvalidInputError, model="m", **given)
    places = [f"requests[{n}]" if where == "requests" else f"{given['input']}, line {n + 1}" for n in range(1, 41, 2)]
    assert [problem.partition(": ")[0] for problem in error.problems] == places
    assert (error.total, str(error).splitlines()[20:]) == (31, ["... and 11 more"])


def test_only_the_first_rows_are_checked_if_so_asked(context: Context, refused: Any, tmp_path: Path) -> None:
    """A large file is checked as far as asked for; all of it with `check_rows=None`."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(LINES + b"hello\n" + LINES)
    assert submit(context, "openai", {"input": path, "model": "m", "check_rows": 2}).version == 1
    assert refused(InvalidInputError, input=path, model="m", check_rows=3).total == 1
    assert refused(InvalidInputError, input=path, model="m", check_rows=None).total == 3


def test_a_file_can_be_checked_alone(tmp_path: Path) -> None:
    """The command line reads the whole file before anything else."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(LINES)
    check_file(path, find_provider("openai"), Options(model="m"), Settings())
    path.write_bytes(LINES + LINES)
    with pytest.raises(InvalidInputError, match="line 3: custom_id: 'a' was used before, at line 1; make it unique"):
        check_file(path, find_provider("openai"), Options(model="m"), Settings())


def test_options_are_read() -> None:
    """Plain data and records are the same to the reader."""
    plain = {"model": "m", "generation_config": {"max_tokens": 5}, "metadata": {"a": "b"}}
    expected = Options(model="m", generation_config=GenerationConfig(max_tokens=5), metadata={"a": "b"})
    assert read_options(plain) == expected
    assert read_options(plain | {"generation_config": GenerationConfig(max_tokens=5)}) == expected
    assert read_options({}) == Options()


def assert_matches(pattern: str, error: BatchRouterError) -> None:
    with pytest.raises(BatchRouterError, match=pattern):
        raise error
