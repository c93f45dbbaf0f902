"""Facts are typed: a name or a value that no record has is refused before it runs."""

from typing import get_type_hints

import msgspec
import pytest
from mypy import api

from batch_router.state.facts import BatchFacts, NoticeFacts, ShardFacts
from batch_router.state.items import Batch, Notice, Shard
from tests.conftest import ROOT

PREAMBLE = """\
from batch_router.road.context import Running
from batch_router.road.outcome import ShardOutcome, batch_to, shard_to
from batch_router.state.base import Commit
from batch_router.state.items import Shard
from batch_router.state.table import FIRST_OF_SHARD, State

def step(running: Running) -> None:
"""
RIGHT = ["shard_to(State.CREATING, upload='f')", "batch_to(State.RUNNING, rows=3)", "running.lease.renew(uploads=1)"]
WRONG = {
    "shard_to(State.CREATING, uplaod='f')": 'Unexpected keyword argument "uplaod"',
    "shard_to(State.CREATING, upload=3)": 'Argument "upload" to "shard_to" has incompatible type "int"',
    "shard_to(State.CREATING, manifest='m')": 'Unexpected keyword argument "manifest"',
    "batch_to(State.RUNNING, upload='f')": 'Unexpected keyword argument "upload"',
    "running.lease.renew(upload_count=1)": 'Unexpected keyword argument "upload_count"',
    "Commit(State.CREATING, 0, {'uplaod': 'f'})": 'expected "ItemFacts | BatchFacts | ShardFacts | NoticeFacts"',
    "Shard(state=FIRST_OF_SHARD, provider='openai')": 'Missing named argument "',
    "outcome: ShardOutcome = batch_to(State.RUNNING)": 'expression has type "BatchOutcome"',
    "State.CREATNG": 'has no attribute "CREATNG"',
}


def test_a_misspelt_fact_does_not_pass_the_type_checker(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each wrong line has its error, and no right line has one."""
    snippet = tmp_path_factory.mktemp("facts") / "snippet.py"
    lines = [*RIGHT, *WRONG]
    snippet.write_text(PREAMBLE + "".join(f"    {line}\n" for line in lines))
    said, _, _ = api.run(["--config-file", str(ROOT / "pyproject.toml"), str(snippet)])
    first = PREAMBLE.count("\n") + 1
    errors = {number: line for line in said.splitlines() if (number := _line_of(line, snippet.name)) is not None}
    wrong = {first + lines.index(line): words for line, words in WRONG.items()}
    assert sorted(errors) == sorted(wrong), said
    assert [number for number, words in wrong.items() if words not in errors[number]] == [], said


def _line_of(line: str, name: str) -> int | None:
    path, _, rest = line.partition(":")
    return int(rest.partition(":")[0]) if path.endswith(name) and ": error:" in line else None


@pytest.mark.parametrize(("facts", "record"), [(BatchFacts, Batch), (ShardFacts, Shard), (NoticeFacts, Notice)])
def test_facts_are_those_of_the_record(facts: type, record: type[msgspec.Struct]) -> None:
    """What a step says has its place in the record that the store reads back."""
    assert set(get_type_hints(facts)) <= set(record.__struct_fields__)
