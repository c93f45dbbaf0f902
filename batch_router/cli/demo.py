"""`batch-router demo`: the whole system on this machine, offline, without keys."""

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from ..client import BatchClient
from ..connect import open_context
from ..core import BatchStatus, BatchStatusResponse
from ..embedded import running_url
from ..exceptions import NoWorkerError
from ..security.files import make_home
from ..settings import PREFIX, Settings
from .display import follow, summary
from .exit_codes import ExitCode
from .guarded import Guarded
from .terminal import say, stderr, stdout, table, tell

_ROWS = 40
_ROWS_PER_SHARD = 20
_START_WITHIN = 60.0
# `up` gives its processes ten.
_END_WITHIN = 20.0
_PROCESSES = ("io", "cpu", "gpu")
_QUEUES = ("io", "poll", "cpu", "gpu")
_LOOK_EVERY = 0.2
_MODELS = {
    "openai": "gpt-5-mini",
    "anthropic": "claude-haiku-4-5",
    "google": "gemini-2.5-flash",
    "vllm": "tiny-llama",
}

# Slow enough to watch each state.
_LATENCY = """\
seed = 7

[latency]
validating = 1.0
in_progress = 4.0
finalizing = 0.5
"""
_ANSWER = """
[[answers]]
match = '^{question}$'
text = "{text}"
"""


class _Sum(NamedTuple):
    """One question of the demo: so many shelves with so many books each."""

    books: int
    shelves: int

    @property
    def question(self) -> str:
        return f"A shelf holds {self.books} books. How many books are on {self.shelves} such shelves?"

    @property
    def answer(self) -> str:
        product = f"{self.shelves} x {self.books} = {self.shelves * self.books}"
        return f"Each of the {self.shelves} shelves holds {self.books} books, so there are {product} books."


_SUMS = [_Sum(number + 3, number % 7 + 2) for number in range(_ROWS)]


@click.command()
def demo() -> int:
    """Send a batch to each simulated provider, through real workers and a real Valkey, and show the progress."""
    home = Settings.from_env().home.absolute() / f"demo-{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}"
    make_home(home)
    say(f"Starting Valkey, workers and simulated providers in {home} ...")
    with _stack(home):
        client = _wait_for_workers(home)
        rows = home / "requests.jsonl"
        rows.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in _requests()))
        batch_ids = [
            client.submit(
                provider,
                model=model,
                system_prompt="You are a patient teacher of arithmetic.",
                generation_config={"max_tokens": 200},
                input=rows,
            )
            for provider, model in _MODELS.items()
        ]
        statuses = _wait(client, batch_ids)
        for status in statuses:
            results = home / f"results-{status.provider}.jsonl"
            with results.open("wb") as stream:
                stream.writelines(client.result_lines(status.batch_id))
        _print_answers(client, statuses)
        client.close()
        for status in statuses:
            say(summary(status))
            tell(home / f"results-{status.provider}.jsonl")
    answered = all(status.request_counts.succeeded == status.request_counts.total for status in statuses)
    return ExitCode.OK if answered else ExitCode.UNANSWERED


def _wait(client: BatchClient, batch_ids: list[str]) -> list[BatchStatusResponse]:
    with follow(stderr()) as show:
        while True:
            statuses = [client.status(batch_id) for batch_id in batch_ids]
            show(*statuses)
            if all(status.is_complete() for status in statuses):
                return statuses
            time.sleep(_LOOK_EVERY)


def _requests() -> Iterator[dict[str, str]]:
    for number, each in enumerate(_SUMS):
        yield {"custom_id": f"question {number}", "prompt": each.question}


def _scenario() -> str:
    """How the simulated providers behave: the answers are written here, for no model is asked."""
    answers = (_ANSWER.format(question=re.escape(each.question), text=each.answer) for each in _SUMS)
    return _LATENCY + "".join(answers)


@contextmanager
def _stack(home: Path) -> Iterator[None]:
    """`batch-router up --simulate` in its own home, without the settings and keys of this machine."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment[f"{PREFIX}HOME"] = str(home)
    scenario = home / "scenario.toml"
    scenario.write_text(_scenario())
    options = ["--verbose", "--scenario", str(scenario)]
    with (home / "up.log").open("wb") as log:
        up = Guarded(
            [sys.executable, "-P", "-m", "batch_router.cli", "up", *options, *_PROCESSES], environment, log=log
        )
        try:
            yield
        finally:
            up.end(_END_WITHIN)


def _wait_for_workers(home: Path) -> BatchClient:
    deadline = time.monotonic() + _START_WITHIN
    client = None
    while time.monotonic() < deadline:
        if client is None and running_url(home) is not None:
            client = BatchClient(open_context(Settings(home=home, max_shard_rows=_ROWS_PER_SHARD)))
        if client is not None and all(client.listeners(queue) for queue in _QUEUES):
            return client
        time.sleep(0.1)
    raise NoWorkerError(f"the workers did not start within {_START_WITHIN:.0f} s; {home / 'up.log'} says why")


def _print_answers(client: BatchClient, statuses: list[BatchStatusResponse]) -> None:
    shown = table("provider", "custom_id", "status", "text", title="the first answers")
    for status in statuses:
        if status.status is BatchStatus.FAILED:
            continue
        for result in islice(client.results(status.batch_id), 2):
            shown.add_row(status.provider, result.custom_id, result.status.value, (result.text or "")[:90])
    stdout().print(shown)
