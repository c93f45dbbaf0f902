"""Whether the batches of a storage go to real services or to simulated ones: never to both.

A simulated job that is looked for at a real service is not there, and would be bought again. So the first worker leaves
a mark, and one of the other kind ends as long as there are batches.
"""

from ..exceptions import ValidationError
from ..security.paths import FOLDERS
from ..storage import Storage

_FOLDER = "service-marks"


def bind_services(storage: Storage, *, simulated: bool) -> None:
    """Make sure that the batches of a storage go to services of this kind; where there are none, it is decided here.

    Raises:
        ValidationError: they go to the other kind; says what to do.
        FileOperationError: the storage cannot be read or written.
    """
    ours, other = ("simulated", "real") if simulated else ("real", "simulated")
    if other in _marks(storage):
        if any(True for _ in storage.list(FOLDERS)):
            _refuse(storage, ours, other)
        storage.delete(f"{_FOLDER}/{other}")
    if ours not in _marks(storage):
        with storage.write(f"{_FOLDER}/{ours}") as stream:
            stream.write(b"Where the batches of this storage go: see docs/architecture.md.\n")
        if other in _marks(storage):  # another worker was as fast
            _refuse(storage, ours, other)


def _marks(storage: Storage) -> frozenset[str]:
    return frozenset(found.name.rpartition("/")[2] for found in storage.list(_FOLDER))


def _refuse(storage: Storage, ours: str, other: str) -> None:
    started = {"simulated": "`batch-router up --simulate`", "real": "`batch-router up` without --simulate"}
    raise ValidationError(
        f"the batches in {storage.address} go to {other} providers, and this would send them to {ours} ones: start"
        f" {started[other]} there, `batch-router purge` its batches first, or set BATCH_ROUTER_HOME to another folder"
    )
