"""Keys and passwords: where they are used, and nowhere else."""

import copy
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from batch_router.client import BatchClient
from batch_router.connect import open_broker, open_context, state_server
from batch_router.exceptions import BatchRouterError, CredentialsError
from batch_router.intake.options import SubmitOptions
from batch_router.providers import Access, Provider
from batch_router.providers.anthropic import AnthropicProvider
from batch_router.providers.google import GoogleProvider
from batch_router.providers.openai import OpenAIProvider
from batch_router.security.masking import mask_url
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Fault
from tests.e2e.stack import processes_of
from tests.worker.fleet import environment_of, worker

from .hostile_server import HostileServer, reply

KEY = "sk-canary-own-4711"
NAMED = "sk-canary-named-4712"
REFUSED = "sk-canary-refused-4713"
PASSWORD = "canary-of-a-url-4714"
SECRETS = (KEY, NAMED, REFUSED, PASSWORD)
LIMIT: SubmitOptions = {"generation_config": {"max_tokens": 9}}
ROWS = [{"custom_id": "a", "prompt": "Hello"}]
PROVIDERS = [OpenAIProvider, AnthropicProvider, GoogleProvider]


def test_no_secret_leaves_a_whole_run(tmp_path: Path, valkey: str) -> None:
    """With every logger at DEBUG, no key and no password is in a log, an error, the stores, a file or an argument."""
    home = tmp_path / "secrets"
    (tmp_path / "keys.toml").touch(mode=0o600)
    (tmp_path / "keys.toml").write_text(f'[good]\nopenai = "{NAMED}"\n[bad]\nopenai = "{REFUSED}"\n')
    html, refusal = Fault(match="GET /batches/.*", do="html"), Fault(match="GET /files/.*/content", do="status")
    with Simulator(Scenario(keys=(KEY, NAMED), faults=(html, refusal))) as simulator:
        environment = environment_of(
            home,
            valkey,
            OPENAI_API_KEY=KEY,
            ANTHROPIC_API_KEY=KEY,
            BATCH_ROUTER_CREDENTIALS=str(tmp_path / "keys.toml"),
            BATCH_ROUTER_OPENAI_BASE_URL=f"{simulator.url}/openai/v1",
            BATCH_ROUTER_ANTHROPIC_BASE_URL=f"{simulator.url.replace('://', f'://proxy:{PASSWORD}@')}/anthropic",
        )
        seen = b"".join(run(home, environment))
    for secret in (*SECRETS, valkey.partition("://:")[2].partition("@")[0]):
        assert secret.encode() not in seen
    assert b"authentication_error" in seen
    assert b"HTTP Request: GET" in seen, "the libraries logged, too"


def run(home: Path, environment: dict[str, str]) -> Iterator[bytes]:
    """Batches with each of the keys, and all that is there to be seen afterwards."""
    settings = Settings.from_env(environment)
    with worker(environment, "-l", "DEBUG", "-Q", "io,poll,cpu") as process:
        with closing(BatchClient(open_context(settings))) as client:
            for provider, credential in (("openai", None), ("openai", "good"), ("openai", "bad"), ("anthropic", None)):
                batch_id = client.submit(
                    provider, model="m", requests=ROWS, credential=credential, generation_config={"max_tokens": 9}
                )
                try:
                    client.wait(batch_id, timeout=60)
                except BatchRouterError:
                    yield traceback.format_exc().encode()
                yield cli(environment, "status", batch_id, "--json")
        yield cli(environment, "list")
        yield cli(environment, "doctor", "--json")
        yield repr((settings, environment["BATCH_ROUTER_HOME"])).encode()
        yield "\n".join(processes_of(home).values()).encode()
        for server in (state_server(settings).client(), open_broker(settings)):
            yield from values(server)
    yield from (path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert process.log.read_bytes().count(b"DEBUG") > 100


def cli(environment: dict[str, str], *arguments: str) -> bytes:
    command = [sys.executable, "-m", "batch_router.cli", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=120)
    return done.stdout + done.stderr


def values(database: "redis.Redis") -> Iterator[bytes]:
    """Every key and value of a database."""
    with database as client:
        readers: dict[bytes, Callable[[bytes], object]] = {
            b"string": client.get,
            b"hash": client.hgetall,
            b"list": lambda key: client.lrange(key, 0, -1),
            b"set": client.smembers,
            b"zset": lambda key: client.zrange(key, 0, -1),
        }
        for key in client.scan_iter():
            yield key + repr(readers[client.type(key)](key)).encode()


@pytest.mark.parametrize("kind", PROVIDERS)
def test_no_error_shows_a_key_that_the_provider_repeats(kind: type[Provider], tmp_path: Path) -> None:
    """Neither the error nor its traceback, wherever in the answer the key is."""
    body = b'{"error": {"message": "%s is wrong", "code": "%s", "type": "%s"}}' % ((KEY.encode(),) * 3)
    for status in (200, 400, 401, 429, 500):
        with HostileServer(lambda _, status=status: reply(status, body)) as server:  # type: ignore[misc]
            client = kind(KEY, base_url=server.url).connect(Settings(home=tmp_path))
            with pytest.raises(BatchRouterError) as raised:
                client.get("batches/a")
            client.close()
        assert KEY not in "".join(traceback.format_exception(raised.value))
        assert KEY.encode() not in pickle.dumps(raised.value)


@pytest.mark.parametrize("kind", PROVIDERS)
def test_no_representation_shows_a_key(kind: type[Provider], tmp_path: Path) -> None:
    """A provider and a client do not show their key, and do not take it into another process."""
    provider = kind(KEY)
    client = provider.connect(Settings(home=tmp_path))
    for holder in (provider, client, client.access, copy.copy(provider), provider.with_key(NAMED)):
        assert "canary" not in f"{holder!r} {holder}"
        with pytest.raises(TypeError):
            pickle.dumps(holder)
    client.close()
    assert isinstance(pickle.loads(pickle.dumps(kind())), kind)


@pytest.mark.parametrize("key", ["sk-canary\n4711", "sk-canary\x00", "sk-canary-ä", "sk-\u2028canary"])
def test_a_key_that_no_header_carries_is_refused(key: str, tmp_path: Path) -> None:
    """The HTTP client would quote it; a line end after it does no harm."""
    with pytest.raises(CredentialsError) as raised:
        OpenAIProvider(key).connect(Settings(home=tmp_path))
    assert "canary" not in "".join(traceback.format_exception(raised.value))
    client = OpenAIProvider("sk-canary\n").connect(Settings(home=tmp_path))
    assert client.access.has_key_of(Access("openai", "https://api.openai.com", "sk-canary").account(None))
    client.close()


def test_no_representation_of_settings_shows_a_password() -> None:
    """The URLs of servers are left out, those of providers are shown without user, password and query."""
    url = f"https://user:{PASSWORD}@proxy.example/v1?key={PASSWORD}"
    environment = {
        "BATCH_ROUTER_OPENAI_BASE_URL": url,
        "BATCH_ROUTER_REDIS_URL": f"redis://:{PASSWORD}@h/0",
        "BATCH_ROUTER_BROKER_URL": f"redis://:{PASSWORD}@h/1",
        "BATCH_ROUTER_OPAQUE": PASSWORD,
    }
    shown = repr(Settings.from_env(environment))
    assert PASSWORD not in shown
    assert "https://***@proxy.example/v1" in shown


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://h.example/v1", "https://h.example/v1"),
        ("https://user:pa@ss@h.example:8/v1?key=a#b", "https://***@h.example:8/v1?***"),
        ("redis://:pa/ss@h:6379/0", "***"),
        ("redis://:pass@h:port/0", "***"),
        ("pa:ss@h", "***"),
        ("https://h.example?sig=secret", "https://h.example?***"),
    ],
)
def test_a_url_is_masked(url: str, masked: str) -> None:
    """What may be or hold a secret is left out, and a URL without clear borders is masked as a whole."""
    assert mask_url(url) == masked
