"""What a worker works with, with a seam before and after all that it does; and what must hold after each change."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, BinaryIO

from batch_router.exceptions import StateError, StoreUnavailableError
from batch_router.road.lease import Lease
from batch_router.state.base import Store
from batch_router.state.items import Batch, Shard, batch_id_of
from batch_router.state.table import check_transition
from batch_router.storage import FolderStorage
from tests.road.fleet import Fate, Fleet


class Watch:
    """Sees each change of the store.

    Attributes:
        wrong: what must not be, in words: raised in a step, it would be taken for the step's failure.
    """

    def __init__(self, store: Store) -> None:
        self.wrong: list[str] = []
        self._store = store
        self._seen: dict[str, Batch | Shard] = {}

    def look(self, item_id: str) -> None:
        """Compare an item, its batch and the batch's shards with what they were before."""
        batch = self._store.get_batch(batch_id_of(item_id))
        if batch is None:
            return
        shards = self._store.get_shards(batch)
        items: list[Batch | Shard] = [batch, *shards]
        for item in items:
            self._compare(self._seen.get(item.id), item)
            self._seen[item.id] = item
        alive = sum(not shard.state.is_final for shard in shards)
        if batch.open != alive:
            self.wrong.append(f"{batch.id} counts {batch.open} open shards, and {alive} are")

    def forget(self) -> None:
        """What comes next follows from nothing that was there before."""
        self._seen.clear()

    def _compare(self, before: Batch | Shard | None, now: Batch | Shard) -> None:
        if before is None:
            return
        try:
            check_transition(before.state, now.state)
        except StateError as error:
            self.wrong.append(f"{now.id}: {error}")
        if before.state.is_final and (now.state, now.failure) != (before.state, before.failure):
            self.wrong.append(f"{now.id} had ended, and changed")
        if now.version < before.version or (now.state is not before.state and now.version == before.version):
            self.wrong.append(f"{now.id} was at version {before.version}, and is at {now.version}")


class SeamStore:
    """A store whose every call is between two seams. Attributes: `on_change`, called after what may have changed it."""

    def __init__(self, store: Store, fleet: Fleet, watch: Watch) -> None:
        self._store = store
        self._fleet = fleet
        self._watch = watch
        self.now = store.now
        self.on_change: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)

        def call(*args: Any, **options: Any) -> Any:
            if self._fleet.seam(in_store=True) is Fate.CUT_OFF:
                raise StoreUnavailableError("cut off before")
            answer = method(*args, **options)
            if not name.startswith("get"):
                self.on_change()
                if name == "reopen":  # what had ended goes on
                    self._watch.forget()
                if args and isinstance(args[0], str):
                    self._watch.look(args[0])
            fate = self._fleet.seam(in_store=True)
            if fate is Fate.CUT_OFF:
                raise StoreUnavailableError("cut off after")
            return method(*args, **options) if fate is Fate.REPEATS else answer

        return call


class SeamStorage(FolderStorage):
    """A storage in which a worker may die around each write."""

    def __init__(self, root: Any, fleet: Fleet) -> None:
        super().__init__(root)
        self._fleet = fleet

    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        self._fleet.seam()
        with super().write(name) as stream:
            yield stream
        self._fleet.seam()

    def delete(self, name: str) -> None:
        self._fleet.seam()
        super().delete(name)


class Keeper:
    """Stands in for `LeaseKeeper`: `Fleet.move` does what its thread does."""

    def __init__(self, fleet: Fleet, store: Any, seconds: float) -> None:
        self._fleet = fleet
        self._store = store
        self._seconds = seconds

    @contextmanager
    def hold(self, item_id: str, fence: int, holder: str, since: float) -> Iterator[Lease]:
        worker = self._fleet.current
        lease = self._fleet.leases[worker] = Lease(self._store, item_id, fence, holder, self._seconds, since)
        try:
            yield lease
        finally:
            self._fleet.leases.pop(worker, None)

    def close(self) -> None:
        pass


class AtOnce:
    """Stands in for `ThreadPoolExecutor`: what is submitted is done then and there."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def submit(self, work: Callable[[], None]) -> "Future[None]":
        done: Future[None] = Future()
        try:
            work()
            done.set_result(None)
        except BaseException as error:  # as the real one
            done.set_exception(error)
        return done

    def shutdown(self) -> None:
        pass
