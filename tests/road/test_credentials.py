"""Keys by name: where they are found, and that only the name travels."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from batch_router import BatchRouter
from batch_router.credentials import find_key
from batch_router.exceptions import CredentialsError, ValidationError
from batch_router.intake.options import read_options
from batch_router.operations.submit import submit
from batch_router.providers import OpenAIProvider, find_provider
from batch_router.road.context import Context
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator

CANARY = "sk-canary-4711"
OPENAI = find_provider("openai")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """`write(content, mode)`: a credentials file."""

    def make(content: str, mode: int = 0o600) -> Path:
        file = tmp_path / "credentials.toml"
        file.write_text(content)
        file.chmod(mode)
        return file

    return make


def test_a_key_is_found_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name follows the provider's usual variable, any of them."""
    monkeypatch.setenv("OPENAI_API_KEY_TEAM_A", "one")
    monkeypatch.setenv("GEMINI_API_KEY_TEAM_A", "two")
    assert find_key(OPENAI, "team-a", None) == "one"
    assert find_key(find_provider("google"), "team-a", None) == "two"


def test_a_key_is_found_in_the_file(write: Callable[..., Path]) -> None:
    """Below the name, by provider, as the file stands at that moment."""
    file = write('[team-a]\nopenai = "one"\nanthropic = "two"\n[team-b]\nopenai = "three"\n')
    assert [find_key(OPENAI, name, file) for name in ("team-a", "team-b")] == ["one", "three"]
    file.write_text('[team-a]\nopenai = "four"\n')
    assert find_key(OPENAI, "team-a", file) == "four"


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        ("[other]\nopenai = 'x'\n", 0o600, "set OPENAI_API_KEY_TEAM_A, or write openai = ... below"),
        ("[team-a]\nanthropic = 'x'\n", 0o600, "no key named 'team-a'"),
        ("team-a = 'x'\n", 0o600, "no key named 'team-a'"),
        ("[team-a]\nopenai = 7\n", 0o600, "no key named 'team-a'"),
        (f"[team-a]\nopenai = {CANARY}\n", 0o600, "is not a TOML file"),
        (f"[team-a]\nopenai = '{CANARY}'\n", 0o640, "may be read by others than its owner (mode 0640): chmod 600"),
    ],
)
def test_what_is_wrong_with_the_file_is_said(write: Callable[..., Path], content: str, mode: int, says: str) -> None:
    """In one sentence that says what to do, with no key in it nor in what it came from."""
    with pytest.raises(CredentialsError) as caught:
        find_key(OPENAI, "team-a", write(content, mode))
    assert says in str(caught.value)
    assert CANARY not in repr(caught.value) + repr(caught.value.__cause__) + str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(CredentialsError, match=r"none\.toml cannot be read: No such file"):
        find_key(OPENAI, "team-a", tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["", "a b", "../x", "ü", "x" * 65, "team_a", "TEAM-A", "AIzaSyCanary", CANARY])
def test_a_name_is_a_name(name: str) -> None:
    """And no key: that would be kept in the state."""
    with pytest.raises(ValidationError, match="credential is the name of a key, no key: 1 to 64 lower-case letters"):
        read_options({"credential": name})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_the_file_is_ours(write: Callable[..., Path]) -> None:
    """A file of another user, a link and a file without an end give no key, in a sentence that names the file."""
    file = write('[team-a]\nopenai = "theirs"\n')
    link = file.with_name("link.toml")
    link.symlink_to(file)
    os.chown(file, 65534, -1)
    for path, reason in ((file, "belongs to another user"), (link, "symbolic link"), (Path("/dev/zero"), "a device")):
        with pytest.raises(CredentialsError, match=rf"{path} .*{reason}"):
            find_key(OPENAI, "team-a", path)


def test_the_file_is_bounded(write: Callable[..., Path]) -> None:
    """A file that is too large to be one of keys is not read."""
    file = write('[team-a]\nopenai = "one"\n')
    os.truncate(file, 1 << 40)  # takes no place on the disk
    with pytest.raises(CredentialsError, match=r"has more than 1,048,576 bytes"):
        find_key(OPENAI, "team-a", file)


def test_a_provider_without_keys_takes_no_name(context: Context) -> None:
    """It would be ignored, so it is refused."""
    with pytest.raises(ValidationError, match="vllm needs no key"):
        submit(
            context, "vllm", {"model": "m", "requests": [{"custom_id": "a", "prompt": "Hi"}], "credential": "team-a"}
        )


def test_a_batch_goes_with_its_key_all_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider knows only the named key, and accepts each call of the batch; a batch without a name is refused."""
    monkeypatch.setenv("OPENAI_API_KEY_TEAM_A", CANARY)
    rows = [{"custom_id": "a", "prompt": "Hi"}]

    async def main() -> list[str]:
        with Simulator(Scenario(keys=(CANARY,))) as simulator:
            async with BatchRouter(Settings(home=tmp_path), in_memory=True) as router:
                router.register_provider(OpenAIProvider(api_key="own", base_url=f"{simulator.url}/openai/v1"))
                batch_id = await router.send_batch("openai", rows, model="m", credential="team-a")
                with pytest.raises(Exception, match="401"):
                    await router.send_batch("openai", rows, model="m")
                return [(await router.wait_for_completion("openai", batch_id)).status]

    assert asyncio.run(main()) == ["completed"]
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept
    assert not any(CANARY.encode() in path.read_bytes() for path in kept)


def test_a_refused_key_is_looked_up_anew(
    make_context: Callable[..., Context], write: Callable[..., Path], tmp_path: Path
) -> None:
    """A client lives as long as its key is good."""
    write('[team-a]\nopenai = "old"\n')
    clients = make_context(credentials=tmp_path / "credentials.toml").clients
    first = clients.get("openai", "team-a")
    assert clients.get("openai", "team-a") is first
    clients.forget("openai", "team-a")
    assert clients.get("openai", "team-a") is not first
