"""The search for the row that an engine breaks down on. Pure: decisions on numbers, no rows and no engine.

An engine that breaks down says only that one of the rows that it held is to blame. So these are sent again, fewer at a
time, until a single row breaks it down alone: that row gets an error. If several rows in a row do so and no row is
answered in between, the engine itself is to blame.
"""

from enum import Enum
from typing import NamedTuple

#: After this many single-row breakdowns without an answer in between, the engine is to blame.
MAX_SINGLE_BREAKDOWNS = 3


class Verdict(Enum):
    """What a breakdown tells."""

    KEEP_SEARCHING = "several rows may be to blame"
    ROW = "the row is to blame"
    ENGINE = "the engine is to blame, whatever the row"


class Suspects(NamedTuple):
    """Where the search stands.

    Attributes:
        rows: one of this many next rows without an answer breaks the engine down; 0: there is no suspicion.
        single_breakdowns: breakdowns on a single row since a row was last answered.
    """

    rows: int = 0
    single_breakdowns: int = 0

    def rows_at_a_time(self, most: int, *, divisor: int) -> int:
        """How many rows the engine may hold at a time in the next run: `most`, or a part of the suspects."""
        return max(1, self.rows // divisor) if self.rows else most

    def after_answers(self, answered: int) -> "Suspects":
        """After a run that did not break down, with this many rows answered: they are cleared."""
        return Suspects(max(0, self.rows - answered), 0 if answered else self.single_breakdowns)

    def after_breakdown(self, *, at_a_time: int, answered: int, held: int) -> tuple["Suspects", Verdict]:
        """After a run that broke down.

        Args:
            at_a_time: rows that the engine was allowed to hold.
            answered: rows that it answered before.
            held: rows that it held when it broke down.
        """
        before = 0 if answered else self.single_breakdowns
        if at_a_time > 1:
            return Suspects(held, before), Verdict.KEEP_SEARCHING
        # The next row is tried alone, too: an engine that breaks down on any row shows it soon.
        after = Suspects(1, before + 1)
        return after, Verdict.ENGINE if after.single_breakdowns >= MAX_SINGLE_BREAKDOWNS else Verdict.ROW
