"""One stack for the tests that only use it."""

from collections.abc import Iterator

import pytest

from .stack import Stack, run_stack

# Immediate answers. What a prompt asks for decides what becomes of its row.
SCENARIO = r"""
drop = "lose me"
repeat = "say it twice"

[[refuse]]
match = "refuse me"
message = "Your request was refused."

[[answers]]
match = 'What is (\d+) \+ 0'
text = "It is {1}."
"""


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Workers, Valkey and simulated providers, with shards of at most 500 rows."""
    home = tmp_path_factory.mktemp("stack")
    with run_stack(home, SCENARIO, "io", "cpu", BATCH_ROUTER_MAX_SHARD_ROWS="500") as running:
        yield running
