"""The answers of vLLM's endpoints: OpenAI's with fields of its own, and scores, ranks and transcriptions.

The shapes are those of `vllm/entrypoints/pooling/scoring/protocol.py` and `.../speech_to_text/protocol.py`.
"""

from typing import Any

from ..answers import count_tokens, inputs_of, name_for, prompt_of, text_for, vector_for
from ..openai_answers import answer_for
from ..scenario import Scenario

_QUERIES, _DOCUMENTS = ("text_1", "queries", "data_1"), ("text_2", "documents", "items", "data_2")


def answer(scenario: Scenario, url: str, body: dict[str, Any], row_id: str, now: int) -> dict[str, Any]:
    """What the endpoint of that URL answers."""
    name = name_for(scenario.seed, row_id)
    match url.rpartition("/")[2]:
        case "score":
            return {"id": f"score-{name}", "object": "list", "created": now} | _scores(scenario, body)
        case "rerank":
            return {"id": f"rerank-{name}"} | _ranks(scenario, body)
        case "transcriptions" | "translations":
            return {"text": text_for(scenario, prompt_of(body)), "usage": {"type": "duration", "seconds": 1}}
        case "embeddings":
            return {"id": f"embd-{name}", "created": now} | answer_for(scenario, url, body, row_id, now)
    return _with_own_fields(answer_for(scenario, url, body, row_id, now))


def _scores(scenario: Scenario, body: dict[str, Any]) -> dict[str, Any]:
    """A score for each pair; one query is paired with every document."""
    queries, documents = (inputs_of(_first(body, names)) for names in (_QUERIES, _DOCUMENTS))
    pairs = zip(queries * len(documents) if len(queries) == 1 else queries, documents, strict=True)
    scores = [_score(scenario, *pair) for pair in pairs]
    tokens = sum(map(count_tokens, queries + documents))
    return {
        "model": body.get("model"),
        "data": [{"index": index, "object": "score", "score": score} for index, score in enumerate(scores)],
        "usage": {
            "prompt_tokens": tokens,
            "total_tokens": tokens,
            "completion_tokens": 0,
            "prompt_tokens_details": None,
        },
    }


def _ranks(scenario: Scenario, body: dict[str, Any]) -> dict[str, Any]:
    """The documents, best first, or as many of them as `top_n` says."""
    query, documents = str(body.get("query")), inputs_of(body.get("documents"))
    scores = [_score(scenario, query, document) for document in documents]
    ranked = [
        {"index": index, "document": {"text": documents[index], "multi_modal": None}, "relevance_score": scores[index]}
        for index in sorted(range(len(documents)), key=lambda index: -scores[index])
    ]
    tokens = sum(map(count_tokens, [query, *documents]))
    return {
        "model": body.get("model"),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "results": ranked[: body.get("top_n") or len(ranked)],
    }


def _first(body: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((body[name] for name in names if name in body), None)


def _score(scenario: Scenario, query: str, document: str) -> float:
    """From 0 to 1."""
    (value,) = vector_for(scenario, f"{query}\n{document}", 1)
    return (value + 1) / 2


def _with_own_fields(body: dict[str, Any]) -> dict[str, Any]:
    """A completion with the fields that the real one has beyond OpenAI's."""
    if body["object"] == "chat.completion":
        for choice in body["choices"]:
            choice["message"] |= {"annotations": None, "reasoning": None}
            choice["message"].setdefault("tool_calls", [])
            choice["stop_reason"] = None
        body |= {"service_tier": None, "prompt_logprobs": None, "kv_transfer_params": None}
    return body
