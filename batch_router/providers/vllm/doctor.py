"""What `doctor` reports of a machine with vLLM: version, devices, free memory, models."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil

from ...core.finding import Finding
from ...settings import Settings
from .settings import VLLMSettings

# Seconds. vLLM imports all of torch before it prints its version.
_TIMEOUT = 120


def examine(settings: Settings) -> Iterator[Finding]:
    """Findings about vLLM; a single one where it is not installed: most machines do not need it."""
    url = settings.base_urls.get("vllm")
    if url:
        yield Finding("vllm", f"the server at {url}; no engine is started here")
        return
    own = settings.of(VLLMSettings)
    command = shlex.split(own.command)
    if shutil.which(command[0]) is None:
        yield Finding("vllm", f"{command[0]} is not installed here: no GPU worker can run on this machine")
        return
    yield _version(command, own.engine)
    yield from _devices()
    cached = set(_cached_models())
    wanted = {name for name in own.gpu_queues if name != "*"}
    for model in sorted(cached | wanted):
        yield Finding("model", model) if model in cached else _look_for(model)
    if not cached | wanted:
        yield Finding("models", "none in the cache; a batch may name a folder, or a model that vLLM can fetch")


def _version(command: list[str], engine: str) -> Finding:
    try:
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=_TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(
            "vllm", " ".join(command), f"`{command[0]} --version` fails ({type(error).__name__}): reinstall it"
        )
    return Finding("vllm", f"{done.stdout.split()[-1] if done.stdout.split() else 'unknown'}, engine {engine}")


def _devices() -> Iterator[Finding]:
    """The GPUs, as NVIDIA's own tool lists them; without it the processor."""
    query = ["nvidia-smi", "--query-gpu=name,memory.free,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=_TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError):
        memory = psutil.virtual_memory()
        free, total = memory.available / 1e9, memory.total / 1e9
        yield Finding("device", f"no GPU seen (nvidia-smi), {os.cpu_count()} cores, {free:.1f} of {total:.1f} GB free")
        return
    for number, line in enumerate(done.stdout.splitlines()):
        name, free, total = (word.strip() for word in line.rsplit(",", 2))
        known = free.isdecimal() and total.isdecimal()  # `[N/A]` where memory is shared with the processor
        memory_left = f"{int(free) / 1e3:.1f} of {int(total) / 1e3:.1f} GB free" if known else "memory unknown"
        yield Finding(f"device {number}", f"{name}, {memory_left}")


def _cached_models() -> Iterator[str]:
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    for folder in cache.glob("models--*"):
        if any(folder.glob("snapshots/*/config.json")):
            yield folder.name.removeprefix("models--").replace("--", "/")


def _look_for(model: str) -> Finding:
    """A model that has a queue, and that is not in the cache."""
    if not model.startswith(("/", ".", "~")):
        return Finding("model", f"{model}, not in the cache: vLLM fetches it at the first use")
    missing = not (Path(model).expanduser() / "config.json").exists()
    return Finding("model", model, "there is no config.json in that folder: vLLM cannot load it" if missing else "")
