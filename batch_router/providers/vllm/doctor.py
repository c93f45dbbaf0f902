"""What `doctor` reports of a machine with vLLM: version, devices, free memory, models."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil

from ...core.finding import Finding
from ...security.masking import mask_url
from ...settings import Settings
from .models import OTHERS, takes_any
from .process.environment import engine_environment
from .settings import VLLMSettings

# Seconds. vLLM imports all of torch before it prints its version.
_TIMEOUT = 120


def examine(settings: Settings) -> Iterator[Finding]:
    """Findings about vLLM; a single one where it is not installed: most machines do not need it."""
    url = settings.base_urls.get("vllm")
    if url:
        yield Finding("vllm", f"the server at {mask_url(url)}; no engine is started here")
        return
    own = settings.of(VLLMSettings)
    command = shlex.split(own.command)
    if shutil.which(command[0]) is None:
        yield Finding("vllm", f"{command[0]} is not installed here: no GPU worker can run on this machine")
        return
    yield _version(command, own.engine)
    yield from _devices()
    yield from _models(own)


def _models(own: VLLMSettings) -> Iterator[Finding]:
    """Those of the settings, and where any may be used those in the cache."""
    cached = set(_cached_models())
    names = (own.models.keys() | own.gpu_queues.keys()) - {OTHERS} | (cached if takes_any(own.models) else set())
    for name in sorted(names):
        place = str(own.models.get(name, name))
        yield Finding("model", name) if place in cached else _look_for(name, place)
    if not names:
        yield Finding("models", "none in the cache; a batch may name one at the Hub, which vLLM then fetches")


def _version(command: list[str], engine: str) -> Finding:
    try:
        done = _run([*command, "--version"])
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(
            "vllm", " ".join(command), f"`{command[0]} --version` fails ({type(error).__name__}): reinstall it"
        )
    return Finding("vllm", f"{done.stdout.split()[-1] if done.stdout.split() else 'unknown'}, engine {engine}")


def _run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    environment = engine_environment()
    return subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=True, env=environment)


def _devices() -> Iterator[Finding]:
    """The GPUs, as NVIDIA's own tool lists them; without it the processor."""
    query = ["nvidia-smi", "--query-gpu=name,memory.free,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = _run(query)
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


def _look_for(name: str, place: str) -> Finding:
    """A model that is not in the cache."""
    if not place.startswith("/"):
        return Finding("model", f"{name}, not in the cache: vLLM fetches it at the first use")
    missing = not (Path(place) / "config.json").exists()
    return Finding("model", name, f"there is no config.json in {place}: vLLM cannot load it" if missing else "")
