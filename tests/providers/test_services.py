"""Services that speak OpenAI's wire: entries of a file, each a provider by its name."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch_router import BatchRouter
from batch_router.core import BatchStatus, Endpoint
from batch_router.credentials import find_key
from batch_router.exceptions import CredentialsError, InvalidInputError, ProviderNotFoundError, ValidationError
from batch_router.intake.check import check_file
from batch_router.intake.options import Options
from batch_router.providers import find_provider, provider_names
from batch_router.providers.vllm.process.environment import engine_environment
from batch_router.road.context import Clients
from batch_router.settings import Settings
from batch_router.simulator import Simulator
from tests.e2e.stack import clean_environment
from tests.security.hostile_server import HostileServer
from tests.security.provider_calls import says

ROOT = Path(__file__).parents[2]
GROQ = """
[groq]
base_url = "https://api.groq.com/openai/v1"
key_variables = ["GROQ_API_KEY"]
windows = ["24h", "7d"]
"""
Write = Callable[..., Settings]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(content, **settings)`: settings with a file of services."""

    def make(content: str, mode: int = 0o600, **settings: Any) -> Settings:
        file = tmp_path / "services.toml"
        file.write_text(content)
        file.chmod(mode)
        return Settings(services=file, home=tmp_path / "home", **settings)

    return make


def test_a_service_is_a_provider_by_its_name(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found and listed as all others are, by settings and by the environment, with what its entry says."""
    settings = write(GROQ + '[deep_infra]\nbase_url = "https://x.example/v1"\nrows = 10\nendpoints = ["embeddings"]\n')
    groq, other = find_provider("groq", settings), find_provider("deep_infra", settings)
    assert {"groq", "deep_infra", "openai"} <= set(provider_names(settings))
    assert (groq.name, groq.key_variables, groq.windows) == ("groq", ("GROQ_API_KEY",), ("24h", "7d"))
    assert (other.key_variables, other.limits.rows, list(other.endpoints)) == (
        ("DEEP_INFRA_API_KEY",),
        10,
        [Endpoint.EMBEDDINGS],
    )
    assert find_provider("groq", settings) is groq
    assert "groq" not in provider_names()
    monkeypatch.setenv("BATCH_ROUTER_SERVICES", str(settings.services))
    assert find_provider("groq") is groq


def test_the_entry_of_the_docs_is_one(write: Write) -> None:
    """The example of the page, with all that an entry may say, is read as it stands."""
    page = (ROOT / "docs" / "providers.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    names = re.findall(r"^\[(\w+)\]", example, re.MULTILINE)
    assert [find_provider(name, write(example)).name for name in names] == names


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[groq\n", "is not a TOML file"),
        ("groq = 1\n", r"\[groq\]: Expected `object`"),
        ("[Groq]\nbase_url = 'https://x'\n", r"\[Groq\]: a name has up to 40 lower-case letters"),
        ("[groq]\n", r"\[groq\]: .*missing required field `base_url`"),
        ("[groq]\nbase_url = 'api.groq.com'\n", r"\[groq\]: base_url must begin with https://"),
        ("[groq]\nbase_url = 'https://api.groq.com /v1'\n", r"\[groq\]: base_url must .* has no spaces"),
        ("[groq]\nbase_url = 'https://api.groq.com:99999/v1'\n", r"\[groq\]: base_url must begin with https://"),
        ("[groq]\nbase_url = 'https://x'\nwindows = [\"24h\\n\"]\n", r"\[groq\]: windows"),
        ("[groq]\nbase_url = 'https://a:b@x'\n", r"\[groq\]: base_url has no user"),
        ("[groq]\nbase_url = 'https://x'\nwindow = '7d'\n", r"\[groq\]: .*unknown field `window`"),
        ("[groq]\nbase_url = 'https://x'\nwindows = []\n", r"\[groq\]: windows: "),
        ("[groq]\nbase_url = 'https://x'\nwindows = ['a week']\n", r"\[groq\]: windows"),
        ("[groq]\nbase_url = 'https://x'\nkey_variables = ['sk-1']\n", r"\[groq\]: key_variables"),
        ("[groq]\nbase_url = 'https://x'\nstatuses = { done = 'ready' }\n", r"\[groq\]: statuses"),
        (
            "[groq]\nbase_url = 'https://x'\nendpoints = ['audio']\n",
            r"\[groq\]: endpoints.*: Invalid enum value 'audio'",
        ),
        ("[openai]\nbase_url = 'https://x'\n", r"\[openai\] is a provider already"),
    ],
)
def test_a_bad_entry_is_explained(write: Write, content: str, complaint: str) -> None:
    """The sentence names the setting, the entry and what is wrong with it."""
    with pytest.raises(ValidationError, match=rf"^BATCH_ROUTER_SERVICES: .*{complaint}"):
        provider_names(write(content))


def test_the_file_is_its_owners_alone(write: Write, tmp_path: Path) -> None:
    """It decides where keys go: one that others may change, or that is not there, is refused; none is looked for."""
    with pytest.raises(ValidationError, match="chmod 600"):
        provider_names(write(GROQ, mode=0o666))
    with pytest.raises(ValidationError, match="No such file"):
        provider_names(Settings(services=tmp_path / "other.toml"))


def test_no_file_of_the_working_folder_counts(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `services.toml` that came with a checkout sends no key anywhere."""
    settings = write(GROQ)
    assert settings.services is not None
    monkeypatch.chdir(settings.services.parent)
    with pytest.raises(ProviderNotFoundError):
        find_provider("groq")


def test_two_services_at_once(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch goes to its own service with its own key and window, and its job is known by the service's name."""
    monkeypatch.setenv("ONE_API_KEY", "sk-one")
    monkeypatch.setenv("TWO_API_KEY", "sk-two")
    with Simulator() as one, Simulator() as two:
        content = f'[one]\nbase_url = "{one.url}/openai/v1"\nwindows = ["48h"]\n[two]\nbase_url = "https://x.example"\n'
        settings = write(content, base_urls={"two": f"{two.url}/openai/v1"})

        async def send(name: str) -> tuple[str, Any]:
            router = BatchRouter(settings, in_memory=True)
            router.register_provider(find_provider(name, settings)())
            row = {"custom_id": name, "prompt": "Hi"}
            batch_id = await router.send_batch(name, [row], model="llama-3.1-8b-instant")
            status = await router.wait_for_completion(name, batch_id, verbose=False)
            results = [result.custom_id async for result in router.get_results(name, batch_id)]
            router.close()
            return status.status, results

        for name in ("one", "two"):
            assert asyncio.run(send(name)) == (BatchStatus.COMPLETED, [name])
        assert [each["window"] for each in one.requests() if "job" in each] == ["48h"]
        assert [each["window"] for each in two.requests() if "job" in each] == ["24h"]


def test_a_service_has_keys_by_name_and_an_account(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variables are used for named keys, its name is in its errors and in that of its account."""
    settings = write(GROQ)
    groq = find_provider("groq", settings)
    monkeypatch.setenv("GROQ_API_KEY_TEAM_A", "k")
    assert find_key(groq, "team-a", None) == "k"
    with pytest.raises(CredentialsError, match="groq: no API key: set GROQ_API_KEY"):
        groq().connect(settings)
    assert groq("k").connect(settings).access.service == "groq@api.groq.com"


def test_a_service_is_sent_nothing_of_openais(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment has for OpenAI (address, organization, headers with keys) stays away from all others."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/canary")
    monkeypatch.setenv("OPENAI_ORG_ID", "canary-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "canary-2")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "canary-3")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-gateway: canary-4\nauthorization: Bearer canary-5")
    with HostileServer(says({"id": "batch_1", "status": "validating"})) as server:
        settings = write(f'[one]\nbase_url = "{server.url}/v1"\n')
        find_provider("one", settings)("sk-mine").connect(settings).get("batch_1")
        (asked,) = server.asked
    assert b"Bearer sk-mine" in asked.head
    assert b"canary" not in asked.head


def test_a_service_has_its_own_endpoints(write: Write, tmp_path: Path) -> None:
    """Rows of others are refused before anything is sent, also those of a batch file."""
    settings = write('[one]\nbase_url = "https://x.example"\nendpoints = ["chat", "completions"]\n')
    body = {"model": "m", "input": "Hi", "prompt": "Hi"}
    rows = [
        {"custom_id": url, "url": f"/v1/{url}", "body": body} for url in ("completions", "embeddings", "images/edits")
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InvalidInputError) as caught:
        check_file(tmp_path / "rows.jsonl", find_provider("one", settings), Options(), settings)
    assert caught.value.total == 2
    assert "line 2: endpoint: one has no 'embeddings'; it has: chat" in str(caught.value)


def test_words_of_a_service_are_understood(write: Write) -> None:
    """A status that its entry explains means what the entry says."""
    with HostileServer(says({"id": "batch_1", "status": "QUEUED_UP", "created_at": 1})) as server:
        settings = write(f'[one]\nbase_url = "{server.url}/v1"\nstatuses = {{ QUEUED_UP = "validating" }}\n')
        assert find_provider("one", settings)("k").connect(settings).get("batch_1").status is BatchStatus.VALIDATING


def test_an_engine_gets_no_key_of_a_service(write: Write) -> None:
    """Its variables are left out of the environment of engines, as those of all providers are."""
    settings = write('[one]\nbase_url = "https://x.example"\nkey_variables = ["ONE_PASS"]\n')
    find_provider("one", settings)
    assert engine_environment({"ONE_PASS": "x", "ONE_PASS_TEAM_A": "y", "LANG": "C"}) == {"LANG": "C"}


def test_the_command_line_knows_a_service(write: Write, tmp_path: Path) -> None:
    """`convert` takes its name, `doctor` looks for its key, and a wrong file is one sentence."""
    (tmp_path / "rows.jsonl").write_text('{"custom_id": "a", "prompt": "Hi"}\n')
    environment = clean_environment(tmp_path / "home", BATCH_ROUTER_SERVICES=str(write(GROQ).services))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "batch_router.cli", *arguments]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    convert = ("convert", "rows.jsonl", "--provider", "groq", "--model", "m")
    assert json.loads(run(*convert).stdout)["url"] == "/v1/chat/completions"
    findings = json.loads(run("doctor", "--json").stdout)["findings"]
    assert {"what": "key groq", "found": "GROQ_API_KEY is not set here", "remedy": ""} in findings
    write("[groq]\n")
    failed = run(*convert)
    assert failed.returncode == 2
    assert re.fullmatch(
        r"batch-router: BATCH_ROUTER_SERVICES: \S+services.toml: \[groq\]: .*`base_url`\n", failed.stderr
    )


@pytest.mark.parametrize("command", ["celery -A batch_router.worker worker -Q io", "batch_router.cli up io"])
def test_a_wrong_file_starts_no_worker(write: Write, tmp_path: Path, command: str) -> None:
    """The worker, and the stack, say in one sentence what is wrong with it, and end."""
    environment = clean_environment(tmp_path / "home", BATCH_ROUTER_SERVICES=str(write("[groq]\n").services))
    done = subprocess.run(
        [sys.executable, "-m", *command.split()], env=environment, cwd="/", capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert "BATCH_ROUTER_SERVICES: " in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_a_worker_finds_a_service(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients of a process have it, with the address that the settings give it."""
    monkeypatch.setenv("GROQ_API_KEY", "k")
    settings = write(GROQ, base_urls={"groq": "https://gateway.example/v1"})
    clients = Clients(settings)
    assert clients.get("groq").access.service == "groq@gateway.example"
