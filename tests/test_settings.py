"""The environment as one record."""

from pathlib import Path

import pytest

from batch_router.exceptions import ValidationError
from batch_router.providers import VLLMProvider
from batch_router.settings import Settings


def test_an_empty_environment_gives_the_defaults() -> None:
    """Nothing has to be set; an empty variable is one that is not set."""
    assert Settings.from_env({}) == Settings()
    assert Settings.from_env({"BATCH_ROUTER_REDIS_URL": "", "BATCH_ROUTER_LEASE": "", "LEASE": "1"}) == Settings()


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("BATCH_ROUTER_HOME", "data", "home", Path("data")),
        ("BATCH_ROUTER_REDIS_URL", "redis://localhost:1/2", "redis_url", "redis://localhost:1/2"),
        ("BATCH_ROUTER_BROKER_URL", "redis://localhost:1/3", "broker_url", "redis://localhost:1/3"),
        ("BATCH_ROUTER_PREFIX", "team-a", "prefix", "team-a"),
        ("BATCH_ROUTER_CELERY_CONFIG", "ops.celery", "celery_config", "ops.celery"),
        ("BATCH_ROUTER_LEASE", "30.5", "lease", 30.5),
        ("BATCH_ROUTER_RENEW_EVERY", "1", "renew_every", 1),
        ("BATCH_ROUTER_GRACE", "2", "grace", 2),
        ("BATCH_ROUTER_SWEEP_EVERY", "0.1", "sweep_every", 0.1),
        ("BATCH_ROUTER_QUEUE_GATE", "7", "queue_gate", 7),
        ("BATCH_ROUTER_HTTP_TIMEOUT", "9", "http_timeout", 9),
        ("BATCH_ROUTER_MAX_SHARD_ROWS", "100", "max_shard_rows", 100),
        ("BATCH_ROUTER_MAX_SHARD_BYTES", "1000", "max_shard_bytes", 1000),
        ("BATCH_ROUTER_VLLM_COMMAND", "python -m vllm", "vllm_command", "python -m vllm"),
        ("BATCH_ROUTER_VLLM_ENGINE", "run-batch", "vllm_engine", "run-batch"),
        (
            "BATCH_ROUTER_VLLM_OPTIONS",
            '{"seed": 1, "enforce-eager": true}',
            "vllm_options",
            {"seed": 1, "enforce-eager": True},
        ),
        ("BATCH_ROUTER_GPU_QUEUES", '{"tiny": "gpu.small"}', "gpu_queues", {"tiny": "gpu.small"}),
        ("BATCH_ROUTER_OPENAI_BASE_URL", "http://localhost:1/v1", "base_urls", {"openai": "http://localhost:1/v1"}),
    ],
)
def test_every_setting_has_its_variable(variable: str, value: str, field: str, expected: object) -> None:
    """A variable sets its field, in the field's type, and no other."""
    settings = Settings.from_env({variable: value})
    assert getattr(settings, field) == expected
    assert {name for name in Settings.__struct_fields__ if getattr(settings, name) != getattr(Settings(), name)} == {
        field
    }


def test_this_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument, the variables of the process count."""
    monkeypatch.setenv("BATCH_ROUTER_QUEUE_GATE", "3")
    assert Settings.from_env().queue_gate == 3


@pytest.mark.parametrize("field", ["lease", "queue_gate", "max_shard_rows", "grace"])
def test_a_value_of_the_wrong_type_is_refused(field: str) -> None:
    """The message names the variable."""
    with pytest.raises(ValidationError, match=f"^BATCH_ROUTER_{field.upper()}: "):
        Settings.from_env({f"BATCH_ROUTER_{field.upper()}": "soon"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[(field, "0") for field in ("lease", "renew_every", "grace", "sweep_every", "http_timeout", "max_shard_rows")],
        ("lease", "-1"),
        ("max_shard_bytes", "-1"),
        ("renew_every", "15"),  # as long as the lease
        ("lease", "nan"),
        ("http_timeout", "nan"),
        ("sweep_every", "inf"),
    ],
)
def test_a_value_out_of_range_is_refused(field: str, value: str) -> None:
    """Times are more than nothing and end some day; the message names the setting."""
    with pytest.raises(ValidationError, match=field):
        Settings.from_env({f"BATCH_ROUTER_{field.upper()}": value})


@pytest.mark.parametrize(
    ("variable", "value"),
    [("VLLM_OPTIONS", "--seed 1"), ("GPU_QUEUES", '{"tiny": "cpu"}'), ("GPU_QUEUES", "[1]"), ("VLLM_ENGINE", "v2")],
)
def test_a_table_of_the_wrong_form_is_refused(variable: str, value: str) -> None:
    """Options and queues are JSON objects, and a GPU queue is called one."""
    with pytest.raises(ValidationError, match=f"^BATCH_ROUTER_{variable}"):
        Settings.from_env({f"BATCH_ROUTER_{variable}": value})


@pytest.mark.parametrize("option", ["port", "api-key", "served_model_name"])
def test_an_engine_is_reached_in_one_way(option: str) -> None:
    """What we set ourselves cannot be set besides, in whichever way it is written."""
    with pytest.raises(ValidationError, match=r"vllm_options: .* is set by batch_router itself"):
        Settings.from_env({"BATCH_ROUTER_VLLM_OPTIONS": f'{{"{option}": "1"}}'})
    with pytest.raises(ValidationError, match="vllm_args: "):
        VLLMProvider(vllm_args={option: "1"})


@pytest.mark.parametrize("prefix", ["a.b", "a:b", "a b", "a*", "x" * 41])
def test_a_prefix_is_part_of_a_key(prefix: str) -> None:
    """Only letters, digits, `_` and `-`: the names of two fleets never meet, and none is a pattern."""
    with pytest.raises(ValidationError, match=r"^BATCH_ROUTER_PREFIX: "):
        Settings.from_env({"BATCH_ROUTER_PREFIX": prefix})


def test_a_misspelt_variable_is_named_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """One line says which it is and which one it may have been; it is no error."""
    monkeypatch.setenv("BATCH_ROUTER_LEAZE", "3")
    assert Settings.from_env().lease == Settings.from_env().lease == 15
    assert caplog.messages == ["BATCH_ROUTER_LEAZE is not a setting of batch_router: did you mean BATCH_ROUTER_LEASE?"]


def test_passwords_are_not_shown() -> None:
    """The URL of a server holds its password: it is in no log and no traceback."""
    settings = Settings(redis_url="redis://:hush@localhost/0", broker_url="redis://:hush@localhost/1", lease=33)
    assert "hush" not in f"{settings!r} {settings}"
    assert "lease=33" in repr(settings)


def test_settings_do_not_change() -> None:
    """Every part of a process has the same ones."""
    with pytest.raises(AttributeError):
        Settings().lease = 1  # type: ignore[misc]
