"""The state table: complete, connected, and with an end."""

import pytest

from batch_router.exceptions import StateError
from batch_router.road.steps import find_step
from batch_router.state.table import FIRST_OF_SHARD, REOPENED, State, check_reopening, check_transition, remaining_road

S = State
ENDS = {S.COMPLETED, S.FAILED, S.CANCELLED, S.EXPIRED}
STARTS = {
    S.QUEUED: {S.RUNNING, S.FINISHING},
    S.NOTIFYING: set(),
    S.UPLOADING: {S.CREATING, S.POLLING, S.DOWNLOADING, S.NORMALIZING, S.CLEANING, S.PARKED},
}


def reachable(start: State) -> set[State]:
    """Where an item can get to, `start` included."""
    seen: set[State] = set()
    ahead = [start]
    while ahead:
        state = ahead.pop()
        if state not in seen:
            seen.add(state)
            ahead.extend(state.successors)
    return seen


@pytest.mark.parametrize("start", STARTS)
def test_every_state_is_reached(start: State) -> None:
    """Each kind of item has its own states on the way, and they share the ends."""
    ends = {S.COMPLETED, S.FAILED} if start is S.NOTIFYING else ENDS
    assert reachable(start) == {start} | STARTS[start] | ends
    assert set(State) == set.union(*({start} | own for start, own in STARTS.items())) | ENDS


@pytest.mark.parametrize("state", State)
def test_every_state_leads_to_an_end(state: State) -> None:
    """Nothing goes round for ever: from everywhere there is a way out, and an end is the end."""
    assert reachable(state) & ENDS
    assert state.is_final == (state in ENDS)
    assert not state.is_final or (state.successors == frozenset() and state.step == "retire")


@pytest.mark.parametrize("old", State)
def test_what_is_not_in_the_table_is_refused(old: State) -> None:
    """Staying and the successors are allowed; any other transition raises, and names both states."""
    for new in State:
        if new is old or new in old.successors:
            check_transition(old, new)
        else:
            with pytest.raises(StateError, match=f"^{old.value} cannot become {new.value}$"):
                check_transition(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (S.QUEUED, S.COMPLETED),  # not past the books
        (S.RUNNING, S.COMPLETED),
        (S.UPLOADING, S.POLLING),  # not past the intent
        (S.PARKED, S.CREATING),  # never created blindly
        (S.POLLING, S.UPLOADING),  # a job exists
        (S.DOWNLOADING, S.COMPLETED),
        (S.NORMALIZING, S.COMPLETED),  # not before what lies at the provider was seen to
        (S.COMPLETED, S.RUNNING),
        (S.FAILED, S.QUEUED),
    ],
)
def test_shortcuts_are_refused(old: State, new: State) -> None:
    """The transitions that would cost money or rows are not in the table."""
    with pytest.raises(StateError):
        check_transition(old, new)


@pytest.mark.parametrize("state", State)
def test_a_step_has_its_queue(state: State) -> None:
    """There is a queue for each step, and some state that follows, but for what has ended."""
    assert state.queue in ("io", "poll", "cpu")
    assert bool(state.successors) != state.is_final


@pytest.mark.parametrize("old", State)
def test_only_what_has_ended_is_taken_up(old: State) -> None:
    """And only where the table says: before the intent, where a job is looked for, or after it."""
    for new in State:
        if old.is_final and new in REOPENED:
            check_reopening(old, new)
        else:
            with pytest.raises(StateError, match=f"^{old.value} cannot be taken up as {new.value}$"):
                check_reopening(old, new)


def test_the_road_follows_the_table() -> None:
    """Each state of the road is followed by the next one, and its end by a final state."""
    road = remaining_road(FIRST_OF_SHARD)
    assert [old.onward for old in road[:-1]] == list(road[1:])
    assert road[-1].successors == ENDS
    with pytest.raises(StateError, match="cleaning is followed by no other row"):
        _ = road[-1].onward


@pytest.mark.parametrize("state", State)
def test_the_remaining_road_begins_here(state: State) -> None:
    """A chain begins with the state's own step, and goes to the end of the road if it is on it."""
    remaining = remaining_road(state)
    assert remaining[0] is state
    road = remaining_road(FIRST_OF_SHARD)
    assert remaining == (road[len(road) - len(remaining) :] if state in road else (state,))


@pytest.mark.parametrize("state", State)
def test_a_step_that_failed_for_good_has_a_way_out(state: State) -> None:
    """It is one of the state's successors, or staying."""
    check_transition(state, state.given_up)


@pytest.mark.parametrize("state", State)
def test_every_step_of_the_table_can_be_run(state: State) -> None:
    """It is a file of its own, found by its name."""
    assert callable(find_step(state.step).run)
