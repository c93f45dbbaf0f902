"""Moderations: one result for each text, or one for a list of parts. Nothing is ever flagged."""

from typing import Any

from ..answers import inputs_of, name_for
from ..rows import seeded
from ..scenario import Scenario

_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


def moderation(scenario: Scenario, body: dict[str, Any], row_id: str) -> dict[str, Any]:
    """The results for all inputs."""
    given = body.get("input")
    is_parts = isinstance(given, list) and any(isinstance(part, dict) for part in given)
    texts = [str(given)] if is_parts else inputs_of(given)
    return {
        "id": f"modr-{name_for(scenario.seed, row_id)}",
        "model": body.get("model") or "omni-moderation-latest",
        "results": [_result(scenario, text) for text in texts],
    }


def _result(scenario: Scenario, text: str) -> dict[str, Any]:
    chooser = seeded(scenario.seed, text)
    return {
        "flagged": False,
        "categories": dict.fromkeys(_CATEGORIES, False),
        "category_scores": {name: round(chooser.uniform(0, 0.01), 8) for name in _CATEGORIES},
        "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
    }
