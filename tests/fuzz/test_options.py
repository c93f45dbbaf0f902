"""Options of any shape are taken, or refused in words."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from batch_router.core import GenerationConfig
from batch_router.exceptions import ProviderNotFoundError, ValidationError
from batch_router.intake.options import SubmitOptions
from batch_router.operations.submit import submit
from batch_router.road.context import Context
from batch_router.road.steps.convert import convert
from batch_router.state.items import Batch

from .anything import SCALARS, TEXTS, changed, examples, json_values
from .test_rows import PROVIDERS, assert_shown

GOOD: dict[str, Any] = {
    "requests": [{"custom_id": "a", "prompt": "hi", "model": "m"}],
    "model": "m",
    "endpoint": "chat",
    "system_prompt": ["a", "b"],
    "generation_config": {"max_tokens": 5, "temperature": 0.5},
    "unsupported": "drop",
    "row_retries": 2,
    "metadata": {"a": "b"},
    "timeout": 60.5,
    "keep_remote": False,
    "check_rows": 5,
}
ALONE: list[dict[str, Any]] = [
    {"batch_id": "b"},
    {"idempotency_key": "k"},
    {"credential": "c"},
    {"engine_options": {"max-model-len": 9}},
    {"completion_window": "24h", "headers": {"x-run": "7"}},
    {"betas": ["output-300k-2026-03-24"]},
]
OPTION_NAMES: list[str] = [*SubmitOptions.__annotations__]
NAMES = [*OPTION_NAMES, *GenerationConfig.__struct_fields__]
OPTIONS = st.one_of(
    changed(GOOD, json_values(NAMES)),
    st.sampled_from(ALONE).flatmap(lambda more: changed(GOOD | more, json_values(NAMES))),
    st.dictionaries(st.sampled_from(NAMES) | TEXTS, json_values(NAMES), max_size=4),
    st.dictionaries(st.sampled_from(OPTION_NAMES), SCALARS, max_size=6).map(lambda odd: {**GOOD, **odd}),
)


@examples(150)
@given(options=OPTIONS.filter(lambda options: isinstance(options, dict)), provider=PROVIDERS | TEXTS)
def test_any_options_are_taken_or_refused(context: Context, options: Any, provider: str) -> None:
    """A refusal is short and printable; what is taken can be converted, or is refused then."""
    try:
        hint = submit(context, provider, options)
        batch = context.store.claim(hint.id, 1, lease=60, holder="w")
        if batch is not None:  # not the one of an earlier example, with the same key
            assert isinstance(batch, Batch)
            convert(context, batch)
    except (ProviderNotFoundError, ValidationError) as error:
        assert_shown(str(error))
