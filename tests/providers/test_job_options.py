"""What a batch asks of its jobs: completion windows, headers and betas, and what is refused of them."""

import asyncio
import io
from pathlib import Path
from typing import Any

import anthropic
import pytest

from batch_router import BatchRouter
from batch_router.core.jobs import JobOptions
from batch_router.exceptions import ValidationError
from batch_router.intake.options import read_options
from batch_router.operations.submit import submit
from batch_router.providers import find_provider
from batch_router.providers.anthropic.client import API_VERSION
from batch_router.road.context import Context
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Refusal
from tests.file_rows import FileRows
from tests.security.hostile_server import HostileServer
from tests.security.provider_calls import PROVIDERS, client_of, job_answer, job_of, says, spec_of

ROOT = Path(__file__).parents[2]
BETA = "output-300k-2026-03-24"


def headers_of(head: bytes) -> dict[str, str]:
    lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:] if line]
    names = [name.lower() for name, _, _ in lines]
    assert len(names) == len(set(names)), names
    return {name.lower(): value for name, _, value in lines}


def sent(provider: str, tmp_path: Path, **options: Any) -> dict[str, str]:
    """The headers of the request that creates a job with these options."""
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(b'{"custom_id": "t-0"}\n')
    with HostileServer(says(job_answer(provider))) as server:
        spec = spec_of(provider)
        client = client_of(provider, server.url)
        client.create(FileRows(rows), type(spec)(**{**as_dict(spec), "options": JobOptions(**options)}))
        (asked,) = server.asked
    return headers_of(asked.head)


def as_dict(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_headers_go_with_create(provider: str, tmp_path: Path) -> None:
    """Each as it was given, beside the headers of the SDK."""
    found = sent(provider, tmp_path, headers={"X-Run": "7", "helicone-property-app": "a b"})
    assert (found["x-run"], found["helicone-property-app"]) == ("7", "a b")
    assert any(name in found for name in ("authorization", "x-api-key", "x-goog-api-key"))


def test_betas_are_one_header(tmp_path: Path) -> None:
    """Anthropic's own, with all of them."""
    assert sent("anthropic", tmp_path, betas=[BETA, "another"])["anthropic-beta"] == f"{BETA},another"
    assert "anthropic-beta" not in sent("anthropic", tmp_path)


def test_the_version_of_anthropics_api_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later SDK changes nothing, and a batch may ask for another version."""
    assert API_VERSION == anthropic._constants.ANTHROPIC_API_VERSION, "a new SDK: look at what the version changes"
    monkeypatch.setattr(anthropic._client, "ANTHROPIC_API_VERSION", "2099-01-01")
    assert sent("anthropic", tmp_path)["anthropic-version"] == API_VERSION
    changed = sent("anthropic", tmp_path, headers={"Anthropic-Version": "2023-06-01"})
    assert changed["anthropic-version"] == "2023-06-01"


def test_other_calls_have_none_of_them(tmp_path: Path) -> None:
    """Answers are fetched as those of any other job."""
    with HostileServer(says(job_answer("anthropic"))) as server:
        client = client_of("anthropic", server.url)
        client.get("msgbatch_1")
        client.download(job_of("anthropic"), io.BytesIO())
        assert [headers_of(asked.head)["anthropic-version"] for asked in server.asked] == [API_VERSION] * 2
        assert not any("anthropic-beta" in headers_of(asked.head) for asked in server.asked)


def test_they_hold_for_rows_that_go_again(tmp_path: Path) -> None:
    """The window of the batch is that of each of its jobs, follow-ups too."""
    settings = Settings(home=tmp_path / "home", services=tmp_path / "services.toml", max_shard_rows=1)
    with Simulator(Scenario(refuse=(Refusal(match="b", status=429),))) as simulator:
        tmp_path.joinpath("services.toml").write_text(
            f'[one]\nbase_url = "{simulator.url}/openai/v1"\nwindows = ["24h", "7d"]\n'
        )
        tmp_path.joinpath("services.toml").chmod(0o600)
        router = BatchRouter(settings, in_memory=True)
        router.register_provider(find_provider("one", settings)("k"))

        async def run() -> None:
            rows = [{"custom_id": each, "prompt": each} for each in "ab"]
            batch_id = await router.send_batch("one", rows, model="m", completion_window="7d", row_retries=1)
            await router.wait_for_completion("one", batch_id, verbose=False)

        asyncio.run(run())
        router.close()
        windows = [each["window"] for each in simulator.requests() if "window" in each]
        assert windows == ["7d"] * 3


@pytest.mark.parametrize(
    ("provider", "options", "complaint"),
    [
        ("openai", {"betas": [BETA]}, "^betas: openai has no such option; leave it out"),
        ("openai", {"completion_window": "7d"}, "^completion_window: openai has 24h, and not '7d'"),
        ("anthropic", {"completion_window": "24h"}, "^completion_window: anthropic has no such option"),
        ("google", {"completion_window": "24h"}, "^completion_window: google has no such option"),
        ("google", {"betas": [BETA]}, "^betas: google has no such option"),
        ("vllm", {"headers": {"x-run": "7"}}, "^headers: vllm has no such option"),
        ("openai", {"completion_window": "a day"}, "^completion_window: Expected `str` matching"),
        ("anthropic", {"betas": ["a,b"]}, "^betas.*: Expected `str` matching"),
        ("anthropic", {"betas": ["a\n"]}, "^betas.*: Expected `str` matching"),
        ("openai", {"completion_window": "24h\n"}, "^completion_window: Expected `str` matching"),
    ],
)
def test_what_a_provider_does_not_have_is_refused(
    context: Context, provider: str, options: Any, complaint: str
) -> None:
    """At submission, by its name; nothing is stored."""
    row = {"custom_id": "a", "prompt": "Hi", "generation_config": {"max_tokens": 5}}
    with pytest.raises(ValidationError, match=complaint):
        submit(context, provider, options | {"requests": [row], "model": "m"})


def test_the_table_of_the_docs_is_true() -> None:
    """Each cell says what the provider takes."""
    page = (ROOT / "docs" / "providers.md").read_text()
    for option in JobOptions.__struct_fields__:
        taken = ["yes" if option in find_provider(name).job_options else "no" for name in (*PROVIDERS, "vllm")]
        assert f"| `{option}` | {' | '.join(taken)} |" in page


@pytest.mark.parametrize(
    ("headers", "complaint"),
    [
        *(
            ({name: "x"}, rf"headers: '{name}' looks like a secret: headers are kept in the store")
            for name in (
                "Authorization",
                "x-api-key",
                "Cookie",
                "helicone-auth",
                "x-goog-api-key",
                "my_token",
                "apikey",
            )
        ),
        *(
            ({name: "x"}, rf"headers: '{name}' is set by what sends the request")
            for name in ("Host", "content-length", "Content-Type", "transfer-encoding", "Connection", "proxy-x", "TE")
        ),
        ({"x-gateway": "Bearer abc"}, "looks like a secret"),
        ({"x-gateway": "sk-ant-0123456789"}, "looks like a secret"),
        ({"anthropic-beta": BETA}, "is not taken: name them in `betas`"),
        ({"OpenAI-Project": "p"}, "set OPENAI_PROJECT_ID where the workers run"),
        ({"Idempotency-Key": "1"}, "the shards of a batch would count as one job"),
        ({"x-run": "7\r\nx-api-key: k"}, "has a value that no header has"),
        ({"x-run": "caf\u00e9"}, "has a value that no header has"),
        ({"x-run": ""}, "has a value that no header has"),
        ({"x-run": "a" * 1001}, "has a value that no header has"),
        ({"x run": "7"}, "is no name of a header"),
        ({"": "7"}, "is no name of a header"),
        ({"x\r\ny": "7"}, r"headers: 'x\\r\\ny' is no name"),
        ({"X-Run": "1", "x-run": "2"}, "a name is there twice"),
        ({f"x-{number}": "1" for number in range(33)}, "more than 32"),
        ({f"x-{number}": "1" * 900 for number in range(5)}, "more than 4,096 characters"),
    ],
)
def test_a_header_that_no_batch_may_set_is_refused(headers: dict[str, str], complaint: str) -> None:
    """Keys, what frames a request, other accounts, and what no header holds: by name, with what to do."""
    with pytest.raises(ValidationError, match=complaint):
        read_options({"headers": headers})
    with pytest.raises(ValidationError):
        JobOptions(headers=headers)


def test_words_that_only_resemble_are_taken() -> None:
    """Slovak is no key, and neither is a keyword a secret."""
    read_options(
        {"headers": {"x-locale": "sk-SK", "x-keyword": "a", "x-monkey": "b", "anthropic-version": "2023-06-01"}}
    )
