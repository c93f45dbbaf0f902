"""The bad rows of an input, and the ids that repeat in it."""

import sys
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Literal

from ..exceptions import MAX_PROBLEMS, InvalidInputError, ValidationError
from ..jsonl import TOO_DEEP
from ..security.printable import printable

# Characters of a problem that are shown, and of a path.
_LONGEST, _LONGEST_PATH = 2500, 500
# Lines with the same problem that are described: the others would push what else is wrong out of sight.
_MOST_ALIKE = 3

#: What problems count in a file.
Unit = Literal["line", "row"]
#: What the check of a bad row raises.
BadRow = (ValidationError, RecursionError)


class Problems:
    """The bad rows of an input: the first ones described, all counted.

    Args:
        source: the file that they are in; None: they were given in the call, as `requests`.
        unit: what is counted in the file: its lines, or the rows of a table, which may have several lines each.
    """

    def __init__(self, source: Path | None = None, unit: Unit = "line") -> None:
        self._unit = unit
        self._source = printable(str(source), _LONGEST_PATH) if source else None
        self._described: list[str] = []
        self._alike: Counter[str] = Counter()
        self.total = 0

    def add(self, line: int, error: object) -> None:
        """Note what is wrong with a line (counted from 1), bounded and printable: an error may quote the row."""
        self.total += 1
        if len(self._described) < MAX_PROBLEMS:
            what = TOO_DEEP if isinstance(error, RecursionError) else printable(str(error), _LONGEST)
            self._alike[what] += 1
            if self._alike[what] <= _MOST_ALIKE:
                self._described.append(f"{self.place(line)}: {what}")

    def place(self, line: int) -> str:
        """Where a line is: its file, too."""
        return f"{self._source}, {self.name(line)}" if self._source else self.name(line)

    def name(self, line: int) -> str:
        """What a line is called."""
        return f"{self._unit} {line}" if self._source else f"requests[{line - 1}]"

    def raise_any(self) -> None:
        """Raise if there were any.

        Raises:
            InvalidInputError: with all that were described.
        """
        if self.total:
            raise InvalidInputError(self._described, self.total)


class DuplicateFinder:
    """Finds repeated `custom_id`s among millions in 8 bytes each: their hashes, in sorted runs.

    Different ids may share a hash, however unlikely, so `report` looks at the rows themselves once more.
    """

    _RUN = 1 << 14
    _MOST = 1000  # repeated ids that are looked at; beyond, they are only counted

    def __init__(self) -> None:
        self._runs: list[array[int]] = []
        self._fresh: list[int] = []

    def add(self, custom_id: str) -> None:
        """Take in an id."""
        self._fresh.append(hash(custom_id))
        if len(self._fresh) == self._RUN:
            self._end_run()

    def report(self, reread: Callable[[], Iterator[tuple[int, str]]], problems: Problems) -> None:
        """Add each repeated id to `problems`; `reread` gives `(line, custom_id)` again, and is called if need be."""
        self._end_run()
        candidates: set[int] = set()
        uncounted = 0
        for hashes in self._slices():
            if len(set(hashes)) == len(hashes):
                continue
            for one, other in pairwise(sorted(hashes)):
                if one == other and (one in candidates or len(candidates) < self._MOST):
                    candidates.add(one)
                elif one == other:
                    uncounted += 1
        if not candidates:
            return
        first: dict[str, int] = {}
        for line, custom_id in reread():
            if hash(custom_id) in candidates and (before := first.setdefault(custom_id, line)) != line:
                place = problems.name(before)
                problems.add(line, f"custom_id: {custom_id!r} was used before, at {place}; make it unique")
        problems.total += uncounted

    def _slices(self) -> Iterator[list[int]]:
        """All hashes, in lists of about one run each; equal ones are in the same list."""
        width = sys.hash_info.width
        count = len(self._runs)
        edges = [(index << width) // count - (1 << width - 1) for index in range(1, count)]
        begins = [0] * count
        for edge in [*edges, 1 << width - 1]:
            ends = [bisect_left(run, edge) for run in self._runs]
            yield [each for run, begin, end in zip(self._runs, begins, ends, strict=True) for each in run[begin:end]]
            begins = ends

    def _end_run(self) -> None:
        self._runs.append(array("q", sorted(self._fresh)))
        self._fresh.clear()
