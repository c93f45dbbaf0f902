"""What `doctor` says of vLLM on this machine."""

import os
import sys
from pathlib import Path

import pytest

from batch_router.providers.vllm import VLLMSettings
from batch_router.providers.vllm.doctor import examine
from batch_router.settings import Settings

STAND_IN = f"{sys.executable} -m batch_router.simulator.vllm"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with one whole model and one that was not fetched."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "models--org--whole" / "snapshots" / "1").mkdir(parents=True)
    (tmp_path / "models--org--whole" / "snapshots" / "1" / "config.json").write_text("{}")
    (tmp_path / "models--org--empty").mkdir()
    return tmp_path


def test_version_devices_and_models_are_shown() -> None:
    """Of the engine that the settings name; a folder that is no model is something to mend."""
    queues = {"big": "gpu.big", "org/empty": "gpu", "*": "gpu"}
    own = VLLMSettings(command=STAND_IN, gpu_queues=queues, models={"big": "/nowhere/model", "*": True})
    found = list(examine(Settings(sections=(own,))))
    assert [each.what for each in found if not each.what.startswith("device")] == ["vllm", "model", "model", "model"]
    assert found[0].found == "0.33.0+simulated, engine serve"
    assert "GB free" in next(each.found for each in found if each.what.startswith("device"))
    assert {each.found.partition(",")[0]: bool(each.remedy) for each in found[-3:]} == {
        "big": True,
        "org/empty": False,
        "org/whole": False,
    }
    assert found[-2].found == "org/empty, not in the cache: vLLM fetches it at the first use"


def test_a_device_whose_memory_is_shared_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NVIDIA's tool has no number for it then."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GB10, [N/A], [N/A]'\necho 'H100, 40000, 80000'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    devices = [
        each for each in examine(Settings(sections=(VLLMSettings(command=STAND_IN),))) if each.what.startswith("device")
    ]
    assert [each.found for each in devices] == ["GB10, memory unknown", "H100, 40.0 of 80.0 GB free"]


def test_a_machine_without_vllm_lacks_nothing() -> None:
    """Most machines of a fleet have none."""
    (finding,) = examine(Settings(sections=(VLLMSettings(command="/nowhere/vllm"),)))
    assert "not installed here" in finding.found
    assert finding.remedy == ""


def test_a_server_elsewhere_is_named() -> None:
    """Then nothing is started here; a password in its URL is not shown."""
    (finding,) = examine(Settings(base_urls={"vllm": "http://me:canary-4711@gpus:8000"}))
    assert "http://***@gpus:8000" in finding.found
