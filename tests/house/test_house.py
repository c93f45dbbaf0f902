"""The measures find what they are for."""

from pathlib import Path

import pytest

from .__main__ import measure
from .compose import measure_compose

CLEAN = '"""A module."""\n\n\ndef small() -> int:\n    return 1\n'
UNTYPED = "from typing import Any\n\nx: dict[str, Any] = {}\n"
ALIASED = "from typing import Any\n\nPage = dict[str, Any]\n\nx: Page = {}\n"
INNER = "def f():\n    from batch_router import b\n"


def faults(root: Path, source: str, exceptions: str = "[borders]\n[inner_imports]\n") -> list[str]:
    for folder in ("batch_router", "workers"):
        (root / folder).mkdir()
    (root / "batch_router" / "a.py").write_text(source)
    (root / "batch_router" / "b.py").write_text(CLEAN)
    (root / "exceptions.toml").write_text(exceptions)
    return [fault for each in measure(root, root / "exceptions.toml") for fault in each.faults]


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (CLEAN, None),
        ("def f():\n" + "    pass\n" * 30, "p90 function: 31 lines, more than 18"),
        ("x = 1\n" * 401, "batch_router/a.py: 401 lines, more than 400"),
        (UNTYPED, "dict[str, Any]: 125.0 per 1,000 lines, most in batch_router/a.py (1)"),
        (ALIASED, "dict[str, Any]: 100.0 per 1,000 lines, most in batch_router/a.py (1)"),
        (CLEAN + INNER, "batch_router/a.py batch_router: imported inside a function without a reason"),
    ],
)
def test_a_measure_finds_its_fault(tmp_path: Path, source: str, fault: str | None) -> None:
    """Clean source has no fault; each kind of fault is one line."""
    found = faults(tmp_path, source)
    assert fault is None or fault in found
    assert fault is not None or found == []


@pytest.mark.parametrize(
    ("source", "listed", "left"),
    [
        (UNTYPED, '[borders]\n"*/a.py" = "why"\n[inner_imports]\n', []),
        (CLEAN, '[borders]\n"*/a.py" = "why"\n[inner_imports]\n', ["*/a.py"]),
        (CLEAN + INNER, '[borders]\n[inner_imports]\n"batch_router/a.py batch_router" = "why"\n', []),
        (
            CLEAN,
            '[borders]\n[inner_imports]\n"batch_router/a.py batch_router" = "why"\n',
            ["batch_router/a.py batch_router"],
        ),
    ],
)
def test_exceptions_are_listed_only_while_they_are_needed(
    tmp_path: Path, source: str, listed: str, left: list[str]
) -> None:
    """A listed file or import is no fault; a name that is no longer needed is one."""
    assert [fault.partition(":")[0] for fault in faults(tmp_path, source, listed)] == left


COMPOSE = (Path(__file__).parents[2] / "deploy" / "compose.yaml").read_text()


@pytest.mark.parametrize(
    ("there", "instead", "fault"),
    [
        ("x", "x", None),
        ("${ANTHROPIC_API_KEY:-}", "${ANTHROPIC_KEY:-}", "io calls anthropic, and does not get ANTHROPIC_API_KEY"),
        ("GEMINI_API_KEY:", "GEMINI_KEY:", "io calls google, and does not get GEMINI_API_KEY"),
        ("VLLM_API_KEY:", "VLLM_KEY:", "gpu calls vllm, and does not get VLLM_API_KEY"),
        ("-Q cpu", "-Q io", "no service has a worker for cpu"),
        ("-P prefork", "--poool prefork", "cpu: No such option"),
        ("--address=", "--adress=", "flower: No such option"),
        ("metrics --host", "metric --host", "metrics: batch-router has no command 'metric'"),
        ("health, --queue, cpu", "health, --kue, cpu", "cpu: No such option"),
        ("--queue, io, --queue, poll", "--queue, io", "the health check of io does not ask about io, poll"),
        ("-n io@%h", "-n io@somewhere", "io: the worker's name 'io@somewhere' does not end with @%h"),
        ('--port, "5555"]', '--port, "555555"]', "flower: Invalid value for '--port'"),
    ],
)
def test_the_compose_file_fits_the_code(there: str, instead: str, fault: str | None) -> None:
    """It has no fault as it is; a key that is left out, a queue, a command or an option that is none is one."""
    faults = measure_compose(COMPOSE.replace(there, instead)).faults
    assert fault is not None or faults == []
    assert fault is None or any(each.startswith(f"compose.yaml: {fault}") for each in faults), faults
