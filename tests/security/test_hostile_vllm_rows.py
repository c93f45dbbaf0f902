"""A hostile submitter, and a hostile author of rows, against the workers that have GPUs."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batch_router.core import BatchStatus
from batch_router.core.jobs import EngineOption, Job, JobSpec
from batch_router.exceptions import NotFoundError, ProviderUnavailableError, ValidationError
from batch_router.providers import VLLMProvider
from batch_router.providers.vllm import EngineOptionError, ModelNotFoundError, VLLMSettings
from batch_router.providers.vllm.engines import Setup
from batch_router.providers.vllm.process.leftovers import end_leftover
from batch_router.providers.vllm.process.record import describe_group
from batch_router.road.context import Context
from batch_router.settings import Settings
from tests.items import new_shard
from tests.providers.vllm_runs import Runs, read, request, runs, wire

__all__ = ["runs"]

# Stands for an engine, says what it was given, and fails.
DUMP = """
import json, os, sys
from pathlib import Path
given = {"argv": sys.argv[2:], "environ": dict(os.environ), "files": os.listdir(), "cwd": os.getcwd()}
given["guard"] = Path(f"/proc/{os.getppid()}/environ").read_text() if Path("/proc/self/environ").exists() else ""
Path(sys.argv[1]).write_text(json.dumps(given))
sys.exit("the end")
"""


class Dump:
    """What an engine was given."""

    def __init__(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        self._runs = runs
        self._file = runs.home / "dump.json"
        script = runs.home / "dump.py"
        script.write_text(DUMP)
        monkeypatch.setenv("BATCH_ROUTER_VLLM_COMMAND", shlex.join([sys.executable, str(script), str(self._file)]))

    def of(self, spec: JobSpec, **arguments: Any) -> dict[str, Any]:
        self._runs.rows.write_bytes(wire(request(model=spec.model)))
        with pytest.raises(ProviderUnavailableError, match="the end"):
            self._runs.client(**arguments).create(self._runs.file_rows(), spec)
        given: dict[str, Any] = json.loads(self._file.read_text())
        return given

    def was_not_started(self) -> bool:
        return not self._file.exists()


@pytest.fixture
def dump(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> Dump:
    return Dump(runs, monkeypatch)


# --- models ---------------------------------------------------------------------------------------------------------

BAD_MODELS = [
    "/etc",
    "../other",
    "a/../b",
    "./model",
    "~/model",
    "a/b/c",
    "https://evil.example/model",
    "s3://bucket/model",
    "--tool-parser-plugin=x.py",
    "-O3",
    "a\nb",
    "a b",
    "org/name\0",
    "",
    "a" * 300,
]


@pytest.mark.parametrize("model", BAD_MODELS)
def test_a_model_is_a_name_at_the_hub(runs: Runs, dump: Dump, model: str) -> None:
    """A path or a URL is refused at submit, and again by the worker: the store may be poisoned."""
    with pytest.raises(ValidationError, match="is not the name of a model at the Hub"):
        VLLMProvider.queue_of(model, Settings())
    runs.write(1)
    with pytest.raises(ModelNotFoundError):
        runs.client().create(runs.file_rows(), runs.spec(model))
    assert dump.was_not_started()


def test_submitters_name_the_models_that_the_operator_lists(
    runs: Runs, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They never see where these are, and name no others, unless `*` is true."""
    monkeypatch.setenv("BATCH_ROUTER_VLLM_MODELS", '{"tiny": "/models/tiny"}')
    argv = dump.of(runs.spec("tiny"))["argv"]
    assert argv[:3] == ["run-batch", "--model", "/models/tiny"]
    assert "--served-model-name=tiny" in argv
    for model in ("/models/tiny", "org/other", "*"):
        with pytest.raises(ValidationError, match="is not one of BATCH_ROUTER_VLLM_MODELS: tiny"):
            VLLMProvider.queue_of(model, Settings.from_env())
        with pytest.raises(ModelNotFoundError):
            runs.client().create(runs.file_rows(), runs.spec(model))
    monkeypatch.setenv("BATCH_ROUTER_VLLM_MODELS", '{"tiny": "/models/tiny", "*": true}')
    VLLMProvider.queue_of("org/other", Settings.from_env())
    with pytest.raises(ValidationError, match="at the Hub"):
        VLLMProvider.queue_of("/models/tiny", Settings.from_env())


@pytest.mark.parametrize("table", ['{"tiny": "models/../tiny"}', '{"tiny": "--x"}', '{"tiny": true}', '{"*": "all"}'])
def test_a_table_of_models_is_checked(table: str) -> None:
    """A relative path would lead elsewhere in the folder of an engine."""
    with pytest.raises(ValidationError, match="vllm_models"):
        Settings.from_env({"BATCH_ROUTER_VLLM_MODELS": table})


def test_no_code_of_any_model_is_run(runs: Runs, dump: Dump, monkeypatch: pytest.MonkeyPatch) -> None:
    """`trust-remote-code` needs a list of models, or one model for all batches."""
    with pytest.raises(ValidationError, match="runs the code of any model"):
        Settings.from_env({"BATCH_ROUTER_VLLM_OPTIONS": '{"trust_remote_code": true}'})
    with pytest.raises(ValidationError, match="runs the code of any model"):
        runs.client(vllm_args={"trust-remote-code": True})
    given = dump.of(runs.spec(), vllm_args={"trust-remote-code": True}, model_path="/models/tiny")
    assert "--trust-remote-code" in given["argv"]


def test_a_server_elsewhere_has_models_of_its_own() -> None:
    """It often calls a model by the path that it was loaded from; a name that looks like an option is still refused."""
    settings = Settings(base_urls={"vllm": "http://gpus:8000"}, sections=(VLLMSettings(models={"tiny": "/m"}),))
    VLLMProvider.queue_of("/models/large", settings)
    with pytest.raises(ValidationError, match="is not the name of a model"):
        VLLMProvider.queue_of("--large", settings)


# --- options --------------------------------------------------------------------------------------------------------

BAD_OPTIONS: list[dict[str, Any]] = [
    {"trust-remote-code": True},
    {"tool-parser-plugin": "/tmp/x.py"},
    {"hf-overrides": '{"a": "/etc/passwd"}'},
    {"quantization": "/tmp/plugin"},
    {"quantization": '{"a": 1}'},
    {"reasoning-parser": "../x"},
    {"tool-call-parser": "a\nb"},
    {"tool-call-parser": "--x"},
    {"dtype": True},
    {"seed": "1 --trust-remote-code"},
    {"max-model-len": "1e9"},
    {"gpu-memory-utilization": "nan"},
    {"gpu-memory-utilization": 7.5},
    {"enforce-eager": "/etc/passwd"},
    {"seed": 1, "SEED": 2},
    {"max-model-len": 1, "max_model_len": 2},
    {"chat-template": "/etc/passwd"},
    {"chat-template": "{}\0"},
    {"chat-template": "{{" + "x" * (64 << 10)},
    {"--seed": 1},
    {"seed=1 --x": True},
]


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_an_option_is_a_number_a_flag_or_a_word(runs: Runs, dump: Dump, options: dict[str, EngineOption]) -> None:
    """Anything else is refused at submit, and again by the worker: no engine was given it."""
    with pytest.raises(ValidationError, match="engine_options"):
        VLLMProvider.check_engine_options(options, Settings())
    runs.write(1)
    with pytest.raises(EngineOptionError):
        runs.client().create(runs.file_rows(), msgspec.structs.replace(runs.spec(), engine_options=options))
    assert dump.was_not_started()


def test_good_options_are_taken(runs: Runs, dump: Dump) -> None:
    """From the command line they come as texts, with dashes or underscores."""
    options: dict[str, EngineOption] = {"max_model_len": "4096", "dtype": "bfloat16", "gpu-memory-utilization": 0.5}
    options |= {"enforce-eager": True, "tool-call-parser": "llama3_json", "seed": 4}
    argv = dump.of(msgspec.structs.replace(runs.spec(), engine_options=options))["argv"]
    assert {"--max-model-len=4096", "--dtype=bfloat16", "--enforce-eager", "--seed=4"} <= set(argv)


@pytest.mark.parametrize("template", ["/tmp/{x}", "{{ messages }}\n"])
def test_a_template_is_a_file_of_ours(runs: Runs, dump: Dump, template: str) -> None:
    """Whatever its text looks like: vLLM would first try to open it."""
    spec = msgspec.structs.replace(runs.spec(), engine_options={"chat-template": template})
    (flag,) = (word for word in dump.of(spec)["argv"] if word.startswith("--chat-template"))
    file = Path(flag.partition("=")[2])
    assert file.parent == runs.home / "engines" / "templates"
    assert (file.read_text(), file.stat().st_mode & 0o777) == (template, 0o600)


def test_a_template_is_the_operators_where_the_models_are(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template is a program; models of the Hub bring theirs, so there a batch may bring its own."""
    monkeypatch.setenv("BATCH_ROUTER_VLLM_MODELS", '{"m": "/models/tiny"}')
    with pytest.raises(ValidationError, match="their chat templates are the operator's"):
        VLLMProvider.check_engine_options({"chat-template": "{{ messages }}"}, Settings.from_env())


# --- what an engine has ---------------------------------------------------------------------------------------------

SECRETS = {
    "OPENAI_API_KEY": "canary-1",
    "OPENAI_API_KEY_TEAM_A": "canary-2",
    "GEMINI_API_KEY": "canary-3",
    "AWS_SECRET_ACCESS_KEY": "canary-4",
    "BATCH_ROUTER_REDIS_URL": "redis://:canary-5@127.0.0.1:1/0",
    "BATCH_ROUTER_CREDENTIALS": "/canary-6",
    "FLOWER_BASIC_AUTH": "me:canary-7",
    "DATABASE": "postgres://me:canary-8@db/x",
    "VLLM_API_KEY": "canary-9",
    "VLLM_API_KEY_TEAM_A": "canary-10",
}


@pytest.mark.parametrize("engine", ["run-batch", "serve"])
def test_an_engine_has_no_key_of_ours(runs: Runs, dump: Dump, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    """Neither it nor its guard; the Hub's token stays, for gated models."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HF_TOKEN", "hf-token")
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "INFO")
    given = dump.of(runs.spec(), engine=engine)
    assert "canary" not in json.dumps(given)
    assert (given["environ"]["HF_TOKEN"], given["environ"]["VLLM_LOGGING_LEVEL"]) == ("hf-token", "INFO")
    assert [name for name in given["environ"] if name.startswith("BATCH_ROUTER_")] == []


@pytest.mark.parametrize("engine", ["run-batch", "serve"])
def test_an_engine_works_in_an_empty_folder(
    runs: Runs, dump: Dump, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: str
) -> None:
    """A name at the Hub is never that of a folder which stands where the worker does; and it fetches nothing."""
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    empty = runs.home / "engines" / "empty"
    for folder in (empty.parent, empty, empty / "org"):
        folder.mkdir(mode=0o700)
    given = dump.of(runs.spec("org/name"), engine=engine)
    assert (given["cwd"], given["files"]) == (str(empty), [])
    assert "--allowed-media-domains=nowhere.invalid" in given["argv"]
    assert given["environ"]["VLLM_MEDIA_URL_ALLOW_REDIRECTS"] == "0"


def test_a_setup_shows_no_secret() -> None:
    """In a traceback, say."""
    setup = Setup(
        "serve",
        ["vllm"],
        {"hf-token": "canary-1"},
        Path("/f"),
        base_url="http://me:canary-2@gpus:8000",
        key="canary-3",
    )
    assert "canary" not in f"{setup!r} {setup}"
    assert "gpus:8000" in repr(setup)


# --- ids of jobs ----------------------------------------------------------------------------------------------------

BAD_IDS = [
    "/{outside}/rows.jsonl",
    "generated/vllm/../../outside/rows.jsonl",
    "generated/vllm/b/../../../outside/rows.jsonl",
    "generated/openai/b/rows.jsonl",
    "generated/vllm/rows.jsonl",
    "generated/vllm/b/rows.jsonl",
    "generated/vllm/b/c/d/rows.jsonl",
    "../outside/rows.jsonl",
    "",
    "None",
]


@pytest.mark.parametrize("job_id", BAD_IDS)
def test_a_poisoned_id_touches_nothing(runs: Runs, tmp_path: Path, job_id: str) -> None:
    """Ids come from the store; each call with one that cannot be a job's is refused."""
    outside = tmp_path / "outside"
    outside.mkdir()
    job_id = job_id.replace("{outside}", str(outside).lstrip("/"))
    others = [outside, *(runs.home / folder for folder in ("generated/openai/b", "generated/vllm/b/c/d"))]
    for folder in others:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rows.jsonl").write_text("canary\n")
        (folder / "rows.jsonl.out.jsonl").write_text("canary\n")
        (folder / "rows.jsonl.part-00000.jsonl").write_text("canary\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    client = runs.client()
    runs.write(1)
    good = client.create(runs.file_rows(), runs.spec())
    job = msgspec.structs.replace(good, id=job_id)
    before |= {path: path.read_bytes() for path in runs.folder.iterdir() if path.is_file()}
    calls: list[Any] = [
        lambda: client.get(job_id),
        lambda: client.cancel(job_id),
        lambda: client.keep_answers(job_id),
        lambda: client.delete(job),
        lambda: read(client, job),
    ]
    for call in calls:
        with pytest.raises(NotFoundError):
            call()
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path in before}
    assert after == before


# --- records --------------------------------------------------------------------------------------------------------


def test_a_record_that_others_could_write_ends_nothing(runs: Runs) -> None:
    """Nor does one of the numbers that mean many processes to the system."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as other:
        facts = msgspec.to_builtins(describe_group(other.pid))
        record = runs.home / "x.json"
        for pid, mode in ((other.pid, 0o666), (0, 0o600), (1, 0o600), (-1, 0o600)):
            record.write_bytes(msgspec.json.encode(facts | {"pid": pid}))
            record.chmod(mode)
            end_leftover(record)
            assert other.poll() is None
        record.write_bytes(msgspec.json.encode(facts))
        record.chmod(0o600)
        end_leftover(record)
        assert other.wait(10) != 0


# --- what an error says ---------------------------------------------------------------------------------------------


def test_last_words_steer_no_terminal(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine's log has what rows and models put there."""
    runs.write(1)
    monkeypatch.setenv("BATCH_ROUTER_VLLM_COMMAND", r"""sh -c 'printf "\033]0;x\007" >&2; exit 3'""")
    with pytest.raises(ProviderUnavailableError, match=r"exit code 3: \\x1b\]0;x\\x07"):
        runs.client().create(runs.file_rows(), runs.spec())


def test_no_error_shows_a_password(runs: Runs) -> None:
    """Of the URL of a server that runs elsewhere."""
    runs.write(1)
    client = runs.client(base_url="http://me:canary-1@127.0.0.1:9")
    with pytest.raises(ProviderUnavailableError, match=r"no vLLM answers at http://\*\*\*@127.0.0.1:9") as raised:
        client.create(runs.file_rows(), runs.spec())
    assert "canary" not in str(raised.value)


# --- a poisoned shard -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["requests", "upload", "job"])
def test_a_poisoned_shard_stays_with_its_batch(context: Context, name: str) -> None:
    """Its files and those of its job are the batch's own, whatever else the store says."""
    rows = "generated/vllm/b/s/1-a-requests.jsonl"
    job = Job(id=rows, status=BatchStatus.COMPLETED, created_at=0)
    good = new_shard("b", provider="vllm", requests=rows, upload=rows, job=job)
    context.client_of(good)
    others = "generated/vllm/other/s/1-a-requests.jsonl"
    poison = {"requests": others, "upload": others, "job": msgspec.structs.replace(job, id=others)}
    with pytest.raises(NotFoundError, match="names files of another batch"):
        context.client_of(msgspec.structs.replace(good, **{name: poison[name]}))
