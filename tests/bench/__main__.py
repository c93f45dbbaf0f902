"""`make bench`: speed as ratios inside one run, memory side by side, latency; a table, and build/bench.json.

Absolute times say more about the machine than about the code, so conversion and normalization are each measured against
a bare loop in the same run that only decodes and encodes the same rows with msgspec. Their files are in memory where
the system has such a folder, so that the speed of the disk is no part of the ratio.

With `--small` (`make bench SMALL=1`) every part runs in seconds; then the figures mean nothing.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from jsonschema import Draft202012Validator
from rich.console import Console
from rich.table import Table

from batch_router.embedded import EmbeddedServer
from batch_router.road.steps.convert import convert
from batch_router.road.steps.normalize import normalize

from ..e2e.stack import run_stack
from .codecs import PROVIDERS, measure_codecs
from .polls import poll_cost
from .road import answers_path, claim_answered, convert_and_commit, open_road, shards_of, submit_file
from .rows import JSON, SCHEMA, lines_of, native_request, write_answers, write_requests
from .simulated import spent_on
from .sizes import FULL, SMALL, Sizes
from .tables import table_ratio

MEMORY = Path("/dev/shm")
#: What each provider must reach.
PROVIDER_BOUNDS = {"encode_ratio": 0.4, "schema_ratio": 0.4, "decode_ratio": 0.4, "image_ratio": 0.6, "transfer_mb": 50}
#: What each figure must reach.
BOUNDS = {
    "convert_ratio": 0.5,
    "native_ratio": 0.7,
    "normalize_ratio": 0.35,
    "parse_ratio": 0.5,
    "table_ratio": 0.35,
    "bytes_per_row": 16.0,
    "latency_s": 2.0,
    "poll_ratio": 6.0,
    "simulator_ratio": 0.07,
}


def main(sizes: Sizes) -> None:
    figures: dict[str, Any] = {}
    scratch = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with EmbeddedServer(scratch) as server:
            url = server.start()
            figures |= measure_codecs(sizes)
            figures |= speed(url, sizes)
            figures |= native_speed(url, sizes)
            figures |= parse_speed(url, sizes)
            figures |= tables(url, sizes)
            figures |= memory(scratch, url, sizes)
            figures |= transfers(scratch, sizes)
            figures |= simulator(sizes)
        figures |= latency(scratch / "latency", sizes)
        figures |= polls(scratch / "polls", sizes)
    finally:
        shutil.rmtree(scratch)
    build = Path("build")
    build.mkdir(exist_ok=True)
    (build / "bench.json").write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
    show(figures)


def speed(url: str, sizes: Sizes) -> dict[str, Any]:
    """Rows per second, and the ratio to the bare loop; medians of several pairs of runs."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        home = Path(scratch)
        context = open_road(home, url)
        write_requests(home / "rows.jsonl", sizes.rows)
        batch = submit_file(context, home / "rows.jsonl")
        converted = against_bare(lambda: convert(context, batch), home / "rows.jsonl", sizes.runs)
        shard = convert_and_commit(context, batch)[0]
        write_answers(answers_path(context, shard), shard.label, shard.rows)
        answered = claim_answered(context, shard)
        normalized = against_bare(lambda: normalize(context, answered), answers_path(context, shard), sizes.runs)
    return {f"convert_{name}": value for name, value in converted.items()} | {
        f"normalize_{name}": value for name, value in normalized.items()
    }


def native_speed(url: str, sizes: Sizes) -> dict[str, Any]:
    """The same of `convert` with rows of an OpenAI batch file, which are sent as they stand."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        home = Path(scratch)
        context = open_road(home, url)
        write_requests(home / "rows.jsonl", sizes.rows, native_request)
        batch = submit_file(context, home / "rows.jsonl")
        converted = against_bare(lambda: convert(context, batch), home / "rows.jsonl", sizes.runs)
    return {f"native_{name}": value for name, value in converted.items()}


def parse_speed(url: str, sizes: Sizes) -> dict[str, Any]:
    """`normalize` where each answer is checked against a schema; the bare loop does that with jsonschema alone."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        home = Path(scratch)
        context = open_road(home, url)
        write_requests(home / "rows.jsonl", sizes.parsed)
        shard = convert_and_commit(context, submit_file(context, home / "rows.jsonl", SCHEMA))[0]
        write_answers(answers_path(context, shard), shard.label, shard.rows, text=JSON)
        answered = claim_answered(context, shard)
        path = answers_path(context, shard)
        parsed = against_bare(lambda: normalize(context, answered), path, sizes.runs, bare_check)
    return {f"parse_{name}": value for name, value in parsed.items()}


def tables(url: str, sizes: Sizes) -> dict[str, Any]:
    """A CSV to shards; the median of several pairs of runs."""
    folder = MEMORY if MEMORY.is_dir() else None
    return {"table_ratio": statistics.median(table_ratio(url, folder, sizes.parsed) for _ in range(sizes.runs))}


def bare_check(lines: list[bytes]) -> None:
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
    validator = Draft202012Validator(SCHEMA)
    for line in lines:
        answer = decode(line)
        answer["parsed"] = decode(answer["response"]["body"]["choices"][0]["message"]["content"])
        assert validator.is_valid(answer["parsed"])
        encode(answer)


def against_bare(
    step: Callable[[], object], path: Path, runs: int, bare_of: Callable[[list[bytes]], None] | None = None
) -> dict[str, float]:
    lines = list(lines_of(path))
    ratios, seconds = [], []
    for _ in range(runs):
        bare = timed(lambda: (bare_of or bare_loop)(lines))
        spent = timed(step)
        seconds.append(spent)
        ratios.append(bare / spent)
    return {
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "rows_per_s": len(lines) / statistics.median(seconds),
    }


def bare_loop(lines: list[bytes]) -> None:
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
    for line in lines:
        encode(decode(line))


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def memory(scratch: Path, url: str, sizes: Sizes) -> dict[str, Any]:
    """Peak memory of convert, and of normalize and finish, each in a process of its own."""
    peaks: dict[str, dict[str, int]] = {"convert": {}, "normalize": {}}
    for rows in sizes.memory:
        home = scratch / f"memory{rows}"
        home.mkdir()
        write_requests(home / "rows.jsonl", rows)
        peaks["convert"][str(rows)] = peak("convert", home, url)
        context = open_road(home, url)
        for shard in shards_of(context):
            write_answers(answers_path(context, shard), shard.label, shard.rows)
        peaks["normalize"][str(rows)] = peak("normalize", home, url)
        shutil.rmtree(home)
    least, most = sizes.memory[0], sizes.memory[-1]
    growth = max((peak[str(most)] - peak[str(least)]) / (most - least) for peak in peaks.values())
    return {"peak_bytes": peaks, "bytes_per_row": growth}


def transfers(scratch: Path, sizes: Sizes) -> dict[str, float]:
    """By how many MB the memory of each provider's client grows over idle, with 200 MB there and back."""
    growth = {}
    for name in PROVIDERS:
        home = scratch / f"transfer-{name}"
        home.mkdir()
        command = [sys.executable, "-m", "tests.bench.transfers", name, str(home), str(sizes.transfer_rows)]
        growth[f"transfer_mb {name}"] = number_from(command) / 1e6
        shutil.rmtree(home)
    return growth


def peak(step: str, home: Path, url: str) -> int:
    command = [sys.executable, "-m", "tests.bench.memory", step, str(home), url]
    return number_from(command)


def number_from(command: list[str]) -> int:
    """What the command prints; its errors go to the terminal."""
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def simulator(sizes: Sizes) -> dict[str, float]:
    """CPU time of the bare loop over what the simulator takes for the same rows, as a full OpenAI job."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        spent, path = spent_on(Path(scratch), sizes.simulated)
        lines = list(lines_of(path))
        start = time.process_time()
        bare_loop(lines)
        bare = time.process_time() - start
    return {"simulator_ratio": bare / spent, "simulator_us_per_row": 1e6 * spent / sizes.simulated}


def latency(home: Path, sizes: Sizes) -> dict[str, Any]:
    """Seconds from `delay` to the result of one row, on a simulated provider that answers at once."""
    with run_stack(home, "", "io", "cpu") as stack:
        stack.environment["PYTHONPATH"] = str(Path.cwd())
        done = stack.python("-m", "tests.bench.latency", str(sizes.single_rows))
    seconds = [float(line) for line in done.stdout.split()]
    return {"latency_first_s": seconds[0], "latency_s": statistics.median(seconds[1:])}


def polls(home: Path, sizes: Sizes) -> dict[str, float]:
    """CPU time of a worker's poll over that of a bare GET of the SDK."""
    poll, bare = poll_cost(home, sizes.polled, sizes.poll_seconds)
    return {"poll_ratio": poll / bare, "poll_ms": 1000 * poll}


def show(figures: dict[str, Any]) -> None:
    table = Table(title="make bench", title_justify="left")
    for column in ("figure", "measured", "must be"):
        table.add_column(column)
    for name, value in figures.items():
        if isinstance(value, dict):
            for step, sizes in value.items():
                text = ", ".join(f"{int(rows):,} rows {size / 1e6:.1f} MB" for rows, size in sizes.items())
                table.add_row(f"{name} {step}", text, "")
            continue
        bound = BOUNDS.get(name) or PROVIDER_BOUNDS.get(name.partition(" ")[0])
        sign = "at most" if name.startswith(("bytes_per_row", "latency_s", "poll_ratio", "transfer_mb")) else "at least"
        table.add_row(name, f"{value:,.2f}" if value < 1000 else f"{value:,.0f}", f"{sign} {bound}" if bound else "")
    Console(width=120).print(table)


if __name__ == "__main__":
    main(SMALL if "--small" in sys.argv[1:] else FULL)
