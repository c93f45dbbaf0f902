"""The containers run what the Procfile runs."""

import os
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import msgspec.yaml
import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from batch_router.embedded.binary import find_server
from batch_router.providers import find_provider, provider_names
from batch_router.security.masking import is_secret_name
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
    image = (ROOT / "deploy" / "Dockerfile").read_text()
    assert not [name for name in re.findall(r"\b([A-Z_]+)=", image) if is_secret_name(name)]
    assert "ARG" not in image


def services() -> dict[str, dict[str, Any]]:
    """Those of the Compose file, with all that they take from its other parts."""
    found: dict[str, dict[str, Any]] = msgspec.yaml.decode(COMPOSE)["services"]
    return found


@pytest.mark.parametrize("name", services())
def test_a_container_may_do_little(name: str) -> None:
    """No root, no capability, no new privilege, a root file system that is read-only, an exact image."""
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]
    assert service["pids_limit"] > 0
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode", "userns_mode"} & service.keys()
    assert service.get("user") != "root"
    assert service["image"] == "batch-router" or re.fullmatch(r"\S+:\d+\.\d+\.\d+-\w+", service["image"])


def test_the_image_runs_as_a_user_without_rights() -> None:
    """In a folder that this user cannot write, and it is built from an exact image."""
    image = (ROOT / "deploy" / "Dockerfile").read_text()
    assert re.findall(r"^USER (.*)$", image, re.MULTILINE) == ["batch-router"]
    assert re.findall(r"^WORKDIR (.*)$", image, re.MULTILINE)[-1] == "/opt/batch-router"
    assert all(re.search(r":\d+\.\d+\.\d+-", line) for line in re.findall(r"^FROM (\S+)", image, re.MULTILINE))


def test_secrets_are_only_where_they_are_needed() -> None:
    """In the environment of the services that use them, and in no command, which all of a machine can read."""
    secret = {
        name: {variable for variable in service["environment"] if is_secret_name(variable)}
        for name, service in services().items()
    }
    redis = {"BATCH_ROUTER_REDIS_URL", "BATCH_ROUTER_BROKER_URL"}
    webhooks = {"BATCH_ROUTER_WEBHOOK_SECRET"}
    keys = {variable for each in provider_names() for variable in find_provider(each).key_variables}
    places = {f"{PREFIX}{each.upper()}_BASE_URL" for each in provider_names()}
    assert secret == {
        "valkey": {"REDISCLI_AUTH"},
        "io": redis | webhooks | {name for name in keys | places if "VLLM" not in name},
        "cpu": redis,
        "gpu": redis | webhooks | {"VLLM_API_KEY", "BATCH_ROUTER_VLLM_BASE_URL"},
        "flower": {"BATCH_ROUTER_BROKER_URL", "FLOWER_BASIC_AUTH"},
        "metrics": redis,
    }
    shown = [service["command"] for service in services().values()]
    shown += [service["healthcheck"] for service in services().values() if "healthcheck" in service]
    assert "${" not in str(shown)


def test_valkey_gets_its_password_by_stdin(tmp_path: Path) -> None:
    """The command line of the container, run with a real Valkey: it wants the password, and does not show it."""
    binary = tmp_path / "valkey-server"
    binary.symlink_to(find_server())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    *shell, script = services()["valkey"]["command"]
    script = script.replace("$$", "$").replace("valkey-server - ", f"valkey-server - --bind 127.0.0.1 --port {port} ")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "REDISCLI_AUTH": "hush4711"}
    with subprocess.Popen([*shell, script], env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL) as server:
        try:
            client = redis.Redis(port=port, password="hush4711", retry=Retry(ConstantBackoff(0.1), 100))
            assert client.ping()
            config: Any = client.config_get("append*")
            assert (config["appendonly"], client.config_get("maxmemory-policy")) == (
                "yes",
                {"maxmemory-policy": "noeviction"},
            )
            with pytest.raises(redis.AuthenticationError):
                redis.Redis(port=port).ping()
            command = Path(f"/proc/{server.pid}/cmdline").read_bytes()
            assert b"valkey-server" in command
            assert b"hush4711" not in command
        finally:
            server.terminate()  # reaches the server: it took the place of the shell


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
