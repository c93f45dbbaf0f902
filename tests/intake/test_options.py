"""The options of a batch: the same names for callers, checkers and the store; a wrong one is explained."""

import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from batch_router import AsyncBatchClient, BatchClient, BatchRouter
from batch_router.exceptions import ValidationError
from batch_router.intake.options import Options, Rows, SendOptions, SubmitOptions, read_submission
from batch_router.road.context import Context

ROOT = Path(__file__).parents[2]


def test_callers_write_what_is_stored() -> None:
    """`SubmitOptions` has the names of the stored record, and those that are about the rows."""
    stored = {*Options.__struct_fields__, "output_schema"}  # which becomes a part of `generation_config`
    assert SubmitOptions.__annotations__.keys() == {*stored, "requests", "input", "check_rows"}
    assert SendOptions.__annotations__.keys() == stored - {"metadata"}


def explained(kind: type) -> dict[str, str]:
    """The options of a docstring, each with its meaning."""
    found = re.findall(r"^        (\w+): (.*(?:\n {12}.*)*)", str(kind.__doc__), re.MULTILINE)
    return {name: re.sub(r"\s+", " ", meaning) for name, meaning in found}


def table() -> str:
    """The table of docs/options.md."""
    rows = [
        f"| `{name}` | {text} |\n" for kind in (SubmitOptions, SendOptions) for name, text in explained(kind).items()
    ]
    return "| option | meaning |\n| --- | --- |\n" + "".join(rows)


def test_each_option_is_explained() -> None:
    """The docstrings have each name once, and the page shows what they say."""
    names = [*explained(SendOptions), *explained(SubmitOptions)]
    assert sorted(names) == sorted(SubmitOptions.__annotations__)
    assert table() in (ROOT / "docs" / "options.md").read_text()


def test_an_option_that_is_left_out_has_its_default() -> None:
    """The rows and nothing else are a submission."""
    rows = [{"custom_id": "a", "prompt": "1"}]
    assert read_submission({"requests": rows}) == (Rows(requests=rows), Options())


@pytest.mark.parametrize(
    ("positional", "named", "complaint"),
    [
        ((), {"provder": "openai", "requests": []}, "^unknown option 'provder'; did you mean 'provider'"),
        ((), {"requests": []}, "^submit: missing a required argument: 'provider'; give a provider, and options by"),
        (("openai", []), {}, "^submit: too many positional arguments"),
        *(
            (
                ("openai",),
                {"requests": [{"custom_id": "a", "prompt": "b"}], "max_cost": wrong},
                "max_cost(:| must be doll)",
            )
            for wrong in (0, -1, "nan", float("inf"), 10**9, "much")
        ),
        (("openai",), {"request": []}, "^unknown option 'request'; did you mean 'requests'"),
        (("openai",), {"requests": [], "provder": "google"}, "^unknown option 'provder'; did you mean 'provider'"),
    ],
)
def test_a_wrong_call_is_explained(context: Context, positional: Any, named: Any, complaint: str) -> None:
    """A call with wrong arguments gets a sentence that says what was probably meant."""
    with pytest.raises(ValidationError, match=complaint):
        BatchClient(context).submit(*positional, **named)


def test_a_wrong_call_of_the_router_is_explained() -> None:
    """It takes the same options, with the requests by position."""
    send: Any = BatchRouter().send_batch
    with pytest.raises(ValidationError, match=r"^unknown option 'provder'; did you mean 'provider'"):
        asyncio.run(send(provder="openai", requests=[]))


@pytest.mark.parametrize("method", [AsyncBatchClient.submit, BatchRouter.send_batch])
def test_what_is_awaited_is_a_coroutine_function(method: Any) -> None:
    """Frameworks ask: Starlette would run any other function in a thread, and drop what it returns."""
    assert inspect.iscoroutinefunction(method)


if __name__ == "__main__":
    print(table(), end="")
