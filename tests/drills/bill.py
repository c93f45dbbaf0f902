"""The providers' bill beside what the user got: rows that are paid twice, and rows that are paid and not delivered.

The simulator keeps its bill by itself, row by row, whatever our code believes. What a row asks names batch and row.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from batch_router.core import UnifiedResult
from batch_router.simulator.bill import Charge

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


def _charges(stack: Stack, batch_id: str) -> Iterator[Charge]:
    beginning = prompt_of(batch_id, 0).removesuffix("0")
    return (charge for charge in stack.simulator.bill() if charge.prompt.startswith(beginning))
