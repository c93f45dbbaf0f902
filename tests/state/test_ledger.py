"""The ledger of the store, over every implementation."""

import itertools
from collections.abc import Iterator
from typing import Unpack

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_router.state.base import Commit, Store
from batch_router.state.facts import ShardFacts
from batch_router.state.items import Shard
from batch_router.state.ledger import Reservation
from batch_router.state.memory import MemoryStore
from batch_router.state.redis import RedisStore
from batch_router.state.table import State
from tests.items import get_batch, new_shard, put_shards

TOKENS, SPENT = "tokens:openai:m", "spent:provider=openai"
ROOM = Reservation(is_held=True)
_prefixes = itertools.count()


def shards(store: Store, count: int) -> list[Shard]:
    """Shards that one worker has claimed."""
    made = put_shards(store, *(new_shard(label=f"{number:016x}") for number in range(count)))
    claimed = [store.claim(shard.id, 1, lease=60, holder="w") for shard in made]
    return [each for each in claimed if isinstance(each, Shard)]


def reserve(
    store: Store, shard: Shard, fence: int = 2, limits: dict[str, int] | None = None, **booked: int
) -> Reservation:
    """Ask for tokens and money."""
    lines = {TOKENS: booked["tokens"]} if "tokens" in booked else {}
    lines |= {SPENT: booked["spent"]} if "spent" in booked else {}
    facts = ShardFacts(uploads=1, booked=lines)
    return store.reserve(shard.id, fence, holder="w", lease=60, limits=limits or {}, facts=facts)


def commit(
    store: Store, shard: Shard, state: State, delay: float | None = 600, fence: int = 2, **facts: Unpack[ShardFacts]
) -> None:
    """End the step of a shard."""
    done = store.commit(shard.id, fence, Commit(state, delay, facts), holder="w")
    assert done is not None


def sums(store: Store) -> tuple[int, int]:
    """What is taken of the tokens and of the money."""
    tokens, spent = store.get_lines([TOKENS, SPENT])
    return tokens.booked, spent.booked


def test_a_limit_is_kept(store: Store) -> None:
    """What would pass a limit is refused as a whole, and nothing of it is remembered; a limit may be raised."""
    first, second = shards(store, 2)
    store.set_limit(TOKENS, 100)
    assert reserve(store, first, tokens=60, spent=7) == ROOM
    assert reserve(store, second, tokens=50, spent=7) == Reservation(is_held=True, short_of=TOKENS)
    assert sums(store) == (60, 7)
    waiting = store.get_shard(second.id)
    assert waiting is not None
    assert (waiting.booked, waiting.uploads, waiting.waits_for) == ({}, 0, TOKENS)
    assert store.get_lines([TOKENS])[0][1:] == (60, 100, 1)
    store.set_limit(TOKENS, 110)
    assert reserve(store, second, tokens=50) == ROOM
    assert (sums(store), store.get_limits()) == ((110, 7), {TOKENS: 110})


def test_a_limit_of_the_caller_holds_where_the_store_has_none(store: Store) -> None:
    """As the most that a batch may cost: a budget that is set later takes its place."""
    (only,) = shards(store, 1)
    assert reserve(store, only, limits={SPENT: 5}, spent=7).short_of == SPENT
    store.set_limit(SPENT, 8)
    assert reserve(store, only, limits={SPENT: 5}, spent=7) == ROOM


def test_what_is_asked_again_is_not_booked_twice(store: Store) -> None:
    """A reservation says what the shard takes in all: repeated it changes nothing, and a smaller one gives back."""
    (only,) = shards(store, 1)
    store.set_limit(TOKENS, 60)
    for tokens in (60, 60, 20):
        assert reserve(store, only, tokens=tokens) == ROOM
    assert sums(store)[0] == 20


def test_a_reservation_needs_the_claim(store: Store) -> None:
    """A worker that lost the item books nothing."""
    (only,) = shards(store, 1)
    assert not reserve(store, only, fence=1, tokens=1).is_held
    assert sums(store) == (0, 0)


def test_room_goes_to_the_one_that_waits_longest(store: Store) -> None:
    """A small shard does not overtake; the first one is due when there may be room, and then the next one."""
    big, waits, small = shards(store, 3)
    store.set_limit(TOKENS, 100)
    assert reserve(store, big, tokens=90) == ROOM
    assert reserve(store, waits, tokens=80).short_of == TOKENS
    assert reserve(store, small, tokens=10).short_of == TOKENS
    for each in (waits, small):
        commit(store, each, State.UPLOADING)
    assert store.take_due(9, grace=60) == []
    commit(store, big, State.POLLING, booked={})
    assert [hint.id for hint in store.take_due(9, grace=60)] == [waits.id]
    store.claim(waits.id, 3, lease=60, holder="w")
    assert reserve(store, waits, fence=4, tokens=80) == ROOM
    assert [hint.id for hint in store.take_due(9, grace=60)] == [small.id]


def test_room_that_comes_during_a_step_is_not_missed(store: Store) -> None:
    """A shard that was refused, and whose step has not ended when there is room, is due at its end."""
    first, second = shards(store, 2)
    store.set_limit(TOKENS, 10)
    assert reserve(store, first, tokens=10) == ROOM
    assert reserve(store, second, tokens=10).short_of == TOKENS
    commit(store, first, State.COMPLETED, None)
    commit(store, second, State.UPLOADING)
    assert [hint.id for hint in store.take_due(9, grace=60)] == [second.id]


def test_one_that_gives_up_its_place_lets_the_next_one_in(store: Store) -> None:
    """A shard that leaves its state, as its batch is cancelled, waits no more."""
    first, second = shards(store, 2)
    store.set_limit(TOKENS, 10)
    for each, tokens in ((first, 20), (second, 5)):
        assert reserve(store, each, tokens=tokens).short_of == TOKENS
    commit(store, second, State.UPLOADING)
    commit(store, first, State.NORMALIZING)
    assert second.id in [hint.id for hint in store.take_due(9, grace=60)]
    assert store.get_lines([TOKENS])[0].waiting == 1


def test_the_end_of_a_shard_frees_room_and_not_money(store: Store) -> None:
    """What it spent stays, also when its batch is deleted; the lines of the batch itself are gone then."""
    (only,) = shards(store, 1)
    own = "spent:batch=b"
    store.set_limit(own, 50)
    lines = {TOKENS: 9, SPENT: 8, own: 8}
    facts = ShardFacts(booked=lines)
    store.reserve(only.id, 2, holder="w", lease=60, limits={}, facts=facts)
    commit(store, only, State.COMPLETED, None)
    assert sums(store) == (0, 8)
    version = get_batch(store).version
    store.claim("b", version, lease=60, holder="w")
    store.commit("b", version + 1, Commit(State.COMPLETED, None, {}), holder="w")
    store.delete(get_batch(store))
    assert (sums(store), store.get_lines([own])[0][1:3]) == ((0, 8), (0, None))


_ACTS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["reserve", "settle", "leave", "limit", "end"]),
        st.integers(0, 40),
        st.integers(0, 40),
    ),
    max_size=40,
)


@pytest.fixture(scope="module")
def server(valkey: str) -> Iterator["redis.Redis"]:
    """A client of the real server."""
    with redis.Redis.from_url(valkey, decode_responses=True) as client:
        yield client


@settings(max_examples=50, deadline=None)
@given(_ACTS)
def test_the_sums_are_those_of_the_shards(server: "redis.Redis", acts: list[tuple[int, str, int, int]]) -> None:
    """Whatever shards do in any order: the server's sums are what the shards hold, as a store that adds up says."""
    stores = (RedisStore(server, prefix=f"ledger{next(_prefixes)}:"), MemoryStore())
    made, _ = (shards(store, 4) for store in stores)
    fences = {shard.id: 2 for shard in made}
    for number, act, tokens, money in acts:
        shard = made[number]
        said = [_do(store, shard, fences[shard.id], act, tokens, money) for store in stores]
        fences[shard.id] += 2 if act in ("settle", "leave") else 0
        assert said[0] == said[1]
        assert sums(stores[0]) == sums(stores[1])
        assert stores[0].get_lines([TOKENS, SPENT]) == stores[1].get_lines([TOKENS, SPENT])
        held = stores[0].get_shards(get_batch(stores[0]))
        assert [each.booked for each in held] == [each.booked for each in stores[1].get_shards(get_batch(stores[1]))]


def _do(store: Store, shard: Shard, fence: int, act: str, tokens: int, money: int) -> object:
    match act:
        case "limit":
            store.set_limit(TOKENS, tokens * 2)
            return None
        case "reserve":
            before, limit = sums(store)[0], store.get_limits().get(TOKENS)
            answer = reserve(store, shard, fence=fence, tokens=tokens, spent=money)
            passes = limit is not None and before < sums(store)[0] > limit
            assert not passes
            return answer
        case "end":
            done = store.commit(shard.id, fence, Commit(State.COMPLETED, None, {}), holder="w")
        case _:
            is_settled = act == "settle"
            facts = ShardFacts(booked={SPENT: money}) if is_settled else ShardFacts()
            state = State.POLLING if is_settled else State.UPLOADING
            done = store.commit(shard.id, fence, Commit(state, 0, facts), holder="w")
            store.claim(shard.id, fence + 1, lease=60, holder="w")
    return done is not None
