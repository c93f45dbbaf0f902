"""The ledger: how much all shards take together of what is limited. `Shard.booked` says what one of them takes.

A line of it is a name:

    tokens:<account>:<model>        input tokens of jobs that wait or run; how many a provider lets wait
    jobs:<account>:<model>          such jobs
    jobs:<scope>                    such jobs; a limit of 0 is a pause
    spent:<scope>                   millionths of a dollar, from when the scope was given a budget on
    seen:<provider>:<model>:<what>  what answers teach: bytes of requests, input and output tokens, answers

An account is `provider` or `provider/credential`, a scope `batch=ID`, `credential=NAME`, `provider=NAME` or
`metadata.KEY=VALUE`. What is spent or seen adds up and outlives its shards; of all else one that ends takes nothing.
"""

from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Final, NamedTuple

#: What the ledger counts money in.
DOLLAR: Final = 1_000_000

SPENT: Final = "spent:"
JOBS: Final = "jobs:"
TOKENS: Final = "tokens:"
_SEEN: Final = "seen:"


class Line(NamedTuple):
    """A line of the ledger: what is taken of it, how much may be, and how many shards wait for room."""

    name: str
    booked: int
    limit: int | None
    waiting: int


class Reservation(NamedTuple):
    """The answer to `Store.reserve`.

    Attributes:
        is_held: whether the item is still the caller's.
        short_of: the line that has no room; None: everything is booked.
    """

    is_held: bool
    short_of: str | None = None


def in_ledger(dollars: Decimal) -> int:
    """Money as the ledger counts it, rounded up."""
    return int((dollars * DOLLAR).to_integral_value(ROUND_CEILING))


def account_of(provider: str, credential: str | None) -> str:
    """The name of an account in lines."""
    return provider if credential is None else f"{provider}/{credential}"


def scopes_of(batch_id: str, provider: str, credential: str | None, metadata: Mapping[str, str]) -> Iterator[str]:
    """The scopes that a shard of a batch belongs to."""
    yield f"batch={batch_id}"
    yield f"provider={provider}"
    if credential is not None:
        yield f"credential={credential}"
    for key, value in metadata.items():
        yield f"metadata.{key}={value}"


def seen_line(provider: str, model: str, what: str) -> str:
    """Where it is added up what answers of a model teach: `bytes`, `input`, `output` or `answers`."""
    return f"{_SEEN}{provider}:{model}:{what}"


def adds_up(line: str) -> bool:
    """Whether what a shard took of it stays taken when the shard is gone."""
    return line.startswith((SPENT, _SEEN))
