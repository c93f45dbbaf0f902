"""The table of bad inputs, as docs/bad-input.md has it: each row is given, and gets its sentence and its exit code."""

import re
from pathlib import Path

import pytest

from batch_router.road.context import Context
from tests.cli.bad_files import write_files
from tests.cli.commands import run_line
from tests.conftest import ROOT

_PAGE = ROOT / "docs" / "bad-input.md"


def table() -> list[list[str]]:
    """The rows of the page: what is given, the command, what it says, and its exit code."""
    rows = [re.split(r" ?(?<!\\)\| ?", line)[1:-1] for line in _PAGE.read_text().splitlines() if line.startswith("|")]
    return [[cell.replace("\\|", "|") for cell in row] for row in rows if row[-1].isdecimal()]


@pytest.fixture
def folder(context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where the commands run: with the files of the table, and a worker that listens."""
    made = tmp_path / "folder"
    made.mkdir()
    write_files(made)
    monkeypatch.chdir(made)
    context.store.announce("w", ["cpu"], ttl=600)
    return made


@pytest.mark.usefixtures("folder")
def test_each_bad_input_gets_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, no traceback, nothing on stdout; `…` stands for what differs from machine to machine."""
    rows = table()
    assert len(rows) > 100
    for what, command, sentence, code in rows:
        ran = run_line(command.strip("`").replace(r"\x1b", "\x1b"), capsys)
        pattern = ".*".join(map(re.escape, sentence.split("…")))
        assert re.fullmatch(pattern, ran.sentence), (what, ran)
        assert (ran.code, ran.stdout, "Traceback" in ran.stderr) == (int(code), "", False), (what, ran)


def test_the_page_shows_the_files(folder: Path) -> None:
    """Each file that a command names is in the test's folder, but those that are said to be missing."""
    named = {word for _, command, *_ in table() for word in re.findall(r"[\w.-]+\.(?:jsonl|json|csv|toml)\b", command)}
    assert {name for name in named if not (folder / name).exists()} <= {"missing.jsonl", "missing.json", "missing.toml"}
