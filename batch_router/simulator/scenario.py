"""How the simulated providers behave: data, read from TOML or made in Python. The default is an ideal day."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(ge=0)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file; a key that it does not have is an error."""


class Latency(_Part, frozen=True, kw_only=True):
    """How long a job stays in each state, in seconds."""

    validating: Seconds = 0
    in_progress: Seconds = 0
    finalizing: Seconds = 0
    cancelling: Seconds = 0


class Answer(_Part, frozen=True, kw_only=True):
    """The text for prompts in which the regular expression `match` is found; `{0}`, `{1}` ... are its groups."""

    match: str
    text: str


class Refusal(_Part, frozen=True, kw_only=True):
    """Rows that the API refuses one by one, as it refuses a bad parameter.

    Attributes:
        match: a regular expression over the prompt; empty: all rows.
        share: of those rows, how many, from 0 to 1.
    """

    match: str = ""
    share: Annotated[float, Meta(ge=0, le=1)] = 1
    status: int = 400
    type: str = "invalid_request_error"
    code: str | None = None
    message: str = "This request was refused by the scenario."


class Fault(_Part, frozen=True, kw_only=True):
    """What goes wrong on the way, and for which requests.

    Attributes:
        match: method and path below the provider's prefix, e.g. `POST /batches`; the path as a regular expression.
        after: how many matching requests go well first.
        times: how many go wrong then.
        do: `status`: answer with that status; `html`: 200 with a page; `reset_before`: cut the connection, nothing
            happened; `reset_after`: it happened, and the answer is lost; `truncate`: cut the answer after `bytes`;
            `delay`: wait `seconds` first; `drip`: the answer comes `bytes` at a time, `seconds` apart.
    """

    match: str
    do: Literal["status", "html", "reset_before", "reset_after", "truncate", "delay", "drip"]
    after: int = 0
    times: int = 1
    status: int = 503
    retry_after: str | None = None
    bytes: int = 100
    seconds: Seconds = 1


class Scenario(_Part, frozen=True, kw_only=True):
    """A day at the providers.

    Attributes:
        seed: the order of the answers, and all else that looks random.
        style: what an answer says where no `answers` matches: the prompt again, or a few words.
        recorded: a file of answers recorded from the real service, which are given out in place of made ones.
        drop: rows that are never returned (a regular expression over the prompt).
        repeat: rows that are returned twice.
        fail_job: the code with which every job fails after validation; at Anthropic, where no job fails, every row.
        expire_after: the share of rows that is done when every job expires.
        crash_after: how many rows each run of a local engine answers before it breaks down.
        poison: a local engine breaks down on rows in whose prompt this regular expression is found.
        keys: the keys that are valid; none named: any.
    """

    seed: int = 0
    latency: Latency = Latency()
    style: Literal["echo", "words"] = "echo"
    answers: tuple[Answer, ...] = ()
    refuse: tuple[Refusal, ...] = ()
    recorded: str | None = None
    drop: str | None = None
    repeat: str | None = None
    fail_job: str | None = None
    expire_after: Annotated[float, Meta(ge=0, le=1)] | None = None
    crash_after: Annotated[int, Meta(ge=0)] | None = None
    poison: str | None = None
    keys: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


def load_scenario(path: Path | None) -> Scenario:
    """The scenario of a file; without one, the ideal day.

    Raises:
        ValueError: the file is not TOML, or has a key or a value that a scenario does not have.
    """
    if path is None:
        return Scenario()
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), Scenario)
    except (msgspec.ValidationError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: {error}") from error
