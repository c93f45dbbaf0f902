"""Answers as data, over the whole road: the simulator answers by the schema that it is sent."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from batch_router import BatchRouter, BatchStatusResponse, ErrorType, OutputSchema, UnifiedResult, ValidationError
from batch_router.providers import AnthropicProvider, GoogleProvider, OpenAIProvider, Provider, VLLMProvider
from batch_router.providers.vllm import VLLMSettings
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Misfit
from tests.providers import schema_classes as classes

KINDS = {"openai": (OpenAIProvider, "/openai/v1"), "anthropic": (AnthropicProvider, "/anthropic"),
         "google": (GoogleProvider, "/google")}  # fmt: skip
CHAT = "/v1/chat/completions"


def send(
    home: Path, name: str, rows: list[Any], scenario: Scenario | None = None, **options: Any
) -> list[UnifiedResult]:
    """The results of a batch that goes to a simulated provider."""

    async def main(url: str) -> list[UnifiedResult]:
        kind, path = KINDS[name]
        provider: Provider = kind(api_key="sk-1", base_url=url + path)
        async with BatchRouter(Settings(home=home), in_memory=True) as router:
            router.register_provider(provider)
            batch_id = await router.send_batch(name, rows, model="m-1", **options)
            await router.wait_for_completion(name, batch_id)
            return [result async for result in router.get_results(name, batch_id)]

    with Simulator(scenario or Scenario()) as simulator:
        return asyncio.run(main(simulator.url))


def row(custom_id: str, **config: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "prompt": "?", "generation_config": {"max_tokens": 50, **config}}


KINDS_TRIED = [kind for kind in classes.PLAIN if kind is not classes.Formats]


@pytest.mark.parametrize("name", KINDS)
def test_an_answer_fits_the_class_that_was_asked_for(tmp_path: Path, name: str) -> None:
    """Each row has a class of its own: its answer is an instance, and jsonschema says the same of its data."""
    rows = [row(kind.__name__, output_schema=kind) for kind in KINDS_TRIED]
    results = send(tmp_path, name, rows)
    for kind, result in zip(KINDS_TRIED, results, strict=True):
        schema = OutputSchema(schema=kind).schema
        if result.parse_error is None:
            assert Draft202012Validator(schema).is_valid(result.parsed)
            assert isinstance(result.parse(kind), BaseModel)
        else:  # bounds of numbers are words there, which the simulator does not read
            assert (kind, name) in {(classes.Bounds, "anthropic"), (classes.Bounds, "google")}
            with pytest.raises(
                ValidationError, match=f"custom_id '{kind.__name__}': the answer is no {kind.__name__}: "
            ):
                result.parse(kind)


@pytest.mark.parametrize("name", KINDS)
def test_a_batchs_schema_holds_for_rows_without_one(tmp_path: Path, name: str) -> None:
    """As an option, of a list: beside a row with a schema of its own, and rows of the provider's own files."""
    own = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": False}
    results = send(tmp_path, name, [row("a"), row("b", output_schema=own)], output_schema=list[classes.Label])
    assert all(isinstance(label, classes.Label) for label in results[0].parse(list[classes.Label]))
    assert results[1].parsed.keys() == {"x"}
    assert [result.parse_error for result in results] == [None, None]


def native(name: str, body: dict[str, Any]) -> dict[str, Any]:
    message = {"messages": [{"role": "user", "content": "?"}]}
    match name:
        case "openai":
            return {"custom_id": "a", "method": "POST", "url": CHAT, "body": message | body}
        case "anthropic":
            return {"custom_id": "a", "params": message | {"max_tokens": 9} | body}
    return {"key": "a", "request": {"contents": [{"role": "user", "parts": [{"text": "?"}]}]} | body}


LABEL = classes.Label.model_json_schema() | {"additionalProperties": False}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("openai", {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": LABEL}}}),
        ("anthropic", {"output_config": {"format": {"type": "json_schema", "schema": LABEL}}}),
        ("google", {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": LABEL}}),
    ],
)
def test_native_rows_are_parsed(tmp_path: Path, name: str, body: dict[str, Any]) -> None:
    """By the schema in their body, or by the batch's, which is written into one that has none."""
    (own,) = send(tmp_path / "own", name, [native(name, body)])
    (filled,) = send(tmp_path / "filled", name, [native(name, {})], output_schema=classes.Label)
    (text,) = send(tmp_path / "text", name, [native(name, {})])
    for result in (own, filled):
        assert result.parse_error is None
        assert isinstance(result.parse(classes.Label), classes.Label)
    assert (text.parsed, text.parse_error) == (None, None)


def test_an_engine_of_ones_own_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """VLLM gets the schema as a guide; a row whose answer does not fit goes again, and is errored with that answer."""
    day = tmp_path / "day.toml"
    day.write_text('[[misfit]]\nmatch = "wrong"\n')
    monkeypatch.setenv("BATCH_ROUTER_VLLM_SCENARIO", str(day))
    monkeypatch.setenv("BATCH_ROUTER_HOME", str(tmp_path / "home"))  # what its processes are known by
    command = f"{sys.executable} -m batch_router.simulator.vllm"
    rows = [row("right", output_schema=classes.Label), row("wrong", output_schema=classes.Label) | {"prompt": "wrong"}]

    async def main() -> tuple[BatchStatusResponse, list[UnifiedResult]]:
        settings = Settings(home=tmp_path / "home", sections=(VLLMSettings(command=command),))
        async with BatchRouter(settings, in_memory=True) as router:
            router.register_provider(VLLMProvider())
            batch_id = await router.send_batch("vllm", rows, model="m-1", invalid_retries=1)
            await router.wait_for_completion("vllm", batch_id)
            results = [result async for result in router.get_results("vllm", batch_id)]
            return await router.get_status("vllm", batch_id), results

    status, (right, wrong) = asyncio.run(main())
    assert (len(status.shards), status.invalid, status.tokens.answers) == (2, 1, 3)
    assert isinstance(right.parse(classes.Label), classes.Label)
    assert wrong.error is not None
    assert wrong.error.type is ErrorType.INVALID_OUTPUT
    assert str(wrong.text).startswith("Here you are: {")


def test_json_of_any_form_is_parsed(tmp_path: Path) -> None:
    """A text that is none is told, and the row has succeeded."""
    bodies = [native("openai", {"response_format": {"type": "json_object"}}) | {"custom_id": str(n)} for n in range(2)]
    bodies[1]["body"]["messages"] = [{"role": "user", "content": "no JSON"}]
    for result in send(tmp_path, "openai", bodies):
        assert result.is_successful()
        assert (result.parsed is None) == (result.parse_error is not None)


def test_rows_that_go_again_keep_their_schema(tmp_path: Path) -> None:
    """Each job answers half of its rows and expires: two are answered at once, one by a follow-up job."""
    kinds: list[type[BaseModel]] = [classes.Label, classes.Closed, classes.Pets, classes.Documented]
    rows = [row(kind.__name__, output_schema=kind) for kind in kinds]
    results = send(tmp_path, "openai", rows, Scenario(expire_after=0.5))
    answered = [(kind, result) for kind, result in zip(kinds, results, strict=True) if result.is_successful()]
    assert len(answered) == 3
    assert all(isinstance(result.parse(kind), kind) for kind, result in answered)


def test_a_text_without_a_schema_can_be_parsed_too(tmp_path: Path) -> None:
    """`parse` reads the text itself; what does not fit is told with what the model wrote, bounded."""
    label = {"name": "a", "score": 1}
    result = UnifiedResult(custom_id="q\x1b1", status="succeeded", text=json.dumps(label), response={})  # type: ignore[arg-type]
    assert result.parse(classes.Label) == classes.Label(name="a", score=1)
    assert result.parse(dict) == label
    wrong = msgspec.structs.replace(result, text="No, " + "x" * 10_000)
    with pytest.raises(
        ValidationError, match=r"^custom_id 'q\\\\x1b1': the answer is no Label: .*wrote 'No, x+\.\.\.'$"
    ) as told:
        wrong.parse(classes.Label)
    assert len(str(told.value)) < 1200


@pytest.mark.parametrize("name", KINDS)
def test_an_answer_that_does_not_fit_is_asked_again(tmp_path: Path, name: str) -> None:
    """As often as the batch says; then the row is errored and keeps its last answer. Without retries it succeeds."""
    rows = [row(str(number), output_schema=classes.Label) for number in range(12)]
    some = send(tmp_path / "some", name, rows, Scenario(misfit=(Misfit(share=0.3),)), invalid_retries=10)
    assert [result.parse(classes.Label) is not None for result in some] == [True] * 12
    for retries in (0, 1):
        scenario = Scenario(misfit=(Misfit(),))
        result = send(tmp_path / str(retries), name, rows[:1], scenario, invalid_retries=retries)[0]
        assert str(result.text).startswith("Here you are: {")
        assert str(result.parse_error).startswith("the text is no JSON")
        assert result.is_successful() == (retries == 0)
        assert retries == 0 or (result.error is not None and result.error.type is ErrorType.INVALID_OUTPUT)
