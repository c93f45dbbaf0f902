"""The records: what they take, what they refuse, and how they look as plain data."""

from typing import Any

import msgspec
import pytest

import batch_router.core
from batch_router.core import (
    BatchStatus,
    BatchStatusResponse,
    DocumentContent,
    ErrorType,
    GenerationConfig,
    ImageContent,
    RequestCounts,
    ResultError,
    ResultStatus,
    TextContent,
    UnifiedBatchMetadata,
    UnifiedMessage,
    UnifiedRequest,
    UnifiedResult,
    Usage,
)
from batch_router.exceptions import ValidationError

HELLO = UnifiedMessage.from_text("user", "hello")
PARTS: list[tuple[TextContent | ImageContent | DocumentContent, dict[str, str]]] = [
    (TextContent(text="hi"), {"type": "text", "text": "hi"}),
    (
        ImageContent(source_type="url", media_type="image/png", data="https://a/b.png"),
        {"type": "image", "source_type": "url", "media_type": "image/png", "data": "https://a/b.png"},
    ),
    (
        DocumentContent(source_type="base64", media_type="application/pdf", data="JVBE"),
        {"type": "document", "source_type": "base64", "media_type": "application/pdf", "data": "JVBE"},
    ),
]


def request(custom_id: str = "q1") -> UnifiedRequest:
    return UnifiedRequest(custom_id=custom_id, model="m", messages=[HELLO])


@pytest.mark.parametrize("name", batch_router.core.__all__)
def test_records_are_frozen(name: str) -> None:
    """No field of a record can be set after it was made, so records can be shared."""
    kind = getattr(batch_router.core, name)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        assert kind.__struct_config__.frozen


@pytest.mark.parametrize(
    ("name", "lowest", "highest", "below", "above"),
    [
        ("temperature", 0, 2, -0.01, 2.01),
        ("top_p", 0, 1, -0.01, 1.01),
        ("presence_penalty", -2, 2, -2.01, 2.01),
        ("frequency_penalty", -2, 2, -2.01, 2.01),
        ("max_tokens", 1, 10**9, 0, -1),
        ("top_k", 1, 10**9, 0, -1),
    ],
)
def test_parameters_have_bounds(name: str, lowest: Any, highest: Any, below: Any, above: Any) -> None:
    """The bounds themselves are allowed; what lies beyond is refused by the parameter's name."""
    for value in (lowest, highest):
        assert getattr(GenerationConfig(**{name: value}), name) == value
    for value in (below, above):
        with pytest.raises(ValidationError, match=f"^{name}: "):
            GenerationConfig(**{name: value})


def test_a_temperature_that_is_no_number_is_refused() -> None:
    """NaN is within no bounds."""
    with pytest.raises(ValidationError, match="temperature"):
        GenerationConfig(temperature=float("nan"))


def test_a_configuration_shows_what_is_set() -> None:
    """Zero is a value; None is not."""
    assert GenerationConfig(temperature=0, stop_sequences=["."]).to_dict() == {
        "temperature": 0,
        "stop_sequences": ["."],
    }
    assert GenerationConfig().to_dict() == {}


def test_a_configuration_lies_over_its_defaults() -> None:
    """Each parameter comes from the row where it has one, from the batch where it has not."""
    own = GenerationConfig(temperature=0, max_tokens=5)
    defaults = GenerationConfig(temperature=1, top_p=0.5)
    assert own.over(defaults) == GenerationConfig(temperature=0, max_tokens=5, top_p=0.5)
    assert defaults == GenerationConfig(temperature=1, top_p=0.5)


@pytest.mark.parametrize(("part", "plain"), PARTS)
def test_parts_carry_their_type(part: TextContent | ImageContent | DocumentContent, plain: dict[str, str]) -> None:
    """A part is the same as plain data and back, and knows its own tag."""
    message = UnifiedMessage(role="user", content=[part])
    assert part.type == plain["type"]
    assert msgspec.to_builtins(message) == {"role": "user", "content": [plain]}
    assert msgspec.convert({"role": "user", "content": [plain]}, UnifiedMessage) == message


@pytest.mark.parametrize("kind", [ImageContent, DocumentContent])
def test_a_part_says_where_its_data_is(kind: type[ImageContent] | type[DocumentContent]) -> None:
    """There are two kinds of source, also for those who call the class."""
    with pytest.raises(ValidationError, match=r"^source_type: .*'file'"):
        kind(source_type="file", media_type="image/png", data="x")  # type: ignore[arg-type]


def test_an_image_has_the_media_type_of_one() -> None:
    """A PDF does not pass as an image."""
    with pytest.raises(ValidationError, match=r"^media_type: .*image/"):
        ImageContent(source_type="base64", media_type="application/pdf", data="x")


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"role": "system", "content": "x"}, "^role: .*'system'.*'user' or 'assistant', and a system prompt"),
        ({"role": "user", "content": ""}, "^content: "),
        ({"role": "user", "content": []}, "^content: "),
        ({"role": "user", "content": ["x"]}, r"^content\[0\]: .*`str`"),
        ({"role": "user", "content": {"type": "text"}}, "^content: .*`object`"),
    ],
)
def test_a_bad_message_is_refused(fields: dict[str, object], complaint: str) -> None:
    """A message has one of two roles, and something to say."""
    with pytest.raises(ValidationError, match=complaint):
        UnifiedMessage(**fields)  # type: ignore[arg-type]


def test_a_message_gives_its_text() -> None:
    """A text and a list of one text are the same to the reader; anything else has no text of its own."""
    assert UnifiedMessage(role="user", content="hi").get_text() == UnifiedMessage.from_text("user", "hi").get_text()
    mixed = UnifiedMessage(role="user", content=[part for part, _ in PARTS])
    assert not mixed.is_text_only()
    with pytest.raises(ValidationError, match="not text-only"):
        mixed.get_text()


def test_a_message_keeps_the_providers_own_keys() -> None:
    """What else is given with a text goes to the provider."""
    message = UnifiedMessage.from_text("user", "hi", name="ada")
    assert message.provider_kwargs == {"name": "ada"}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"custom_id": ""}, "^custom_id: "),
        ({"model": ""}, "^model: "),
        ({"messages": []}, "^messages: "),
        ({"messages": [HELLO, "x"]}, r"^messages\[1\]: .*`str`"),
        ({"messages": "hello"}, "^messages: .*`str`"),
        ({"custom_id": 5}, "^custom_id: .*`int`"),
        ({"generation_config": {"temperature": 3}}, "^generation_config.temperature: "),
        ({"modell": "m"}, "`modell`"),
    ],
)
def test_a_bad_request_is_refused(change: dict[str, object], complaint: str) -> None:
    """A request has a name, a model if any, and at least one message."""
    good: dict[str, object] = {"custom_id": "q1", "model": "m", "messages": [HELLO]}
    with pytest.raises(ValidationError, match=complaint):
        UnifiedRequest(**(good | change))  # type: ignore[arg-type]


def test_a_request_is_plain_data_and_back() -> None:
    """`to_dict` leaves out what is at its default, and a request is read back from it unchanged."""
    full = UnifiedRequest(
        custom_id="q1",
        model="m",
        messages=[HELLO],
        system_prompt=["be brief", "be kind"],
        generation_config=GenerationConfig(max_tokens=9),
        provider_kwargs={"seed": 1},
    )
    assert msgspec.convert(full.to_dict(), UnifiedRequest) == full
    assert request().to_dict() == {
        "custom_id": "q1",
        "model": "m",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
    }


def test_requests_of_a_batch_have_different_names() -> None:
    """A repeated `custom_id` is named, once."""
    assert UnifiedBatchMetadata(provider="openai", requests=[request("a"), request("b")]).get_request_count() == 2
    with pytest.raises(ValidationError, match=r"unique; repeated: a, b$"):
        UnifiedBatchMetadata(provider="openai", requests=[request(name) for name in "babca"])
    with pytest.raises(ValidationError, match=r"^requests: "):
        UnifiedBatchMetadata(provider="openai", requests=[])


def test_counts_do_not_exceed_their_total() -> None:
    """Every request is counted at most once."""
    assert RequestCounts(total=3, processing=1, succeeded=1, errored=1).total == 3
    with pytest.raises(ValidationError, match="add up to 4, more than the total of 3"):
        RequestCounts(total=3, succeeded=1, errored=1, cancelled=1, expired=1)
    with pytest.raises(ValidationError, match="total must not be negative"):
        RequestCounts(total=-1)


@pytest.mark.parametrize("status", BatchStatus)
def test_a_status_says_whether_it_is_the_last(status: BatchStatus) -> None:
    """Four words end a batch, one of them well."""
    response = BatchStatusResponse(
        batch_id="b",
        provider="openai",
        status=status,
        request_counts=RequestCounts(total=1),
        created_at="2026-01-01T00:00:00Z",
    )
    assert response.is_complete() == (status in ("completed", "failed", "cancelled", "expired"))
    assert response.is_successful() == (status == "completed")


def test_a_result_is_bytes_and_back() -> None:
    """A line of the results is read back as the result that was written."""
    error = ResultError(type=ErrorType.QUOTA, message="no credit", raw={"code": "insufficient_quota"})
    usage = Usage(input_tokens=1, output_tokens=0)
    result = UnifiedResult(custom_id="q1", status=ResultStatus.ERRORED, error=error, usage=usage)
    assert msgspec.json.decode(msgspec.json.encode(result), type=UnifiedResult) == result
    assert not result.is_successful()


def test_a_success_needs_its_response() -> None:
    """No answer without the provider's body, no error without its reason."""
    with pytest.raises(ValidationError, match="needs a response"):
        UnifiedResult(custom_id="q1", status=ResultStatus.SUCCEEDED, text="42")
    with pytest.raises(ValidationError, match="needs an error"):
        UnifiedResult(custom_id="q1", status=ResultStatus.ERRORED)
    good = UnifiedResult(custom_id="q1", status=ResultStatus.SUCCEEDED, text="42", response={})
    assert (good.is_successful(), good.get_content()) == (True, "42")


def test_a_result_does_not_change() -> None:
    """What a caller was given stays as it was read, down to its error and its token counts."""
    result = UnifiedResult(
        custom_id="q1", status=ResultStatus.ERRORED, error=ResultError(type=ErrorType.OTHER, message="m")
    )
    for record, field in ((result, "custom_id"), (result.error, "message"), (Usage(input_tokens=1), "input_tokens")):
        with pytest.raises(AttributeError):
            setattr(record, field, "q2")
