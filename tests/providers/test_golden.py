"""Every recorded answer of the real services, normalized without loss, and served again by the simulator."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batch_router import BatchRouter
from batch_router.providers import find_provider
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator

#: file of answers -> how many, and what is peculiar about them
ANSWERS: dict[str, tuple[int, str]] = {
    "openai/CheolheeLee0__batch_output.jsonl": (2, "chat completions of 2025"),
    "openai/L3G5__batch_output.jsonl": (36, "`annotations` in the message"),
    "openai/Valzaak__batch_results_responses_api.jsonl": (3, "`/v1/responses`; today's SDK refuses these bodies"),
    "openai/curator__basic_batch_completion__file-GykDwPni5UjeQEo2wkgrh7.jsonl": (3, "out of order"),
    "openai/curator__failed_request_batch_resume__file-PWB1SHg1dfa4aHwozaauxd.jsonl": (
        1,
        "the one answer of a batch that was resumed",
    ),
    "openai/n0remac__error_file.jsonl": (1, "an error file: 400, its `code` null, `error` null beside it"),
    "openai/unknownrepo_id12176501904__insufficient_quota_line.jsonl": (1, "429 of a kind that no wait heals"),
    "openai/weiguo-li__batch_output_test.jsonl": (10, "request ids in another form"),
    "anthropic/curator__basic_batch_completion__msgbatch_01MxdL3LT4Dizo9t3j6FY9Ap.jsonl": (3, "thinking blocks"),
    "anthropic/jlawjlaw__batch_results.jsonl": (20, "the last line has no newline"),
    "anthropic/unknownrepo_id53776281109__errored_line.jsonl": (1, "an error in an error, with `details`"),
    "gemini/7shi__results_basic.jsonl": (5, "the order of the keys is random"),
    "vllm/jimenaRL__llava_results_63eabefd.jsonl": (14, "answers about pictures"),
}
NAMES = {"gemini": "google"}


def answers(shared: Path, file: str) -> list[bytes]:
    path = shared / "golden" / file
    if not path.exists():
        pytest.skip("the recorded rows are not here")
    return [line for line in path.read_bytes().split(b"\n") if line.strip()]


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from leaves(each)
    elif value is not None:
        yield value


@pytest.mark.parametrize("file", ANSWERS)
def test_no_leaf_of_a_recorded_answer_is_lost(shared: Path, file: str) -> None:
    """Each value of the row, but the name of the row itself, is found in its result as it is written out."""
    codec = find_provider(NAMES.get(file.partition("/")[0], file.partition("/")[0])).codec
    lines = answers(shared, file)
    assert len(lines) == ANSWERS[file][0]
    for line in lines:
        result, repaired = codec.decode(line, codec.read_row_id(line) or "")
        assert not repaired
        found = set(map(repr, leaves(msgspec.json.decode(msgspec.json.encode(result)))))
        row = json.loads(line)
        row.pop("id", None)
        missing = [leaf for leaf in leaves(row) if repr(leaf) not in found]
        # What a line says of itself, and not of its answer, is in the result's own words.
        assert all(leaf in (200, "succeeded", "error") for leaf in missing), missing


def test_every_recorded_file_is_in_the_table(shared: Path) -> None:
    """A recording that is added has to be looked at."""
    folder = shared / "golden"
    inputs = ("input", "tasks")
    known = {
        str(path.relative_to(folder))
        for path in folder.rglob("*.jsonl")
        if not any(word in path.name for word in inputs)
    }
    assert known == set(ANSWERS)


@pytest.mark.parametrize(
    ("file", "provider", "path"),
    [
        ("openai/L3G5__batch_output.jsonl", "openai", "/openai/v1"),
        ("anthropic/jlawjlaw__batch_results.jsonl", "anthropic", "/anthropic"),
        ("gemini/7shi__results_basic.jsonl", "google", "/google"),
    ],
)
def test_recorded_answers_go_the_whole_road(shared: Path, tmp_path: Path, file: str, provider: str, path: str) -> None:
    """Served by the simulator with nothing but the row ids replaced, they come back as the results of our requests."""
    lines = answers(shared, file)
    rows = [
        {"custom_id": f"row {n}", "prompt": "Hello", "generation_config": {"max_tokens": 9}} for n in range(len(lines))
    ]

    async def main(url: str) -> list[Any]:
        async with BatchRouter(Settings(home=tmp_path), in_memory=True) as router:
            router.register_provider(find_provider(provider)(api_key="k", base_url=url + path))
            batch_id = await router.send_batch(provider, rows, model="m")
            await router.wait_for_completion(provider, batch_id)
            return [result async for result in router.get_results(provider, batch_id)]

    with Simulator(Scenario(recorded=str(shared / "golden" / file))) as simulator:
        results = asyncio.run(main(simulator.url))
    codec = find_provider(provider).codec
    for number, (line, result) in enumerate(zip(lines, results, strict=True)):
        expected = codec.decode(line, result.custom_id)[0]
        assert (result.custom_id, result.status) == (f"row {number}", expected.status)
        assert (result.text, result.usage, result.finish_reason_raw) == (
            expected.text,
            expected.usage,
            expected.finish_reason_raw,
        )
