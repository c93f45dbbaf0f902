"""The options of the commands that read rows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypedDict, cast

import click

from ..core import Endpoint
from ..intake.encode import Unsupported
from ..intake.options import SubmitOptions

_ENDPOINTS = [endpoint.value for endpoint in Endpoint]


class RowOptions(TypedDict):
    """What `row_options` adds to a command, besides the file and the provider."""

    model: str | None
    replace_model: bool
    endpoint: Literal["chat", "responses", "embeddings"] | None
    system_prompt: str | None
    temperature: float | None
    max_tokens: int | None
    unsupported: Unsupported


def row_options(command: Callable[..., int]) -> Callable[..., int]:
    """The options of the commands that read rows."""
    for option in reversed(
        (
            click.argument("file", type=click.Path(path_type=Path)),
            click.option("--provider", required=True, help="openai, anthropic, google, vllm ..."),
            click.option("--model", help="The model of rows without one."),
            click.option("--replace-model", is_flag=True, help="Take --model for all rows, whatever they name."),
            click.option(
                "--endpoint",
                type=click.Choice(_ENDPOINTS, case_sensitive=False),
                help="The endpoint of rows without one.",
            ),
            click.option("--system-prompt", help="The system prompt of rows without one."),
            click.option("--temperature", type=float, help="For rows without one."),
            click.option("--max-tokens", type=int, help="For rows without one."),
            click.option(
                "--unsupported",
                type=click.Choice(["error", "drop"]),
                default="error",
                help="Refuse what the provider does not take, or leave it out and count it.",
            ),
        )
    ):
        command = option(command)
    return command


def options_of(given: RowOptions) -> SubmitOptions:
    """What was given, as `submit` takes it."""
    config = {"temperature": given["temperature"], "max_tokens": given["max_tokens"]}
    rest = {name: value for name, value in given.items() if name not in config}
    return cast(SubmitOptions, rest | {"generation_config": config})


def read_engine_options(options: Sequence[str]) -> dict[str, str | bool]:
    """Read `max-model-len=4096` or `enforce-eager`, with or without vLLM's leading dashes."""
    pairs = [option.lstrip("-").partition("=") for option in options]
    return {name: value if equals else True for name, equals, value in pairs}


def read_pairs(option: str, pairs: Sequence[str]) -> dict[str, str]:
    """Read `NAME=VALUE`, as often as an option was given."""
    split = [pair.partition("=") for pair in pairs]
    for key, equals, _ in split:
        if not key or not equals:
            raise click.UsageError(f"{option} takes KEY=VALUE, not {key!r}")
    return {key: value for key, _, value in split}
