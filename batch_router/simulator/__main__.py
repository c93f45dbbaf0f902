"""`python -m batch_router.simulator`: prints its URL, then serves until it is ended."""

import argparse
from pathlib import Path

from .scenario import load_scenario
from .server import serve

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--port", type=int, default=0, help="0: any free one")
parser.add_argument("--scenario", type=Path, help="how the providers behave, as TOML")
parser.add_argument("--directory", type=Path, help="keep files and the log here")
arguments = parser.parse_args()
serve(
    arguments.port,
    load_scenario(arguments.scenario),
    arguments.directory,
    on_ready=lambda url: print(url, flush=True),  # noqa: T201 - its output
)
