"""Budgets, limits and pauses: what the operator allows to be taken together; see `state/ledger.py`."""

from collections.abc import Sequence
from decimal import Decimal

from ..core.shown import Shown
from ..exceptions import BatchNotFoundError, ValidationError
from ..intake.options import MOST_DOLLARS
from ..road.context import Context
from ..security.names import BATCH_ID, CREDENTIAL, PROVIDER
from ..security.printable import printable
from ..state.ledger import DOLLAR, JOBS, SPENT, TOKENS, account_of, in_ledger

_MOST = 10**12
_SHOWN = 100
_FORMS = "batch=ID, credential=NAME, provider=NAME or metadata.KEY=VALUE"
_NAMES = {"batch": BATCH_ID, "credential": CREDENTIAL, "provider": PROVIDER}


class Budget(Shown, frozen=True, kw_only=True):
    """What a scope may cost, in US dollars.

    Attributes:
        scope: `batch=ID`, `credential=NAME`, `provider=NAME` or `metadata.KEY=VALUE`.
        limit: how much may be spent from when the budget was first set on.
        taken: how much is spent, or reserved for jobs that run.
        waiting: how many shards wait for it.
    """

    scope: str
    limit: Decimal
    taken: Decimal
    waiting: int


class Limit(Shown, frozen=True, kw_only=True):
    """How much may wait or run at once.

    Attributes:
        of: `tokens` or `jobs`.
        at: an account and a model, `openai:gpt-5-mini` or `openai/team-a:gpt-5-mini`; what is paused is a scope.
        limit: set by the operator, or learned from a refusal; 0: it is paused.
        taken: how much waits or runs.
        waiting: how many shards wait for room.
    """

    of: str
    at: str
    limit: int
    taken: int
    waiting: int


def budgets(context: Context) -> Sequence[Budget]:
    """All budgets, by scope."""
    lines = context.store.get_lines(sorted(line for line in context.store.get_limits() if line.startswith(SPENT)))
    return [
        Budget(
            scope=line.name.removeprefix(SPENT),
            limit=Decimal(line.limit or 0) / DOLLAR,
            taken=Decimal(line.booked) / DOLLAR,
            waiting=line.waiting,
        )
        for line in lines
    ]


def set_budget(context: Context, scope: str, dollars: Decimal | None) -> str:
    """Give a scope a budget, or take it away (None); returns the scope. What waits for it looks again.

    Raises:
        ValidationError: it is no scope, or no sum of money.
        BatchNotFoundError: there is no such batch.
    """
    if dollars is not None and not (dollars.is_finite() and 0 <= dollars < MOST_DOLLARS):
        raise ValidationError(f"a budget must be dollars, from 0 to less than {MOST_DOLLARS:,}")
    scope = read_scope(context, scope)
    context.store.set_limit(f"{SPENT}{scope}", None if dollars is None else in_ledger(dollars))
    return scope


def limits(context: Context) -> Sequence[Limit]:
    """All limits of tokens and jobs, pauses among them."""
    lines = context.store.get_lines(sorted(line for line in context.store.get_limits() if not line.startswith(SPENT)))
    split = [(line.name.partition(":"), line) for line in lines]
    return [
        Limit(of=of, at=at, limit=line.limit or 0, taken=line.booked, waiting=line.waiting)
        for (of, _, at), line in split
    ]


def set_limit(
    context: Context, provider: str, model: str, *, tokens: int | None, jobs: int | None, credential: str | None = None
) -> None:
    """Limit what waits or runs for an account and a model; None: no limit, also none that was learned.

    Raises:
        ValidationError: a limit is no number of tokens or jobs.
    """
    for line, limit in ((TOKENS, tokens), (JOBS, jobs)):
        if limit is not None and not 0 < limit < _MOST:
            raise ValidationError(f"a limit must be 1 to {_MOST:,}; `batch-router pause` stops all")
        context.store.set_limit(f"{line}{account_of(provider, credential)}:{model}", limit)


def pause(context: Context, scope: str) -> str:
    """Create no further jobs in a scope; those that there are go on. Returns the scope."""
    scope = read_scope(context, scope)
    context.store.set_limit(f"{JOBS}{scope}", 0)
    return scope


def unpause(context: Context, scope: str) -> str:
    """Create jobs in a scope again; returns the scope."""
    scope = read_scope(context, scope)
    context.store.set_limit(f"{JOBS}{scope}", None)
    return scope


def read_scope(context: Context, text: str) -> str:
    """A scope; the id of a batch alone is one, too.

    Raises:
        ValidationError: it is none; says which there are.
        BatchNotFoundError: there is no such batch.
    """
    kind, equals, name = text.partition("=") if "=" in text else ("batch", "=", text)
    if kind.startswith("metadata.") and len(kind) > len("metadata.") and len(text) <= 1000:
        return text
    form = _NAMES.get(kind)
    if form is None or not form.fullmatch(name):
        raise ValidationError(f"{printable(text, _SHOWN)} is no scope: {_FORMS}")
    if kind == "batch" and context.store.get_batch(name) is None:
        raise BatchNotFoundError(name)
    return f"{kind}{equals}{name}"
