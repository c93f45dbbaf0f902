"""`python -m tests.house`: measures the source, prints a table, and ends with 1 where something is amiss.

With `--report` it prints the same and ends with 0.
"""

import sys
import tomllib
from pathlib import Path

from .compose import measure_compose
from .imports import measure_imports
from .sizes import measure_sizes
from .source import Measure, read_modules
from .untyped import measure_untyped

_ROOT = Path(__file__).parents[2]


def measure(root: Path, exceptions: Path) -> list[Measure]:
    modules = read_modules(root)
    listed = tomllib.loads(exceptions.read_text())
    return [
        *measure_sizes(modules),
        *measure_untyped(modules, listed["borders"]),
        *measure_imports(modules, listed["inner_imports"]),
    ]


def show(measures: list[Measure]) -> None:
    width = max(len(each.name) for each in measures)
    for each in measures:
        print(f"{each.name:{width}}  {each.value}" + (f"  (at most {each.bound})" if each.bound else ""))


def main() -> None:
    measures = [
        *measure(_ROOT, Path(__file__).with_name("exceptions.toml")),
        measure_compose((_ROOT / "deploy" / "compose.yaml").read_text()),
    ]
    show(measures)
    faults = [fault for each in measures for fault in each.faults]
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    if faults and "--report" not in sys.argv:
        sys.exit(1)


if __name__ == "__main__":
    main()
