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


def convert(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "batch_router.cli", "convert", "in.jsonl", "--provider", "openai", *options]
    return subprocess.run(command, env=clean_environment(home), cwd=home, capture_output=True, text=True, timeout=60)


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
    assert done.stderr == "dropped: top_k in 1 places, which openai does not take\n"
    assert done.returncode == 0
    assert [path.name for path in home.iterdir()] == ["in.jsonl"]


def test_the_endpoint_is_named_as_in_a_row(home: Path) -> None:
    """`--endpoint responses` holds for the rows that do not say, in the word that a row would use."""
    done = convert(home, "--model", "m", "--endpoint", "responses", "--unsupported", "drop")
    assert (done.returncode, done.stdout.count('"url":"/v1/responses"')) == (0, 3)


def test_rows_that_could_not_be_sent_are_refused(home: Path) -> None:
    """As `submit` would refuse them: all of them, by line and field, with exit code 2 and nothing on stdout."""
    done = convert(home)
    assert done.returncode == 2
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert "in.jsonl, line 1: model: missing" in first
    assert "in.jsonl, line 4: model: missing" in second
