"""How the simulated providers behave: data, read from TOML or made in Python. By default nothing goes wrong."""

import time
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .oddities import AnyOdd
from .parts import Calls, Part, Seconds


class Latency(Part, frozen=True, kw_only=True):
    """How long a job stays in each state, in seconds."""

    validating: Seconds = 0
    in_progress: Seconds = 0
    finalizing: Seconds = 0
    cancelling: Seconds = 0


class Answer(Part, frozen=True, kw_only=True):
    """The text for prompts in which the regular expression `match` is found; `{0}`, `{1}` ... are its groups."""

    match: str
    text: str


class Refusal(Part, frozen=True, kw_only=True):
    """Rows that the API refuses one by one, as it refuses a bad parameter.

    Attributes:
        match: a regular expression over the prompt; empty matches all rows.
        share: the share of the matching rows that is refused, from 0 to 1.
        job: refuse the whole job for such rows, naming their lines: OpenAI and Google fail it, Anthropic refuses to
            create it.
    """

    match: str = ""
    share: Annotated[float, Meta(ge=0, le=1)] = 1
    status: int = 400
    type: str = "invalid_request_error"
    code: str | None = None
    message: str = "This request was refused by the scenario."
    job: bool = False


class Misfit(Part, frozen=True, kw_only=True):
    """Answers that are no JSON although the request asks for JSON: words stand in front of it.

    Attributes:
        match: a regular expression over the prompt; empty matches all rows.
        share: the share of the matching rows that is answered like this; a row that is sent again has another chance.
    """

    match: str = ""
    share: Annotated[float, Meta(ge=0, le=1)] = 1


class Fault(Calls, frozen=True, kw_only=True):
    """What goes wrong with HTTP requests: by default with one of those that match.

    Attributes:
        do: `status`: answer with that status without handling the request; `status_after`: handle it, then answer with
            that status, as a gateway does that has waited too long; `html`: answer 200 with an HTML page;
            `reset_before`: cut the connection without handling the request; `reset_after`: handle it, then cut the
            connection without an answer;
            `truncate`: cut the answer after `bytes`; `delay`: wait `seconds` first; `drip`: send the answer `bytes`
            at a time, `seconds` apart.
    """

    match: str
    do: Literal["status", "status_after", "html", "reset_before", "reset_after", "truncate", "delay", "drip"]
    times: int | None = 1
    status: int = 503
    retry_after: str | None = None
    bytes: int = 100
    seconds: Seconds = 1


class Scenario(Part, frozen=True, kw_only=True):
    """How the simulated providers behave.

    Attributes:
        seed: decides the order of the answers and everything else that looks random.
        style: the text where no `answers` matches: the prompt again (`echo`), or a few words (`words`).
        misfit: rows that ask for JSON and get something else.
        recorded: a file of answers recorded from the real service, returned instead of generated ones.
        drop: rows that are never returned (a regular expression over the prompt).
        repeat: rows that are returned twice (a regular expression over the prompt).
        fail_job: the code with which every job fails after validation; Anthropic's jobs do not fail, so every row does.
        queued_tokens: how many tokens all running jobs may have together, a token for every four bytes; a job that goes
            beyond it fails at OpenAI, and is refused with 429 at Google.
        expire_after: the share of the rows that is answered before every job expires.
        crash_after: how many rows each run of a local engine answers before the engine crashes.
        poison: a local engine crashes on rows whose prompt matches this regular expression.
        keys: the valid keys; empty accepts any.
        accounts_by_key: whether each key has an account of its own, which knows nothing of what other keys made.
        clock: how many seconds the providers' clocks are ahead; it shows in `Date` and in all times of jobs and files.
        received: a file to which a local engine appends each row that it reads, byte for byte.
    """

    seed: int = 0
    latency: Latency = Latency()
    style: Literal["echo", "words"] = "echo"
    answers: tuple[Answer, ...] = ()
    refuse: tuple[Refusal, ...] = ()
    misfit: tuple[Misfit, ...] = ()
    recorded: str | None = None
    drop: str | None = None
    repeat: str | None = None
    fail_job: str | None = None
    queued_tokens: int | None = None
    expire_after: Annotated[float, Meta(ge=0, le=1)] | None = None
    crash_after: Annotated[int, Meta(ge=0)] | None = None
    poison: str | None = None
    keys: tuple[str, ...] = ()
    accounts_by_key: bool = False
    clock: float = 0
    received: str | None = None
    faults: tuple[Fault, ...] = ()
    odd: tuple[AnyOdd, ...] = ()

    def now(self) -> float:
        """The time by the providers' clocks."""
        return time.time() + self.clock


def load_scenario(path: Path | None) -> Scenario:
    """The scenario in a file; the default one without a file.

    Raises:
        ValueError: the file is not TOML, or has a key or a value that no scenario has.
    """
    if path is None:
        return Scenario()
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), Scenario)
    except (msgspec.ValidationError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: {error}") from error
