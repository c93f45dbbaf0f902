"""What the pages name exists: commands and their options, targets of the Makefile, files, and links."""

import re
from importlib.util import find_spec

import pytest

from batch_router.cli import cli
from batch_router.providers import find_provider, provider_names
from batch_router.state.table import State

from .documented import COMMANDS_TRIED, PAGES, ROOT, TARGETS_TRIED, TRIED_ELSEWHERE, blocks, commands

MAKEFILE = (ROOT / "Makefile").read_text()
FOLDERS = "batch_router|tests|docs|deploy|examples|workers"


def exists(test: str) -> bool:
    path, _, name = test.partition("::")
    text = (ROOT / path).read_text()
    return (f"def {name}(" if name.startswith("test_") else name) in text


def test_every_target_is_tried() -> None:
    """Each target of the Makefile has its line in the list of tried ones, and each line has its target and its test."""
    assert set(TARGETS_TRIED) == set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
    assert [test for test in TARGETS_TRIED.values() if not exists(test)] == []


def test_every_command_is_tried() -> None:
    """Each command of the program has its line in the list of tried ones, and each line its command and its test."""
    assert set(COMMANDS_TRIED) == set(cli.commands)
    assert [test for test in (*COMMANDS_TRIED.values(), *TRIED_ELSEWHERE.values()) if not exists(test)] == []


def test_workers_serve_queues_that_exist() -> None:
    """Every command that starts a worker names an app that can be imported and queues that its steps use."""
    known = {state.queue for state in State} | {find_provider(name).queue for name in provider_names()}
    shown = [command for block in blocks("sh") for command in commands(block) if command.startswith("celery ")]
    for command in shown:
        app, queues = re.findall(r"^celery -A (\S+) worker -Q (\S+)", command)[0]
        assert find_spec(app), command
        assert set(queues.split(",")) <= known, command
    assert shown


def test_what_is_tried_elsewhere_is_on_a_page() -> None:
    """The list of commands that the pages' test leaves to others names none that is gone."""
    shown = [command for block in blocks("sh") for command in commands(block)]
    assert [start for start in TRIED_ELSEWHERE if not any(line.startswith(start) for line in shown)] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/bad-input.md"])
def test_commands_and_targets_exist(page: str) -> None:
    """`batch-router X --option` is a command with that option, and `make X` a target; one page is about mistakes."""
    text = (ROOT / page).read_text()
    for name, rest in re.findall(r"(?<![\w/])batch-router ([a-z]+)((?:(?![`\n]| # ).)*)", text):
        assert name in cli.commands, name
        options = {option for each in cli.commands[name].params for option in each.opts}
        assert set(re.findall(r"(?<!\S)\[?(--[a-z-]+)", rest)) <= options | {"--help"}, name
    targets = set(re.findall(r"(?:`|^ *|^\$ )make ([a-z][a-z-]*)", text, re.MULTILINE))
    assert targets <= set(TARGETS_TRIED), page


@pytest.mark.parametrize("page", PAGES)
def test_files_and_links_exist(page: str) -> None:
    """A path of the checkout in backticks is there (`<name>` stands for any), and so is what a link leads to."""
    text = (ROOT / page).read_text()
    for path in re.findall(rf"`((?:{FOLDERS})/[^\s`:]*)`", text):
        pattern = re.sub(r"<[^>]*>", "*", path).rstrip("/")
        assert list(ROOT.glob(pattern)), path
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_the_index_lists_every_decision() -> None:
    """Each page of docs/decisions has its row."""
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"^\| \[([\w-]+\.md)\]", (folder / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in folder.glob("*.md") if path.name != "README.md")
