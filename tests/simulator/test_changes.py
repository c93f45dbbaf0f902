"""A scenario that changes while the simulator runs, and slow answers."""

import time
import urllib.request
from urllib.error import HTTPError

import pytest

from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Fault

BUSY = Scenario(faults=(Fault(match="GET /files", do="status", status=503, times=2),))


def list_files(simulator: Simulator) -> int:
    request = urllib.request.Request(f"{simulator.url}/openai/v1/files", headers={"authorization": "Bearer k"})
    try:
        with urllib.request.urlopen(request) as answer:
            assert answer.read().startswith(b'{"object": "list"')
            return int(answer.status)
    except HTTPError as error:
        error.close()
        return error.code


def test_the_scenario_can_change() -> None:
    """A new scenario counts its faults from zero; the server keeps its files and jobs."""
    with Simulator() as simulator:
        seen = [list_files(simulator)]
        for scenario in (BUSY, BUSY, Scenario()):
            simulator.change(scenario)
            seen.append(list_files(simulator))
        assert seen == [200, 503, 503, 200]
        assert [request["status"] for request in simulator.requests()] == seen


def test_an_answer_can_drip() -> None:
    """It arrives completely, but slowly."""
    dripping = Fault(match="GET /files", do="drip", bytes=20, seconds=0.05)
    with Simulator(Scenario(faults=(dripping,))) as simulator:
        start = time.monotonic()
        assert list_files(simulator) == 200
        assert time.monotonic() - start > 0.1


@pytest.mark.parametrize("provider", ["anthropic", "google"])
def test_every_provider_gets_the_new_scenario(provider: str) -> None:
    """A key that the first scenario accepts is refused under the second."""
    path = {"anthropic": "anthropic/v1/messages/batches", "google": "google/v1beta/batches"}[provider]
    headers = {"x-api-key": "old", "x-goog-api-key": "old", "anthropic-version": "2023-06-01"}
    with Simulator() as simulator:
        request = urllib.request.Request(f"{simulator.url}/{path}", headers=headers)
        urllib.request.urlopen(request).close()
        simulator.change(Scenario(keys=("new",)))
        with pytest.raises(HTTPError) as caught:
            urllib.request.urlopen(request)
        caught.value.close()
    assert caught.value.code in (400, 401)
