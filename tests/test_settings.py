"""The environment as one record."""

from pathlib import Path

import msgspec
import pytest

from batch_router.exceptions import ValidationError
from batch_router.settings import Section, Settings, known_variables, warn_of_unknown_variables


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
        ("BATCH_ROUTER_PRICES", "prices.toml", "prices", Path("prices.toml")),
        ("BATCH_ROUTER_SERVICES", "services.toml", "services", Path("services.toml")),
        ("BATCH_ROUTER_SIMULATED", "true", "simulated", True),
        ("BATCH_ROUTER_LEASE", "30.5", "lease", 30.5),
        ("BATCH_ROUTER_RENEW_EVERY", "1", "renew_every", 1),
        ("BATCH_ROUTER_GRACE", "2", "grace", 2),
        ("BATCH_ROUTER_SWEEP_EVERY", "0.1", "sweep_every", 0.1),
        ("BATCH_ROUTER_LOG_FORMAT", "json", "log_format", "json"),
        ("BATCH_ROUTER_QUEUE_GATE", "7", "queue_gate", 7),
        ("BATCH_ROUTER_HTTP_TIMEOUT", "9", "http_timeout", 9),
        ("BATCH_ROUTER_MAX_SHARD_ROWS", "100", "max_shard_rows", 100),
        ("BATCH_ROUTER_MAX_SHARD_BYTES", "1000", "max_shard_bytes", 1000),
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
    with pytest.raises(ValidationError, match=f"^BATCH_ROUTER_{field.upper()}: "):
        Settings.from_env({f"BATCH_ROUTER_{field.upper()}": value})


class OwnSettings(Section, frozen=True, kw_only=True):
    """What a provider of another package may bring."""

    own_limit: int = 5
    own_table: dict[str, int] = msgspec.field(default_factory=dict)


def test_a_provider_has_settings_of_its_own() -> None:
    """Read from the same environment, with the same checks; those that were given count, and the defaults else."""
    assert Settings().of(OwnSettings) == OwnSettings()
    read = Settings.from_env({"BATCH_ROUTER_OWN_LIMIT": "7", "BATCH_ROUTER_OWN_TABLE": '{"a": 1}'})
    assert read.of(OwnSettings) == OwnSettings(own_limit=7, own_table={"a": 1})
    assert Settings(sections=(OwnSettings(own_limit=9),)).of(OwnSettings).own_limit == 9
    with pytest.raises(ValidationError, match=r"^BATCH_ROUTER_OWN_LIMIT: "):
        Settings.from_env({"BATCH_ROUTER_OWN_LIMIT": "many"})


def test_settings_of_a_provider_that_is_loaded_later_are_kept() -> None:
    """The environment is read once, before the package of the provider is imported."""
    settings = Settings.from_env({"BATCH_ROUTER_LATE_LIMIT": "7"})

    class LateSettings(Section, frozen=True, kw_only=True):
        late_limit: int = 5

    assert settings.of(LateSettings).late_limit == 7


@pytest.mark.parametrize("field", ["sections", "others", "base_urls"])
def test_a_field_without_a_variable_is_not_read(field: str) -> None:
    """Its name is like any other that no setting has."""
    variable = f"BATCH_ROUTER_{field.upper()}"
    settings = Settings.from_env({variable: "x"})
    assert (settings.sections, settings.base_urls, settings.others) == ((), {}, {variable: "x"})
    assert variable not in known_variables()


@pytest.mark.parametrize("prefix", ["a.b", "a:b", "a b", "a*", "x" * 41])
def test_a_prefix_is_part_of_a_key(prefix: str) -> None:
    """Only letters, digits, `_` and `-`: the names of two fleets never meet, and none is a pattern."""
    with pytest.raises(ValidationError, match=r"^BATCH_ROUTER_PREFIX: "):
        Settings.from_env({"BATCH_ROUTER_PREFIX": prefix})


def test_a_misspelt_variable_is_named_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """One line says which it is and which one it may have been; it is no error."""
    monkeypatch.setenv("BATCH_ROUTER_LEAZE", "3")
    monkeypatch.setenv("BATCH_ROUTER_OBSCURE", "3")  # may be a provider's that is not imported
    assert Settings.from_env().lease == Settings.from_env().lease == 10
    assert caplog.messages == ["BATCH_ROUTER_LEAZE is not a setting of batch_router: did you mean BATCH_ROUTER_LEASE?"]


def test_a_worker_names_all_unknown_variables(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It has imported its providers, so it knows every setting there is, base URLs too; the nearest is named."""
    right = {"BATCH_ROUTER_OPENAI_BASE_URL": "http://localhost:1", "BATCH_SIZE": "1"}
    wrong = {
        "BATCH_ROUTER_OPAQUE": None,
        "BATCH_ROUTER_OPENIA_BASE_URL": "BATCH_ROUTER_OPENAI_BASE_URL",
        "BATCH_ROUTER_OPENAI_URL": "BATCH_ROUTER_OPENAI_BASE_URL",
        "BATCHROUTER_PREFIX": "BATCH_ROUTER_PREFIX",
    }
    for name in right | wrong:
        monkeypatch.setenv(name, "http://localhost:1")
    warn_of_unknown_variables(["openai", "anthropic"])
    for name, near in wrong.items():
        hint = f": did you mean {near}?" if near else ""
        assert f"{name} is not a setting of batch_router{hint}" in caplog.messages
    assert not any(f"{name} is" in message for name in right for message in caplog.messages)


def test_passwords_are_not_shown() -> None:
    """The URL of a server holds its password: it is in no log and no traceback."""
    settings = Settings(
        redis_url="redis://:hush@localhost/0",
        broker_url="redis://:hush@localhost/1",
        lease=33,
        others={"BATCH_ROUTER_X_TOKEN": "hush"},
    )
    assert "hush" not in f"{settings!r} {settings}"
    assert "lease=33" in repr(settings)


def test_settings_do_not_change() -> None:
    """Every part of a process has the same ones."""
    with pytest.raises(AttributeError):
        Settings().lease = 1  # type: ignore[misc]
