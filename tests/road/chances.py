"""What Hypothesis draws for the models of a fleet, and how many schedules it tries."""

import os
from collections.abc import Iterable, Sequence
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.road.fleet import Fate, Plan
from tests.road.wire import LATEST, Fault, Trouble

_ODD = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
settings.register_profile(
    "schedules", max_examples=100, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=_ODD
)
settings.register_profile(
    "drill", settings.get_profile("schedules"), max_examples=5000, derandomize=False, print_blob=True
)
PROFILE = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "schedules"))

#: Whether all cases are tried; otherwise some of them, spread over all.
IS_DRILL = PROFILE.max_examples > 1000

fates = st.builds(Plan, st.integers(0, 9), st.sampled_from([Fate.PAUSED, Fate.DIES, *Fate]))
faults = st.builds(Trouble, st.sampled_from([Fault.LATE, Fault.LOST, *Fault]), st.sampled_from([20.0, 70.0, LATEST]))
plans = st.none() | fates
some_troubles: st.SearchStrategy[list[Trouble | None]] = st.lists(st.none() | faults, min_size=1, max_size=3)
trouble_lists: st.SearchStrategy[Sequence[Trouble | None]] = st.just([]) | st.lists(faults, max_size=1) | some_troubles
numbers = st.integers(0, 100)
sizes = st.sampled_from([1, 2, 3, 8])
step_counts = st.sampled_from([2, 2, 3, 4, 1, 0])  # after two, a batch of one shard is about to have its job created

#: What befalls a worker, and its calls.
Harm = tuple[Plan | None, Sequence[Trouble | None]]

T = TypeVar("T")


def some(cases: Iterable[T], every: int) -> list[T]:
    """All cases in a drill; otherwise one of so many, which is to share no factor with the numbers they are made of."""
    return list(cases)[:: 1 if IS_DRILL else every]
