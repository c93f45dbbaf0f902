"""What becomes of what real rows say: every cell of the table in docs/providers.md.

`python -m tests.test_dialect_features` prints the table.
"""

import json
import tomllib
from typing import Any

import pytest

from batch_router.exceptions import ValidationError

from .conftest import ROOT
from .dialects import OWN, PROVIDERS, row_of, send

FEATURES: dict[str, dict[str, str]] = tomllib.loads((ROOT / "tests" / "dialect_features.toml").read_text())
CASES = [(dialect, feature) for dialect, features in FEATURES.items() for feature in features]
_TITLES = {
    "chat": "OpenAI's chat completions",
    "responses": "OpenAI's responses",
    "embeddings": "OpenAI's embeddings",
    "anthropic": "Anthropic's messages",
    "gemini": "Gemini's requests",
}
_NATIVE, _TRANSLATED, _REFUSED = "as it stands", "translated", "refused"


def row(dialect: str, feature: str) -> dict[str, Any]:
    return row_of(dialect, **json.loads(FEATURES[dialect][feature]))


def fate(provider: str, dialect: str, feature: str) -> str:
    """What becomes of a row with the feature: a cell of the table."""
    try:
        return _NATIVE if send(provider, row(dialect, feature)).is_native else _TRANSLATED
    except ValidationError:
        pass
    try:
        dropped = send(provider, row(dialect, feature), "drop").dropped
    except ValidationError:
        return _REFUSED
    return "drops " + ", ".join(f"`{name}`" for name in dropped)


def table() -> str:
    head = f"| | {' | '.join(PROVIDERS)} |\n|---|{'---|' * len(PROVIDERS)}\n"
    lines = []
    for dialect, features in FEATURES.items():
        lines.append(f"| **{_TITLES[dialect]}** |{' |' * len(PROVIDERS)}\n")
        lines += [
            f"| {feature} | {' | '.join(fate(name, dialect, feature) for name in PROVIDERS)} |\n"
            for feature in features
        ]
    return head + "".join(lines)


def test_the_table_in_the_docs_is_true() -> None:
    """Each cell says what a row with that feature came to at that provider."""
    assert table() in (ROOT / "docs" / "providers.md").read_text()


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(("dialect", "feature"), CASES)
def test_nothing_is_lost_in_silence(provider: str, dialect: str, feature: str) -> None:
    """A feature changes what is sent, or the row is refused with the place in it, the name and a remedy."""
    asked = row(dialect, feature)
    became = fate(provider, dialect, feature)
    if provider in OWN[dialect] and feature != "`stream: true`":
        assert became == _NATIVE
    elif became == _TRANSLATED:
        assert send(provider, asked).request != send(provider, row_of(dialect)).request
    else:
        with pytest.raises(ValidationError, match=r"(body|params|request|endpoint)\S*: .*; ") as caught:
            send(provider, asked)
        if became != _REFUSED:
            (name,) = send(provider, asked, "drop").dropped
            assert f"{name}: {provider} does not take it; " in str(caught.value)
            assert str(caught.value).endswith(", or submit with unsupported='drop'")


if __name__ == "__main__":
    print(table(), end="")
