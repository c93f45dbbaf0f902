"""What the docs say, held against the code."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

import batch_router.bounds
from batch_router.cli import cli
from batch_router.cli.exit_codes import ExitCode
from batch_router.core import ResultError, UnifiedResult, Usage
from batch_router.providers import find_provider, provider_names
from batch_router.settings import PREFIX, Section, Settings, variables_of
from batch_router.simulator import Scenario
from batch_router.state.table import State

ROOT = Path(__file__).parent.parent


def read(name: str) -> str:
    return (ROOT / name).read_text()


def our_variables() -> frozenset[str]:
    sections = [kind for kind in Section.__subclasses__() if kind.__module__.startswith("batch_router.")]
    assert batch_router.bounds.Bounds in sections
    kinds: list[type[msgspec.Struct]] = [Settings, *sections]
    return frozenset[str]().union(*map(variables_of, kinds))


def test_the_picture_of_the_states_is_the_table() -> None:
    """Every arrow of the picture is a row of the state table, and the other way round."""
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", read("docs/architecture.md"), re.MULTILINE))
    assert drawn == {(old.value, new.value) for old in State for new in old.successors}


def test_the_map_has_every_room() -> None:
    """Each module and folder at the top of the package is on the map of the architecture page, and nothing else."""
    drawn = read("docs/architecture.md").partition("## The rooms of the code")[2].partition("\n## ")[0]
    named = set(re.findall(r"(?:^      |[ ;,] )(\w+(?:/|\.py))(?=[ ,:])", drawn, re.MULTILINE))
    package = [path for path in (ROOT / "batch_router").iterdir() if path.name != "__pycache__"]
    there = {path.name + "/" for path in package if path.is_dir()} | {
        path.name for path in package if path.suffix == ".py"
    }
    assert named - {"batch_router/", "workers/", "celeryconfig.py"} == there


def test_each_exit_code_is_explained() -> None:
    """The table has the codes that there are."""
    explained = re.findall(r"^\| (\d+) \| ", read("docs/cli.md"), re.MULTILINE)
    assert explained == [str(code.value) for code in ExitCode]


def test_each_command_is_listed() -> None:
    """What the page lists is what the program has."""
    assert set(re.findall(r"^    batch-router ([a-z]+)", read("docs/cli.md"), re.MULTILINE)) == set(cli.commands)


def test_each_setting_is_listed() -> None:
    """With its default; and no variable is listed that does not exist."""
    rows = re.findall(r"^\| `BATCH_ROUTER_(\w+)` \| (.*?) \|", read("docs/cli.md"), re.MULTILINE)
    listed = {name.lower(): default for name, default in rows if not name.endswith("BASE_URL")}
    assert {PREFIX + name.upper() for name in listed} == our_variables()
    for name in ("lease", "renew_every", "grace", "sweep_every", "queue_gate", "http_timeout"):
        assert float(listed[name]) == getattr(Settings(), name)


def test_each_field_of_a_result_is_explained() -> None:
    """So are those of its usage and of its error."""
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", read("docs/results.md"), re.MULTILINE))))
    assert named >= {name for kind in (UnifiedResult, Usage, ResultError) for name in kind.__struct_fields__}


def test_each_bound_is_listed() -> None:
    """The page about security has each bound, with its default."""
    rows = re.findall(r"^\| `BATCH_ROUTER_(MAX_\w+)` \| ([\d,]+) ?(\w*) \|", read("docs/security.md"), re.MULTILINE)
    units = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GB": 10**9, "s": 1}
    listed = {name.lower(): int(number.replace(",", "")) * units[unit] for name, number, unit in rows}
    assert listed == msgspec.to_builtins(batch_router.bounds.Bounds())


def test_each_attack_has_its_test() -> None:
    """Each line of the page about security names tests, and they are there."""
    tables = read("docs/security.md").partition("\n## Submitter\n")[2].partition("\n## Bounds\n")[0]
    heads = ("| --- |", "| attack |", "| mistake |")
    rows = [line for line in tables.splitlines() if line.startswith("|") and not line.startswith(heads)]
    assert [row for row in rows if not re.search(r"`tests/[\w/]+\.py[^|]* \|$", row)] == []
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", tables)
    assert [each for each in named if f"def {each[1]}" not in read(each[0])] == []


def test_the_example_scenario_is_one() -> None:
    """The TOML on the page is accepted."""
    example = re.findall(r"```toml\n(.*?)```", read("docs/cli.md"), re.DOTALL)[-1]
    assert msgspec.convert(tomllib.loads(example), Scenario).seed == 7


def test_each_dependency_has_its_reason() -> None:
    """What pyproject.toml asks for is in the table of reasons, and pinned."""
    project = tomllib.loads(read("pyproject.toml"))
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = {re.split(r"[\[<>=!; ]", each)[0] for each in wanted}
    reasons, pins = read("docs/dependencies.md"), read("constraints.txt")
    assert {name for name in names if not re.search(rf"\b{re.escape(name)}\b", reasons)} == set()
    assert {name for name in names if not re.search(rf"^{re.escape(name)}==", pins, re.MULTILINE)} == set()


def test_the_procfile_serves_every_queue() -> None:
    """Each queue of the state table and of a provider has a process in the Procfile."""
    served = {queue for queues in re.findall(r"-Q (\S+)", read("Procfile")) for queue in queues.split(",")}
    needed = {state.queue for state in State} | {find_provider(name).queue for name in provider_names()}
    assert {queue for queue in needed if queue} <= served


@pytest.mark.parametrize(
    "name", ["README.md", "docs/architecture.md", "docs/cli.md", "docs/security.md", "CONTRIBUTING.md"]
)
def test_variables_that_are_named_exist(name: str) -> None:
    """No page speaks of a setting that the code does not have."""
    named = set(re.findall(rf"{PREFIX}\w+", read(name)))
    others = {f"{PREFIX}OPENAI_BASE_URL", f"{PREFIX}VLLM_BASE_URL", f"{PREFIX}COMPLETE"}  # the last is click's
    assert named <= our_variables() | others
