"""The providers' own bill, their clocks, an account for each key, and gateways that answer too early."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from batch_router.simulator import Scenario
from batch_router.simulator.scenario import Fault, Latency, Refusal
from tests.simulator.services import SERVICES, Service, job_id

Start = Callable[..., Service]
LONG = Latency(in_progress=600)
LABELS = {"openai": "mine", "anthropic": "", "google": "mine"}
CREATES = r"POST /(batches|v1/messages/batches|v1beta/models/.*)"
everywhere = pytest.mark.parametrize("provider", SERVICES)


@pytest.fixture
def start() -> Iterator[Start]:
    """`start(provider, **scenario)`: that provider on such a day."""
    started: list[Service] = []

    def run(provider: str, **scenario: Any) -> Service:
        started.append(SERVICES[provider](Scenario(**scenario)))
        return started[-1]

    yield run
    for service in started:
        service.close()


def paid(service: Service) -> list[str]:
    """What the rows that are paid asked, in order."""
    return sorted(charge.prompt for charge in service.simulator.bill())


def made(service: Service, *prompts: str) -> str:
    return job_id(service.create(list(prompts)).json())


@everywhere
def test_a_row_is_paid_though_the_client_never_looks(start: Start, provider: str) -> None:
    """The bill names provider, job, label, row and prompt of each answered row; `/bill` says the same."""
    service = start(provider)
    job = made(service, "a", "b")
    bill = service.simulator.bill()
    assert {(charge.provider, charge.job, charge.label, charge.key) for charge in bill} == {
        (provider, job, LABELS[provider], "")
    }
    assert sorted((charge.row, charge.prompt) for charge in bill) == [("r-0", "a"), ("r-1", "b")]
    with urllib.request.urlopen(f"{service.simulator.url}/bill") as answer:
        assert {each["row"] for each in json.load(answer)} == {"r-0", "r-1"}
    assert "/bill" not in {request["path"] for request in service.simulator.requests()}


@everywhere
def test_a_row_that_is_refused_costs_nothing(start: Start, provider: str) -> None:
    """Nor does a row that runs still; one that the provider never returns is paid."""
    service = start(provider, refuse=(Refusal(match="bad"),), drop="lost")
    made(service, "bad", "good", "lost")
    assert paid(service) == ["good", "lost"]
    service.simulator.change(Scenario(latency=LONG))
    made(service, "later")
    assert paid(service) == ["good", "lost"]


@everywhere
def test_a_job_stays_on_the_bill_when_it_is_deleted(start: Start, provider: str) -> None:
    """What was answered is paid, whatever becomes of the job, its rows and the scenario."""
    service = start(provider)
    job = made(service, "a")
    service.show(job)
    if provider != "openai":  # where a job cannot be deleted
        assert service.delete(job).status_code == 200
    service.simulator.change(Scenario(latency=LONG))
    assert paid(service) == ["a"]


@everywhere
def test_a_job_that_is_cancelled_at_once_costs_nothing(start: Start, provider: str) -> None:
    """Two jobs of the same rows, one of them taken back: the rows are paid once."""
    service = start(provider, latency=LONG)
    jobs = [made(service, "a", "b") for _ in range(2)]
    service.cancel(jobs[0])
    service.show(jobs[0])
    service.simulator.change(Scenario())
    assert paid(service) == ["a", "b"]


@pytest.mark.parametrize(("provider", "rows"), [("openai", 1), ("anthropic", 1), ("google", 0)])
def test_a_job_that_expires_costs_what_it_answered(start: Start, provider: str, rows: int) -> None:
    """Half of the rows; none at Google, which keeps no answers of such a job."""
    service = start(provider, expire_after=0.5)
    service.show(made(service, "a", "b"))
    assert len(paid(service)) == rows
    service.simulator.change(Scenario())
    assert len(paid(service)) == rows


@everywhere
def test_a_provider_has_its_own_clock(start: Start, provider: str) -> None:
    """`Date` and the times of a job are ahead of ours, and jobs take no longer."""
    service = start(provider, clock=600)
    answer = service.create(["a"])
    assert parsedate_to_datetime(answer.headers["date"]).timestamp() - time.time() > 590
    job = answer.json()
    created = job["metadata"]["createTime"] if provider == "google" else job["created_at"]
    stamp = float(created) if isinstance(created, int) else parse_time(created)
    assert stamp - time.time() > 590
    assert paid(service) == ["a"]


def parse_time(text: str) -> float:
    return datetime.fromisoformat(text[:19] + "+00:00").timestamp()


@everywhere
def test_another_key_sees_nothing(start: Start, provider: str) -> None:
    """Each key has an account: jobs of another one are neither listed nor found nor cancelled; the bill has the key."""
    service = start(provider, accounts_by_key=True)
    job = made(service, "a")
    service.use_key("other")
    assert (service.listed(), service.show(job), service.cancel(job).status_code) == ([], 404, 404)
    other = made(service, "b")
    assert [job_id(each) for each in service.listed()] == [other] != [job]
    service.use_key("k")
    assert job_id(service.show(job)) == job
    assert {(charge.key, charge.prompt) for charge in service.simulator.bill()} == {("k", "a"), ("other", "b")}


@everywhere
@pytest.mark.parametrize("status", [408, 499, 502, 504])
def test_a_gateway_can_answer_before_the_service(start: Start, provider: str, status: int) -> None:
    """With `status_after` the job exists in spite of the error page, with `status` it does not."""
    day = {do: Fault(match=CREATES, do=do, status=status) for do in ("status", "status_after")}
    service = start(provider, faults=(day["status_after"],))
    refused = service.create(["a"])
    assert (refused.status_code, refused.headers["content-type"][:9]) == (status, "text/html")
    assert len(service.listed()) == 1
    service.simulator.change(Scenario(faults=(day["status"],)))
    assert (service.create(["b"]).status_code, len(service.listed())) == (status, 1)
