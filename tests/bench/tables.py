"""A table to shards, beside the same rows as JSON lines: what it costs to read and render it."""

import csv
import tempfile
import time
from pathlib import Path

import msgspec

from batch_router.operations.submit import submit
from batch_router.road.steps.convert import convert
from batch_router.state.items import Batch
from batch_router.tables.rendering import ask_about

from .road import BATCH_ID, claim, open_road

_TEXT = "Which of the four answers is right, and why are the other three wrong? " * 18  # 1.3 kB
_PROMPT = "Question {id}: {text}"


def table_ratio(url: str, folder: Path | None, rows: int) -> float:
    """How long rows of JSON lines take from their file to shards, as a share of what a CSV of them takes."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=folder) as scratch:
        table, lines = Path(scratch, "rows.csv"), Path(scratch, "rows.jsonl")
        with table.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("id", "text"))
            writer.writerows((f"q{number}", f"{number} {_TEXT}") for number in range(rows))
        with lines.open("wb") as out:
            for number in range(rows):
                prompt = f"Question q{number}: {number} {_TEXT}"
                out.write(msgspec.json.encode({"custom_id": f"q{number}", "prompt": prompt}) + b"\n")
        homes = (
            Path(scratch, f"{Path(scratch).name}-{kind}") for kind in ("lines", "table")
        )  # keys begin with their names
        return _seconds(next(homes), url, lines) / _seconds(next(homes), url, table)


def _seconds(home: Path, url: str, file: Path) -> float:
    """CPU seconds of a submission, which reads and stores the rows, and of `convert`."""
    home.mkdir()
    context = open_road(home, url)
    start = time.process_time()
    if file.suffix == ".csv":
        options = ask_about(file, _PROMPT, {"id_column": "id", "model": "m"}, context.settings)
    else:
        options = {"input": file, "check_rows": 0, "model": "m"}
    submit(context, "openai", {**options, "batch_id": BATCH_ID})
    convert(context, claim(context, BATCH_ID, 1, Batch))
    spent = time.process_time() - start
    context.close()
    return spent
