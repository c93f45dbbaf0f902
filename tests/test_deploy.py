"""The containers run what the Procfile runs."""

import re
from pathlib import Path

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


def test_the_settings_exist() -> None:
    """Every variable of ours that the files name is one that the code reads."""
    text = COMPOSE + (ROOT / "deploy" / "Dockerfile").read_text() + (ROOT / "deploy" / "README.md").read_text()
    named = set(re.findall(rf"{PREFIX}([A-Z_]+)", text))
    assert named <= {field.upper() for field in Settings.__struct_fields__}


def test_the_image_gets_what_the_wheel_needs() -> None:
    """Each file that the Dockerfile copies is let through by .dockerignore, and is there."""
    allowed = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    assert names <= allowed
    assert all((ROOT / name).exists() for name in names)
