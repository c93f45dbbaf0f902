"""Which queue a batch for our own GPUs goes to, and which of its shards the engine takes next."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch_router import BatchRouter
from batch_router.core.jobs import EngineOption
from batch_router.exceptions import ValidationError
from batch_router.operations.submit import submit
from batch_router.providers import Loaded, VLLMProvider
from batch_router.providers.vllm import VLLMSettings
from batch_router.road.context import Context
from batch_router.road.engine_turns import MOST_IN_A_ROW, EngineTurns
from batch_router.road.steps.convert import convert
from batch_router.settings import Settings
from batch_router.state.items import Shard
from tests.items import new_shard, put_shards

QUEUES = {"tiny": "gpu.small", "large": "gpu.big"}


@pytest.fixture
def context(make_context: Callable[..., Context]) -> Context:
    """One where two models have queues of their own: by its settings, not by the environment of this process."""
    return make_context(sections=(VLLMSettings(gpu_queues=QUEUES),))


def row(model: str | None = None) -> dict[str, Any]:
    return {"custom_id": str(model), "prompt": "hi"} | ({"model": model} if model else {})


def test_a_batch_goes_to_the_queue_of_its_model(context: Context) -> None:
    """From its first message on; its item says so, too, for the sweep."""
    hint = submit(context, "vllm", {"model": "large", "requests": [row()]})
    assert hint.queue == "gpu.big"
    (swept,) = [*context.store.take_due(9, grace=1)] or [hint]
    assert swept.queue == "gpu.big"


@pytest.mark.parametrize(("model", "requests"), [("other", [row()]), ("tiny", [row(), row("other")])])
def test_a_model_that_no_queue_serves_is_refused(context: Context, model: str, requests: list[Any]) -> None:
    """Also where a single row names it; the error says what to do."""
    with pytest.raises(ValidationError, match=r"no GPU queue serves 'other'.*add the model there"):
        submit(context, "vllm", {"model": model, "requests": requests})


def test_a_star_stands_for_all_others(make_context: Callable[..., Context]) -> None:
    """So that only some models need a queue of their own."""
    context = make_context(sections=(VLLMSettings(gpu_queues={"tiny": "gpu.small", "*": "gpu"}),))
    assert submit(context, "vllm", {"model": "other", "requests": [row()]}).queue == "gpu"


def test_each_shard_goes_to_the_queue_of_its_model(context: Context) -> None:
    """A batch of two models is cut into shards for the workers of each."""
    batch = context.store.get_batch(submit(context, "vllm", {"requests": [row("tiny"), row("large")]}).id)
    assert batch is not None
    assert [shard.queue for shard in convert(context, batch).spawn] == ["gpu.small", "gpu.big"]


def test_a_router_uses_the_settings_that_it_was_given(tmp_path: Path) -> None:
    """Also those of one provider: a model without a queue is refused, whatever the environment says."""

    async def main() -> None:
        settings = Settings(home=tmp_path, sections=(VLLMSettings(gpu_queues=QUEUES),))
        async with BatchRouter(settings, in_memory=True) as router:
            router.register_provider(VLLMProvider())
            await router.send_batch("vllm", [row()], model="other")

    with pytest.raises(ValidationError, match="no GPU queue serves 'other'"):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("provider", "options", "words"),
    [
        ("vllm", {"trust-remote-code": True}, "cannot set 'trust-remote-code'; it can set .*max-model-len"),
        ("vllm", {"chat-template": "/etc/passwd"}, "takes the template itself"),
        ("openai", {"seed": 1}, "openai has no engine of ours"),
    ],
)
def test_an_engine_option_that_is_not_for_batches_is_refused(
    context: Context, provider: str, options: dict[str, Any], words: str
) -> None:
    """Before anything is sent."""
    with pytest.raises(ValidationError, match=words):
        submit(context, provider, {"model": "tiny", "requests": [row()], "engine_options": options})


def test_a_model_cannot_be_an_option(context: Context) -> None:
    """It stands among vLLM's arguments, some of which have it run any code."""
    with pytest.raises(ValidationError, match="is not the name of a model at the Hub"):
        submit(context, "vllm", {"model": "--tool-parser-plugin=x.py", "requests": [row()]})


class Engine:
    """One that has loaded a model."""

    def __init__(self, model: str | None, options: dict[str, EngineOption] | None = None) -> None:
        self.model = model
        self.options = options or {}

    def loaded(self) -> Loaded | None:
        return None if self.model is None else Loaded(self.model, self.options)


def shards_of(context: Context, *models: str) -> list[Shard]:
    """Waiting shards of one batch."""
    return put_shards(context.store, *(new_shard(provider="vllm", model=model) for model in models))


def test_a_shard_of_the_loaded_model_goes_first_but_not_for_ever(context: Context) -> None:
    """Ten of them, from the moment that another one waits; then it is the other one's turn."""
    same, other = shards_of(context, "a", "b")
    turns, client = EngineTurns(), Engine("a")
    assert not turns.passes_over(context.store, same, client)  # type: ignore[arg-type]
    for _ in range(MOST_IN_A_ROW):
        assert turns.passes_over(context.store, other, client)  # type: ignore[arg-type]
        assert not turns.passes_over(context.store, same, client)  # type: ignore[arg-type]
    assert not turns.passes_over(context.store, other, client)  # type: ignore[arg-type]
    client.model = "b"
    assert turns.passes_over(context.store, same, client)  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", [Engine(None), Engine("c"), Engine("b", {"seed": 1})])
def test_nobody_waits_for_what_no_shard_wants(context: Context, engine: Engine) -> None:
    """The next model is loaded at once; with other options it is another one."""
    same, _ = shards_of(context, "a", "b")
    assert not EngineTurns().passes_over(context.store, same, engine)  # type: ignore[arg-type]
