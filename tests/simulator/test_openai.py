"""OpenAI's Files and Batches as the unmodified SDK sees them."""

import base64
import json
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema
import openai
import pytest

from batch_router.simulator import Scenario, Simulator, load_scenario
from batch_router.simulator.scenario import Answer, Fault, Latency, Refusal
from tests.simulator.services import with_null

URL: Final = "/v1/chat/completions"
ROOT = Path(__file__).parents[2]


def row(custom_id: str, prompt: str = "Hello", model: str = "gpt-5-mini", **body: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], **body}
    return {"custom_id": custom_id, "method": "POST", "url": URL, "body": body}


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in rows)


@pytest.fixture
def connect() -> Iterator[Callable[..., openai.OpenAI]]:
    """`connect(scenario)`: a client of a simulator with that scenario."""
    started: list[Simulator] = []

    def run(scenario: Scenario | None = None, key: str = "sk-any") -> openai.OpenAI:
        simulator = Simulator(scenario)
        started.append(simulator.__enter__())
        return openai.OpenAI(api_key=key, base_url=f"{simulator.url}/openai/v1", max_retries=0, timeout=10)

    yield run
    for simulator in started:
        simulator.__exit__()


def send(client: openai.OpenAI, content: bytes, name: str = "rows.jsonl") -> Any:
    file = client.files.create(file=(name, content), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint=URL, completion_window="24h", metadata={"label": "mine"}
    )


def read(client: openai.OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    content = client.files.content(str(file_id)).content
    return [json.loads(line) for line in content.split(b"\n") if line]


def test_a_batch_runs_to_its_end(connect: Any) -> None:
    """A batch is created as `validating`; the next look shows that it is completed, with counts and answers."""
    client = connect()
    created = send(client, lines([row(str(number)) for number in range(20)]))
    batch = client.batches.retrieve(created.id)
    assert (created.status, created.request_counts.total) == ("validating", 0)
    assert (batch.status, batch.request_counts.completed, batch.metadata) == ("completed", 20, {"label": "mine"})
    answered = [answer["custom_id"] for answer in read(client, batch.output_file_id)]
    assert sorted(answered, key=int) == [str(number) for number in range(20)]
    assert batch.error_file_id is None


def test_answers_come_in_another_order_that_the_seed_decides(connect: Any) -> None:
    """The answers are not in input order, and the same seed gives the same order."""
    content = lines([row(str(number)) for number in range(20)])
    orders = []
    for seed in (1, 1, 2):
        client = connect(Scenario(seed=seed))
        batch = client.batches.retrieve(send(client, content).id)
        orders.append([answer["custom_id"] for answer in read(client, batch.output_file_id)])
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != sorted(orders[0], key=int)


def test_a_job_takes_the_time_that_the_scenario_says(connect: Any) -> None:
    """A job goes through its states in order, is not done too early, and its counts grow meanwhile."""
    client = connect(Scenario(latency=Latency(validating=0.2, in_progress=0.4, finalizing=0.2)))
    began = time.monotonic()
    batch = send(client, lines([row(str(number)) for number in range(100)]))
    seen = {batch.status: 0}
    while batch.status != "completed":
        batch = client.batches.retrieve(batch.id)
        seen.setdefault(batch.status, batch.request_counts.completed)
        time.sleep(0.02)
    assert time.monotonic() - began >= 0.8
    # A machine that stalls may pass a state over; it cannot see them in another order.
    assert list(seen) == [state for state in ("validating", "in_progress", "finalizing", "completed") if state in seen]
    assert list(seen.values()) == sorted(seen.values())
    assert (seen["validating"], seen["completed"]) == (0, 100)


def test_refused_rows_are_in_the_error_file(connect: Any) -> None:
    """A refused row has its status and error in the response's body, and `error` is null, as recorded."""
    client = connect(Scenario(refuse=(Refusal(match="bad", code="nope", message="No."),)))
    batch = client.batches.retrieve(send(client, lines([row("a"), row("b", "bad")])).id)
    (refused,) = read(client, batch.error_file_id)
    assert (refused["custom_id"], refused["error"], refused["response"]["status_code"]) == ("b", None, 400)
    assert refused["response"]["body"]["error"]["code"] == "nope"
    assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 1)


def test_when_all_rows_are_refused_there_is_no_output_file(connect: Any) -> None:
    """A batch whose rows are all refused is completed nevertheless."""
    client = connect(Scenario(refuse=(Refusal(),)))
    batch = client.batches.retrieve(send(client, lines([row("a")])).id)
    assert (batch.status, batch.output_file_id) == ("completed", None)


def test_reasoning_models_refuse_max_tokens(connect: Any) -> None:
    """The row is refused, not the batch, with the recorded code."""
    client = connect()
    batch = client.batches.retrieve(send(client, lines([row("a", max_tokens=5)])).id)
    (refused,) = read(client, batch.error_file_id)
    assert refused["response"]["body"]["error"]["code"] == "unsupported_parameter"


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"{broken\n", "invalid_json_line", 1),
        (lines([row("a"), row("a")]), "duplicate_custom_id", 2),
        (lines([row("a"), row("b") | {"url": "/v1/embeddings"}]), "url_mismatch", 2),
        (lines([row("a"), row("b", model="other")]), "model_mismatch", 2),
        (b"\n", "empty_file", None),
    ],
)
def test_a_bad_file_fails_the_batch_later(connect: Any, content: bytes, code: str, line: int | None) -> None:
    """Create accepts the file; then the batch is `failed`, and its errors have code and line."""
    client = connect()
    batch = client.batches.retrieve(send(client, content).id)
    assert (batch.status, batch.output_file_id) == ("failed", None)
    assert (batch.errors.data[0].code, batch.errors.data[0].line) == (code, line)


def test_a_cancelled_batch_keeps_what_was_answered(connect: Any) -> None:
    """The batch is `cancelling`, then `cancelled`; the error file lists the unanswered rows."""
    client = connect(Scenario(latency=Latency(in_progress=0.5, cancelling=0.1)))
    created = send(client, lines([row(str(number)) for number in range(100)]))
    time.sleep(0.2)
    assert client.batches.cancel(created.id).status == "cancelling"
    time.sleep(0.15)
    batch = client.batches.retrieve(created.id)
    unanswered = [answer["error"]["code"] for answer in read(client, batch.error_file_id)]
    assert batch.status == "cancelled"
    assert set(unanswered) == {"batch_cancelled"}
    assert len(read(client, batch.output_file_id)) + len(unanswered) == 100


def test_a_job_goes_on_when_its_file_is_deleted(connect: Any) -> None:
    """The service has read the rows: a batch that runs or is being cancelled still writes its answers."""
    client = connect(Scenario(latency=Latency(in_progress=0.2)))
    created = send(client, lines([row("a"), row("b")]))
    client.files.delete(created.input_file_id)
    time.sleep(0.3)
    batch = client.batches.retrieve(created.id)
    assert (batch.status, len(read(client, batch.output_file_id))) == ("completed", 2)


def test_an_expired_batch_keeps_what_was_answered(connect: Any) -> None:
    """Half of the rows are answered, the other half say that the batch expired."""
    client = connect(Scenario(expire_after=0.5))
    batch = client.batches.retrieve(send(client, lines([row(str(number)) for number in range(10)])).id)
    assert (batch.status, len(read(client, batch.output_file_id))) == ("expired", 5)
    assert {answer["error"]["code"] for answer in read(client, batch.error_file_id)} == {"batch_expired"}


def test_rows_can_be_lost_and_repeated(connect: Any) -> None:
    """The scenario drops and repeats rows by their prompt."""
    client = connect(Scenario(drop="lose", repeat="twice"))
    batch = client.batches.retrieve(send(client, lines([row("a", "lose"), row("b", "twice"), row("c")])).id)
    assert sorted(answer["custom_id"] for answer in read(client, batch.output_file_id)) == ["b", "b", "c"]


def test_answers_are_the_scenarios(connect: Any) -> None:
    """The first expression found in the prompt gives the text; without one the answer is the prompt."""
    client = connect(Scenario(answers=(Answer(match=r"(\d+) \+ 0", text="{1}"),)))
    batch = client.batches.retrieve(send(client, lines([row("a", "7 + 0"), row("b", "hey")])).id)
    said = {each["custom_id"]: each["response"]["body"] for each in read(client, batch.output_file_id)}
    assert {key: body["choices"][0]["message"]["content"] for key, body in said.items()} == {"a": "7", "b": "hey"}


@pytest.mark.parametrize(("given", "count"), [("a", 1), (["a", "b", "a"], 3), ([1, 2, 3], 1), ([[1, 2], [3]], 2)])
def test_each_input_has_an_embedding(connect: Any, given: Any, count: int) -> None:
    """A text, a list of tokens, or a list of either; in base64 when asked, of as many dimensions as were asked for."""
    client = connect()
    body = {"model": "text-embedding-3-small", "input": given, "dimensions": 5}
    plain, packed = (
        {"custom_id": name, "method": "POST", "url": "/v1/embeddings", "body": body | {"encoding_format": name}}
        for name in ("float", "base64")
    )
    file = client.files.create(file=("rows.jsonl", lines([plain, packed])), purpose="batch")
    made = client.batches.create(input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h")
    said = {
        answer["custom_id"]: [each["embedding"] for each in answer["response"]["body"]["data"]]
        for answer in read(client, client.batches.retrieve(made.id).output_file_id)
    }
    unpacked = [struct.unpack("<5f", base64.b64decode(each)) for each in said["base64"]]
    assert [len(each) for each in said["float"]] == [5] * count
    assert unpacked == [pytest.approx(each, abs=1e-6) for each in said["float"]]
    if count == 3:
        assert said["float"][0] == said["float"][2] != said["float"][1]


def test_a_wrong_key_is_refused_without_repeating_it(connect: Any) -> None:
    """The answer is 401 with the documented body, which does not contain the key."""
    client = connect(Scenario(keys=("sk-right",)), key="sk-wrong-canary")
    with pytest.raises(openai.AuthenticationError) as caught:
        client.batches.list()
    assert caught.value.code == "invalid_api_key"
    assert "wrong" not in str(caught.value)


def test_what_is_not_there_is_not_found(connect: Any) -> None:
    """The answer is 404 with all four keys of an error."""
    client = connect()
    for call in (client.batches.retrieve, client.batches.cancel, client.files.retrieve, client.files.content):
        with pytest.raises(openai.NotFoundError) as caught:
            call("nonesuch")
        body: Any = caught.value.body
        assert set(body) == {"message", "type", "param", "code"}


def test_a_file_for_a_batch_must_be_called_jsonl(connect: Any) -> None:
    """Another name is refused with 400, in the service's words."""
    with pytest.raises(openai.BadRequestError, match=r"Must be \.jsonl"):
        send(connect(), lines([row("a")]), name="rows.txt")


def test_lists_are_paged_newest_first(connect: Any) -> None:
    """A page has as many batches as were asked for, and says whether there are more."""
    client = connect()
    made = [send(client, lines([row("a")])).id for _ in range(5)]
    page = client.batches.list(limit=2)
    assert ([batch.id for batch in page.data], page.has_more) == ([made[4], made[3]], True)
    assert [batch.id for batch in client.batches.list(limit=2)] == made[::-1]


def test_files_can_be_deleted(connect: Any) -> None:
    """A deleted file is gone, and no batch can be created from it."""
    client = connect()
    file = client.files.create(file=("rows.jsonl", lines([row("a")])), purpose="batch")
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.BadRequestError, match="No such File"):
        client.batches.create(input_file_id=file.id, endpoint=URL, completion_window="24h")


def test_a_lost_answer_leaves_the_job(connect: Any) -> None:
    """The client sees a reset, and the batch exists nevertheless, with its label."""
    client = connect(Scenario(faults=(Fault(match="POST /batches", do="reset_after"),)))
    with pytest.raises(openai.APIConnectionError):
        send(client, lines([row("a")]))
    assert [batch.metadata for batch in client.batches.list().data] == [{"label": "mine"}]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(match="GET /batches", do="reset_before"), openai.APIConnectionError),
        (Fault(match="GET /batches", do="status", status=503), openai.InternalServerError),
        (Fault(match="GET /batches", do="status", status=429, retry_after="7"), openai.RateLimitError),
    ],
)
def test_faults_come_when_they_are_due(connect: Any, fault: Fault, error: type[Exception]) -> None:
    """A fault strikes once; the next request succeeds."""
    client = connect(Scenario(faults=(fault,)))
    with pytest.raises(error) as caught:
        client.batches.list()
    if isinstance(caught.value, openai.RateLimitError):
        assert caught.value.response.headers["retry-after"] == "7"
    assert client.batches.list().data == []


def test_a_truncated_download_is_noticed(connect: Any) -> None:
    """The announced length is more than what arrives, and the client's transport raises."""
    client = connect(Scenario(faults=(Fault(match="GET /files/.*/content", do="truncate", bytes=10),)))
    batch = client.batches.retrieve(send(client, lines([row("a")])).id)
    with pytest.raises(openai.APIConnectionError):
        client.files.content(str(batch.output_file_id))


def test_the_log_has_ids_and_labels_but_no_key_and_no_prompt() -> None:
    """The drills compare this log with what the road did."""
    with Simulator() as simulator:
        client = openai.OpenAI(api_key="sk-canary", base_url=f"{simulator.url}/openai/v1", max_retries=0)
        send(client, lines([row("a", "canary prompt")]))
        log = simulator.requests()
        text = (simulator.folder / "requests.jsonl").read_text()
    assert [(each["method"], each["status"]) for each in log] == [("POST", 200), ("POST", 200)]
    assert (log[1]["job"], log[1]["metadata"], log[1]["rows"]) == ("batch_000001", {"label": "mine"}, 1)
    assert "canary" not in text


@pytest.mark.parametrize(
    "text", ["colour = 1", "[latency]\nvalidating = -1", "seed = 'x'", "[[faults]]\nmatch = 'a'", "="]
)
def test_a_bad_scenario_is_refused(tmp_path: Path, text: str) -> None:
    """The message names the file."""
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ValueError, match=r"bad\.toml: "):
        load_scenario(tmp_path / "bad.toml")


def test_the_module_prints_its_url_and_ends_when_told() -> None:
    """The first line of `python -m batch_router.simulator` is the URL; SIGTERM ends it with exit code 0."""
    command = [sys.executable, "-m", "batch_router.simulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip() if process.stdout else ""
        client = openai.OpenAI(api_key="k", base_url=f"{url}/openai/v1", max_retries=0)
        listed = client.batches.list().data
        process.terminate()
    assert (listed, process.returncode) == ([], 0)


def test_large_files_are_never_whole_in_memory(tmp_path: Path) -> None:
    """30 MB are uploaded, answered and downloaded while the simulator's own memory grows by far less."""
    script = """
import sys
from pathlib import Path
from batch_router.simulator import load_scenario, serve
from tests.memory import peak_memory
serve(0, load_scenario(None), Path(sys.argv[1]), on_ready=lambda url: print(peak_memory(), url, flush=True))
print(peak_memory())
"""
    with (tmp_path / "rows.jsonl").open("wb") as stream:
        for number in range(1_500):
            stream.write(lines([row(str(number), "x" * 20_000)]))
    command = [sys.executable, "-c", script, str(tmp_path / "simulator")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        before, url = process.stdout.readline().split() if process.stdout else ("0", "")
        client = openai.OpenAI(api_key="k", base_url=f"{url}/openai/v1", max_retries=0)
        with (tmp_path / "rows.jsonl").open("rb") as stream:
            file = client.files.create(file=("rows.jsonl", stream), purpose="batch")
        created = client.batches.create(input_file_id=file.id, endpoint=URL, completion_window="24h")
        batch = client.batches.retrieve(created.id)
        with client.files.with_streaming_response.content(str(batch.output_file_id)) as answer:
            size = sum(len(chunk) for chunk in answer.iter_bytes())
        process.terminate()
        peak = int(process.stdout.read()) if process.stdout else 0
    assert size > 30_000_000
    assert peak - int(before) < 10_000_000, (peak, before)


# --- against the reference data, where they are ---------------------------------------------------------------------


def schema_of(shared: Path, name: str) -> dict[str, Any]:
    document = json.loads((shared / "contracts" / "openai.openapi.json").read_text())
    return {"$ref": f"#/components/schemas/{name}", "components": with_null(document["components"])}


def _without_nulls(batch: dict[str, Any]) -> dict[str, Any]:
    """The description leaves out what is not set yet; the service (as recorded) sends it as null."""
    return {key: value for key, value in batch.items() if value is not None}


def test_objects_are_as_the_api_description_says(connect: Any, shared: Path) -> None:
    """File, batch (in each state) and list are valid by the published schemas."""
    client = connect(Scenario(refuse=(Refusal(match="bad"),)))
    created = send(client, lines([row("a"), row("b", "bad")]))
    failed = client.batches.retrieve(send(client, b"{broken\n").id)
    done = client.batches.retrieve(created.id)
    raw = client.batches.with_raw_response
    for batch in (created, done, failed):
        sent = json.loads(raw.retrieve(batch.id).http_response.content)
        jsonschema.validate(_without_nulls(sent), schema_of(shared, "Batch"))
    page = json.loads(raw.list().http_response.content)
    page["data"] = [_without_nulls(batch) for batch in page["data"]]
    jsonschema.validate(page, schema_of(shared, "ListBatchesResponse"))
    file = client.files.with_raw_response.retrieve(str(done.output_file_id)).http_response.content
    jsonschema.validate(_without_nulls(json.loads(file)), schema_of(shared, "OpenAIFile"))


def test_objects_have_the_keys_that_were_recorded(connect: Any, shared: Path) -> None:
    """A batch, a file and a row of answers have every key that the real service sent."""
    client = connect()
    batch = client.batches.retrieve(send(client, lines([row("a")])).id)
    raw = json.loads(client.batches.with_raw_response.retrieve(batch.id).http_response.content)
    exchanges = json.loads((shared / "golden/openai/curator__basic_batch_completion.exchanges.json").read_text())
    bodies = [json.loads(exchange["body"]) for exchange in exchanges if exchange["body"].startswith("{\n")]
    recorded = [body for body in bodies if body.get("object") == "batch"]
    assert recorded
    assert all(set(body) <= set(raw) for body in recorded)
    (answer,) = read(client, batch.output_file_id)
    golden = shared / "golden/openai/weiguo-li__batch_output_test.jsonl"
    real = json.loads(golden.read_bytes().split(b"\n")[0])
    assert set(real) == set(answer)
    assert set(real["response"]["body"]) <= set(answer["response"]["body"])
