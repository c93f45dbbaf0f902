"""The operator's table of prices."""

from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from batch_router import Tokens, ValidationError
from batch_router.connect import open_context
from batch_router.core import HourPrice
from batch_router.prices import read_prices
from batch_router.settings import Settings
from batch_router.state.memory import MemoryStore

ENTRY = """
[[prices]]
provider = "openai"
model = "m-1"
since = 2026-01-01
input = 1
output = 4
"""
HOUR = """
[[hours]]
provider = "vllm"
since = 2026-01-01
hour = 2.50
"""
TABLE = (
    ENTRY
    + """cached_input = 0.1
cache_write = 1.25
list_factor = 2

[[prices]]
provider = "openai"
model = "m-1"
since = 2026-03-01
input = 0.000000001
output = 8

[[prices]]
provider = "google"
model = "models/g-2026-02-01"
since = 2026-01-01
input = 5
output = 5
"""
)


def at(moment: str) -> float:
    """Seconds since 1970 of a time in UTC."""
    return datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("provider", "model", "moment", "output"),
    [
        ("openai", "m-1", "2025-12-31T23:59:59", None),
        ("openai", "m-1", "2026-01-01T00:00:00", "4"),
        ("openai", "m-1", "2026-02-28T23:59:59", "4"),
        ("openai", "m-1", "2026-03-01T00:00:00", "8"),
        ("openai", "m-1-2025-08-07", "2026-02-01", "4"),
        ("openai", "m-1-20250807", "2026-02-01", "4"),
        ("openai", "m-1-mini", "2026-02-01", None),
        ("openai", "m-12", "2026-02-01", None),
        ("openai", "", "2026-02-01", None),
        ("anthropic", "m-1", "2026-02-01", None),
        ("google", "g-2026-02-01", "2026-02-01", "5"),
        ("google", "models/g-2026-02-01", "2026-02-01", "5"),
        ("google", "g", "2026-02-01", None),
    ],
)
def test_a_price_is_that_of_model_and_day(
    tmp_path: Path, provider: str, model: str, moment: str, output: str | None
) -> None:
    """It changes at midnight UTC; a model with a day has the price of the one without; all others are unknown."""
    (tmp_path / "prices.toml").write_text(TABLE)
    price = read_prices(tmp_path / "prices.toml").find(provider, model, at(moment))
    assert (price and str(price.output)) == output


def test_a_cost_is_exact(tmp_path: Path) -> None:
    """Cached, written, plain and answered tokens have a rate each, else that of input, and no digit is lost."""
    (tmp_path / "prices.toml").write_text(TABLE)
    table = read_prices(tmp_path / "prices.toml")
    full, bare = table.find("openai", "m-1", at("2026-01-01")), table.find("openai", "m-1", at("2026-03-01"))
    assert full is not None
    assert bare is not None
    tokens = Tokens(input_tokens=1000, cached_tokens=300, cache_write_tokens=200, output_tokens=7)
    assert full.cost(tokens) == Decimal("0.000808")
    assert full.list_cost(tokens) == Decimal("0.001616")
    assert bare.cost(Tokens(input_tokens=10**12 + 1, cached_tokens=5, output_tokens=10**12)) == Decimal(
        "8000000.001000000000001"
    )
    assert bare.list_cost(tokens) is None


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("prices = 3", r"each price is an entry below \[\[prices\]\] or \[\[hours\]\]"),
        ("", r"each price is an entry below \[\[prices\]\] or \[\[hours\]\]"),
        ("[openai]\nm = 1", r"each price is an entry below \[\[prices\]\] or \[\[hours\]\], not 'openai'"),
        ("[[prices]", "it is not a TOML file: .*line 1"),
        ("prices = [1]", r"entry 1 of \[\[prices\]\]: Expected `object`, got `int`"),
        ("[[prices]]\nmodel = 'm-1'", r"entry 1 \(m-1\) of .*: Object missing required field `provider`"),
        (ENTRY + "cached = 1", r"entry 1 \(openai, m-1\) of .*: Object contains unknown field `cached`"),
        (ENTRY.replace("2026-01-01", "'soon'"), r"entry 1 \(openai, m-1\) of .*: since: Invalid RFC3339 encoded date"),
        (ENTRY.replace("2026-01-01", "2026-01-01T00:00:00"), "since: Expected `date`, got `datetime`"),
        (ENTRY.replace("input = 1", "input = true"), "input: Expected `decimal`, got `bool`"),
        (ENTRY.replace("input = 1", "input = -0.5"), "input must be a number from 0 to 1,000,000"),
        (ENTRY.replace("input = 1", "input = nan"), "input must be a number"),
        (ENTRY.replace("input = 1", "input = 1e9999"), "input must be a number"),
        (ENTRY.replace("input = 1", "input = 1e99999999999999999999"), "it is not a TOML file"),
        (ENTRY.replace("input = 1", "input = 0.0000000001"), "input has more than 9 decimals"),
        (ENTRY.replace("m-1", ""), "model: Expected `str` of length >= 1"),
        (ENTRY + ENTRY, r"entry 2 \(openai, m-1\) of .*: there is another one of this model and day"),
        (
            ENTRY + ENTRY.replace("m-1", "\\\\u001b" + "x" * 5000).replace("input = 1", ""),
            r"entry 2 \(openai, .{100}\) of .*: model: ",
        ),
        (ENTRY + "# \xff", "it is not UTF-8"),
        (
            HOUR.replace("hour =", "hours ="),
            r"entry 1 \(vllm\) of \[\[hours\]\]: Object contains unknown field",
        ),
        (HOUR.replace("2.50", "-1"), "hour must be a number from 0"),
        (HOUR + HOUR, r"entry 2 \(vllm\) of \[\[hours\]\]: there is another one"),
        (None, "it cannot be read"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, table: str | None, complaint: str) -> None:
    """Before anything is sent, in one sentence that names the setting, the file and the entry."""
    if table is not None:
        (tmp_path / "prices.toml").write_bytes(table.encode("latin-1"))
    with pytest.raises(ValidationError, match=f"^BATCH_ROUTER_PRICES: .*prices.toml: .*{complaint}") as refused:
        open_context(Settings(home=tmp_path, prices=tmp_path / "prices.toml"), MemoryStore())
    assert len(str(refused.value)) < 600
    assert str(refused.value).isprintable()


def test_an_hour_costs_what_its_machine_does(tmp_path: Path) -> None:
    """From its day on, of the model or else of any; and tokens have no price there."""
    large = HOUR.replace("hour = 2.50", 'hour = 10\nmodel = "large"')
    (tmp_path / "prices.toml").write_text(HOUR + HOUR.replace("2026-01", "2026-02").replace("2.50", "3") + large)
    prices = read_prices(tmp_path / "prices.toml")
    asked = [("vllm", "m", "2025-12-31"), ("vllm", "m", "2026-01-31"), ("vllm", "m", "2026-02-01"),
             ("vllm", "large", "2026-02-01"), ("openai", "m", "2026-02-01")]  # fmt: skip
    found = [prices.hour(provider, model, at(moment)) for provider, model, moment in asked]
    assert [each and str(each.hour) for each in found] == [None, "2.50", "3", "10", None]
    price = HourPrice(provider="vllm", since=date(2026, 1, 1), hour=Decimal("2.50"))
    assert [str(price.cost(seconds)) for seconds in (5400.0, 0, 0.01)] == ["3.75", "0", "0.000006944"]
    assert prices.find("vllm", "m", at("2026-02-01")) is None


@pytest.mark.parametrize(("named", "is_known"), [("prices.toml", True), (None, False)])
def test_steps_have_the_prices(tmp_path: Path, named: str | None, is_known: bool) -> None:
    """Those of the file that the setting names, and none without it."""
    (tmp_path / "prices.toml").write_text(TABLE)
    settings = Settings(home=tmp_path, prices=tmp_path / named if named else None)
    with closing(open_context(settings, MemoryStore())) as context:
        assert (context.prices.find("openai", "m-1", at("2026-03-01")) is not None) == is_known
