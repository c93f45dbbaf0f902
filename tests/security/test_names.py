"""Names from the store, the broker or a provider that become paths, variables or keys."""

from pathlib import Path

import pytest

from batch_router.exceptions import FileOperationError
from batch_router.security.names import BATCH_ID, CREDENTIAL, PROVIDER
from batch_router.security.paths import check_shard_folder, is_name, path_below

HOSTILE = [
    "",
    "/",
    ".",
    "..",
    "../x",
    "/etc/x",
    "a//b",
    "a/",
    "a/../b",
    "a/./b",
    ".x",
    "a\x00",
    "a\n",
    "\u202ea",
    "a" * 201,
    "a b",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_hostile_name_is_the_name_of_an_object(name: str) -> None:
    """No name that leaves its folder, hides, is empty, or holds a character of its own meaning becomes a path."""
    assert not is_name(name)
    with pytest.raises(FileOperationError):
        path_below(Path("home"), name)
    for folder in (
        name,
        f"generated/{name}",
        f"generated/openai/{name}/s",
        f"generated/{name}/b/s",
        f"generated/openai/b/{name}",
    ):
        with pytest.raises(FileOperationError):
            check_shard_folder(folder)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_hostile_name_is_that_of_a_batch_or_a_provider(name: str) -> None:
    """Ids, providers and keys have names of their own grammar."""
    assert not any(grammar.fullmatch(name) for grammar in (BATCH_ID, PROVIDER, CREDENTIAL))


def test_each_name_of_a_key_is_a_variable_of_its_own() -> None:
    """No two names of keys lead to the same variable."""
    variables = {name: name.upper().replace("-", "_") for name in ("team-a", "team_a", "Team-a", "TEAM-A", "teama")}
    taken = [variables[name] for name in variables if CREDENTIAL.fullmatch(name)]
    assert taken == ["TEAM_A", "TEAMA"]
