"""The wheel of this checkout, and programs that run with it as their users do: installed, and far from the checkout."""

import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build_wheel(folder: Path) -> Path:
    """Build it into a folder."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def install_wheel(wheel: Path, site: Path) -> dict[str, str]:
    """Install it into an empty folder; returns the variable that puts it beside this environment's dependencies."""
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    # The dependencies of this environment, without its link to the checkout.
    return {"PYTHONPATH": ":".join([str(site), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])}
