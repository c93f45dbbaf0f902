"""The commands about batches, over a real store: ids, lists, purges, and what terminals of 80 and 120 columns show."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from batch_router.cli import cli
from batch_router.core import Tokens
from batch_router.exceptions import ValidationError
from batch_router.road.context import Context
from batch_router.road.spend import write_spend
from batch_router.state.parts import Part
from tests.cli.commands import LONG
from tests.conftest import ROOT
from tests.items import new_batch, new_shard


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def listed(*arguments: str) -> list[str]:
    return [json.loads(line)["batch_id"] for line in run("list", "--json", *arguments).stdout.splitlines()]


@pytest.mark.usefixtures("context")
def test_an_id_may_be_cut_short_where_one_batch_has_it() -> None:
    """The beginning of one id is that batch, a whole id is always itself, and what fits several is refused by name."""
    assert json.loads(run("status", "3f1c", "--json").stdout)["batch_id"] == LONG
    assert json.loads(run("status", "ab", "--json").stdout)["batch_id"] == "ab"
    for command in (["status", "a"], ["purge", "a", "--yes"], ["watch", "3f1c", "a"], ["cancel", "a"]):
        refused = run(*command).exception
        assert isinstance(refused, ValidationError)
        assert "a begins the ids of several batches: abc, ab; give more of the id" in str(refused)


@pytest.mark.usefixtures("context")
def test_a_shell_completes_ids() -> None:
    """Those of batches that begin like the word."""
    completed = ShellComplete(cli, {}, "batch-router", "_X").get_completions(["status"], "ab")
    assert sorted(each.value for each in completed) == ["ab", "abc"]


@pytest.mark.usefixtures("context")
def test_a_list_is_filtered_and_paged() -> None:
    """By time and notes, and `--before` goes on where a page ended."""
    assert sorted(listed("--since", "1h")) == sorted([LONG, "abc"])
    assert listed("--metadata", "run=7") == [LONG]
    assert listed("--metadata", "run=8") == []
    first, second = listed("--limit", "1"), listed("--limit", "1", "--before", listed("--limit", "1")[0])
    assert sorted([*first, *second]) == sorted([LONG, "abc"])
    assert listed("--before", second[0]) == ["ab"]
    assert "write 30m, 12h, 7d" in str(run("list", "--since", "soon").output)


def test_costs_are_added_up(context: Context) -> None:
    """Of all that has ended, by what is asked for; no days, no sums."""
    for number, team in enumerate("aab"):
        batch = new_batch(f"b{number}", metadata={"team": team}, submission=f"{number}-submission.json")
        part = Part(name="results", tokens=Tokens(input_tokens=1000, answers=1), cost=Decimal(number) / 1000)
        write_spend(context.storage, batch, [new_shard(batch.id, part=part, submitted_at=86_400.0)], 90_000.0)
    header, *lines = run("costs", "--by", "metadata.team", "--since", "1970-01-02").stdout.splitlines()
    assert header.split() == ["metadata.team", "batches", "rows", "tokens", "in", "tokens", "out", "cost"]
    assert [line.split() for line in lines] == [
        ["b", "1", "1", "1,000", "0", "$0.0020"],
        ["a", "2", "2", "2,000", "0", "$0.0010"],
    ]
    (line,) = run("costs", "--json").stdout.splitlines()
    assert (json.loads(line)["group"], json.loads(line)["cost"]) == (None, "0.003")
    assert "no batch of these days has ended" in run("costs", "--until", "1970-01-01").stderr
    assert "'soon' does not match the format '%Y-%m-%d'" in run("costs", "--since", "soon").output


def test_an_estimate_needs_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads prices and rows, takes the options of `submit`, and says how it came to its numbers."""
    (tmp_path / "rows.csv").write_text("text\nhello\n")
    for name, value in {"HOME": tmp_path / "none", "PRICES": ROOT / "deploy" / "prices.toml"}.items():
        monkeypatch.setenv(f"BATCH_ROUTER_{name}", str(value))
    to = ["--provider", "anthropic", "--model", "claude-haiku-4-5"]
    options = [*to, "--prompt", "Is it {text}?", "--max-tokens", "10"]
    done = run("estimate", str(tmp_path / "rows.csv"), *options, "--wait", "--batch-id", "b")
    assert (done.exit_code, done.stdout.splitlines()[1].split()) == (
        0, ["claude-haiku-4-5", "chat", "1", "1", "3", "10", "$0.000026", "$0.000053"],
    )  # fmt: skip
    assert "tokens out: the most that max_tokens allows" in done.stdout
    assert json.loads(run("estimate", str(tmp_path / "rows.csv"), *options, "--json").stdout)["cost"] == "0.0000265"
    assert not (tmp_path / "none").exists()


def test_a_purge_shows_what_it_would_delete(context: Context) -> None:
    """`--dry-run` deletes nothing; without `--yes` the preview has the whole id, and nothing is deleted."""
    dry = run("purge", "--older-than", "0", "--dry-run")
    assert (dry.exit_code, dry.stdout.split("\n")[1].split()[:2]) == (0, ["ab", "completed"])
    asked = run("purge", "ab")
    assert isinstance(asked.exception, ValidationError)
    assert "ab     completed" in asked.stderr
    assert "older than -5 days" in str(run("purge", "--older-than", "-5").exception)
    assert context.store.get_batch("ab") is not None
    assert run("purge", "ab", "--yes", "--json").stdout == '{"version":1,"batch_id":"ab"}\n'
    assert context.store.get_batch("ab") is None


@pytest.mark.usefixtures("context")
def test_a_pipe_gets_whole_lines() -> None:
    """No id is cut, and no line is folded, however wide the terminal would be."""
    header, *lines = run("list").stdout.splitlines()
    assert header.split() == ["batch", "status", "succeeded", "age", "provider", "model"]
    assert [line.split()[0] for line in lines] == listed()
    assert f"{LONG}.0" in run("status", LONG).stdout


@pytest.mark.usefixtures("context")
def test_budgets_limits_and_pauses_are_set_and_shown() -> None:
    """Each command says what it did, shows what there is, and refuses what is none with what it takes."""
    assert run("budget", "3f1c", "2.50").stdout.strip() == f"batch={LONG}"
    assert run("budget", "metadata.run=7", "$10").exit_code == 0
    assert [line.split() for line in run("budget").stdout.splitlines()[1:]] == [
        [f"batch={LONG}", "$2.50", "$0.00", "$2.50", "0"],
        ["metadata.run=7", "$10.00", "$0.00", "$10.00", "0"],
    ]
    run("budget", "3f1c", "--remove")
    assert [json.loads(line)["scope"] for line in run("budget", "--json").stdout.splitlines()] == ["metadata.run=7"]
    run("limit", "openai", "gpt-5-mini", "--tokens", "2000000", "--credential", "team-a")
    assert run("pause", "provider=openai").stdout.strip() == "provider=openai"
    assert [line.split()[:3] for line in run("limit").stdout.splitlines()[1:]] == [
        ["jobs", "provider=openai", "paused"],
        ["tokens", "openai/team-a:gpt-5-mini", "2,000,000"],
    ]
    run("unpause", "provider=openai")
    run("limit", "openai", "gpt-5-mini", "--credential", "team-a")
    assert "no limits" in run("limit").stderr
    for command in (("budget", "team=a", "1"), ("pause", "credential=A B"), ("budget", "3f1c", "-1")):
        assert run(*command).exit_code != 0
    assert "is no scope: batch=ID, credential=NAME" in str(run("pause", "team=a").exception)
