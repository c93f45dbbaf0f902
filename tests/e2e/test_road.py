"""Real batches through real worker processes, a real Valkey, and the official SDK over real HTTP."""

import json
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from batch_router.connect import broker_server, state_server
from batch_router.providers import find_provider
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator

from .stack import KEY, Stack, run_stack

ROOT = Path(__file__).parents[2]
PATHS = {"openai": "/openai/v1", "anthropic": "/anthropic", "google": "/google"}
KEYS = {"ANTHROPIC_API_KEY": "sk-ant", "GOOGLE_API_KEY": "key"}


@pytest.fixture(scope="module")
def service() -> Iterator[Simulator]:
    """Providers that behave as each test says."""
    with Simulator(Scenario()) as running:
        yield running


@pytest.fixture(scope="module")
def fleet(service: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Workers that send to them, with shards of at most five rows."""
    urls = {f"BATCH_ROUTER_{name.upper()}_BASE_URL": service.url + path for name, path in PATHS.items()}
    home = tmp_path_factory.mktemp("fleet")
    with run_stack(home, None, "io", "cpu", BATCH_ROUTER_MAX_SHARD_ROWS="5", **urls, **KEYS) as running:
        yield running


@pytest.fixture
def behave(service: Simulator) -> Iterator[Callable[[str], None]]:
    """`behave(text)`: the providers follow this scenario until the test ends."""
    yield lambda text: service.change(msgspec.convert(tomllib.loads(text), Scenario))
    service.change(Scenario())


def openai_jobs(service: Simulator) -> set[str]:
    """All jobs that it has, those of other tests included."""
    client = find_provider("openai")(KEY, base_url=service.url + PATHS["openai"]).connect(Settings())
    try:
        return {job.id for job in client.list(math.inf)}
    finally:
        client.close()


def write_rows(stack: Stack, name: str, rows: Sequence[Mapping[str, object]]) -> Path:
    path = stack.home / name
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return path


def results_of(stack: Stack, batch_id: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stack.cli("results", batch_id).stdout.split("\n") if line]


def test_submit_batch_delay_gives_the_manifest(stack: Stack) -> None:
    """An app submits with `delay`, waits with Celery's own `get`, and has its answers, in its order."""
    app = """
from batch_router import BatchClient
from batch_router.worker import submit_batch
rows = [{"custom_id": f"q {n}", "prompt": f"What is {n} + 0?"} for n in range(20)]
job = submit_batch.delay(provider="openai", model="gpt-5-mini", requests=rows)
manifest = job.get(timeout=60)
print(job.id == manifest["batch_id"], job.status, manifest["status"], manifest["request_counts"]["succeeded"])
print([(r.custom_id, r.get_content()) for r in BatchClient().results(job.id)][:2])
"""
    done = stack.python("-c", app)
    assert done.stdout == "True SUCCESS completed 20\n[('q 0', 'It is 0.'), ('q 1', 'It is 1.')]\n", done.stderr


def test_a_signature_submits_too(stack: Stack) -> None:
    """`submit_batch.s(...)` can be kept and applied later; what would change how it runs is refused."""
    app = """
from batch_router.worker import submit_batch
signature = submit_batch.s("openai", model="m", requests=[{"custom_id": "a", "prompt": "Hello"}])
print(signature.apply_async(task_id="by-signature").get(timeout=60)["batch_id"])
try:
    signature.apply_async(countdown=60)
except ValueError as error:
    print(error)
"""
    done = stack.python("-c", app)
    said = "submit_batch takes no option 'countdown': it runs in the caller's process"
    assert done.stdout == f"by-signature\n{said}\n", done.stderr


def test_a_failed_batch_raises_in_the_app(stack: Stack, tmp_path: Path) -> None:
    """Celery's `get` raises, with the error that `status` shows; rows that only a worker looks at are reported."""
    path = stack.home / "late.jsonl"
    path.write_text('{"custom_id": "a", "prompt": "Hello"}\n' * 2 + "{broken\n")
    app = f"""
from batch_router import BatchClient, BatchFailedError
from batch_router.worker import submit_batch
job = submit_batch.delay("openai", model="m", input="{path}", check_rows=1)
try:
    job.get(timeout=60)
except BatchFailedError as error:
    print(error.error_details["type"], job.status)
print(BatchClient().status(job.id).error.problems[0].partition(", ")[2])
"""
    done = stack.python("-c", app)
    assert done.stdout.split("\n")[0] == "invalid_input FAILURE", done.stderr
    assert done.stdout.split("\n")[1].startswith("line 3: not valid JSON")


def test_the_questions_go_through_as_three_shards(stack: Stack, shared: Path) -> None:
    """1,319 school maths questions, with shards of at most 500 rows: three jobs, every answer once, in order."""
    example = stack.python(str(ROOT / "examples" / "gsm8k.py"), str(shared / "data" / "gsm8k_test.jsonl"))
    (stack.home / "gsm8k.jsonl").write_text(example.stdout)
    done = stack.cli("submit", "gsm8k.jsonl", "--provider", "openai", "--model", "gpt-5-mini", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert [shard["rows"] for shard in status["shards"]] == [500, 500, 319]
    assert len({shard["job_id"] for shard in status["shards"]}) == 3
    answered = [row["custom_id"] for row in results_of(stack, status["batch_id"])]
    assert answered == [f"gsm8k-{number}" for number in range(1, 1320)]


def test_rows_of_several_models_come_back_in_input_order(stack: Stack) -> None:
    """Each model has its own job, and the results interleave as the requests did."""
    rows = [{"custom_id": str(n), "model": f"model-{n % 3}", "prompt": f"Row {n}"} for n in range(30)]
    path = write_rows(stack, "models.jsonl", rows)
    batch_id = stack.cli("submit", path, "--provider", "openai", "--wait").stdout.strip()
    assert [(r["custom_id"], r["model"]) for r in results_of(stack, batch_id)] == [
        (str(n), f"model-{n % 3}") for n in range(30)
    ]


def test_rows_without_an_answer_are_errors_in_their_place(stack: Stack) -> None:
    """A refused row and a row that never came back are errored results; the exit code says that some are missing."""
    prompts = ["hello", "refuse me", "lose me", "say it twice"]
    rows = [{"custom_id": prompt, "prompt": prompt} for prompt in prompts]
    path = write_rows(stack, "mixed.jsonl", rows)
    done = stack.cli("submit", path, "--provider", "openai", "--model", "gpt-5-mini", "--wait")
    results = results_of(stack, done.stdout.strip())
    assert done.returncode == 3
    assert [(r["custom_id"], r["status"], (r["error"] or {}).get("type")) for r in results] == [
        ("hello", "succeeded", None),
        ("refuse me", "errored", "invalid_request"),
        ("lose me", "errored", "missing"),
        ("say it twice", "succeeded", None),
    ]


def test_a_bare_message_is_enough(stack: Stack) -> None:
    """A program without this package's code sends the task by name, and gets the manifest under the task's id."""
    app = """
from batch_router.worker import app
row = {"custom_id": "a", "prompt": "Hello"}
arguments = {"provider": "openai", "model": "m", "requests": [row]}
job = app.send_task("batch_router.submit_batch", kwargs=arguments, queue="io")
print(job.get(timeout=60)["request_counts"]["succeeded"])
"""
    done = stack.python("-c", app)
    assert done.stdout == "1\n", done.stderr


def test_a_wiped_broker_loses_nothing(stack: Stack) -> None:
    """With every message gone, and none ever sent by `BatchClient`, the sweep carries the batch to its end."""
    client = stack.client
    batch_id = client.submit("openai", model="m", requests=[{"custom_id": "a", "prompt": "Hello"}])
    redis.Redis.from_url(broker_server(Settings(home=stack.home)).url).flushdb()
    assert client.wait(batch_id, timeout=60).request_counts.succeeded == 1


def test_no_key_and_no_prompt_in_redis_and_logs(stack: Stack) -> None:
    """A canary in the prompt and one in the key are in the payload files at most."""
    row = {"custom_id": "c", "prompt": "canary-prompt-0815"}
    path = write_rows(stack, "canary.jsonl", [row])
    done = stack.cli(
        "submit", path, "--provider", "openai", "--model", "m", "--system-prompt", "canary-prompt-0816", "--wait"
    )
    assert done.returncode == 0, done.stderr
    seen = stack.log.read_bytes() + done.stderr.encode()
    for url in (state_server(Settings(home=stack.home)).url, broker_server(Settings(home=stack.home)).url):
        with redis.Redis.from_url(url) as client:
            seen += b"".join(key + (client.dump(key) or b"") for key in client.scan_iter())
    for canary in ("canary-prompt", KEY):
        assert canary.encode() not in seen


def test_a_job_that_fails_ends_the_batch_with_its_reason(fleet: Stack, behave: Callable[[str], None]) -> None:
    """What the provider said is in the status and in each row's error; the exit code is 4."""
    behave('fail_job = "model_mismatch"')
    path = write_rows(fleet, "rows.jsonl", [{"custom_id": "a", "prompt": "Hello"}])
    done = fleet.cli("submit", path, "--provider", "openai", "--model", "m", "--wait", "--json")
    status = json.loads(done.stdout)
    (result,) = results_of(fleet, status["batch_id"])
    assert (done.returncode, status["status"], status["error"]["type"]) == (4, "failed", "model_mismatch")
    assert (result["status"], result["error"]["type"]) == ("errored", "job_failed")


def test_a_refused_key_ends_the_batch_with_a_clear_word(fleet: Stack, behave: Callable[[str], None]) -> None:
    """A bad key is no reason to try for a day: the batch fails, and the key is not in the message."""
    behave('keys = ["sk-other"]')
    path = write_rows(fleet, "rows.jsonl", [{"custom_id": "a", "prompt": "Hello"}])
    done = fleet.cli("submit", path, "--provider", "openai", "--model", "m", "--wait", "--json")
    status = json.loads(done.stdout)
    assert (done.returncode, status["error"]["type"]) == (4, "authentication_error")
    assert KEY not in done.stdout + done.stderr


@pytest.mark.parametrize("latency", ["validating", "in_progress"])
def test_a_running_batch_can_be_cancelled(fleet: Stack, behave: Callable[[str], None], latency: str) -> None:
    """Cancelling ends the job at the provider; rows that were not answered are cancelled results."""
    behave(f"[latency]\n{latency} = 600")
    path = write_rows(fleet, "rows.jsonl", [{"custom_id": str(n), "prompt": "Hello"} for n in range(10)])
    batch_id = fleet.cli("submit", path, "--provider", "openai", "--model", "m").stdout.strip()
    assert fleet.cli("status", batch_id).returncode == 5
    assert fleet.cli("cancel", batch_id).returncode == 0
    status = fleet.client.wait(batch_id, timeout=60)
    results = results_of(fleet, batch_id)
    assert (status.status, status.request_counts.cancelled) == ("cancelled", 10)
    assert {result["status"] for result in results} == {"cancelled"}


def test_a_create_whose_answer_is_lost_makes_one_job(
    fleet: Stack, service: Simulator, behave: Callable[[str], None]
) -> None:
    """The job exists, the client saw a reset: the label is looked up, and no second job is created."""
    before = openai_jobs(service)
    fault = '[[faults]]\nmatch = "POST /batches"\ndo = "reset_after"\n'
    behave(fault)
    path = write_rows(fleet, "rows.jsonl", [{"custom_id": "a", "prompt": "Hello"}])
    done = fleet.cli("submit", path, "--provider", "openai", "--model", "m", "--wait", "--json")
    (shard,) = json.loads(done.stdout)["shards"]
    assert (done.returncode, openai_jobs(service) - before) == (0, {shard["job_id"]})


def test_a_bad_minute_at_the_provider_is_waited_out(fleet: Stack, behave: Callable[[str], None]) -> None:
    """Refused connections, 503 and 429 with Retry-After, and a page of HTML: the batch gets through all of them."""
    faults = "".join(
        f'[[faults]]\nmatch = "{match}"\n{how}\n'
        for match, how in (
            ("POST /files", 'do = "reset_before"'),
            ("POST /batches", 'do = "status"\nstatus = 429\nretry_after = "1"'),
            ("GET /batches/.*", 'do = "html"'),
            ("GET /files/.*/content", 'do = "truncate"\nbytes = 30'),
        )
    )
    behave(faults)
    path = write_rows(fleet, "rows.jsonl", [{"custom_id": str(n), "prompt": "Hello"} for n in range(5)])
    done = fleet.cli("submit", path, "--provider", "openai", "--model", "m", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["request_counts"]["succeeded"] == 5


def test_a_batch_goes_to_google_and_back(stack: Stack, tmp_path: Path) -> None:
    """The same road with another provider: shards, refused, lost and repeated rows, and every answer in its place."""
    prompts = [f"What is {number} + 0?" for number in range(1_100)]
    prompts[7:10] = ["please refuse me", "please lose me", "please say it twice"]
    path = write_rows(stack, "google.jsonl", [{"custom_id": f"q {n}", "prompt": p} for n, p in enumerate(prompts)])
    done = stack.cli("submit", path, "--provider", "google", "--model", "gemini-2.5-flash", "--wait", "--json")
    status = json.loads(done.stdout)
    assert (done.returncode, status["status"]) == (3, "completed"), done.stderr
    assert len(status["shards"]) >= 3  # and those in which the lost row is tried again
    assert (status["request_counts"]["succeeded"], status["request_counts"]["errored"]) == (1_098, 2)
    results = results_of(stack, status["batch_id"])
    assert [result["custom_id"] for result in results] == [f"q {number}" for number in range(1_100)]
    assert [result["text"] for result in results[5:11]] == [
        "It is 5.",
        "It is 6.",
        None,
        None,
        "please say it twice",
        "It is 10.",
    ]


def test_a_bad_minute_at_google_makes_one_job(fleet: Stack, behave: Callable[[str], None]) -> None:
    """A lost upload, a full queue, a create whose answer is lost, a torn download: one job, and its answers."""
    faults = "".join(
        f'[[faults]]\nmatch = "{match}"\n{how}\n'
        for match, how in (
            ("POST /upload/v1beta/files", 'do = "reset_after"\nafter = 1'),
            ("POST /v1beta/models/.*", 'do = "status"\nstatus = 429\nretry_after = "1"'),
            ("POST /v1beta/models/.*", 'do = "reset_after"'),
            ("GET /v1beta/batches/.*", 'do = "html"'),
            ("GET /download/v1beta/files/.*:download", 'do = "truncate"\nbytes = 30'),
        )
    )
    behave(faults)
    path = write_rows(fleet, "rows.jsonl", [{"custom_id": str(n), "prompt": "Hello"} for n in range(5)])
    done = fleet.cli("submit", path, "--provider", "google", "--model", "gemini-2.5-flash", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    # The first job of this service.
    assert (status["request_counts"]["succeeded"], status["shards"][0]["job_id"]) == (5, "batches/000001sim")


def test_a_batch_goes_to_anthropic_and_back(stack: Stack) -> None:
    """The same road with another provider: shards, refused, lost and repeated rows, and every answer in its place."""
    prompts = [f"What is {number} + 0?" for number in range(1_100)]
    prompts[7:10] = ["please refuse me", "please lose me", "please say it twice"]
    path = write_rows(stack, "anthropic.jsonl", [{"custom_id": f"q {n}", "prompt": p} for n, p in enumerate(prompts)])
    to = ("--provider", "anthropic", "--model", "claude-haiku-4-5")
    done = stack.cli("submit", path, *to, "--max-tokens", "50", "--wait", "--json")
    status = json.loads(done.stdout)
    assert (done.returncode, status["status"]) == (3, "completed"), done.stderr
    assert len(status["shards"]) >= 3  # and those in which the lost row is tried again
    assert (status["request_counts"]["succeeded"], status["request_counts"]["errored"]) == (1_098, 2)
    results = results_of(stack, status["batch_id"])
    assert [result["custom_id"] for result in results] == [f"q {number}" for number in range(1_100)]
    assert [result["text"] for result in results[6:11]] == ["It is 6.", None, None, "please say it twice", "It is 10."]
    assert stack.cli("submit", path, *to).returncode == 2  # without --max-tokens


def test_a_bad_minute_at_anthropic_makes_one_job_per_shard(fleet: Stack, behave: Callable[[str], None]) -> None:
    """A 429, a create whose answer is lost while another job runs, a torn download: two jobs."""
    faults = "[latency]\nin_progress = 2\n" + "".join(
        f'[[faults]]\nmatch = "{match}"\n{how}\n'
        for match, how in (
            ("POST /v1/messages/batches", 'do = "status"\nstatus = 429\nretry_after = "1"'),
            ("POST /v1/messages/batches", 'do = "reset_after"\nafter = 1'),
            ("GET /v1/messages/batches/[^/]*", 'do = "html"'),
            ("GET /v1/messages/batches/.*/results", 'do = "truncate"\nafter = 1\nbytes = 30'),
        )
    )
    behave(faults)
    path = write_rows(fleet, "rows.jsonl", [{"custom_id": str(n), "prompt": "Hello"} for n in range(10)])
    to = ("--provider", "anthropic", "--model", "claude-haiku-4-5", "--max-tokens", "50")
    done = fleet.cli("submit", path, *to, "--wait", "--json")
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert status["request_counts"]["succeeded"] == 10
    # The first jobs of this service.
    assert {shard["job_id"] for shard in status["shards"]} == {"msgbatch_000001", "msgbatch_000002"}
