"""`python -m batch_router.simulator`: prints its URL, then serves until a signal ends it."""

import argparse
from pathlib import Path

from .scenario import load_scenario
from .server import serve

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--port", type=int, default=0, help="0 (the default) takes any free one")
parser.add_argument("--scenario", type=Path, help="a TOML file: how the providers behave")
parser.add_argument("--directory", type=Path, help="keep files and the log here")
arguments = parser.parse_args()
serve(
    arguments.port,
    load_scenario(arguments.scenario),
    arguments.directory,
    on_ready=lambda url: print(url, flush=True),  # noqa: T201 - the program's output
)
