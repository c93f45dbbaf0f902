"""What the pages show: code blocks and commands, so that tests can run them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    *(str(path.relative_to(ROOT)) for folder in ("docs", "deploy", "tests") for path in (ROOT / folder).rglob("*.md")),
)

#: Commands of `batch-router`, and where each is tried.
COMMANDS_TRIED = {
    **dict.fromkeys(
        ("budget", "limit", "pause", "unpause"),
        "tests/cli/test_batch_commands.py::test_budgets_limits_and_pauses_are_set_and_shown",
    ),
    "cancel": "tests/e2e/test_documented.py::test_a_shell_block_runs",
    "convert": "tests/e2e/test_documented.py::test_a_shell_block_runs",
    "costs": "tests/e2e/test_documented.py::test_a_shell_block_runs",
    "estimate": "tests/e2e/test_documented.py::test_a_shell_block_runs",
    "demo": "tests/e2e/test_cli.py::test_the_demo_runs_by_itself_and_leaves_nothing_running",
    "webhook": "tests/road/test_webhooks.py::test_the_command_says_whether_a_receiver_takes_it",
    "health": "tests/worker/test_seen.py::test_a_supervisor_sees_whether_a_worker_is_well",
    "metrics": "tests/cli/test_metrics.py::test_a_redis_that_is_away_ends_nothing",
    "doctor": "tests/e2e/test_cli.py::test_doctor_finds_nothing_in_a_running_stack",
    "list": "tests/e2e/test_documented.py::test_a_shell_block_runs",
    "purge": "tests/e2e/test_documented.py::test_a_shell_block_runs",
    "rebuild": "tests/e2e/test_forgetting.py::test_a_lost_redis_is_rebuilt",
    "resolve": "tests/e2e/test_cli.py::test_only_a_parked_shard_is_resolved",
    "results": "tests/e2e/test_documented.py::test_a_shell_block_runs",
    "resume": "tests/e2e/test_cli.py::test_a_batch_whose_rows_were_damaged_is_taken_up",
    "retry": "tests/e2e/test_cli.py::test_failed_rows_are_sent_again",
    "simulate": "tests/e2e/test_cli.py::test_the_simulator_says_where_it_is",
    "status": "tests/e2e/test_documented.py::test_a_shell_block_runs",
    "storage": "tests/operations/test_storage_mark.py::test_the_command_moves_a_store_only_with_yes",
    "submit": "tests/e2e/test_documented.py::test_a_shell_block_runs",
    "up": "tests/e2e/stack.py::def run_stack",
    "watch": "tests/e2e/test_documented.py::test_a_shell_block_runs",
}

#: Commands of shell blocks that are not run as they stand, by how they begin, and where they are tried instead.
TRIED_ELSEWHERE = {
    "batch-router doctor": COMMANDS_TRIED["doctor"],
    "batch-router submit rows.jsonl --provider vllm": (
        "tests/e2e/test_gpu.py::test_a_vllm_batch_stays_on_the_gpu_queue"
    ),
    "batch-router up": COMMANDS_TRIED["up"],
    "celery -A batch_router.worker worker -Q gpu": "tests/e2e/test_gpu.py::test_a_killed_gpu_worker_loses_nothing",
    "celery -A batch_router.worker worker -Q io,poll,cpu": (
        "tests/test_documented.py::test_workers_serve_queues_that_exist"
    ),
    "cd deploy": "tests/test_deploy.py::test_the_services_are_the_processes_of_the_procfile",
    "install -m 600 /dev/null .env": "tests/test_deploy.py::test_no_secret_is_written_down",
    "docker ": "tests/test_deploy.py::test_the_services_are_the_processes_of_the_procfile",
    "export ": "tests/test_settings.py::test_every_setting_has_its_variable",
    "make ": "tests/test_documented.py::test_every_target_is_tried",
    "pip install .": "tests/e2e/test_wheel.py::test_the_demo_runs_from_the_wheel",
}

#: The targets of the Makefile, and where each is tried at a small size.
TARGETS_TRIED = {
    "demo": "tests/e2e/test_cli.py::test_the_demo_runs_by_itself_and_leaves_nothing_running",
    "test": ".ci/run::make test",
    "suite": ".ci/run::make test",
    "check": ".ci/run::make test",
    "fuzz": "tests/test_make.py::test_the_targets_name_what_there_is",
    "bench": "tests/test_make.py::test_the_bench_runs_in_all_its_parts",
    "drill": "tests/drills/test_drills.py::test_a_few_kills_and_stops_lose_nothing",
    "test-vllm": "tests/test_make.py::test_the_tests_of_the_real_vllm_can_be_collected",
    "bench-vllm": "tests/test_make.py::test_what_runs_on_vllm_runs_on_its_stand_in",
    "demo-vllm": "tests/test_make.py::test_what_runs_on_vllm_runs_on_its_stand_in",
    "clean": "tests/test_make.py::test_the_targets_name_what_there_is",
}


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(language: str) -> list[Block]:
    """All blocks of a language, page by page."""
    return [block for page in PAGES for block in blocks_of(page) if block.language == language]


def blocks_of(page: str) -> Iterator[Block]:
    text = (ROOT / page).read_text()
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield Block(page, text.count("\n", 0, found.start()) + 2, found[1], found[2])


def commands(block: Block) -> list[str]:
    """The lines of a shell block without comments; a line that ends in a backslash goes on in the next one."""
    lines = block.text.replace("\\\n", " ").split("\n")
    stripped = (re.sub(r"(^|\s+)#.*$", "", line).strip() for line in lines)
    return [re.sub(r"\s+", " ", line) for line in stripped if line]


def tried_elsewhere(command: str) -> str | None:
    """The test that runs this command, if `test_documented` does not."""
    return next((test for start, test in TRIED_ELSEWHERE.items() if command.startswith(start)), None)
