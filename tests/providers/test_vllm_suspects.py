"""The search for the row that an engine breaks down on, as decisions on numbers."""

import pytest

from batch_router.providers.vllm.suspects import MAX_SINGLE_BREAKDOWNS, Suspects, Verdict


class Engine:
    """Holds rows, and breaks down on bad ones; `answers_before` says how many it answers before it does."""

    def __init__(self, rows: int, bad: set[int], answers_before: int = 0) -> None:
        self.left = list(range(rows))
        self.bad = bad
        self.answers_before = answers_before
        self.runs = 0

    def run(self, held: list[int]) -> tuple[int, bool]:
        """How many of the rows it answered, and whether it broke down."""
        self.runs += 1
        broke = bool(self.bad.intersection(held))
        good = [row for row in held if row not in self.bad]
        answered = good[: self.answers_before] if broke else held
        self.left = [row for row in self.left if row not in answered]
        return len(answered), broke


def search(engine: Engine, most: int, divisor: int) -> tuple[list[int], Verdict | None]:
    """The rows that were found guilty, and the verdict on the engine, if it came to that."""
    found: list[int] = []
    suspects = Suspects()
    while engine.left:
        held = engine.left[: suspects.rows_at_a_time(most, divisor=divisor)]
        answered, broke = engine.run(held)
        if not broke:
            suspects = suspects.after_answers(answered)
            continue
        suspects, verdict = suspects.after_breakdown(at_a_time=len(held), answered=answered, held=len(held) - answered)
        if verdict is Verdict.ENGINE:
            return found, verdict
        if verdict is Verdict.ROW:
            found.append(held[0])
            engine.left.remove(held[0])
    return found, None


@pytest.mark.parametrize("answers_before", [0, 3])
@pytest.mark.parametrize("divisor", [2, 8])
@pytest.mark.parametrize("bad", [set(), {0}, {99}, {7}, {7, 8}, {7, 50, 93}, {0, 1, 40, 41, 98, 99}])
def test_exactly_the_bad_rows_are_found(bad: set[int], divisor: int, answers_before: int) -> None:
    """Wherever they are, and whether or not an engine that breaks down answers some rows before."""
    assert search(Engine(100, bad, answers_before), 32, divisor) == (sorted(bad), None)


def test_an_engine_that_breaks_down_on_every_row_is_to_blame() -> None:
    """After three rows, each alone, with no answer in between: the rest is not tried."""
    engine = Engine(1000, set(range(1000)))
    assert search(engine, 512, 8) == (list(range(MAX_SINGLE_BREAKDOWNS - 1)), Verdict.ENGINE)
    assert engine.runs == 4 + MAX_SINGLE_BREAKDOWNS - 1  # 512, 64, 8, 1, and two more single rows


def test_an_answer_in_between_clears_the_engine() -> None:
    """Bad rows among good ones are the rows' own fault, however many there are."""
    bad = set(range(0, 100, 2))
    assert search(Engine(100, bad), 8, 2) == (sorted(bad), None)


def test_only_the_suspects_are_sent_again() -> None:
    """The others wait until the search is over: each run of a broken engine costs minutes."""
    suspects, verdict = Suspects().after_breakdown(at_a_time=512, answered=100, held=40)
    assert (suspects, verdict) == (Suspects(rows=40), Verdict.KEEP_SEARCHING)
    assert suspects.rows_at_a_time(512, divisor=8) == 5
    assert suspects.after_answers(30) == Suspects(rows=10)
    assert suspects.after_answers(40).rows_at_a_time(512, divisor=8) == 512
