"""The containers run what the Procfile runs."""

import re
from pathlib import Path

import pytest

from batch_router.providers import find_provider, provider_names
from batch_router.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
COMPOSE = (ROOT / "deploy" / "compose.yaml").read_text()


def test_the_services_are_the_processes_of_the_procfile() -> None:
    """Command by command; only Flower listens to the container's network, which is published on localhost."""
    lines = re.findall(r"^(\w+): exec (celery .*)$", (ROOT / "Procfile").read_text(), re.MULTILINE)
    services = dict(re.findall(r"^  (\w+):\n(?:    .*\n)*?    command: (celery .*)$", COMPOSE, re.MULTILINE))
    local = {"--address=127.0.0.1": "--address=0.0.0.0", "$FLOWER_PORT": "5555"}
    expected = {}
    for name, command in lines:
        for here, there in local.items():
            command = command.replace(here, there)
        expected[name] = command
    assert services == expected


def test_nothing_but_flower_is_published_and_that_locally() -> None:
    """No port is open to other machines."""
    assert re.findall(r"^      - (\S+:\d+)$", COMPOSE, re.MULTILINE) == ["127.0.0.1:5555:5555"]


def test_no_secret_is_written_down() -> None:
    """Passwords and keys are taken from the environment, and missing ones are an error."""
    for name in ("REDIS_PASSWORD", "FLOWER_BASIC_AUTH"):
        assert re.findall(rf"\$\{{{name}(.*?)\}}", COMPOSE)
        assert all(rest.startswith(":?") for rest in re.findall(rf"\$\{{{name}(.*?)\}}", COMPOSE))


@pytest.mark.parametrize("provider", [name for name in provider_names() if find_provider(name).key_variables])
def test_each_provider_is_reached_from_the_containers(provider: str) -> None:
    """Its keys and its address are passed on where they are set, and nothing where they are not."""
    for variable in (*find_provider(provider).key_variables, f"{PREFIX}{provider.upper()}_BASE_URL"):
        assert f"    {variable}: ${{{variable}:-}}\n" in COMPOSE


def test_the_settings_exist() -> None:
    """Every variable of ours that the files name is one that the code reads."""
    text = COMPOSE + (ROOT / "deploy" / "Dockerfile").read_text() + (ROOT / "deploy" / "README.md").read_text()
    named = {name for name in re.findall(rf"{PREFIX}([A-Z_]+)", text) if not name.endswith("_BASE_URL")}
    assert named <= {field.upper() for field in Settings.__struct_fields__}


def test_the_image_gets_what_the_wheel_needs() -> None:
    """Each file that the Dockerfile copies is let through by .dockerignore, and is there."""
    allowed = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    assert names <= allowed
    assert all((ROOT / name).exists() for name in names)
