"""A stand-in for the `vllm` executable: `python -m batch_router.simulator.vllm run-batch -i IN -o OUT --model NAME`.

There is `serve NAME`, too (`vllm_serve.py`). It reads all rows first and gives up on a bad one, answers in the order
of the input, flushes each answer, refuses single rows in both of the real one's forms, and ends on SIGINT. It has an
engine process as the real one has, which lives on when this one is killed or gets a SIGTERM. The scenario is in the
file that `BATCH_ROUTER_VLLM_SCENARIO` names; there `latency.validating` is the time it takes to load the model,
`latency.in_progress` that of all rows together.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from .answers import answer_for, prompt_of, refusal_for
from .scenario import Scenario, load_scenario

_URLS = ("/v1/chat/completions", "/v1/embeddings")


def main() -> None:
    """Run as the real one would."""
    arguments = _read_arguments()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored
    try:
        if arguments.command == "serve":
            _serve(arguments)
        else:
            _run_batch(_read_scenario(), arguments)
    except KeyboardInterrupt:
        sys.exit(130)


def _read_scenario() -> Scenario:
    return load_scenario(Path(path) if (path := os.environ.get("BATCH_ROUTER_VLLM_SCENARIO")) else None)


def _serve(arguments: argparse.Namespace) -> None:
    from .vllm_serve import serve  # aiohttp: only here

    scenario = _read_scenario()
    with _engine(arguments.model) as engine:
        time.sleep(scenario.latency.validating)
        if scenario.fail_job:
            _give_up(f"RuntimeError: {scenario.fail_job}")
        serve(_read_scenario, arguments, engine)


def _run_batch(scenario: Scenario, arguments: argparse.Namespace) -> None:
    if arguments.input_file == arguments.output_file:
        _give_up("ValueError: the input and the output are the same file")
    rows = _read_rows(arguments.input_file)
    with _engine(arguments.output_file):
        _answer_all(scenario, rows, arguments)


@contextmanager
def _engine(name: str) -> Iterator[int]:
    program = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", program, "EngineCore", name]) as engine:
        try:
            yield engine.pid
        finally:
            engine.terminate()


def _answer_all(scenario: Scenario, rows: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    time.sleep(scenario.latency.validating)
    if scenario.fail_job:
        _give_up(f"RuntimeError: {scenario.fail_job}")
    sys.stderr.write(f"Running batch: Completed | 0/{len(rows)} [00:00<?]\n")
    pause = scenario.latency.in_progress / max(1, len(rows))
    served = arguments.served_model_name or arguments.model
    with Path(arguments.output_file).open("w") as output:
        for number, row in enumerate(rows):
            if number == scenario.crash_after:
                _give_up("EngineDeadError: EngineCore encountered an issue.")
            if scenario.poison and re.search(scenario.poison, prompt_of(row["body"])):
                _give_up("EngineDeadError: EngineCore encountered an issue.")
            time.sleep(pause)
            output.write(json.dumps(_answer(scenario, row, number, served)) + "\n")
            output.flush()
            sys.stderr.write(f"Running batch: Completed | {number + 1}/{len(rows)} [00:00<00:00]\n")


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="vllm")
    parser.add_argument("--version", action="version", version="0.33.0+simulated")
    commands = parser.add_subparsers(required=True, dest="command")
    batch = commands.add_parser("run-batch")
    batch.add_argument("-i", "--input-file", required=True)
    batch.add_argument("-o", "--output-file", required=True)
    batch.add_argument("--model", required=True)
    serve = commands.add_parser("serve")
    serve.add_argument("model")
    serve.add_argument("--host")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--disable-uvicorn-access-log", action="store_true")
    for command in (batch, serve):
        command.add_argument("--served-model-name")
        command.add_argument("--seed", type=int)
        command.add_argument("--max-model-len", type=int)
        command.add_argument("--enforce-eager", action="store_true")
    return parser.parse_args()


def _read_rows(path: str) -> list[dict[str, Any]]:
    rows = []
    with Path(path).open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode())  # as text: a BOM is an error
            except ValueError:
                row = None
            if not _is_valid(row):
                _give_up(f"ValueError: Invalid request on line {number}")
            rows.append(row)
    return rows


def _is_valid(row: Any) -> bool:
    """Whether the real one would read it; what is in a body that has all its fields is the row's own matter."""
    if not isinstance(row, dict) or not isinstance(row.get("body"), dict):
        return False
    if not all(isinstance(row.get(name), str) for name in ("custom_id", "method", "url")):
        return False
    return row["url"] != "/v1/chat/completions" or isinstance(row["body"].get("messages"), list)


def _answer(scenario: Scenario, row: dict[str, Any], number: int, served: str) -> dict[str, Any]:
    row_id, body = row["custom_id"], row["body"]
    refusal = refusal_for(scenario, str(body.get("messages") or body.get("input")), row_id)
    status, message = (refusal.status, refusal.message) if refusal else (200, "")
    if row["url"] not in _URLS:
        status, message = 400, f"URL {row['url']} was used. Supported endpoints: {', '.join(_URLS)}"
    elif body.get("model") not in (None, served):
        status, message = 404, f"The model `{body['model']}` does not exist."
    elif body.get("stream"):
        status, message = 400, "Request must not be sent in stream mode"
    elif body.get("messages") == []:
        status, message = 400, "list index out of range"
    response: dict[str, Any] = {"status_code": status, "request_id": f"vllm-batch-{row_id}", "body": None}
    error: Any = None
    if status == 200:
        response["body"] = _in_its_words(answer_for(scenario, row["url"], body, row_id, int(time.time())))
    else:
        known = {"message": message, "type": "BadRequestError", "param": None, "code": status}
        error = {"error": known} if number % 2 == 0 else message
    return {"id": f"vllm-{row_id}", "custom_id": row_id, "response": response, "error": error}


def _in_its_words(body: dict[str, Any]) -> dict[str, Any]:
    """A completion with the fields that the real one has beyond OpenAI's; embeddings have none."""
    if body["object"] == "chat.completion":
        for choice in body["choices"]:
            choice["message"] |= {"annotations": None, "tool_calls": [], "reasoning": None}
            choice["stop_reason"] = None
        body |= {"service_tier": None, "prompt_logprobs": None, "kv_transfer_params": None}
    return body


def _give_up(words: str) -> NoReturn:
    sys.stderr.write(f"{words}\n")
    sys.exit(1)


if __name__ == "__main__":
    main()
