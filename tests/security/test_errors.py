"""Errors quote what they are about, and never more than the start of it."""

import pickle

import pytest

from batch_router.exceptions import (
    BatchFailedError,
    BatchNotFoundError,
    BatchRouterError,
    FileOperationError,
    InvalidInputError,
    ProviderNotFoundError,
    ProviderUnavailableError,
    ValidationError,
)

HUGE = "x" * 5_000_000
MOST = 15_000


@pytest.mark.parametrize(
    "error",
    [
        ValidationError(HUGE),
        FileOperationError(HUGE),
        BatchNotFoundError(HUGE),
        ProviderNotFoundError(HUGE),
        ProviderUnavailableError("openai", 503, HUGE),
        BatchFailedError("b", {"message": HUGE}),
        InvalidInputError([HUGE] * 3, 3),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_text_of_an_error_is_bounded(error: BatchRouterError) -> None:
    """Whatever it quotes; and so is that of its copy in another process."""
    assert len(str(error)) < MOST
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
