"""The log of a worker: nothing that is logged looks like another line of it, or steers a terminal."""

import io
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from celery.app.defaults import DEFAULT_PROCESS_LOG_FMT
from celery.app.log import TaskFormatter

from batch_router.security.json_lines import JsonLines
from batch_router.security.logs import get_logger

FORGED = "x\n[2026-11-26 16:00:00,000: CRITICAL/MainProcess] all is lost\x1b]52;c;aGk=\x07\x1b[2J\x9b31m\u202e\u2028"
LINE = re.compile(r"^\[\d{4}-", re.MULTILINE)
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]")

log = get_logger("batch_router.tests")


@pytest.fixture
def written() -> Iterator[Callable[[], str]]:
    """What a worker of Celery's writes of our lines."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TaskFormatter(DEFAULT_PROCESS_LOG_FMT, use_color=False))
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    yield stream.getvalue
    log.removeHandler(handler)


class HostileError(Exception):
    def __str__(self) -> str:
        return FORGED


@pytest.mark.parametrize("argument", [FORGED, HostileError(), [FORGED], {"key": FORGED}])
@pytest.mark.parametrize("form", ["item=%s", "item=%r"])
def test_no_argument_forges_a_line(written: Callable[[], str], form: str, argument: object) -> None:
    """Whatever an argument is, the record is one line without control characters."""
    log.warning(form, argument)
    assert len(LINE.findall(written())) == written().count("\n") == 1
    assert RAW.search(written()) is None


def test_no_name_of_an_argument_and_no_text_forges_a_line(written: Callable[[], str]) -> None:
    """A dictionary of arguments, and a text without arguments, are held to the same."""
    log.info("%(item)s", {"item": FORGED})
    log.info(FORGED)
    log.info(f"100 % of {FORGED}")  # noqa: G004 - a text without arguments
    assert len(LINE.findall(written())) == written().count("\n") == 3
    assert RAW.search(written()) is None


def test_no_traceback_forges_a_line(written: Callable[[], str]) -> None:
    """The text of an error may have lines of its own: they stay below the record, and are indented."""
    try:
        raise HostileError
    except HostileError as error:
        log.exception("action=failed item=%s", "a")
        log.critical("50 %", exc_info=error)
        log.log(logging.INFO, "action=%s", "b", exc_info=sys.exc_info())
    assert len(LINE.findall(written())) == 3
    assert written().count("raise HostileError") == 3
    assert RAW.search(written()) is None


def test_a_record_is_bounded(written: Callable[[], str]) -> None:
    """A text of megabytes is cut off, as an argument and in a traceback."""
    log.warning("item=%s", "x" * 1_000_000)
    with suppress(ValueError):
        try:
            raise ValueError("x" * 1_000_000)
        except ValueError:
            log.exception("action=failed")
            raise
    assert len(written()) < 25_000


def test_the_record_is_as_logging_makes_it(caplog: pytest.LogCaptureFixture) -> None:
    """Numbers are formatted as such; the place, the error and what is extra are there for the host's handlers."""
    with caplog.at_level(logging.INFO, log.name):
        log.info("%d of %.1f, %s", 3, 0.25, None, extra={"batch": "b"})
        try:
            raise HostileError
        except HostileError:
            log.exception("action=failed")
    first, second = caplog.records
    assert first.getMessage() == "3 of 0.2, None"
    assert (first.funcName, first.filename) == (test_the_record_is_as_logging_makes_it.__name__, "test_logs.py")
    assert vars(first)["batch"] == "b"
    assert second.exc_info is not None
    assert isinstance(second.exc_info[1], HostileError)


def test_a_logger_is_made_safe_once() -> None:
    """Asking for it again gives the same logger, which filters once."""
    assert get_logger(log.name) is log
    assert len(log.filters) == 1


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What is written of our lines as JSON."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    log.removeHandler(handler)


def test_a_json_line_has_the_facts_of_its_message(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """By their names in the template, numbers as numbers; no value of a text becomes a fact, or another field."""
    log.warning("action=%s_failed item=%s delay=%.1f times=%d: why error=%r", "a", "b.0 next=c", 0.25, 3, "x y=z")
    log.error("action=left_alone first=%s: another version", "b.1")
    log.info("level=%s time=%s 100%% of %s", "CRITICAL", 0, "it")
    log.info("100 % of item=")
    first, second, third, fourth = lines()
    assert first["message"] == "action=a_failed item=b.0 next=c delay=0.2 times=3: why error='x y=z'"
    facts = {"action": "a_failed", "item": "b.0 next=c", "delay": 0.25, "times": 3, "error": "x y=z"}
    usual = {"time", "level", "logger", "process", "message"}
    assert {name: it for name, it in first.items() if name not in usual} == facts
    assert (second["action"], second["first"], second["level"]) == ("left_alone", "b.1", "ERROR")
    assert (third["level"], third["message"]) == ("INFO", "level=CRITICAL time=0 100% of it")
    assert fourth["message"] == "100 % of item="
    assert datetime.fromisoformat(first["time"]).utcoffset() == timedelta(0)


def test_nothing_forges_a_json_line(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """A hostile text stays within its line, bounded, and so does a traceback."""
    log.warning("item=%s", FORGED)
    try:
        raise HostileError
    except HostileError:
        log.exception("%s", "x" * 1_000_000)
    first, second = lines()
    assert (first["level"], second["level"]) == ("WARNING", "ERROR")
    assert "HostileError" in second["exception"]
    assert all(RAW.search(value) is None for record in (first, second) for value in record.values())
    assert len(json.dumps(second)) < 50_000


def test_another_program_forges_no_json_line() -> None:
    """What Celery and others log goes through no filter of ours, and is held to the same."""
    facts = {"msg": f"\ud800 item={FORGED}" + "x" * 1_000_000, "levelname": "INFO", "name": "other"}
    line = JsonLines().format(logging.makeLogRecord(facts))
    assert RAW.search(line) is None
    assert json.loads(line)["level"] == "INFO"
    assert len(line) < 100_000
