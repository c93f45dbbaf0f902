"""Odd days: what a scenario changes in replies that are well-formed otherwise, at each provider."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from batch_router.simulator import Scenario, load_scenario
from batch_router.simulator.oddities import (
    Bom,
    Elsewhere,
    EmptyIds,
    Foreign,
    Hidden,
    LateFiles,
    Listing,
    Miscounted,
    Numbers,
    Odd,
    Words,
    Wrapped,
)
from batch_router.simulator.scenario import Latency, Refusal
from tests.simulator.services import SERVICES, OpenAIService, Service, job_id, rows_of, with_null

INF = float("inf")
Start = Callable[..., Service]
FILES = {
    "openai": lambda job: job["output_file_id"],
    "anthropic": lambda job: job["results_url"],
    "google": lambda job: job["response"].get("responsesFile"),
}
STATUS = {
    "openai": lambda job: job["status"],
    "anthropic": lambda job: job["processing_status"],
    "google": lambda job: job["metadata"]["state"],
}
COUNTS = {
    "openai": lambda job: job["request_counts"],
    "anthropic": lambda job: job["request_counts"],
    "google": lambda job: job["metadata"]["batchStats"],
}
ENDED = {"openai": "completed", "anthropic": "ended", "google": "BATCH_STATE_SUCCEEDED"}
everywhere = pytest.mark.parametrize("provider", SERVICES)


@pytest.fixture
def start() -> Iterator[Start]:
    """`start(provider, *oddities, **scenario)`: that provider on such a day."""
    started: list[Service] = []

    def run(provider: str, *odd: Odd, **scenario: Any) -> Service:
        started.append(SERVICES[provider](Scenario(odd=odd, **scenario)))  # type: ignore[arg-type]
        return started[-1]

    yield run
    for service in started:
        service.close()


def made(service: Service, *prompts: str) -> str:
    """The id of a new job."""
    return job_id(service.create(list(prompts) or ["a", "b"]).json())


@everywhere
def test_files_are_named_some_looks_after_the_end(start: Start, provider: str) -> None:
    """The job is ended at once; two looks later its answers are named, and can be fetched."""
    service = start(provider, LateFiles(looks=2))
    job = made(service)
    shown = [service.show(job) for _ in range(3)]
    assert [STATUS[provider](each) for each in shown] == [ENDED[provider]] * 3
    assert [bool(FILES[provider](each)) for each in shown] == [False, False, True]
    assert len(list(rows_of(service.content(shown[2])))) == 2


@everywhere
def test_files_are_named_some_seconds_after_the_end_or_never(start: Start, provider: str) -> None:
    """The time begins with the first reply that shows the end; `inf` has no end."""
    service = start(provider, LateFiles(seconds=0.3))
    job = made(service)
    assert not FILES[provider](service.show(job))
    time.sleep(0.35)
    assert FILES[provider](service.show(job))
    service.simulator.change(Scenario(odd=(LateFiles(seconds=INF),)))
    assert not FILES[provider](service.show(job))


def test_one_of_two_files_can_be_late(start: Start) -> None:
    """OpenAI's error file is named later than its output file."""
    service = start("openai", LateFiles(file="error", looks=1), refuse=(Refusal(match="bad"),))
    job = made(service, "good", "bad")
    shown = [service.show(job) for _ in range(2)]
    assert [(bool(each["output_file_id"]), bool(each["error_file_id"])) for each in shown] == [
        (True, False),
        (True, True),
    ]


def test_a_file_that_does_not_exist_can_have_an_empty_id(start: Start) -> None:
    """What is null at the service is the empty text; ids of files that exist stay."""
    service = start("openai", EmptyIds())
    job = service.show(made(service))
    assert (job["output_file_id"][:5], job["error_file_id"]) == ("file-", "")


@everywhere
@pytest.mark.parametrize(("form", "kind"), [("text", str), ("float", float), ("integer", int)])
def test_counts_and_dates_can_be_of_another_type(start: Start, provider: str, form: Any, kind: type) -> None:
    """All counts and all dates that a job has are text, floats or integers."""
    service = start(provider, Numbers(counts=form, dates=form))
    job = service.show(made(service))
    assert {type(count) for count in COUNTS[provider](job).values()} == {kind}
    dates = job["metadata"] if provider == "google" else job
    found = {type(value) for name, value in dates.items() if name.endswith(("_at", "Time")) and value is not None}
    assert found == {kind}


def test_dates_can_be_iso_text(start: Start) -> None:
    """OpenAI's epochs become ISO dates, and counts stay as they are."""
    service = start("openai", Numbers(dates="iso"))
    job = service.show(made(service))
    assert job["created_at"].endswith("Z")
    assert job["request_counts"] == {"total": 2, "completed": 2, "failed": 0}


@everywhere
def test_a_status_can_be_in_other_words(start: Start, provider: str) -> None:
    """A status is shouted; one that is not in the scenario stays."""
    word = ENDED[provider]
    service = start(provider, Words(words={word: word.upper() + "!"}), latency=Latency(in_progress=0.2))
    created = service.create(["a"]).json()
    assert not STATUS[provider](created).endswith("!")
    time.sleep(0.25)
    assert STATUS[provider](service.show(job_id(created))) == word.upper() + "!"


@everywhere
def test_a_job_can_be_wrapped(start: Start, provider: str) -> None:
    """The replies of create and look are members of an object; a list is as usual."""
    service = start(provider, Wrapped(key="job"))
    created = service.create(["a"]).json()
    assert set(created) == {"job"}
    assert set(service.show(job_id(created["job"]))) == {"job"}
    assert [job_id(each) for each in service.listed()] == [job_id(created["job"])]


@everywhere
def test_an_oddity_comes_with_the_calls_that_it_names(start: Start, provider: str) -> None:
    """Only the second look at a job is odd, and the log says so."""
    service = start(provider, Wrapped(match="GET .*batches/.*", after=1, times=1))
    job = made(service)
    assert ["data" in service.show(job) for _ in range(3)] == [False, True, False]
    assert [each.get("odd") for each in service.simulator.requests()][-3:] == [None, ["wrapped"], None]


@everywhere
def test_a_job_can_be_hidden_for_a_while(start: Start, provider: str) -> None:
    """Looks are answered with 404 in the provider's own format, while the list shows the job."""
    service = start(provider, Hidden(looks=2))
    job = made(service)
    refused = service.http.get(service.path(job))
    assert (refused.status_code, type(refused.json()["error"])) == (404, dict)
    assert [job_id(each) for each in service.listed()] == [job]
    assert service.show(job) == 404
    assert job_id(service.show(job)) == job


@everywhere
def test_a_job_that_is_hidden_cannot_be_cancelled(start: Start, provider: str) -> None:
    """The cancel is answered with 404 and does nothing; later it works."""
    service = start(provider, Hidden(seconds=INF), latency=Latency(in_progress=60))
    job = made(service)
    assert service.cancel(job).status_code == 404
    service.simulator.change(Scenario(latency=Latency(in_progress=60)))
    assert STATUS[provider](service.show(job)) in ("in_progress", "BATCH_STATE_RUNNING")
    assert service.cancel(job).status_code == 200


@everywhere
def test_a_new_job_can_be_unknown_everywhere_for_a_while(start: Start, provider: str) -> None:
    """Neither a look nor the list shows a young job; both do later."""
    service = start(provider, Hidden(seconds=0.3), Listing(lag=0.3))
    job = made(service)
    assert (service.show(job), service.listed()) == (404, [])
    time.sleep(0.35)
    assert [job_id(each) for each in (service.show(job), *service.listed())] == [job, job]


@everywhere
def test_answers_can_be_hidden_for_a_while_or_for_good(start: Start, provider: str) -> None:
    """The file is named, and is not found when it is asked for."""
    service = start(provider, Hidden(what="output", looks=1))
    job = service.show(made(service))
    assert service.content(job) == 404
    assert len(list(rows_of(service.content(job)))) == 2
    service.simulator.change(Scenario(odd=(Hidden(what="output", seconds=INF),)))
    service.show(job_id(job))
    assert [service.content(job) for _ in range(3)] == [404] * 3


def test_one_of_two_files_can_be_gone(start: Start) -> None:
    """OpenAI's error file is not found, its output file is."""
    service = start("openai", Hidden(what="error", seconds=INF), refuse=(Refusal(match="bad"),))
    job = service.show(made(service, "good", "bad"))
    assert isinstance(service, OpenAIService)
    assert (service.content(job, "error"), len(list(rows_of(service.content(job))))) == (404, 1)


@everywhere
def test_a_list_can_lag_behind(start: Start, provider: str) -> None:
    """A young job is not listed, though a look finds it; later it is."""
    service = start(provider, Listing(lag=60))
    job = made(service)
    assert (service.listed(), job_id(service.show(job))) == ([], job)
    time.sleep(0.01)
    service.simulator.change(Scenario(odd=(Listing(lag=0.01),)))
    assert [job_id(each) for each in service.listed()] == [job]


def test_a_list_can_come_without_labels(start: Start) -> None:
    """The list has no `metadata` or `displayName`; a look at the job has it."""
    openai, google = (start(provider, Listing(labelled=False)) for provider in ("openai", "google"))
    jobs = made(openai), made(google)
    assert openai.listed()[0]["metadata"] is None
    assert openai.show(jobs[0])["metadata"] == {"label": "mine"}
    assert "displayName" not in google.listed()[0]["metadata"]
    assert google.show(jobs[1])["metadata"]["displayName"] == "mine"


@everywhere
def test_answers_can_begin_with_a_mark(start: Start, provider: str) -> None:
    """The byte order mark comes once, before the first row."""
    service = start(provider, Bom())
    content = service.content(service.show(made(service)))
    assert isinstance(content, bytes)
    assert content.startswith(b"\xef\xbb\xbf{")
    assert content.count(b"\xef\xbb\xbf") == 1


@everywhere
def test_answers_can_have_foreign_rows(start: Start, provider: str) -> None:
    """Rows of another job, rows without an id, and rows twice stand beside the job's own."""
    service = start(provider, Foreign(rows=1, unnamed=2, doubled=1))
    name = "key" if provider == "google" else "custom_id"
    ids = [row.get(name) for row in rows_of(service.content(service.show(made(service))))]
    assert (ids[0], ids[-2:]) == ("another-job-0", [None, None])
    assert sorted(ids[1:-2]) in (["r-0", "r-0", "r-1"], ["r-0", "r-1", "r-1"])


@everywhere
def test_counts_can_miss_the_rows(start: Start, provider: str) -> None:
    """More rows succeeded and failed than there are; the types of the counts stay."""
    service = start(provider, Miscounted(succeeded=5, failed=1))
    counts = COUNTS[provider](service.show(made(service)))
    names = {
        "openai": ("completed", "failed"),
        "anthropic": ("succeeded", "errored"),
        "google": ("successfulRequestCount", "failedRequestCount"),
    }[provider]
    assert [counts[name] for name in names] == (["7", "1"] if provider == "google" else [7, 1])


def test_results_can_be_elsewhere(start: Start) -> None:
    """The address of Anthropic's results is on the host that the scenario names, and they are still below ours."""
    service = start("anthropic", Elsewhere())
    job = service.show(made(service))
    assert job["results_url"] == f"https://api.anthropic.com/v1/messages/batches/{job['id']}/results"
    assert len(list(rows_of(service.content(job)))) == 2


def test_a_job_can_be_refused_for_some_of_its_lines(start: Start) -> None:
    """OpenAI names every line, Google the first; Anthropic refuses to create the job."""
    bad = (Refusal(match="bad", job=True, code="invalid_request", message="No."),)
    prompts = ["good", "bad", "good", "bad"]
    openai, google, anthropic = (start(name, refuse=bad) for name in ("openai", "google", "anthropic"))
    failed = openai.show(made(openai, *prompts))
    assert failed["status"] == "failed"
    assert [(each["line"], each["code"], each["message"]) for each in failed["errors"]["data"]] == [
        (2, "invalid_request", "No."),
        (4, "invalid_request", "No."),
    ]
    assert google.show(made(google, *prompts))["error"] == {"code": 3, "message": "Line 2: No."}
    refused = anthropic.create(prompts)
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, "requests.1.params: No.")


def test_a_queue_has_room_for_so_many_tokens(start: Start) -> None:
    """A large job never fits, a second small one only when the first has ended."""
    limits: dict[str, Any] = {"queued_tokens": 100, "latency": Latency(in_progress=60)}
    openai, google = (start(name, **limits) for name in ("openai", "google"))
    assert openai.show(made(openai, "x" * 400))["errors"]["data"][0]["code"] == "token_limit_exceeded"
    assert google.create(["x" * 400]).status_code == 429
    assert [openai.show(made(openai, "x" * 100))["status"] for _ in range(2)] == ["in_progress", "failed"]
    assert [google.create(["x" * 150]).status_code for _ in range(2)] == [200, 429]
    for service in (openai, google):
        service.simulator.change(Scenario(queued_tokens=100))
    assert openai.show(made(openai, "x" * 100))["status"] == "completed"
    assert google.create(["x" * 150]).status_code == 200


def test_oddities_are_read_from_a_file(tmp_path: Path) -> None:
    """An oddity is a table with its kind; an unknown kind or key is refused."""
    day = tmp_path / "day.toml"
    day.write_text(
        '[[odd]]\nkind = "late_files"\nseconds = inf\n\n[[odd]]\nkind = "words"\nwords = {ended = "ENDED"}\n'
    )
    assert load_scenario(day).odd == (LateFiles(seconds=INF), Words(words={"ended": "ENDED"}))
    for bad in ('kind = "mood"', 'kind = "bom"\nbytes = 3', 'kind = "wrapped"\nseconds = 1'):
        day.write_text(f"[[odd]]\n{bad}\n")
        with pytest.raises(ValueError, match=r"day\.toml: "):
            load_scenario(day)


@pytest.mark.parametrize("odd", [LateFiles(looks=1), Listing(labelled=False), Miscounted(failed=1), Foreign(doubled=1)])
def test_odd_replies_are_valid_where_the_descriptions_allow_it(start: Start, shared: Path, odd: Odd) -> None:
    """These oddities do not break the published schemas: an answer may be late, repeated or miscounted and valid."""
    for provider, name in (("openai", "Batch"), ("anthropic", "MessageBatch"), ("google", "Operation")):
        service = start(provider, odd)
        service.show(made(service))
        (job,) = service.listed()
        document = json.loads((shared / "contracts" / f"{provider}.openapi.json").read_text())
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        shown = {key: value for key, value in job.items() if value is not None} if provider == "openai" else job
        jsonschema.validate(shown, with_null(schema))
