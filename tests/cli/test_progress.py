"""Progress as people see it: it never goes back, claims no pace that is unknown, and repeats nothing in a log."""

import io

import msgspec
import pytest

from batch_router.cli.display import Follower
from batch_router.cli.pace import Pace
from batch_router.cli.terminal import SafeConsole
from batch_router.core import BatchStatus, BatchStatusResponse, RequestCounts

NEW = BatchStatusResponse(
    batch_id="b",
    provider="openai",
    status=BatchStatus.IN_PROGRESS,
    request_counts=RequestCounts(total=40, processing=40),
    created_at="2026-11-27T00:00:00.000Z",
)


def done(succeeded: int, **facts: object) -> BatchStatusResponse:
    counts = RequestCounts(total=40, processing=40 - succeeded, succeeded=succeeded)
    return msgspec.structs.replace(NEW, request_counts=counts, **facts)


def test_progress_never_goes_back() -> None:
    """An engine that starts again reports fewer rows than before; the bar stays where it was."""
    pace = Pace()
    for now, succeeded in enumerate((3, 0, 3)):
        pace.look(done(succeeded), now)
        assert pace.done == 3
        assert "7%" in pace.describe(done(succeeded))


def test_the_time_left_is_said_where_it_is_known() -> None:
    """The first step of progress tells no pace: what came before it is unknown. The second does."""
    pace = Pace()
    for now, succeeded in ((0, 0), (5, 10), (6, 10)):
        pace.look(done(succeeded), now)
        assert "left" not in pace.describe(done(succeeded))
    for now, succeeded in ((7, 20), (9, 30)):
        pace.look(done(succeeded), now)
    assert "[##################------] 75%  5.0 rows/s" in pace.describe(done(30))
    assert pace.describe(done(30)).endswith("2s left")


def test_a_log_gets_a_line_when_something_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A countdown is no change; there is one line a minute at most, and one at the end."""
    now = [1000.0]
    monkeypatch.setattr("batch_router.cli.display.time.monotonic", lambda: now[0])
    written = io.StringIO()
    show = Follower(SafeConsole(file=written), None)
    for seconds in range(300):
        now[0] += 1
        show(done(0, waiting_for=f"b.0 is polling: not there; next try in {seconds} s"))
    assert written.getvalue().count("\n") == 1
    for succeeded in range(30):
        now[0] += 4
        show(done(succeeded))
    assert written.getvalue().count("\n") == 3
    now[0] += 1
    show(done(40, status=BatchStatus.COMPLETED, completed_at="2026-11-27T00:01:05.000Z"))
    last = written.getvalue().splitlines()[-1]
    assert last == "b  openai  completed  40/40 requests  [########################] 100%  1m 5s elapsed"
