"""The Gemini API's files and batches as the unmodified SDK sees them."""

import io
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from google import genai
from google.genai import errors, types

from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Answer, Fault, Latency, Refusal

MODEL = "gemini-2.5-flash"
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.filterwarnings("ignore:.*is experimental")


def row(key: str, prompt: str = "Hello") -> dict[str, Any]:
    return {"key": key, "request": {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}}


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in rows)


class Service:
    """A client, and the simulator behind it."""

    def __init__(self, scenario: Scenario | None, version: str | None = None, key: str = "k") -> None:
        self.simulator = Simulator(scenario).__enter__()
        self.client = connect_to(self.simulator.url, version, key)
        self.files = self.client.files
        self.batches = self.client.batches

    def upload(self, content: bytes, name: str | None = None) -> types.File:
        config = types.UploadFileConfig(name=name, mime_type="application/jsonl", display_name="rows")
        return self.files.upload(file=io.BytesIO(content), config=config)

    def send(self, rows: list[dict[str, Any]], label: str = "mine") -> types.BatchJob:
        return self.create(self.upload(lines(rows)), label)

    def create(self, file: types.File, label: str = "mine") -> types.BatchJob:
        return self.batches.create(model=MODEL, src=str(file.name), config={"display_name": label})

    def raw(self, path: str) -> Any:
        """The answer on the wire; the SDK shows only a part of it."""
        request = urllib.request.Request(f"{self.simulator.url}/google/v1beta/{path}", headers={"x-goog-api-key": "k"})
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())

    def answers(self, job: types.BatchJob) -> list[dict[str, Any]]:
        ended = self.batches.get(name=str(job.name))
        assert ended.dest is not None
        content = self.files.download(file=str(ended.dest.file_name))
        return [json.loads(line) for line in content.split(b"\n") if line]


def connect_to(url: str, version: str | None = None, key: str = "k") -> genai.Client:
    options = types.HttpOptions(base_url=f"{url}/google", api_version=version, timeout=10_000)
    return genai.Client(api_key=key, vertexai=False, http_options=options)


@pytest.fixture
def start() -> Iterator[Any]:
    """`start(scenario)`: a service with that scenario."""
    started: list[Service] = []

    def run(scenario: Scenario | None = None, **more: Any) -> Service:
        started.append(Service(scenario, **more))
        return started[-1]

    yield run
    for service in started:
        service.client.close()
        service.simulator.__exit__()


@pytest.mark.parametrize("version", ["v1", "v1beta", None])
def test_a_batch_runs_to_its_end(start: Any, version: str | None) -> None:
    """In both versions a batch is created as pending; the next look shows success, with label and every answer."""
    service = start(version=version)
    created = service.send([row(str(number)) for number in range(20)])
    job = service.batches.get(name=created.name)
    assert (created.state, created.done) == (types.JobState.JOB_STATE_PENDING, False)
    assert (job.state, job.done, job.display_name) == (types.JobState.JOB_STATE_SUCCEEDED, True, "mine")
    assert sorted((each["key"] for each in service.answers(created)), key=int) == [str(n) for n in range(20)]


def test_the_keys_of_answers_come_in_any_order(start: Any) -> None:
    """Rows and the keys inside them are in a random order, as recorded; the same seed gives the same order."""
    orders = []
    for seed in (1, 1, 2):
        service = start(Scenario(seed=seed))
        orders.append(service.answers(service.send([row(str(number)) for number in range(20)])))
    texts = [json.dumps(order) for order in orders]
    assert texts[0] == texts[1] != texts[2]
    assert {tuple(each) for each in orders[0]} == {("key", "response"), ("response", "key")}
    assert len({tuple(each["response"]) for each in orders[0]}) > 2


def test_counts_are_strings_and_zeros_are_left_out(start: Any) -> None:
    """Before the end there is no `done`; after it the results are in two places."""
    service = start(Scenario(latency=Latency(in_progress=0.4), refuse=(Refusal(match="bad"),)))
    job = service.send([row("a"), row("b", "bad")])
    running = service.raw(job.name)
    assert "done" not in running
    assert running["metadata"]["batchStats"]["requestCount"] == "2"
    assert "failedRequestCount" not in running["metadata"]["batchStats"]
    time.sleep(0.4)
    ended = service.raw(job.name)
    assert ended["done"]
    assert ended["metadata"]["batchStats"] == {
        "requestCount": "2",
        "successfulRequestCount": "1",
        "failedRequestCount": "1",
    }
    assert ended["response"]["responsesFile"] == ended["metadata"]["output"]["responsesFile"]


def test_an_upload_goes_in_pieces(start: Any) -> None:
    """Pieces of 8 MiB go to the address in the first answer, and the size is a string."""
    service = start()
    file = service.upload(b"x" * 20_000_000, name="mine-1")
    posts = [each for each in service.simulator.requests() if each["path"].endswith("/files")]
    assert [each["status"] for each in posts] == [200] * 4
    assert (file.name, file.size_bytes, file.display_name) == ("files/mine-1", 20_000_000, "rows")
    assert service.raw("files/mine-1")["sizeBytes"] == "20000000"


@pytest.mark.parametrize(
    ("name", "status"), [("taken", "ALREADY_EXISTS"), ("Upper", "INVALID_ARGUMENT"), ("a" * 41, "INVALID_ARGUMENT")]
)
def test_names_are_unique_and_short(start: Any, name: str, status: str) -> None:
    """A name has 40 lowercase letters, digits and dashes at most; a second file of the same name is refused."""
    service = start()
    service.upload(b"1", name="taken")
    with pytest.raises(errors.ClientError) as caught:
        service.upload(b"1", name=name)
    assert caught.value.status == status


def test_inline_requests_are_answered_inline(start: Any) -> None:
    """Inline answers carry the metadata of their requests; a list of jobs leaves them out."""
    service = start()
    requests = [{"contents": f"Hello {number}", "metadata": {"key": str(number)}} for number in range(3)]
    created = service.batches.create(model=MODEL, src=requests)
    job = service.batches.get(name=created.name)
    assert job.dest.file_name is None
    said = {each.metadata["key"]: each.response.text for each in job.dest.inlined_responses}
    assert said == {str(number): f"Hello {number}" for number in range(3)}
    assert [job.dest for job in service.batches.list()] == [None]


def test_embeddings_are_numbers_of_the_text(start: Any) -> None:
    """The same text gives the same numbers, as many as were asked for."""
    service = start()
    texts = ("one", "two", "one")
    rows = [
        {"key": str(number), "request": {"content": {"parts": [{"text": text}]}, "outputDimensionality": 4}}
        for number, text in enumerate(texts)
    ]
    job = service.batches.create_embeddings(
        model="gemini-embedding-001", src={"file_name": service.upload(lines(rows)).name}
    )
    answers = service.answers(job)
    values = {each["key"]: each["response"]["embedding"]["values"] for each in answers}
    assert values["0"] == values["2"] != values["1"]
    assert {len(each) for each in values.values()} == {4}
    # As recorded: a count as text, and no `usageMetadata`.
    assert [(set(each["response"]), each["response"]["tokenCount"]) for each in answers] == [
        ({"tokenCount", "embedding"}, "1")
    ] * 3


def test_refused_rows_are_among_the_others(start: Any) -> None:
    """A refused row has an error with the number of google.rpc."""
    service = start(Scenario(refuse=(Refusal(match="bad", message="No."),)))
    said = {each["key"]: each for each in service.answers(service.send([row("a"), row("b", "bad")]))}
    assert said["b"]["error"] == {"code": 3, "message": "No."}
    assert "response" in said["a"]


def test_cancelled_before_the_start(start: Any) -> None:
    """The job is CANCELLED and done, with error 13 and without results."""
    service = start(Scenario(latency=Latency(validating=60)))
    job = service.send([row("a")])
    service.batches.cancel(name=job.name)
    ended = service.raw(job.name)
    assert (ended["done"], ended["metadata"]["state"], ended["error"]["code"]) == (True, "BATCH_STATE_CANCELLED", 13)
    assert "output" not in ended["metadata"]


def test_cancelled_after_the_start(start: Any) -> None:
    """The job is SUCCEEDED, and rows that were not served have error 1."""
    service = start(Scenario(latency=Latency(in_progress=60)))
    job = service.send([row(str(number)) for number in range(3)])
    service.batches.cancel(name=job.name)
    assert service.batches.get(name=job.name).state is types.JobState.JOB_STATE_SUCCEEDED
    assert [each["error"]["code"] for each in service.answers(job)] == [1, 1, 1]


def test_a_job_goes_on_when_its_file_is_deleted(start: Any) -> None:
    """The service has read the rows: the batch still answers them."""
    service = start()
    file = service.upload(lines([row("a"), row("b")]))
    job = service.create(file)
    service.files.delete(name=str(file.name))
    assert len(service.answers(job)) == 2


def test_an_expired_batch_has_no_results(start: Any) -> None:
    """No results remain, however many rows were answered."""
    service = start(Scenario(expire_after=0.5))
    job = service.batches.get(name=service.send([row("a"), row("b")]).name)
    assert (job.state, job.dest) == (types.JobState.JOB_STATE_EXPIRED, None)


@pytest.mark.parametrize("content", [b"{broken\n", b"\n", b'{"key": "a"}\n'])
def test_a_bad_file_fails_the_batch_later(start: Any, content: bytes) -> None:
    """Create accepts the file; then the batch fails, with an error that the SDK does not show."""
    service = start()
    created = service.create(service.upload(content))
    ended = service.raw(created.name)
    assert (ended["metadata"]["state"], ended["error"]["code"]) == ("BATCH_STATE_FAILED", 3)


def test_rows_can_be_lost_and_repeated(start: Any) -> None:
    """The scenario drops, repeats and answers rows by their prompt."""
    service = start(Scenario(drop="lose", repeat="twice", answers=(Answer(match=r"(\d+) \+ 0", text="{1}"),)))
    rows = [row("a", "lose"), row("b", "twice"), row("c", "7 + 0")]
    said = service.answers(service.send(rows))
    assert sorted(each["key"] for each in said) == ["b", "b", "c"]
    texts = {each["key"]: each["response"]["candidates"][0]["content"]["parts"][0]["text"] for each in said}
    assert texts["c"] == "7"


def test_answers_are_by_the_schema_or_the_tool_that_is_demanded(start: Any) -> None:
    """The text is JSON that fits, once for each candidate; the demand for a tool ends with a call of it."""
    schema = {"type": "object", "properties": {"n": {"const": 7}}, "required": ["n"]}
    by_schema, by_tool = row("a"), row("b")
    config = {"responseMimeType": "application/json", "responseJsonSchema": schema, "candidateCount": 2}
    by_schema["request"]["generationConfig"] = config
    tools = [{"functionDeclarations": [{"name": "rate", "parametersJsonSchema": schema}]}]
    by_tool["request"] |= {"tools": tools, "toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}
    service = start()
    said = {each["key"]: each["response"] for each in service.answers(service.send([by_schema, by_tool]))}
    texts = [each["content"]["parts"][0]["text"] for each in said["a"]["candidates"]]
    assert [json.loads(text) for text in texts] == [{"n": 7}] * 2
    part = said["b"]["candidates"][0]["content"]["parts"][0]
    assert part == {"functionCall": {"name": "rate", "args": {"n": 7}}}


def test_a_wrong_key_is_a_bad_request(start: Any) -> None:
    """The answer is 400, with the reason in the details and without the key."""
    service = start(Scenario(keys=("right",)), key="wrong-canary")
    with pytest.raises(errors.ClientError) as caught:
        service.batches.list()
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    assert caught.value.details["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    assert "canary" not in str(caught.value)


def test_what_is_not_there_is_not_found(start: Any) -> None:
    """An unknown batch is a 404, an unknown file a 403 as at the service; uploaded files cannot be downloaded."""
    service = start()
    for call in (service.batches.get, service.batches.cancel, service.batches.delete):
        with pytest.raises(errors.ClientError) as caught:
            call(name="batches/none")
        assert caught.value.status == "NOT_FOUND"
    with pytest.raises(errors.ClientError, match="may not exist"):
        service.files.get(name="files/none")
    with pytest.raises(errors.ClientError, match="Only generated files"):
        service.files.download(file=str(service.upload(b"1").name))


def test_lists_are_paged_newest_first(start: Any) -> None:
    """A page has as many files as were asked for, and names the next page."""
    service = start()
    made = [service.send([row("a")]).name for _ in range(5)]
    pager = service.batches.list(config={"page_size": 2})
    assert ([job.name for job in pager.page], len(list(pager))) == ([made[4], made[3]], 5)


def test_a_full_queue_says_when_to_come_back(start: Any) -> None:
    """The details of the 429 have the time to wait, as text."""
    fault = Fault(match="POST /v1/models/.*", do="status", status=429, retry_after="17")
    service = start(Scenario(faults=(fault,)))
    with pytest.raises(errors.ClientError) as caught:
        service.send([row("a")])
    assert caught.value.status == "RESOURCE_EXHAUSTED"
    assert caught.value.details["error"]["details"][0]["retryDelay"] == "17s"


def test_a_lost_answer_leaves_the_job(start: Any) -> None:
    """The client sees a reset, and the batch exists nevertheless, with its label; the log has no key and no prompt."""
    service = start(Scenario(faults=(Fault(match="POST /v1/models/.*", do="reset_after"),)), key="canary")
    with pytest.raises(Exception, match="disconnected"):
        service.send([row("a", "canary prompt")])
    assert [job.display_name for job in service.batches.list()] == ["mine"]
    (made,) = [each for each in service.simulator.requests() if "job" in each]
    assert (made["metadata"], made["rows"]) == ({"displayName": "mine"}, 1)
    assert "canary" not in (service.simulator.folder / "requests.jsonl").read_text()


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
        client = genai.Client(api_key="k", vertexai=False, http_options=types.HttpOptions(base_url=f"{url}/google"))
        config = types.UploadFileConfig(mime_type="application/jsonl")
        file = client.files.upload(file=tmp_path / "rows.jsonl", config=config)
        created = client.batches.create(model=MODEL, src=str(file.name))
        ended = client.batches.get(name=str(created.name))
        assert ended.dest is not None
        client.files.download(file=str(ended.dest.file_name), destination=tmp_path / "answers.jsonl")
        client.close()
        process.terminate()
        peak = int(process.stdout.read()) if process.stdout else 0
    assert (tmp_path / "answers.jsonl").stat().st_size > 30_000_000
    assert peak - int(before) < 10_000_000, (peak, before)


# --- against the reference data, where they are ---------------------------------------------------------------------


def schema_of(shared: Path, name: str) -> dict[str, Any]:
    document = json.loads((shared / "contracts" / "google.openapi.json").read_text())
    return {"$ref": f"#/components/schemas/{name}", "components": document["components"]}


def test_objects_are_as_the_api_description_says(start: Any, shared: Path) -> None:
    """File, operation (in each state), list and answer are valid by the published schemas."""
    service = start(Scenario(refuse=(Refusal(match="bad"),), latency=Latency(validating=0.3)))
    done = service.send([row("a"), row("b", "bad")])
    cancelled = service.send([row("a")])
    failed = service.create(service.upload(b"{broken\n"))
    service.batches.cancel(name=cancelled.name)
    schema = schema_of(shared, "GenerateContentBatch")
    for name in (done.name, cancelled.name, failed.name):
        operation = service.raw(name)
        jsonschema.validate(operation, schema_of(shared, "Operation"))
        time.sleep(0.15)
    for name in (done.name, cancelled.name, failed.name):
        operation = service.raw(name)
        jsonschema.validate(operation, schema_of(shared, "Operation"))
        described = {"inputConfig": {}} | operation["metadata"]
        jsonschema.validate(described, schema)
    jsonschema.validate(service.raw("batches"), schema_of(shared, "ListOperationsResponse"))
    jsonschema.validate(service.raw("files"), schema_of(shared, "ListFilesResponse"))
    for answer in service.answers(done):
        if "response" in answer:
            jsonschema.validate(answer["response"], schema_of(shared, "GenerateContentResponse"))
        else:
            jsonschema.validate(answer["error"], schema_of(shared, "Status"))


def test_objects_have_the_keys_that_were_recorded(start: Any, shared: Path) -> None:
    """An operation and a row of answers have every key that the real service sent."""
    service = start()
    job = service.send([row("a")])
    recorded = json.loads((shared / "golden/gemini/ellmer__state-capitals-gemini.json").read_text())["batch"]
    made = service.raw(job.name)
    assert set(recorded) == set(made)
    assert set(recorded["metadata"]) == set(made["metadata"])
    assert set(recorded["response"]) == set(made["response"])
    assert {type(value) for value in made["metadata"]["batchStats"].values()} == {str}
    real = json.loads((shared / "golden/gemini/7shi__results_basic.jsonl").read_bytes().split(b"\n")[0])
    (answer,) = service.answers(job)
    assert set(real) == set(answer)
    assert set(real["response"]) == set(answer["response"])
