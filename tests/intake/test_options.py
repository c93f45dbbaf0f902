"""The options of a batch: the same names for callers, checkers and the store; a wrong one is explained."""

from typing import Any

import pytest

from batch_router import BatchClient, BatchRouter
from batch_router.exceptions import ValidationError
from batch_router.intake.options import Options, Rows, SendOptions, SubmitOptions, read_submission
from batch_router.road.context import Context


def test_callers_write_what_is_stored() -> None:
    """`SubmitOptions` has the names of the stored record, and those that are about the rows."""
    assert SubmitOptions.__annotations__.keys() == {*Options.__struct_fields__, "requests", "input", "check_rows"}
    assert SendOptions.__annotations__.keys() == {*Options.__struct_fields__} - {"metadata"}


def test_each_option_is_explained() -> None:
    """Their docstrings have a line for each name of their own."""
    for kind, own in ((SendOptions, SendOptions.__annotations__), (SubmitOptions, ("requests", "input", "check_rows"))):
        assert [name for name in own if f"        {name}: " not in str(kind.__doc__)] == []


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
        send(provder="openai", requests=[])
