"""What a shard takes of the ledger: room at its provider and money, booked before its job is made.

Room is an estimate from above: a token for every four bytes of the rows. Money is estimated by what earlier answers
of the model had; until there are any, by the most that an answer of the batch may have. It is settled by what the
provider counted, with the price of the day of the submission.
"""

import re
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Unpack

from ..core import Endpoint, Tokens
from ..core.jobs import Failure
from ..core.money import dollars
from ..state.facts import ShardFacts
from ..state.items import Batch, Shard
from ..state.ledger import DOLLAR, JOBS, SPENT, TOKENS, account_of, in_ledger, scopes_of, seen_line
from ..state.parts import Part
from ..state.table import State
from .context import Context, Running
from .outcome import ShardOutcome, shard_to

# Bytes of the rows of a shard for a token of its prompts.
_BYTES_PER_TOKEN = 4
# Tokens of an answer where nothing says how many there may be.
_USUAL_ANSWER = 1000

# The words of OpenAI: docs/providers.md.
_LIMIT = re.compile(r"[Ll]imit: ([0-9][0-9,]{0,18}) enqueued tokens")
# Seconds until a shard that waits for room looks again; it is woken when there may be room.
_LOOK_AGAIN = 600.0
_SEEN = ("bytes", "input", "output", "answers")


def reserve(running: Running, shard: Shard, **facts: Unpack[ShardFacts]) -> ShardOutcome | None:
    """Book what the shard takes, together with other facts; None: it may go on, else where it waits or ends.

    Raises:
        LeaseLostError: another worker has the item.
    """
    limits = running.store.get_limits()
    batch = running.store.get_batch(shard.batch)
    own_budget = _own_budget(batch)
    booked = _wanted(running, shard, batch, limits.keys() | own_budget.keys())
    if None in booked.values():
        return _stop(shard, batch, _no_price(shard))
    known = {line: amount for line, amount in booked.items() if amount is not None}
    for line in known.keys() & limits.keys():
        if line.startswith(TOKENS):  # a shard that never fits is tried alone: the provider decides, and it may be split
            known[line] = min(known[line], limits[line])
    facts["booked"] = known
    short = running.lease.reserve(own_budget, facts)
    if short is None:
        return None
    limit = limits.get(short, own_budget.get(short, 0))
    return _stop(shard, batch, _no_room(running, short, limit, known[short]), is_budget=short.startswith(SPENT))


def of_a_job(running: Running, shard: Shard) -> dict[str, int]:
    """What a shard takes whose job was found: it runs, whatever the limits are."""
    if shard.booked:
        return shard.booked
    batch = running.store.get_batch(shard.batch)
    wanted = _wanted(running, shard, batch, running.store.get_limits().keys() | _own_budget(batch).keys())
    return {line: amount for line, amount in wanted.items() if amount is not None}


def ended(shard: Shard) -> dict[str, int]:
    """What a shard takes whose job has ended: it is not paid for yet, and takes no room."""
    return {line: amount for line, amount in shard.booked.items() if line.startswith(SPENT)}


def settled(context: Context, shard: Shard, part: Part) -> dict[str, int]:
    """What a shard has taken in the end, and what its answers teach of their model."""
    booked = ended(shard)
    if part.cost is not None:
        batch = context.store.get_batch(shard.batch)
        budgets = {*booked, *_lines(SPENT, shard, batch, context.store.get_limits().keys() | _own_budget(batch).keys())}
        booked = dict.fromkeys(sorted(budgets), in_ledger(part.cost))
    if shard.rows == part.tokens.answers:
        seen = (shard.size, part.tokens.input_tokens, part.tokens.output_tokens, shard.rows)
        booked |= {seen_line(shard.provider, shard.model, what): much for what, much in zip(_SEEN, seen, strict=True)}
    return booked


def learn_limit(context: Context, shard: Shard, refusal: str) -> bool:
    """Limit the tokens that wait for the shard's account and model, as a refusal says it; whether it does."""
    said = _LIMIT.search(refusal)
    line = f"{TOKENS}{account_of(shard.provider, shard.credential)}:{shard.model}"
    if said is None:
        return False
    context.store.set_limit(line, int(said[1].replace(",", "")))
    return True


def tokens_of(shard: Shard) -> int:
    """How many input tokens a shard has at most, as an estimate."""
    return shard.size // _BYTES_PER_TOKEN + shard.rows


def _wanted(context: Context, shard: Shard, batch: Batch | None, limited: AbstractSet[str]) -> dict[str, int | None]:
    """What a shard takes of each line; None: that is not known."""
    account = account_of(shard.provider, shard.credential)
    wanted: dict[str, int | None] = {}
    if context.clients.provider(shard.provider).remote:
        wanted = {f"{TOKENS}{account}:{shard.model}": tokens_of(shard), f"{JOBS}{account}:{shard.model}": 1}
    wanted |= dict.fromkeys(_lines(JOBS, shard, batch, limited), 1)
    if budgets := _lines(SPENT, shard, batch, limited):
        wanted |= dict.fromkeys(budgets, _estimate(context, shard, batch))
    return wanted


def _lines(kind: str, shard: Shard, batch: Batch | None, limited: AbstractSet[str]) -> list[str]:
    """The lines of this kind that are limited in a scope of the shard."""
    metadata = batch.metadata if batch else {}
    scopes = scopes_of(shard.batch, shard.provider, shard.credential, metadata)
    return [line for scope in scopes if (line := f"{kind}{scope}") in limited]


def _own_budget(batch: Batch | None) -> dict[str, int]:
    return {} if batch is None or batch.max_cost is None else {f"{SPENT}batch={batch.id}": batch.max_cost}


def _estimate(context: Context, shard: Shard, batch: Batch | None) -> int | None:
    """What the shard's job may cost; None: no price is known."""
    price = context.prices.find(shard.provider, shard.model, shard.submitted_at)
    if price is None:
        return None
    names = [seen_line(shard.provider, shard.model, what) for what in _SEEN]
    size, given, written, answers = (line.booked for line in context.store.get_lines(names))
    each = written / answers if answers else (batch and batch.longest_answer) or _USUAL_ANSWER
    if shard.endpoint == Endpoint.EMBEDDINGS:
        each = 0
    asked = shard.size * given / size if size else tokens_of(shard)
    return in_ledger(price.cost(Tokens(input_tokens=round(asked), output_tokens=round(each * shard.rows))))


def _stop(shard: Shard, batch: Batch | None, why: Failure, *, is_budget: bool = True) -> ShardOutcome:
    """Wait in the present state; or end, where the user wants that of a batch that is over its budget."""
    if is_budget and batch is not None and batch.ends_over_budget:
        return shard_to(State.NORMALIZING, failure=Failure(type=why.type, message=why.message))
    return shard_to(shard.state, _LOOK_AGAIN, error=why, attempts=shard.attempts)


def _no_price(shard: Shard) -> Failure:
    message = f"no price of {shard.model or 'its model'} is known, and a budget needs one: see BATCH_ROUTER_PRICES"
    return Failure(type="price_unknown", message=message, retryable=True)


def _money(amount: int) -> str:
    return dollars(Decimal(amount) / DOLLAR)


def _no_room(context: Context, line: str, limit: int, wanted: int) -> Failure:
    (state,) = context.store.get_lines([line])
    kind, _, scope = line.partition(":")
    if kind == "spent":
        message = (
            f"the job is estimated at {_money(wanted)}, and {_money(state.booked)} of the {_money(limit)} of {scope} "
            f"are spent or reserved: `batch-router budget {scope} DOLLARS` raises it"
        )
        return Failure(type="over_budget", message=message, retryable=True)
    if limit == 0:
        return Failure(type="paused", message=f"{scope} is paused: `batch-router unpause {scope}`", retryable=True)
    what = "tokens" if kind == "tokens" else "jobs"
    message = f"{state.booked:,} of {limit:,} {what} wait or run at {scope.replace(':', ' for ', 1)}"
    return Failure(type="no_room", message=f"{message}; this shard has its turn when it fits", retryable=True)
