"""Whether a provider's batches in a storage go to the real service or to a simulated one: never to both.

A simulated job that is looked for at the real service is not there, and its rows would be bought. So the first worker
leaves a mark for each provider that it calls, and a worker of the other kind ends as long as that provider has batches.
A base URL on this machine is taken for a simulated service: whatever answers there, it is not the real one.
"""

from collections.abc import Mapping

from ..credentials import may_have_key
from ..exceptions import ProviderNotFoundError, ValidationError
from ..providers import find_provider, provider_names
from ..providers.access import is_this_machine
from ..security.paths import FOLDERS
from ..settings import PREFIX, Settings
from ..storage import Storage

_FOLDER = "service-marks"


def services_of(settings: Settings) -> dict[str, bool]:
    """The providers that this process may call, each with whether it calls a simulated service.

    A worker that has neither the key nor the address of a service leaves the decision to one that has.
    """
    found = {}
    for name in provider_names(settings):
        try:
            kind = find_provider(name, settings)
        except ProviderNotFoundError:  # its package cannot be imported here
            continue
        url = settings.base_urls.get(name)
        if settings.simulated or url or not kind.remote or may_have_key(kind, settings.credentials):
            found[name] = settings.simulated or (kind.remote and url is not None and is_this_machine(url))
    return found


def bind_services(storage: Storage, services: Mapping[str, bool]) -> None:
    """Make sure that batches go where those before them went; for a provider without batches, it is decided here.

    Args:
        storage: of the batches.
        services: provider -> whether it is simulated.

    Raises:
        ValidationError: a provider's batches go to the other kind; says what to do.
        FileOperationError: the storage cannot be read or written.
    """
    marks = _marks(storage)
    for name, simulated in services.items():
        ours, other = _mark(name, simulated=simulated), _mark(name, simulated=not simulated)
        if other in marks:
            if any(True for _ in storage.list(f"{FOLDERS}/{name}")):
                _refuse(storage, name, simulated=simulated)
            storage.delete(f"{_FOLDER}/{other}")
        if ours not in marks:
            with storage.write(f"{_FOLDER}/{ours}") as stream:
                stream.write(b"Where the batches of this provider go: see docs/architecture.md.\n")
            if other in _marks(storage):  # another worker was as fast
                _refuse(storage, name, simulated=simulated)


def _mark(name: str, *, simulated: bool) -> str:
    return f"{name}-{'simulated' if simulated else 'real'}"


def _marks(storage: Storage) -> frozenset[str]:
    return frozenset(found.name.rpartition("/")[2] for found in storage.list(_FOLDER))


def _refuse(storage: Storage, name: str, *, simulated: bool) -> None:
    kinds = ("a simulated service, or one on this machine", "the real service")
    ours, other = kinds if simulated else kinds[::-1]
    before = "`batch-router up` without --simulate and with" if simulated else "`batch-router up --simulate`, or with"
    raise ValidationError(
        f"the {name} batches in {storage.address} go to {other}, and this would send them to {ours}: start it as "
        f"before ({before} {PREFIX}{name.upper()}_BASE_URL as it was), `batch-router purge` them first, or set "
        "BATCH_ROUTER_HOME to another folder"
    )
