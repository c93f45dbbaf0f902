"""Errors: each is one sentence (who, what, what to do), of the class that was promised."""

import pickle
import re

import pytest

from batch_router import exceptions
from batch_router.exceptions import (
    BatchExpiredError,
    BatchFailedError,
    BatchNotFinishedError,
    BatchNotFoundError,
    BatchRouterError,
    BatchTimeoutError,
    CredentialsError,
    InvalidInputError,
    ProviderAPIError,
    ProviderNotFoundError,
    RateLimitedError,
    provider_error,
)

ROWS = ["in.jsonl, line 3: model: missing", "in.jsonl, line 9: model: missing"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            BatchTimeoutError("b1", 5),
            "Batch b1 had not ended after 5 s of waiting; it goes on, and can be waited for again",
        ),
        (
            BatchExpiredError("b1", 60.5),
            "Batch b1 was cancelled when its timeout of 60.5 s was over; its results have what was answered by then",
        ),
        (
            BatchFailedError("b1", {"type": "request_refused", "message": "openai answered 400: no such model"}),
            "Batch b1 failed: openai answered 400: no such model",
        ),
        (BatchFailedError("b1", {}), "Batch b1 failed for an unknown reason"),
        (
            BatchFailedError("b1", {"message": "2 rows were refused; nothing was sent", "problems": ROWS}),
            "Batch b1 failed: 2 rows were refused; nothing was sent; the first one: in.jsonl, line 3: model: missing",
        ),
        (
            BatchNotFoundError("b1"),
            "No batch 'b1' in this store; `batch-router list` shows those that are",
        ),
        (
            BatchNotFinishedError("b1", "queued"),
            "Batch b1 has not finished (it is queued); `batch-router watch b1` waits for it",
        ),
        (ProviderNotFoundError("opnai", ("google", "openai")), "Provider 'opnai' not found; known: google, openai"),
        (ProviderAPIError("openai", 400, "no such model"), "openai answered 400: no such model"),
        (CredentialsError("openai", 0, "no API key: set OPENAI_API_KEY"), "openai: no API key: set OPENAI_API_KEY"),
        (CredentialsError("openai", 401, "openai answered 401: bad key"), "openai answered 401: bad key"),
        (InvalidInputError(ROWS, 2), "\n".join(ROWS)),
    ],
)
def test_an_error_is_a_sentence(error: BatchRouterError, sentence: str) -> None:
    """It says who, what, and what to do, without a Python object, a status 0 or a prefix twice."""
    assert str(error) == sentence


@pytest.mark.parametrize("error", [CredentialsError("openai", 401, "bad key"), RateLimitedError("openai", 429, "slow")])
def test_a_providers_error_can_be_made_again(error: ProviderAPIError) -> None:
    """From the word and the sentence that status shows: the same class, the same sentence."""
    again = provider_error("openai", error.type, error.status_code, str(error))
    assert again is not None
    assert (type(again), str(again), again.message) == (type(error), str(error), error.message)


@pytest.mark.parametrize(("word", "kind"), [("model_not_found_there", ProviderAPIError), ("storage_error", type(None))])
def test_an_unknown_word_is_the_providers(word: str, kind: type) -> None:
    """A provider's jobs fail for reasons of its own; an error that is ours is not the provider's."""
    assert type(provider_error("openai", word, 0, "no")) is kind


def test_the_tree_shows_each_class_below_its_parent() -> None:
    """The drawing in the docstring has every class of the module, and no other."""
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in str(exceptions.__doc__).splitlines():
        if found := re.match(r"    ([│├└─ ]*)([A-Z]\w+)", line):
            depth = len(found[1]) // 4
            above[depth:] = [found[2]]
            drawn[found[2]] = above[depth - 1] if depth else "Exception"
    classes = {
        name: kind.__base__.__name__
        for name, kind in vars(exceptions).items()
        if isinstance(kind, type) and kind.__module__ == exceptions.__name__ and kind.__base__
    }
    assert drawn == classes


@pytest.mark.parametrize(
    "error",
    [
        BatchFailedError("b1", {"message": "no such model"}),
        InvalidInputError(ROWS, 2),
        RateLimitedError("openai", 429, "slow down", retry_after=5),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_passes_between_processes(error: BatchRouterError) -> None:
    """A pool of the app's own pickles it: class, sentence and attributes arrive."""
    arrived = pickle.loads(pickle.dumps(error))
    assert (type(arrived), str(arrived), vars(arrived)) == (type(error), str(error), vars(error))
