"""Fixtures that more than one folder uses: a real Valkey, and the shared reference data where it is present."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_router.embedded import EmbeddedServer

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real server of this test run, database 0."""
    with EmbeddedServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server.start()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with reference data beside the checkout; what needs it is skipped where it is not."""
    folder = Path(os.environ.get("BATCH_ROUTER_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("the shared reference data is not here; BATCH_ROUTER_SHARED names its folder")
    return folder
