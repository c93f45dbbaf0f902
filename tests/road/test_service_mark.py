"""Real and simulated services never have batches in one storage."""

from pathlib import Path

import pytest

from batch_router.exceptions import ValidationError
from batch_router.road.service_mark import bind_services
from batch_router.storage import FolderStorage


@pytest.mark.parametrize("simulated", [True, False])
def test_the_other_kind_is_refused_while_there_are_batches(simulated: bool, tmp_path: Path) -> None:
    """Workers of the same kind come and go; the other kind takes over only a storage without batches."""
    storage = FolderStorage(tmp_path)
    bind_services(storage, simulated=not simulated)
    bind_services(storage, simulated=simulated)
    with storage.write("generated/openai/b/input.jsonl") as stream:
        stream.write(b"{}")
    bind_services(storage, simulated=simulated)
    with pytest.raises(ValidationError, match=r"providers, and this would send them to .*purge"):
        bind_services(storage, simulated=not simulated)
    storage.delete("generated/openai/b/input.jsonl")
    bind_services(storage, simulated=not simulated)
