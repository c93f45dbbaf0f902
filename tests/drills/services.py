"""Services that are late, behind, or answer too early: a new job is unknown for a while, a gateway gives up first.

The workers are told how long a job may be unknown, as the real bounds are minutes.
"""

from batch_router.simulator import Scenario
from batch_router.simulator.oddities import AnyOdd, Hidden, LateFiles, Listing
from batch_router.simulator.scenario import Fault

from .courses import CREATE, UPLOAD, Course
from .faults import Named
from .stack import DAY

#: What the workers are told, in seconds; the services keep to it.
SETTINGS = {"BATCH_ROUTER_VISIBILITY": "20"}
_BEHIND = 15.0
_REMOTE = ("openai", "anthropic", "google")
_LOST = Fault(match=CREATE, do="reset_after")
_GATEWAY = (408, 499, 502, 504)
_UNKNOWN = (Hidden(seconds=_BEHIND), Listing(lag=_BEHIND))
_CLOCKS = {"ahead": 600.0, "behind": -600.0}


def _named(
    fault: str, provider: str, *odd: AnyOdd, faults: tuple[Fault, ...] = (), clock: float = 0, deadline: float = 240
) -> Named:
    day = Scenario(latency=DAY.latency, odd=odd, faults=faults, clock=clock)
    return Named(fault, provider, lambda: Course(day=day, deadline=deadline))


def _gateway(do: str, match: str) -> tuple[Fault, ...]:
    """Each of the answers once, for one call after the other."""
    faults = (Fault(match=match, do=do, status=status, after=number) for number, status in enumerate(_GATEWAY))  # type: ignore[arg-type]
    return tuple(faults)


SERVICES: tuple[Named, ...] = (
    *(
        Named_
        for name in _REMOTE
        for Named_ in (
            _named("a new job is unknown 15 s", name, *_UNKNOWN),
            _named("a new job is unknown 15 s, answer to create lost", name, *_UNKNOWN, faults=(_LOST,)),
            _named("the list is 15 s behind, answer to create lost", name, Listing(lag=_BEHIND), faults=(_LOST,)),
            _named("answers named 15 s late", name, LateFiles(seconds=_BEHIND)),
            _named("a gateway gives up on create (408 499 502 504)", name, faults=_gateway("status_after", CREATE)),
            _named("a gateway refuses create (408 499 502 504)", name, faults=_gateway("status", CREATE)),
            *(
                _named(f"a clock 10 min {word}, answer to create lost", name, faults=(_LOST,), clock=seconds)
                for word, seconds in _CLOCKS.items()
            ),
        )
    ),
    *(
        _named("a gateway gives up on upload (408 499 502 504)", name, faults=_gateway("status_after", UPLOAD))
        for name in ("openai", "google")
    ),
)

#: What the workers are told for these: nothing, so that the providers' own bounds hold.
OWN_BOUNDS = {"BATCH_ROUTER_VISIBILITY": ""}
_LONG = 300.0
#: At their real length, a provider each beside the others.
FOR_MINUTES: tuple[Named, ...] = (
    *(
        _named("a new job is unknown 5 min", name, Hidden(seconds=_LONG), Listing(lag=_LONG), deadline=900)
        for name in _REMOTE
    ),
    *(
        _named(
            "the list is 5 min behind, answer to create lost", name, Listing(lag=_LONG), faults=(_LOST,), deadline=900
        )
        for name in _REMOTE
    ),
)
