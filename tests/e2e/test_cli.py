"""The command line: exit codes, bad input, and what is left behind (nothing)."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from .stack import Stack, clean_environment, processes_of

COMMANDS = (
    *("cancel", "convert", "demo", "doctor", "list", "resolve", "results", "retry"),
    *("simulate", "status", "submit", "up", "watch"),
)
GOOD = '{"custom_id": "a", "prompt": "Hello"}\n'


def test_help_lists_the_commands(stack: Stack) -> None:
    """Every command that the README names is there."""
    text = stack.cli("--help").stdout
    for command in COMMANDS:
        assert f"\n  {command} " in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (GOOD + "{broken\n", "line 2: not valid JSON"),
        (GOOD + '{"custom_id": "b", "prompt": "x", "colour": 1}\n', "line 2: .*colour"),
        (GOOD + GOOD, "line 2: custom_id: 'a' was used before, at line 1"),
        (GOOD + '{"custom_id": "b", "prompt": 1}\n', "line 2: "),
        ('{"custom_id": "", "prompt": "x"}\n', "line 1: custom_id: "),
        ("", "is empty: there is nothing to send"),
        ("\n\n", "is empty: there is nothing to send"),
        (GOOD + '["a"]\n', "line 2: a request must be an object"),
    ],
)
def test_bad_rows_are_refused_before_anything_is_sent(stack: Stack, content: str, said: str) -> None:
    """The sentence names file, line and field; the exit code is 2; no batch is left behind."""
    path = stack.home / "bad.jsonl"
    path.write_text(content)
    before = stack.client.list(1000)
    done = stack.cli("submit", "bad.jsonl", "--provider", "openai", "--model", "m")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert re.search(said, done.stderr), done.stderr
    assert "bad.jsonl" in done.stderr
    assert stack.client.list(1000) == before


def test_rows_come_from_the_standard_input(stack: Stack) -> None:
    """`submit -` reads it whole and checks it before anything is sent; problems name it."""
    arguments = ("submit", "-", "--provider", "openai", "--model", "m", "--batch-id", "piped", "--wait")
    bad = stack.cli(*arguments, given=GOOD + "{broken\n")
    assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)
    assert "standard input, line 2: not valid JSON" in bad.stderr
    assert stack.cli("status", "piped").returncode == 2
    done = stack.cli(*arguments, given=GOOD)
    assert done.returncode == 0, done.stderr
    assert [result.custom_id for result in stack.client.results("piped")] == ["a"]


def test_what_a_batch_asks_of_its_jobs_is_checked_first(stack: Stack) -> None:
    """`--completion-window`, `--header` and `--beta` are refused where the provider lacks them, and taken where not."""
    (stack.home / "asks.jsonl").write_text(GOOD)
    for options, said in (
        (("--completion-window", "7d"), "completion_window: openai has 24h, and not '7d'"),
        (("--beta", "output-300k-2026-03-24"), "betas: openai has no such option"),
        (("--header", "authorization=x"), "headers: 'authorization' looks like a secret"),
        (("--header", "x-run"), "--header takes KEY=VALUE, not 'x-run'"),
    ):
        done = stack.cli("submit", "asks.jsonl", "--provider", "openai", "--model", "m", *options)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    taken = ("--completion-window", "24h", "--header", "x-run=7", "--header", "x-app=a b", "--wait")
    assert stack.cli("submit", "asks.jsonl", "--provider", "openai", "--model", "m", *taken).returncode == 0


def test_all_bad_rows_are_reported_at_once(stack: Stack) -> None:
    """Different ones, three of a kind and 20 at most, and how many more."""
    bad = [*["{broken"] * 50, *[json.dumps({"custom_id": "", f"x{number}": 1}) for number in range(40)]]
    (stack.home / "bad.jsonl").write_text("\n".join(bad))
    done = stack.cli("submit", "bad.jsonl", "--provider", "openai", "--model", "m")
    assert done.stderr.count("not valid JSON") == 3
    assert done.stderr.count("unknown field") == 17
    assert "and 70 more" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["good.jsonl", "--provider", "nobody", "--model", "m"],
            "'nobody' not found; known: anthropic, google, openai",
        ),
        (["good.jsonl", "--provider", "openai"], "model: missing"),
        (["missing.jsonl", "--provider", "openai", "--model", "m"], "missing.jsonl"),
        ([".", "--provider", "openai", "--model", "m"], "cannot be read"),
        (["good.jsonl", "--provider", "openai", "--model", "m", "--temperature", "9"], "temperature"),
        (["good.jsonl", "--provider", "openai", "--model", "m", "--batch-id", "a b"], "batch_id"),
        (["good.jsonl", "--provider", "openai", "--model", "m", "--metadata", "x"], "KEY=VALUE"),
        (["good.jsonl"], "--provider"),
    ],
)
def test_bad_arguments_are_refused(stack: Stack, arguments: list[str], said: str) -> None:
    """Unknown provider, missing model, unreadable path, wrong type: a sentence and exit code 2."""
    (stack.home / "good.jsonl").write_text(GOOD)
    done = stack.cli("submit", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_batches_are_said_to_be_unknown(stack: Stack) -> None:
    """Every command about a batch says so, with exit code 2."""
    for command in ("status", "watch", "results", "cancel"):
        done = stack.cli(command, "nonesuch")
        assert (done.returncode, "No batch 'nonesuch'" in done.stderr) == (2, True), command


def test_an_id_can_be_chosen_once(stack: Stack) -> None:
    """The caller's own id is the batch's; a second batch of that id is refused, and the first stays as it was."""
    (stack.home / "good.jsonl").write_text(GOOD)
    arguments = ["good.jsonl", "--provider", "openai", "--model", "m", "--batch-id", "mine", "--metadata", "run=7"]
    assert stack.cli("submit", *arguments, "--wait").stdout == "mine\n"
    again = stack.cli("submit", *arguments)
    assert (again.returncode, "is taken" in again.stderr) == (2, True)
    assert json.loads(stack.cli("status", "mine", "--json").stdout)["metadata"] == {"run": "7"}


def test_results_of_an_unfinished_batch_are_not_there(stack: Stack) -> None:
    """`results` says that the batch has not finished, with exit code 5."""
    batch_id = stack.client.submit("openai", model="m", requests=[{"custom_id": "a", "prompt": "x"}])
    done = stack.cli("results", batch_id)
    assert done.returncode in (0, 5)  # 0 where the workers were faster than the command
    assert stack.client.wait(batch_id, timeout=30).is_complete()
    assert stack.cli("results", batch_id).returncode == 0


def test_a_batch_is_purged(stack: Stack) -> None:
    """By its id or by age, not both; it is gone then, and its id unknown."""
    (stack.home / "good.jsonl").write_text(GOOD)
    arguments = ["good.jsonl", "--provider", "openai", "--model", "m", "--batch-id", "old"]
    assert stack.cli("submit", *arguments, "--wait").returncode == 0
    assert stack.cli("results", "old", "--partial").stdout == stack.cli("results", "old").stdout
    assert stack.cli("purge").returncode == stack.cli("purge", "old", "--older-than", "1").returncode == 2
    told = stack.cli("purge", "old")
    assert (told.returncode, told.stdout) == (2, "")
    assert "the rows, the results and the state of old would be deleted, and the id" in told.stderr
    assert stack.cli("purge", "old", "--yes").stdout == "old\n"
    assert stack.cli("status", "old").returncode == 2


def test_a_batch_whose_rows_were_damaged_is_taken_up(stack: Stack) -> None:
    """`resume` has it go on when they are mended; of a batch that lost nothing it says so."""
    rows = GOOD.encode()
    (stack.home / "good.jsonl").write_bytes(rows)
    arguments = ("good.jsonl", "--provider", "openai", "--model", "m", "--batch-id", "damaged", "--wait")
    assert stack.cli("submit", *arguments).returncode == 0
    done = stack.cli("resume", "damaged")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "has lost nothing" in done.stderr


def test_failed_rows_are_sent_again(stack: Stack) -> None:
    """`retry` makes a new batch of the failed rows, and prints its id."""
    (stack.home / "refused.jsonl").write_text('{"custom_id": "a", "prompt": "refuse me"}\n' + GOOD.replace("a", "b", 1))
    arguments = ("refused.jsonl", "--provider", "openai", "--model", "m", "--batch-id", "refused", "--row-retries", "0")
    assert stack.cli("submit", *arguments, "--wait").returncode == 3
    assert "1 errored: " in stack.cli("status", "refused").stdout
    again = stack.cli("retry", "refused")
    assert again.returncode == 0, again.stderr
    assert stack.cli("watch", again.stdout.strip()).returncode == 3
    assert [result.custom_id for result in stack.client.results(again.stdout.strip())] == ["a"]


def test_only_a_parked_shard_is_resolved(stack: Stack) -> None:
    """`resolve` refuses a batch that waits for no decision, in one sentence."""
    (stack.home / "good.jsonl").write_text(GOOD)
    arguments = ("good.jsonl", "--provider", "openai", "--model", "m", "--batch-id", "resolved", "--wait")
    assert stack.cli("submit", *arguments).returncode == 0
    done = stack.cli("resolve", "resolved", "--recreate", "--yes")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "parked" in done.stderr


def test_the_simulator_says_where_it_is(tmp_path: Path) -> None:
    """`simulate` prints its URL first, answers there, and ends with an interrupt."""
    command = [sys.executable, "-m", "batch_router.cli", "simulate", "--port", "0"]
    environment = clean_environment(tmp_path)
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as simulator:
        try:
            assert simulator.stdout is not None
            url = re.findall(r"http://\S+", simulator.stdout.readline())[0]
            request = urllib.request.Request(f"{url}/openai/v1/batches", headers={"authorization": "Bearer k"})
            with urllib.request.urlopen(request) as answer:
                assert json.load(answer)["data"] == []
        finally:
            simulator.send_signal(signal.SIGINT)
    assert simulator.returncode == 0


def test_doctor_looks_for_orphans(stack: Stack) -> None:
    """At the accounts that batches of the store went to; the keys are where it runs."""
    stack.client.wait(stack.client.submit("openai", model="m", requests=[{"custom_id": "a", "prompt": "x"}]))
    urls = {"BATCH_ROUTER_OPENAI_BASE_URL": f"{stack.simulator_url}/openai/v1"}
    stack.environment |= urls
    done = stack.cli("doctor", "--orphans")
    for name in urls:
        del stack.environment[name]
    assert (done.returncode, "orphans openai" in done.stdout, "none among" in done.stdout) == (0, True, True)


def test_a_bad_scenario_is_one_sentence(stack: Stack) -> None:
    """`simulate` and `up` name the file and the key, with exit code 2."""
    (stack.home / "bad.toml").write_text("colour = 1\n")
    for command in ("simulate", "up"):
        done = stack.cli(command, "--scenario", "bad.toml")
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
        assert "bad.toml: Object contains unknown field `colour`" in done.stderr


def test_doctor_finds_nothing_in_a_running_stack(stack: Stack) -> None:
    """Exit code 0, and the server, the queues and the key are named."""
    done = stack.cli("doctor")
    assert done.returncode == 0, done.stdout
    for word in ("valkey", "AOF on", "noeviction", "queue cpu", "OPENAI_API_KEY is set"):
        assert word in done.stdout


def run_alone(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "batch_router.cli", *arguments]
    environment = clean_environment(home)
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=60)


def test_no_broker_is_one_sentence(tmp_path: Path) -> None:
    """Where nothing runs, each command says what to start, with exit code 6 and no traceback."""
    (tmp_path / "good.jsonl").write_text(GOOD)
    for arguments in (["submit", "good.jsonl", "--provider", "openai", "--model", "m"], ["list"], ["status", "x"]):
        done = run_alone(tmp_path, *arguments)
        assert done.returncode == 6, done.stderr
        assert done.stderr.startswith("batch-router: no Redis: `batch-router up` starts one")
        assert done.stderr.count("\n") == 1


def test_a_broker_that_is_away_is_one_sentence(tmp_path: Path) -> None:
    """Where the URL leads nowhere, it says where it looked, without the password."""
    environment = clean_environment(tmp_path, BATCH_ROUTER_REDIS_URL="redis://:hush@127.0.0.1:1/0")
    command = [sys.executable, "-m", "batch_router.cli", "list"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (6, 1)
    assert "Redis at 127.0.0.1:1 does not answer" in done.stderr
    assert "hush" not in done.stderr


def test_no_worker_is_one_sentence(tmp_path: Path, valkey: str) -> None:
    """With a broker and no worker listening, `submit` sends nothing and says what to start."""
    (tmp_path / "good.jsonl").write_text(GOOD)
    environment = clean_environment(tmp_path, BATCH_ROUTER_REDIS_URL=valkey.replace("/0", "/14"))
    command = [sys.executable, "-m", "batch_router.cli", "submit", "good.jsonl", "--provider", "openai", "--model", "m"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 6
    assert "no worker listens on the queue 'cpu'" in done.stderr


def test_doctor_says_what_is_missing(tmp_path: Path) -> None:
    """Where nothing runs, doctor's exit code is 1 and it says what to start."""
    done = run_alone(tmp_path, "doctor")
    assert done.returncode == 1
    assert "batch-router up" in done.stdout.replace("\n", " ")


def test_the_demo_runs_by_itself_and_leaves_nothing_running(tmp_path: Path) -> None:
    """`demo` needs no key and no service, prints each provider's answers, which are right, and paths, and ends all."""
    done = run_alone(tmp_path, "demo")
    assert done.returncode == 0, done.stderr
    results = [Path(line) for line in done.stdout.split("\n") if line.endswith(".jsonl")]
    assert [path.stem for path in results] == [f"results-{name}" for name in ("openai", "anthropic", "google", "vllm")]
    assert all(path.read_bytes().count(b"\n") == 40 for path in results)
    assert all(b"2 x 3 = 6 books" in path.read_bytes() for path in results)
    assert ".1 completed" in done.stderr  # each batch has two shards
    assert done.stdout.count("question 0") == 4
    assert processes_of(results[0].parent) == {}


def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path) -> None:
    """Ctrl-C in the middle ends workers, simulator and server too, with exit code 130."""
    command = [sys.executable, "-m", "batch_router.cli", "demo"]
    environment = clean_environment(tmp_path)
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as demo:
        for line in demo.stderr or ():
            if "  queued  " in line or "  in_progress  " in line:
                os.kill(demo.pid, signal.SIGINT)
                break
        rest = (demo.stderr.read() if demo.stderr else "") or ""
    assert demo.returncode == 130, rest
    (home,) = tmp_path.glob("demo-*")
    deadline = time.monotonic() + 15  # an engine ends after its worker
    while left := processes_of(home):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
