"""The provider's bill: which rows were answered, and are paid, whatever became of their job or of its answers since.

It does not look at the log of requests, and is kept by time: a row is paid once the job has come to it, also if no
client ever asks for the job again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from .keys import KEY
from .progress import Progress, Timed
from .rows import read_rows
from .scenario import Scenario

_OVER = ("completed", "failed", "expired", "cancelled")


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is paid.

    Attributes:
        key: whose account pays, where each key has its own; else empty.
        job: the provider's id of the job.
        label: what the job was labelled with, in its metadata or as its name; empty at Anthropic, which has no labels.
        row: the row's id as it was sent.
        prompt: what the row asked, as text.
        input_tokens: as its answer says, where the answer says so; likewise `output_tokens`.
    """

    provider: str
    key: str
    job: str
    label: str
    row: str
    prompt: str
    input_tokens: int
    output_tokens: int


class Tokens(NamedTuple):
    """The tokens of a row that is answered."""

    input_tokens: int
    output_tokens: int


class Tariff(NamedTuple):
    """What a provider takes money for: rows that were answered, and not those that were refused.

    Attributes:
        row_id: the member of a row that has its id.
        prompt: what a row asks.
        tokens: of a row of this job; None: it is refused.
        pays_whole_jobs: whether the rows of a job that expires cost nothing, as no answer is kept.
    """

    provider: str
    row_id: str
    prompt: Callable[[dict[str, Any]], str]
    tokens: Callable[[Any, Scenario, dict[str, Any]], Tokens | None]
    pays_whole_jobs: bool = False


@dataclass
class _Entry:
    """A job on the bill.

    Attributes:
        rows: its rows, in a file that stays.
        answered: how many rows had been answered when the scenario changed, with the scenario until then.
    """

    job: Timed
    job_id: str
    label: str
    key: str
    rows: Path
    is_over: bool = False
    answered: list[tuple[int, Scenario]] = field(default_factory=list)


class Bill:
    """The jobs of one provider, also those that were deleted."""

    def __init__(self, tariff: Tariff) -> None:
        self._tariff = tariff
        self._entries: list[_Entry] = []

    def open(self, job: Timed, job_id: str, label: str, rows: Path) -> None:
        """Enter a job that was created."""
        self._entries.append(_Entry(job, job_id, label, KEY.get(), rows))

    def settle(self, scenario: Scenario) -> None:
        """Enter what was answered so far, by the scenario until now."""
        for entry in self._entries:
            if not entry.is_over:
                self._settle(entry, scenario)

    def _settle(self, entry: _Entry, scenario: Scenario) -> None:
        progress = Progress(entry.job, scenario, scenario.now())
        status, answered = progress.status, progress.answered
        if self._tariff.pays_whole_jobs and status not in ("completed", "cancelled"):
            answered = 0
        if answered > (entry.answered[-1][0] if entry.answered else 0):
            entry.answered.append((answered, scenario))
        entry.is_over = status in _OVER

    def charges(self, scenario: Scenario) -> Iterator[Charge]:
        """All rows that are paid until now."""
        self.settle(scenario)
        for entry in list(self._entries):
            start = 0
            for end, then in list(entry.answered):
                yield from self._charges(entry, entry.job.offsets[start:end], then)
                start = end

    def _charges(self, entry: _Entry, offsets: list[int], scenario: Scenario) -> Iterator[Charge]:
        for row in read_rows(entry.rows, offsets):
            tokens = self._tariff.tokens(entry.job, scenario, row)
            if tokens is not None:
                yield Charge(
                    provider=self._tariff.provider,
                    key=entry.key,
                    job=entry.job_id,
                    label=entry.label,
                    row=str(row.get(self._tariff.row_id)),
                    prompt=self._tariff.prompt(row),
                    **tokens._asdict(),
                )
