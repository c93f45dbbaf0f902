"""`batch-router convert`: what would be sent, without sending; no server is needed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .e2e.stack import clean_environment

ROWS = b"""{"custom_id": "a", "prompt": "Hello"}
{"custom_id": "b", "method": "POST", "url": "/v1/responses", "body": {"model": "n", "input": "World"}}

{"custom_id": "c", "prompt": "Again", "generation_config": {"top_k": 3}}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "in.jsonl").write_bytes(ROWS)
    return tmp_path


def convert(home: Path, *options: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    file = "in.jsonl" if given is None else "-"
    command = [sys.executable, "-m", "batch_router.cli", "convert", file, "--provider", "openai", *options]
    environment = clean_environment(home)
    return subprocess.run(command, env=environment, cwd=home, input=given, capture_output=True, text=True, timeout=60)


def test_rows_are_shown_as_they_would_be_sent(home: Path) -> None:
    """Each row in the provider's format, the batch's model filled in; stderr says what was dropped."""
    done = convert(home, "--model", "m", "--unsupported", "drop")
    rows = [json.loads(line) for line in done.stdout.split("\n")[:-1]]
    assert [(row["url"], row["body"]["model"]) for row in rows] == [
        ("/v1/chat/completions", "m"),
        ("/v1/responses", "n"),
        ("/v1/chat/completions", "m"),
    ]
    assert "top_k" not in rows[2]["body"]
    assert done.stderr == "dropped: top_k in 1 place, which openai does not take\n"
    assert done.returncode == 0
    assert [path.name for path in home.iterdir()] == ["in.jsonl"]


def test_the_endpoint_is_named_as_in_a_row(home: Path) -> None:
    """`--endpoint responses` holds for the rows that do not say, in the word that a row would use, in any spelling."""
    for endpoint in ("responses", "RESPONSES", "Responses"):
        done = convert(home, "--model", "m", "--endpoint", endpoint, "--unsupported", "drop")
        assert (done.returncode, done.stdout.count('"url":"/v1/responses"')) == (0, 3)


def test_rows_come_from_the_standard_input(home: Path) -> None:
    """`-` is taken in place of a file, with the same outcome."""
    wanted = convert(home, "--model", "m", "--unsupported", "drop")
    done = convert(home, "--model", "m", "--unsupported", "drop", given=ROWS.decode())
    assert (done.returncode, done.stdout, done.stderr) == (0, wanted.stdout, wanted.stderr)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (ROWS.decode() + "{broken\n", "batch-router: standard input, line 5: not valid JSON: "),
        ("", "batch-router: input: standard input is empty: there is nothing to send"),
        ("custom_id,prompt\na,Hi\n", "batch-router: input: standard input looks like a table with the columns "),
    ],
)
def test_problems_name_the_standard_input(home: Path, given: str, complaint: str) -> None:
    """As they name a file, with the line."""
    done = convert(home, "--model", "m", "--unsupported", "drop", given=given)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(complaint)


def test_rows_that_could_not_be_sent_are_refused(home: Path) -> None:
    """As `submit` would refuse them: all of them, by line and field, with exit code 2 and nothing on stdout."""
    done = convert(home)
    assert done.returncode == 2
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert "in.jsonl, line 1: model: missing" in first
    assert "in.jsonl, line 4: model: missing" in second
