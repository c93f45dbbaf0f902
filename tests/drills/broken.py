"""Parts of the workers that fail: storage with an error on every call, and threads that meet what no code foresees."""

import time
from collections.abc import Callable

from .outages import Outage
from .stack import Stack

_LONG, _SHORT = 60.0, 10.0


def _broken(seams: str, seconds: float) -> Callable[[Stack, str], list[str]]:
    def happen(stack: Stack, batch_id: str) -> list[str]:
        with stack.broken(seams):
            time.sleep(seconds)
        return []

    return happen


BROKEN = (
    Outage("storage fails 60 s", _broken(".*/storage", _LONG)),
    Outage("the sweep raises 10 s", _broken("sweep/store", _SHORT)),
    Outage("the watch raises 10 s", _broken("watch/store", _SHORT)),
    Outage("the lease keeper raises 20 s", _broken("lease-keeper/store", 2 * _SHORT)),
)
