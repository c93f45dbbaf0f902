"""The settings that only vLLM has."""

import pytest

from batch_router.exceptions import ValidationError
from batch_router.providers import VLLMProvider
from batch_router.providers.vllm import VLLMSettings
from batch_router.settings import Settings


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("VLLM_COMMAND", "python -m vllm", "command", "python -m vllm"),
        ("VLLM_ENGINE", "run-batch", "engine", "run-batch"),
        ("VLLM_OPTIONS", '{"seed": 1, "enforce-eager": true}', "options", {"seed": 1, "enforce-eager": True}),
        ("GPU_QUEUES", '{"tiny": "gpu.small"}', "gpu_queues", {"tiny": "gpu.small"}),
    ],
)
def test_every_setting_has_its_variable(variable: str, value: str, field: str, expected: object) -> None:
    """The variables that users know set one field each."""
    read = Settings.from_env({f"BATCH_ROUTER_{variable}": value})
    assert read.of(VLLMSettings) == VLLMSettings(**{field: expected})  # type: ignore[arg-type]
    assert (read.others, Settings().of(VLLMSettings)) == ({}, VLLMSettings())


@pytest.mark.parametrize(
    ("variable", "value"),
    [("VLLM_OPTIONS", "--seed 1"), ("GPU_QUEUES", '{"tiny": "cpu"}'), ("GPU_QUEUES", "[1]"), ("VLLM_ENGINE", "v2")],
)
def test_a_table_of_the_wrong_form_is_refused(variable: str, value: str) -> None:
    """Options and queues are JSON objects, and a GPU queue is called one."""
    with pytest.raises(ValidationError, match=f"^BATCH_ROUTER_{variable}"):
        Settings.from_env({f"BATCH_ROUTER_{variable}": value})


@pytest.mark.parametrize("option", ["port", "api-key", "served_model_name"])
def test_an_engine_is_reached_in_one_way(option: str) -> None:
    """What we set ourselves cannot be set besides, in whichever way it is written."""
    with pytest.raises(ValidationError, match=r"vllm_options: .* is set by batch_router itself"):
        Settings.from_env({"BATCH_ROUTER_VLLM_OPTIONS": f'{{"{option}": "1"}}'})
    with pytest.raises(ValidationError, match="vllm_args: "):
        VLLMProvider(vllm_args={option: "1"})
