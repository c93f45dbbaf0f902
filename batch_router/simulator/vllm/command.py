"""The command line of the stand-in."""

import argparse
import os
import signal
import sys
from pathlib import Path

from ..scenario import Scenario, load_scenario
from .engine import load_model, run_engine
from .run_batch import answer_all, read_rows
from .serve import serve


def main() -> None:
    """Run as the real one would."""
    arguments = _read_arguments()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with SIGINT ignored
    try:
        _COMMANDS[arguments.command](arguments)
    except KeyboardInterrupt:
        sys.exit(130)


def _read_scenario() -> Scenario:
    path = os.environ.get("BATCH_ROUTER_VLLM_SCENARIO")
    return load_scenario(Path(path) if path else None)


def _serve(arguments: argparse.Namespace) -> None:
    with run_engine(arguments.model) as engine:
        load_model(_read_scenario())
        serve(_read_scenario, arguments, engine)


def _run_batch(arguments: argparse.Namespace) -> None:
    scenario = _read_scenario()
    rows = read_rows(scenario, arguments.input_file, arguments.output_file)
    with run_engine(arguments.output_file):
        load_model(scenario)
        answer_all(scenario, rows, arguments)


_COMMANDS = {"run-batch": _run_batch, "serve": _serve}


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
        _add_engine_options(command)
    return parser.parse_args()


def _add_engine_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--served-model-name")
    command.add_argument("--chat-template")
    command.add_argument("--allowed-media-domains", nargs="+")
    command.add_argument("--seed", type=int)
    command.add_argument("--max-model-len", type=int)
    command.add_argument("--enforce-eager", action="store_true")
