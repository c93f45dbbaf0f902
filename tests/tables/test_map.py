"""A table goes to a simulated provider and comes back with the columns of its answers."""

import asyncio
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batch_router import AsyncBatchClient, BatchClient, BatchRouter, InvalidInputError, ValidationError
from batch_router.operations.submit import submit
from batch_router.providers import OpenAIProvider
from batch_router.road.context import Context
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Answer, Refusal
from batch_router.tables.rendering import render_table

Use = Callable[[AsyncBatchClient], Any]
SCENARIO = Scenario(
    refuse=(Refusal(match="refuse me"),), answers=(Answer(match="Is it (\\w+)", text='{{"label": "{1}"}}'),)
)


class Label(msgspec.Struct):
    label: str


def run(home: Path, use: Use, scenario: Scenario = SCENARIO) -> Any:
    """What `use` gives with a client whose batches go to a simulated OpenAI."""

    async def main(url: str) -> Any:
        async with BatchRouter(Settings(home=home), in_memory=True) as router:
            router.register_provider(OpenAIProvider(api_key="sk-1", base_url=url + "/openai/v1"))
            return await use(await router._client())

    with Simulator(scenario) as simulator:
        return asyncio.run(main(simulator.url))


def test_a_table_comes_back_with_its_answers(tmp_path: Path) -> None:
    """In its order, one row for each, from both clients; `join` gives them again, also without the table."""
    table: list[dict[str, object]] = [{"text": "good", "n": 1}, {"text": "refuse me", "n": None}]

    async def use(client: AsyncBatchClient) -> Any:
        options: Any = {"provider": "openai", "model": "m", "schema": Label, "system_prompt": "{{n}} is {n}"}
        mapped = [row async for row in client.map(table, "Is it {text}?", **options, batch_id="b")]
        joined = [row async for row in client.join("b")]
        blocking = BatchClient(client._client._context)
        again = await asyncio.to_thread(lambda: list(blocking.map(table, "Is it {text}?", **options)))
        with pytest.raises(ValidationError, match="table is not the table that was submitted: it has 1 rows"):
            list(blocking.join("b", table[:1]))
        with pytest.raises(ValidationError, match="table is not the table that was submitted: it has more than 2 rows"):
            list(blocking.join("b", table * 2))
        return mapped, joined, again

    (first, second), joined, again = run(tmp_path, use)
    assert first | {"input_tokens": 0, "output_tokens": 0} == {
        "text": "good", "n": 1, "label": "good", "answer_text": '{"label": "good"}', "status": "succeeded",
        "error": None, "input_tokens": 0, "output_tokens": 0, "cost": None,
    }  # fmt: skip
    assert (second["n"], second["label"], second["status"]) == (None, None, "errored")
    assert second["error"].startswith("invalid_request: ")
    assert [row["custom_id"] for row in joined] == ["1", "2"]
    assert again == [first, second]


def test_questions_go_from_csv_to_csv(tmp_path: Path, shared: Path) -> None:
    """All of GSM8K's, with commas, quotes, line ends and ids of their own: each comes back beside its answer."""
    questions = [json.loads(line) for line in (shared / "data" / "gsm8k_test.jsonl").read_bytes().splitlines()]
    path = tmp_path / "questions.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "question", "answer"])
        writer.writerows([f"q-{number}", each["question"], each["answer"]] for number, each in enumerate(questions))

    async def use(client: AsyncBatchClient) -> Any:
        rows = client.map(str(path), "Solve: {question}", provider="openai", model="m", id_column="id", batch_id="b")
        return [row async for row in rows]

    found = run(tmp_path, use)
    assert [(row["id"], row["question"], row["answer"]) for row in found] == [
        (f"q-{number}", each["question"], each["answer"]) for number, each in enumerate(questions)
    ]
    assert [row["text"] for row in found] == [f"Solve: {each['question']}" for each in questions]
    assert {row["status"] for row in found} == {"succeeded"}


def test_bad_rows_are_told_by_their_numbers(context: Context, tmp_path: Path, stored: Callable[[], list[str]]) -> None:
    """Repeated ids and rows that cannot be sent, all at once; nothing is stored."""
    path = tmp_path / "t.csv"
    path.write_text('id,text\na,"1\n2"\nb,2\n,3\na,4\n')
    with pytest.raises(InvalidInputError) as caught:
        submit(context, "openai", {"model": "m", "requests": render_table(path, "{text}", id_column="id")})
    first, second = caught.value.problems
    assert first.startswith(f"{path}, row 3: custom_id: ")
    assert second == f"{path}, row 4: custom_id: 'a' was used before, at row 1; make it unique"
    assert stored() == []


def test_another_table_is_refused(tmp_path: Path) -> None:
    """A row whose cells do not say its result's id is not that row."""
    table = [{"id": "a", "t": "1"}, {"id": "b", "t": "2"}]

    async def use(client: AsyncBatchClient) -> None:
        asked = client.map(table, "{t}", "openai", model="m", id_column="id", batch_id="b")
        assert [row["text"] async for row in asked] == ["1", "2"]
        with pytest.raises(ValidationError, match="the result of row 1 is that of 'a', and no cell of the row says so"):
            [row async for row in client.join("b", table[::-1])]

    run(tmp_path, use)
