"""Anthropic's Message Batches as the unmodified SDK sees them."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import jsonschema
import pytest

from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Answer, Fault, Latency, Refusal

ROOT = Path(__file__).parents[2]
OLD = {"anthropic-version": "2023-06-01"}
RUNNING = Scenario(latency=Latency(in_progress=60))


def row(custom_id: str, prompt: Any = "Hello", **params: Any) -> Any:
    messages = [{"role": "user", "content": prompt}]
    return {"custom_id": custom_id, "params": {"model": "m", "max_tokens": 5, "messages": messages, **params}}


def rows(count: int) -> list[Any]:
    return [row(str(number)) for number in range(count)]


@pytest.fixture
def connect() -> Iterator[Callable[..., anthropic.Anthropic]]:
    """`connect(scenario)`: a client of a simulator with that scenario."""
    started: list[Simulator] = []

    def run(scenario: Scenario | None = None, key: str = "sk-ant-any", **more: Any) -> anthropic.Anthropic:
        simulator = Simulator(scenario)
        started.append(simulator.__enter__())
        url = f"{simulator.url}/anthropic"
        return anthropic.Anthropic(api_key=key, base_url=url, max_retries=0, timeout=10, **more)

    yield run
    for simulator in started:
        simulator.__exit__()


def raw(client: anthropic.Anthropic, batch_id: str) -> httpx2.Response:
    return client.messages.batches.with_raw_response.retrieve(batch_id).http_response


def results_of(client: anthropic.Anthropic, requests: list[Any]) -> dict[str, Any]:
    """The result of each row, as the SDK reads it."""
    batch = client.messages.batches.create(requests=requests)
    return {each.custom_id: each.result for each in client.messages.batches.results(batch.id)}


def test_a_batch_runs_to_its_end(connect: Any) -> None:
    """A batch is created as `in_progress`; the next look shows that it has ended, with counts and every answer."""
    client = connect()
    created = client.messages.batches.create(requests=rows(20))
    batch = client.messages.batches.retrieve(created.id)
    assert created.id.startswith("msgbatch_")
    assert (created.processing_status, created.request_counts.processing) == ("in_progress", 20)
    assert (batch.processing_status, batch.request_counts.succeeded) == ("ended", 20)
    results = list(client.messages.batches.results(batch.id))
    assert sorted((each.custom_id for each in results), key=int) == [str(number) for number in range(20)]
    assert {each.result.message.content[0].text for each in results} == {"Hello"}


def test_answers_come_in_another_order_that_the_seed_decides(connect: Any) -> None:
    """The answers are not in input order, and the same seed gives the same order."""
    orders = [list(results_of(connect(Scenario(seed=seed)), rows(20))) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != sorted(orders[0], key=int)


def test_a_running_batch_says_nothing_of_its_rows(connect: Any) -> None:
    """It has no counts and no results, only the time to ask again; at its end it gets a `results_url` on this host."""
    client = connect(Scenario(latency=Latency(in_progress=0.3)))
    batch = client.messages.batches.create(requests=rows(10))
    began = time.monotonic()
    while (answer := raw(client, batch.id)).json()["processing_status"] == "in_progress":
        counts = answer.json()["request_counts"]
        assert counts == {"processing": 10, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        assert (answer.headers["retry-after"], answer.json()["results_url"]) == ("10", None)
        time.sleep(0.02)
    assert time.monotonic() - began >= 0.25
    assert "retry-after" not in answer.headers
    assert answer.json()["results_url"] == f"{client.base_url}v1/messages/batches/{batch.id}/results"


def test_results_that_are_asked_too_early_are_not_there(connect: Any) -> None:
    """Results of a running batch are a 404 in the recorded words, with a header that forbids a retry."""
    client = connect(RUNNING)
    batch = client.messages.batches.create(requests=rows(1))
    with pytest.raises(anthropic.NotFoundError, match=r"has no available results\.") as caught:
        client.get(f"/v1/messages/batches/{batch.id}/results", cast_to=httpx2.Response)
    assert caught.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"temperature": 1.0}, "temperature: Extra inputs are not permitted"),
        ({"top_p": 1.0}, "top_p: Extra inputs are not permitted"),
        ({"top_k": 5}, "top_k: Extra inputs are not permitted"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater"),
        ({"stream": True}, "stream: "),
        ({"output_config": {"effort": "minimal"}}, r"output_config\.effort: "),
        ({"messages": []}, "messages: at least one"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "first message must use the"),
        ({"messages": [{"role": "system", "content": "Hi"}]}, r"messages\.0\.role: "),
        (
            {
                "messages": [
                    {"role": "user", "content": "Hi"},
                    {"role": "assistant", "content": [{"type": "document", "source": {"type": "url", "url": "u"}}]},
                ]
            },
            r"messages\.1: document blocks",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "and?"},
                            {"type": "tool_result", "tool_use_id": "c1", "content": "rain"},
                        ],
                    }
                ]
            },
            r"messages\.0: tool_result blocks must come before",
        ),
    ],
)
def test_rows_are_looked_at_when_they_run(connect: Any, params: dict[str, Any], message: str) -> None:
    """Create accepts bad rows; each becomes an errored row, and the others are answered."""
    results = results_of(connect(), [row("a"), row("b", **params)])
    assert results["a"].type == "succeeded"
    error = results["b"].error
    assert (results["b"].type, error.type, error.error.type) == ("errored", "error", "invalid_request_error")
    assert re.search(message, error.error.message)


def test_missing_params_are_named(connect: Any) -> None:
    """The row's error names the missing parameter."""
    bad = row("a")
    del bad["params"]["max_tokens"]
    assert results_of(connect(), [bad])["a"].error.error.message == "max_tokens: Field required"


def test_the_old_version_takes_sampling_parameters(connect: Any) -> None:
    """Rows are checked by the rules of the API version that created their batch."""
    client = connect(default_headers=OLD)
    assert results_of(client, [row("a", temperature=1.0, top_p=0.5)])["a"].type == "succeeded"


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([row("a"), row("b c")], r"requests\.1\.custom_id: String should match pattern '\^\[a-zA-Z0-9_-\]\{1,64\}\$'"),
        ([row("x" * 65)], r"requests\.0\.custom_id: String should match"),
        ([row("")], r"requests\.0\.custom_id: String should match"),
        ([{"params": {}}], r"requests\.0\.custom_id: "),
        ([row("a"), row("b"), row("a")], r"requests\.2\.custom_id: custom_ids must be unique"),
        ([{"custom_id": "a"}], r"requests\.0\.params: Field required"),
        ([], "requests: List should have at least 1 item"),
    ],
)
def test_a_bad_id_refuses_the_whole_batch(connect: Any, requests: list[Any], message: str) -> None:
    """Create answers 400, and there is no batch."""
    client = connect()
    with pytest.raises(anthropic.BadRequestError, match=message):
        client.messages.batches.create(requests=requests)
    assert client.messages.batches.list().data == []


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (b' {\n "requests" : [ {"custom_id":"a","params":{}} ,\r\n{"custom_id":"b","params":{}}\n]\n} \n', 2),
        ('{"requests":[{"custom_id":"a","params":{"é":"]},{\\"\\\\"}}]}'.encode(), 1),
        (b'{"requests":[{"custom_id":"a","params":{"long":"' + b"x" * 10**6 + b'"}}]}', 1),
        (b"", None),
        (b"[]", None),
        (b'{"rows":[]}', None),
        (b'{"requests":[{"custom_id":"a","params":{}}', None),
        (b'{"requests":[{"custom_id":"a","params":{}}]', None),
        (b'{"requests":[{"custom_id":"a","params":{}}]} and more', None),
        (b'{"requests":[{"custom_id":"a","params":{"\xff":1}}]}', None),
    ],
)
def test_a_body_is_read_as_it_comes(connect: Any, content: bytes, count: int | None) -> None:
    """Spaces and chunk borders in a body do not matter; any other body is refused and leaves nothing behind."""
    client = connect()

    def in_pieces() -> Iterator[bytes]:
        yield from (content[start : start + 7] for start in range(0, min(len(content), 700), 7))
        yield content[700:]

    if count is None:
        with pytest.raises(anthropic.BadRequestError, match="not valid JSON"):
            client.post("/v1/messages/batches", content=in_pieces(), cast_to=httpx2.Response)
        assert client.messages.batches.list().data == []
    else:
        answer = client.post("/v1/messages/batches", content=in_pieces(), cast_to=httpx2.Response)
        assert answer.json()["request_counts"]["processing"] == count


def test_too_large_a_body_is_refused_by_a_page(connect: Any) -> None:
    """The answer is 413 with an HTML page, as from the proxy in front of the service."""
    blocks = (b" " * 1_000_000 for _ in range(257))
    with pytest.raises(anthropic.RequestTooLargeError) as caught:
        connect().post("/v1/messages/batches", content=blocks, cast_to=httpx2.Response)
    assert caught.value.response.text.startswith("<html>")


def test_a_cancelled_batch_keeps_what_was_answered(connect: Any) -> None:
    """The batch is `canceling`, then `ended`; each row has a result, and unanswered rows are canceled."""
    client = connect(Scenario(latency=Latency(in_progress=0.5, cancelling=0.1)))
    batches = client.messages.batches
    created = batches.create(requests=rows(100))
    time.sleep(0.2)
    canceled = batches.cancel(created.id)
    assert (canceled.processing_status, canceled.request_counts.processing) == ("canceling", 100)
    assert canceled.cancel_initiated_at is not None
    time.sleep(0.15)
    batch = batches.retrieve(created.id)
    kinds = [each.result.type for each in batches.results(created.id)]
    assert batch.processing_status == "ended"
    assert set(kinds) == {"succeeded", "canceled"}
    assert (batch.request_counts.canceled, len(kinds)) == (kinds.count("canceled"), 100)
    with pytest.raises(anthropic.BadRequestError, match="has ended"):
        batches.cancel(created.id)


def test_an_expired_batch_keeps_what_was_answered(connect: Any) -> None:
    """Half of the rows are answered, the other half are expired."""
    kinds = [result.type for result in results_of(connect(Scenario(expire_after=0.5)), rows(10)).values()]
    assert (kinds.count("succeeded"), kinds.count("expired")) == (5, 5)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ],
)
def test_rows_can_be_refused(connect: Any, status: int, kind: str) -> None:
    """The scenario refuses rows by their prompt."""
    scenario = Scenario(refuse=(Refusal(match="bad", status=status, message="No."),))
    results = results_of(connect(scenario), [row("a"), row("b", "bad")])
    assert results["a"].type == "succeeded"
    assert (results["b"].error.error.type, results["b"].error.error.message) == (kind, "No.")


def test_a_job_that_would_fail_has_only_errors(connect: Any) -> None:
    """A scenario that fails jobs makes every row an error, because no Message Batch fails."""
    results = results_of(connect(Scenario(fail_job="some_code")), rows(2))
    assert {result.type for result in results.values()} == {"errored"}


def test_rows_can_be_lost_and_repeated(connect: Any) -> None:
    """The scenario drops and repeats rows by their prompt."""
    client = connect(Scenario(drop="lose", repeat="twice"))
    batch = client.messages.batches.create(requests=[row("a", "lose"), row("b", "twice"), row("c")])
    assert sorted(each.custom_id for each in client.messages.batches.results(batch.id)) == ["b", "b", "c"]


def test_answers_are_the_scenarios(connect: Any) -> None:
    """The first expression found in the prompt gives the text; without one the answer is the prompt."""
    image = {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}}
    requests = [row("a", "7 + 0"), row("b", [image, {"type": "text", "text": "What is this?"}])]
    results = results_of(connect(Scenario(answers=(Answer(match=r"(\d+) \+ 0", text="{1}"),))), requests)
    said = {custom_id: result.message.content[0].text for custom_id, result in results.items()}
    assert said == {"a": "7", "b": "What is this?"}


def test_answers_are_by_the_schema_or_the_tool_that_is_demanded(connect: Any) -> None:
    """The text is JSON that fits; the demand for a tool ends with a call of it."""
    schema = {"type": "object", "properties": {"n": {"const": 7}}, "required": ["n"]}
    tools = [{"name": "rate", "input_schema": schema}]
    requests = [
        row("a", output_config={"format": {"type": "json_schema", "schema": schema}}),
        row("b", tools=tools, tool_choice={"type": "tool", "name": "rate"}),
    ]
    results = results_of(connect(default_headers=OLD), requests)
    assert json.loads(results["a"].message.content[0].text) == {"n": 7}
    call, reason = results["b"].message.content[0], results["b"].message.stop_reason
    assert (call.type, call.name, call.input, reason) == ("tool_use", "rate", {"n": 7}, "tool_use")


def test_both_ways_to_send_a_key_are_known(connect: Any) -> None:
    """The key may come as a bearer token or in the API's own header; a wrong key is refused in the documented words."""
    client = connect(Scenario(keys=("sk-right",)), key="sk-right")
    assert client.messages.batches.list().data == []
    url = f"{client.base_url}v1/messages/batches"
    assert httpx2.get(url, headers={"x-api-key": "sk-right", **OLD}).status_code == 200
    assert httpx2.get(url, headers=OLD).status_code == 401
    assert httpx2.get(url, headers={"x-api-key": "sk-right"}).status_code == 400  # no version
    with pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key") as caught:
        client.with_options(api_key="sk-wrong-canary").messages.batches.list()
    assert caught.value.type == "authentication_error"
    assert "canary" not in str(caught.value)


def test_what_is_not_there_is_not_found(connect: Any) -> None:
    """An unknown batch is a 404, with the id of the request in header and body."""
    batches = connect().messages.batches
    for call in (batches.retrieve, batches.cancel, batches.delete, batches.results):
        with pytest.raises(anthropic.NotFoundError) as caught:
            call("nonesuch")
        body: Any = caught.value.body
        assert (body["type"], body["request_id"]) == ("error", caught.value.request_id)


def test_lists_are_paged_newest_first(connect: Any) -> None:
    """A page has as many batches as were asked for, before or after a cursor, and says whether there are more."""
    batches = connect().messages.batches
    made = [batches.create(requests=rows(1)).id for _ in range(5)][::-1]
    page = batches.list(limit=2)
    assert ([batch.id for batch in page.data], page.has_more) == (made[:2], True)
    assert [batch.id for batch in page] == made
    page = batches.list(limit=2, before_id=made[3])
    assert ([batch.id for batch in page.data], page.has_more) == (made[1:3], True)
    for bad in ({"limit": 0}, {"limit": 1001}, {"after_id": "nonesuch"}):
        with pytest.raises(anthropic.BadRequestError):
            batches.list(**bad)


def test_only_an_ended_batch_can_be_deleted(connect: Any) -> None:
    """After its end a batch can be deleted, and its results with it."""
    batches = connect().messages.batches
    created = batches.create(requests=rows(1))
    assert batches.delete(created.id).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError):
        batches.results(created.id)
    batches = connect(RUNNING).messages.batches
    with pytest.raises(anthropic.BadRequestError, match="cannot be deleted"):
        batches.delete(batches.create(requests=rows(1)).id)


def test_a_lost_answer_leaves_the_batch(connect: Any) -> None:
    """The client sees a reset, and the batch exists nevertheless."""
    client = connect(Scenario(faults=(Fault(match="POST /v1/messages/batches", do="reset_after"),)))
    with pytest.raises(anthropic.APIConnectionError):
        client.messages.batches.create(requests=rows(3))
    assert [batch.request_counts.succeeded for batch in client.messages.batches.list().data] == [3]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"do": "reset_before"}, anthropic.APIConnectionError),
        ({"do": "status", "status": 503}, anthropic.InternalServerError),
        ({"do": "status", "status": 529}, anthropic.OverloadedError),
        ({"do": "status", "status": 429, "retry_after": "7"}, anthropic.RateLimitError),
    ],
)
def test_faults_come_when_they_are_due(connect: Any, fault: Any, error: type[Exception]) -> None:
    """A fault strikes once, in the service's own format; the next request succeeds."""
    client = connect(Scenario(faults=(Fault(match="GET /v1/messages/batches", **fault),)))
    with pytest.raises(error) as caught:
        client.messages.batches.list()
    if isinstance(caught.value, anthropic.APIStatusError):
        assert caught.value.api_message == "The scenario says no."
    if isinstance(caught.value, anthropic.RateLimitError):
        assert (caught.value.response.headers["retry-after"], caught.value.type) == ("7", "rate_limit_error")
    assert client.messages.batches.list().data == []


def test_the_log_has_ids_but_no_key_and_no_prompt() -> None:
    """The drills compare this log with what the road did."""
    with Simulator() as simulator:
        client = anthropic.Anthropic(api_key="sk-canary", base_url=f"{simulator.url}/anthropic", max_retries=0)
        batch = client.messages.batches.create(requests=[row("a", "canary prompt")])
        client.messages.batches.delete(batch.id)
        log = simulator.requests()
        text = (simulator.folder / "requests.jsonl").read_text()
        left = list((simulator.folder / "anthropic").iterdir())
    assert [(each["method"], each["status"]) for each in log] == [("POST", 200), ("DELETE", 200)]
    assert (log[0]["job"], log[0]["rows"], log[1]["deleted"]) == (batch.id, 1, batch.id)
    assert "canary" not in text
    assert left == []


def test_large_batches_are_never_whole_in_memory(tmp_path: Path) -> None:
    """30 MB are uploaded, answered and downloaded while the simulator's own memory grows by far less."""
    script = """
import sys
from pathlib import Path
from batch_router.simulator import load_scenario, serve
from tests.memory import peak_memory
serve(0, load_scenario(None), Path(sys.argv[1]), on_ready=lambda url: print(peak_memory(), url, flush=True))
print(peak_memory())
"""

    def body() -> Iterator[bytes]:
        yield b'{"requests":['
        for number in range(1_500):
            yield (b"," if number else b"") + json.dumps(row(str(number), "x" * 20_000)).encode()
        yield b"]}"

    command = [sys.executable, "-c", script, str(tmp_path / "simulator")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        before, url = process.stdout.readline().split() if process.stdout else ("0", "")
        client = anthropic.Anthropic(api_key="k", base_url=f"{url}/anthropic", max_retries=0)
        created = client.post("/v1/messages/batches", content=body(), cast_to=httpx2.Response).json()
        results = client.messages.batches.retrieve(created["id"]).results_url
        with httpx2.stream("GET", str(results), headers={"x-api-key": "k", **OLD}) as answer:
            size = sum(len(chunk) for chunk in answer.iter_bytes())
        process.terminate()
        peak = int(process.stdout.read()) if process.stdout else 0
    assert size > 30_000_000
    assert peak - int(before) < 10_000_000, (peak, before)


# --- against the reference data, where they are ---------------------------------------------------------------------


def schema_of(shared: Path, name: str) -> dict[str, Any]:
    document = json.loads((shared / "contracts" / "anthropic.openapi.json").read_text())
    return {"$ref": f"#/components/schemas/{name}", "components": _with_defaults(document["components"])}


def _with_defaults(node: Any) -> Any:
    """Add the nulls that the description requires and the service (as recorded) leaves out."""
    if isinstance(node, list):
        return [_with_defaults(each) for each in node]
    if not isinstance(node, dict):
        return node
    changed = {key: _with_defaults(value) for key, value in node.items()}
    if isinstance(required := changed.get("required"), list):
        properties = changed.get("properties", {})
        changed["required"] = [name for name in required if properties.get(name, {}).get("default", name) is not None]
    return changed


def test_objects_are_as_the_api_description_says(connect: Any, shared: Path) -> None:
    """Batch (in each state), list, result lines of each kind and deletion are valid by the published schemas."""
    client = connect(Scenario(refuse=(Refusal(match="bad"),), expire_after=0.5, latency=Latency(cancelling=60)))
    batches = client.messages.batches
    created = batches.with_raw_response.create(requests=[row("a"), row("b", "bad"), *rows(10)]).http_response.json()
    for sent in (created, raw(client, created["id"]).json()):
        jsonschema.validate(sent, schema_of(shared, "MessageBatch"))
    page = batches.with_raw_response.list().http_response.json()
    jsonschema.validate(page, schema_of(shared, "ListResponse_MessageBatch_"))
    results = client.get(f"/v1/messages/batches/{created['id']}/results", cast_to=httpx2.Response)
    assert results.headers["content-type"] == "application/x-jsonl"
    for line in results.content.split(b"\n")[:-1]:
        jsonschema.validate(json.loads(line), schema_of(shared, "MessageBatchIndividualResponse"))
    deleted = batches.with_raw_response.delete(created["id"]).http_response.json()
    jsonschema.validate(deleted, schema_of(shared, "DeleteMessageBatchResponse"))
    client = connect(RUNNING)
    running = client.messages.batches.create(requests=rows(1))
    client.messages.batches.cancel(running.id)
    jsonschema.validate(raw(client, running.id).json(), schema_of(shared, "MessageBatch"))


def test_objects_have_the_keys_that_were_recorded(connect: Any, shared: Path) -> None:
    """A batch and a result line have every key that the real service sent."""
    client = connect(Scenario(refuse=(Refusal(match="bad"),)))
    batch = client.messages.batches.create(requests=[row("a"), row("b", "bad")])
    golden = shared / "golden" / "anthropic"
    exchanges = json.loads((golden / "curator__basic_batch_completion.exchanges.json").read_text())
    bodies = [json.loads(exchange["body"]) for exchange in exchanges if "message_batch" in exchange["body"]]
    assert bodies
    assert all(set(body) == set(raw(client, batch.id).json()) for body in bodies)
    url = raw(client, batch.id).json()["results_url"]
    lines = client.get(url, cast_to=httpx2.Response).content.split(b"\n")[:-1]
    made = {row["result"]["type"]: row for row in map(json.loads, lines)}
    real: dict[str, Any] = {}
    for path in golden.glob("*.jsonl"):
        for line in path.read_bytes().split(b"\n"):
            if line:
                real[json.loads(line)["result"]["type"]] = json.loads(line)
    assert set(real) == set(made) == {"succeeded", "errored"}
    for kind in real:
        assert keys(real[kind]) - keys(made[kind]) - {"error_visibility"} == set()


def keys(value: Any) -> set[str]:
    """All names in a value, at any depth."""
    if isinstance(value, list):
        return set().union(*map(keys, value)) if value else set()
    return set(value).union(*map(keys, value.values())) if isinstance(value, dict) else set()
