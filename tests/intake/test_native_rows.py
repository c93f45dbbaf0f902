"""Native rows: the body goes to its provider byte for byte; what is read of it is what the road needs."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_router.bounds import Bounds
from batch_router.core import Endpoint, NativeRow, UnifiedRequest
from batch_router.core.native import with_member
from batch_router.exceptions import ValidationError
from batch_router.intake.encode import Row, RowEncoder
from batch_router.intake.losses import Translated
from batch_router.intake.options import Options
from batch_router.intake.problems import Problems
from batch_router.intake.rows import RowReader
from batch_router.providers import find_provider
from batch_router.settings import Settings

# Bodies that a parser and a writer would change, or that look like what our own rows have.
ODD_BODIES = [
    b'{"model":"m", "temperature":1.0 ,"seed":123456789012345678901234567890,"x":1E400,"y":-0.0}',
    b'{"model":"m","a":1,"a":2,"custom_id":"0123456789abcdef-0","key":"0123456789abcdef-0"}',
    b'{"model":"m","text":"\\u00e9\\/\\ud83d\\ude00 \xe2\x80\xa8 \x7f"}',
    b'{ "metadata":{"deep":[[[[{"n":null}]]]]} , "model" : "m" }',
]
# What the provider's own file has around a body.
FRAMES = {
    "openai": b'{"custom_id":"q1","method":"POST","url":"/v1/chat/completions","body":%b}',
    "vllm": b'{"custom_id":"q1","body":%b,"url":"/v1/chat/completions","method":"POST"}',
    "anthropic": b'{"custom_id":"q1","params":%b}',
    "google": b'{"request":%b,"key":"q1"}',
}
BODIES = {"openai": "body", "vllm": "body", "anthropic": "params", "google": "request"}


def read(provider: str, line: bytes, **options: Any) -> Row:
    problems = Problems()
    reader = RowReader(find_provider(provider).native, msgspec.convert(options, Options), problems, Bounds())
    rows = [row for _, row in reader.read([line])]
    problems.raise_any()
    assert not isinstance(rows[0], Translated)
    return rows[0]


def sent(provider: str, line: bytes, **options: Any) -> dict[str, msgspec.Raw]:
    """The members of the row that is sent, as they are written."""
    encoder = RowEncoder(find_provider(provider), "error", Settings())
    row = msgspec.json.encode(encoder.encode(read(provider, line, **options), "0123456789abcdef-7"))
    return msgspec.json.decode(row, type=dict[str, msgspec.Raw])


@pytest.mark.parametrize("body", ODD_BODIES)
@pytest.mark.parametrize("provider", FRAMES)
def test_a_body_is_sent_byte_for_byte(provider: str, body: bytes) -> None:
    """Numbers, spaces, repeated keys and escapes stay as the user wrote them, under our row id."""
    row = sent(provider, FRAMES[provider] % body, model="m")
    assert bytes(row[BODIES[provider]]) == body
    assert bytes(row["key" if provider == "google" else "custom_id"]) == b'"0123456789abcdef-7"'


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.sampled_from(sorted(FRAMES)), st.dictionaries(st.text(), JSON, max_size=6), st.booleans())
def test_any_body_goes_through(provider: str, members: dict[str, Any], is_ascii: bool) -> None:
    """Whatever JSON a body holds, the provider gets the same bytes; only what we read has a type of its own."""
    members = {name: value for name, value in members.items() if name not in ("model", "stream", "input")}
    body = json.dumps(members | {"model": "m"}, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    assert bytes(sent(provider, FRAMES[provider] % body)[BODIES[provider]]) == body


@pytest.mark.parametrize("provider", ["openai", "vllm", "anthropic"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"temperature":1.0}', b'{"model":"m","temperature":1.0}'),
        (b"{ }", b'{"model":"m" }'),
        (b'{"a":{"model":"x"},"b":1.0}', b'{"model":"m","a":{"model":"x"},"b":1.0}'),
        (b'{"model":null,"b":1.0}', b'{"model":"m","b":1.0}'),
        (b'{"model":"","b":1.0}', b'{"model":"m","b":1.0}'),
    ],
)
def test_a_missing_model_is_put_in_front(provider: str, body: bytes, expected: bytes) -> None:
    """All else stays; a model of null is a missing one, and a model further inside is another's."""
    assert bytes(sent(provider, FRAMES[provider] % body, model="m")[BODIES[provider]]) == expected


def test_the_batchs_model_replaces_a_rows_only_when_asked() -> None:
    """By itself it fills in; `replace_model` takes it for every row, native or not, and leaves the rest as it is."""
    native = FRAMES["openai"] % b'{"model":"own","seed":123456789012345678901234567890}'
    unified = b'{"custom_id":"q1","model":"own","prompt":"hi"}'
    for line in (native, unified):
        assert read("openai", line, model="m").model == "own"
        assert read("openai", line, model="m", replace_model=True).model == "m"
    body = sent("openai", native, model="m", replace_model=True)["body"]
    assert bytes(body) == b'{"model":"m","seed":123456789012345678901234567890}'
    with pytest.raises(ValidationError, match=r"^replace_model: "):
        Options(replace_model=True)


def test_googles_job_names_the_model() -> None:
    """A Gemini row has no model of its own, or one with a prefix; the body is not changed for it."""
    line = FRAMES["google"] % b'{"contents":[]}'
    assert read("google", line, model="gemini-2.5-flash").model == "gemini-2.5-flash"
    assert bytes(sent("google", line, model="gemini-2.5-flash")["request"]) == b'{"contents":[]}'
    named = FRAMES["google"] % b'{"model":"models/gemini-3-pro","contents":[]}'
    assert read("google", named).model == "gemini-3-pro"
    replaced = sent("google", named, model="gemini-2.5-flash", replace_model=True)["request"]
    assert bytes(replaced) == b'{"model":"models/gemini-2.5-flash","contents":[]}'
    tuned = sent("google", named, model="tunedModels/mine", replace_model=True)["request"]
    assert bytes(tuned) == b'{"model":"tunedModels/mine","contents":[]}'


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("/v1/chat/completions", Endpoint.CHAT),
        ("/chat/completions", Endpoint.CHAT),
        ("v1/chat/completions/", Endpoint.CHAT),
        ("https://api.openai.com/v1/chat/completions", Endpoint.CHAT),
        ("/openai/deployments/mine/chat/completions?api-version=1", Endpoint.CHAT),
        ("/v1/completions", Endpoint.COMPLETIONS),
        ("/v1/responses", Endpoint.RESPONSES),
        ("/v1/embeddings", Endpoint.EMBEDDINGS),
        ("/v1/moderations", Endpoint.MODERATIONS),
        ("/v1/images/generations", Endpoint.IMAGES),
        ("/v1/images/edits", Endpoint.IMAGE_EDITS),
        ("/v1/videos", Endpoint.VIDEOS),
    ],
)
def test_every_url_that_the_service_lists_is_taken(url: str, endpoint: Endpoint) -> None:
    """With or without version and host; it is sent in the service's own spelling."""
    line = json.dumps({"custom_id": "q1", "method": "post", "url": url, "body": {"model": "m"}}).encode()
    row = read("openai", line)
    assert isinstance(row, NativeRow)
    assert row.endpoint is endpoint
    assert json.loads(bytes(sent("openai", line)["url"])).startswith("/v1/")
    assert bytes(sent("openai", line)["method"]) == b'"POST"'


def test_a_row_may_leave_out_what_it_asks_for() -> None:
    """Without a url it is a chat, or what the batch says."""
    line = b'{"custom_id":"q1","body":{"model":"m"}}'
    assert read("openai", line).endpoint is Endpoint.CHAT
    assert read("openai", line, endpoint="embeddings").endpoint is Endpoint.EMBEDDINGS
    empty = b'{"custom_id":"q1","method":" pOst","url":"","body":{"model":"m"}}'
    assert read("openai", empty).endpoint is Endpoint.CHAT


@pytest.mark.parametrize(
    ("provider", "line", "complaint"),
    [
        ("openai", b'{"custom_id":"q1","url":"/v1/fine_tuning","body":{"model":"m"}}', "url: '/v1/fine_tuning' is not"),
        ("openai", b'{"custom_id":"q1","method":"GET","body":{"model":"m"}}', "method: must be 'POST', not 'GET'"),
        ("openai", b'{"custom_id":"q1","body":{"model":"m","stream":true}}', "body.stream: a batch has no streams"),
        ("openai", b'{"custom_id":"q1","body":{}}', "model: missing"),
        ("openai", b'{"custom_id":"q1","body":{"model":3}}', "body.model: Expected `str | null`, got `int`"),
        ("openai", b'{"custom_id":"q1","body":{"model":""}}', "model: missing"),
        ("openai", b'{"custom_id":"q1","body":[]}', "body: Expected `object`, got `array`"),
        ("anthropic", b'{"custom_id":"q1","params":"x"}', "params: Expected `object`, got `str`"),
        ("google", b'{"key":"q1","request":{"model":1}}', "request.model: Expected `str | null`, got `int`"),
        ("openai", b'{"custom_id":"","body":{"model":"m"}}', "custom_id: Expected `str` of length >= 1"),
        ("openai", b'{"custom_id":"q1","body":{"model":"m","x":"\xff"}}', "not valid UTF-8"),
        ("openai", b'{"custom_id":"q1","body":{"model":"m","x":NaN}}', "not valid JSON"),
        ("anthropic", b'{"custom_id":"q1","params":{"model":"m","stream":true}}', "params.stream: a batch has no str"),
        ("anthropic", b'{"custom_id":"q1","params":{}}', "model: missing"),
        ("google", b'{"key":"q1","request":{"contents":[]}}', "model: missing"),
        ("google", b'{"key":"","request":{"contents":[]}}', "key: Expected `str` of length >= 1"),
    ],
)
def test_a_row_that_cannot_be_sent_is_refused(provider: str, line: bytes, complaint: str) -> None:
    """What surely fails, or what the road itself needs, is said before anything is sent."""
    with pytest.raises(ValidationError, match=f"requests\\[0\\]: {complaint}".replace("|", r"\|")):
        read(provider, line)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"system_prompt": "be brief"}, "system_prompt"),
        ({"generation_config": {"max_tokens": 3}}, "generation_config.max_tokens"),
    ],
)
def test_the_batch_adds_nothing_but_a_model(options: dict[str, Any], field: str) -> None:
    """A row that is sent as it stands takes no other default; the sentence says where to put it."""
    with pytest.raises(ValidationError, match=f'{field}: a row {{"custom_id", "params"}} .* put that into its params'):
        read("anthropic", FRAMES["anthropic"] % b'{"model":"m"}', **options)


@pytest.mark.parametrize(
    ("body", "inputs"),
    [
        ({"input": "one"}, 1),
        ({"input": ["a", "b", "c"]}, 3),
        ({"input": [1, 2, 3]}, 1),
        ({"input": [[1, 2], [3]]}, 2),
        ({"input": {"text": "a", "image": "b"}}, 1),
        ({}, 1),
    ],
)
def test_the_inputs_of_embeddings_are_counted(body: dict[str, Any], inputs: int) -> None:
    """A list of texts or of token lists is as many inputs; the tokens of one text are one."""
    row = {"custom_id": "q1", "url": "/v1/embeddings", "body": body | {"model": "m"}}
    read_row = read("openai", json.dumps(row).encode())
    assert isinstance(read_row, NativeRow)
    assert read_row.inputs == inputs


@pytest.mark.parametrize(
    "body", [{"prompt": {"id": "pmpt_1"}}, {"input": "x"}], ids=["a stored prompt", "a moderation"]
)
def test_a_service_may_choose_the_model(body: dict[str, Any]) -> None:
    """Where OpenAI needs no model, a row without one is sent without one."""
    url = "/v1/responses" if "prompt" in body else "/v1/moderations"
    line = json.dumps({"custom_id": "q1", "url": url, "body": body}).encode()
    assert json.loads(bytes(sent("openai", line)["body"])) == body
    assert json.loads(bytes(sent("openai", line, model="m")["body"])) == {"model": "m"} | body


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":null,"a":1,"a":2.0}', b'{"model":"m","a":1,"a":2.0}'),
        (b'{"a":{"model":"x"}, "mod\\u0065l" : null ,"b":1}', b'{"a":{"model":"x"}, "mod\\u0065l" : "m" ,"b":1}'),
        (b'{"model":"x","model":"y" }', b'{"model":"m","model":"m" }'),
    ],
)
def test_another_model_leaves_every_other_byte(body: bytes, expected: bytes) -> None:
    """Keys that stand twice, spaces and escaped names stay, also where a model takes the place of the row's own."""
    line = FRAMES["openai"] % body
    assert bytes(sent("openai", line, model="m", replace_model=True)["body"]) == expected


def test_forms_may_be_mixed() -> None:
    """Each row of a file is read by its own form, whatever the row before it had."""
    lines = [FRAMES["openai"] % b'{"model":"m"}', b'{"custom_id":"q2","messages":[{"role":"user","content":"x"}]}'] * 2
    reader = RowReader(find_provider("openai").native, Options(model="m"), problems := Problems(), Bounds())
    kinds = [type(row) for _, row in reader.read(lines)]
    problems.raise_any()
    assert kinds == [NativeRow, UnifiedRequest] * 2


@given(st.dictionaries(st.text(), JSON, max_size=4), st.text())
def test_a_member_is_set(members: dict[str, Any], name: str) -> None:
    """The object with one more or another member, and all others as they were."""
    body = json.dumps(members, ensure_ascii=False).encode("utf-8", "surrogatepass")
    try:
        msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        msgspec.json.encode(name)
    except (msgspec.MsgspecError, UnicodeError):
        return
    assert json.loads(bytes(with_member(msgspec.Raw(body), name, 1))) == members | {name: 1}
