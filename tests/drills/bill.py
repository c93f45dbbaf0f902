"""The providers' bill beside what the user got: rows that are paid twice, and rows that are paid and not delivered.

The simulator keeps its bill by itself, row by row, whatever our code believes. What a row asks names batch and row.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from batch_router.core import UnifiedResult, add_up
from batch_router.road.spend import read_spend
from batch_router.simulator.bill import Charge
from batch_router.state.items import Shard
from batch_router.storage import FolderStorage

from .courses import Course, prompt_of
from .stack import Stack


def paid_twice(stack: Stack, batch_id: str, undone: Sequence[str]) -> int:
    """How often rows of a batch are paid beyond the first time; rows of jobs that were undone are not counted."""
    charges = list(_charges(stack, batch_id))
    counted = Counter(charge.prompt for charge in charges if charge.job not in undone)
    stack.told |= Counter(charge.prompt for charge in charges)
    return sum(counted.values()) - len(counted)


def paid_twice_later(stack: Stack) -> int:
    """The same for all batches of a stack, without what its drills told of; for the end, when no job runs any more."""
    counted = Counter(charge.prompt for charge in stack.simulator.bill())
    return sum(count - max(1, stack.told[prompt]) for prompt, count in counted.items() if count > 1)


def unanswered(stack: Stack, batch_id: str, course: Course, results: Iterable[UnifiedResult]) -> Iterator[str]:
    """The rows that are paid and have no answer, but for those that the provider is to lose on this course."""
    paid = {charge.prompt for charge in _charges(stack, batch_id)}
    answered = {result.custom_id for result in results if result.is_successful()}
    for number in range(course.rows):
        custom_id, prompt = f"row {number}", prompt_of(batch_id, number)
        is_lost_there = course.day.drop is not None and re.search(course.day.drop, prompt)
        if prompt in paid and custom_id not in answered and not is_lost_there:
            yield custom_id


def spent_otherwise(stack: Stack, batch_id: str, shards: Sequence[Shard]) -> list[str]:
    """What differs between the tokens that the jobs of a batch have on the bill and its record of what was spent."""
    jobs = {shard.job.id for shard in shards if shard.job}
    billed = [charge for charge in _charges(stack, batch_id) if charge.job in jobs]
    (path,) = stack.home.glob(f"spend/*/{batch_id}-*.json")
    record = read_spend(FolderStorage(stack.home), str(path.relative_to(stack.home)))
    ours = add_up(model.tokens for model in record.models)
    theirs = (len(billed), sum(each.input_tokens for each in billed), sum(each.output_tokens for each in billed))
    if (ours.answers, ours.input_tokens, ours.output_tokens) == theirs:
        return []
    return [f"the bill has {theirs} answers and tokens, the record of what was spent {ours}"]


def _charges(stack: Stack, batch_id: str) -> Iterator[Charge]:
    beginning = prompt_of(batch_id, 0).removesuffix("0")
    return (charge for charge in stack.simulator.bill() if charge.prompt.startswith(beginning))
