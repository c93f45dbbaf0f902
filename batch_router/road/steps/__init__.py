"""The steps of the road: each is a file with its name, which holds its `STEP`; a row of `state.table` calls for it."""

from functools import cache
from importlib import import_module

from ..step import Step


@cache
def find_step(name: str) -> Step:
    """The step that a row of the table names."""
    step: Step = import_module(f"{__name__}.{name}").STEP
    return step
