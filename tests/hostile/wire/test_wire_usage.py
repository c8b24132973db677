"""Usage as vendors state it (tests/cases/wire): the tokens and the costs on record are right to the digit."""

from __future__ import annotations

from decimal import Decimal

import pytest

from llm import ModelPrice
from tests.support.upstreams.wire_answers import chat_chunk, chat_whole, streamed, whole
from tests.support.upstreams.wire_asking import CHAT, ReplayedSite, ask, record_of
from tests.support.upstreams.wire_replay import WIRE_CASES, Json

PRICE = ModelPrice(Decimal(1), Decimal(2), Decimal("0.1"))
IN_OTHER_WORDS = WIRE_CASES["usage-in-other-words"]["upstreams"]
CAN_NOT_BE = WIRE_CASES["usage-that-can-not-be"]["upstreams"]
LONG_TEXT = "a rather long answer " * 20
FULL = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
COUNTS = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")


def counts_of(record: Json) -> tuple[int, ...]:
    return tuple(record[name] for name in COUNTS)


@pytest.mark.parametrize("path", ["/chat", CHAT])
@pytest.mark.parametrize(
    ("model", "counts", "cost_usd"),
    [
        ("deepseek", (1_000, 100, 900, 0), 0.00039),
        ("xai", (1_000, 800, 0, 700), 0.0026),
        ("openai", (1_000, 100, 0, 70), 0.0012),
    ],
)
def test_usage_in_other_words_costs_what_it_says(
    replayed_site: ReplayedSite, model: str, path: str, counts: tuple[int, ...], cost_usd: float
) -> None:
    client, _ = replayed_site(WIRE_CASES["usage-in-other-words"]["upstreams"], PRICES={model: PRICE})
    answer = ask(client, path, model)
    call = record_of(client, answer)
    assert counts_of(call) == counts_of(call["attempts"][0]) == counts
    assert (call["cost_usd"], call["usage_estimated"]) == (cost_usd, False)
    if path == "/chat":
        assert answer.json()["cost_usd"] == cost_usd
        assert counts_of(answer.json()["usage"]) == counts
    else:
        assert answer.json()["usage"]["total_tokens"] >= 1_100  # the caller sees it as the upstream said it


@pytest.mark.parametrize("path", ["/chat", CHAT])
@pytest.mark.parametrize("model", ["zeros", "negative"])
def test_a_count_that_can_not_be_is_estimated_and_marked(replayed_site: ReplayedSite, model: str, path: str) -> None:
    client, _ = replayed_site(WIRE_CASES["usage-that-can-not-be"]["upstreams"], PRICES={model: PRICE})
    call = record_of(client, ask(client, path, model))
    prompt_tokens = 1_000 if model == "negative" else call["prompt_tokens"]
    assert call["prompt_tokens"] == prompt_tokens > 0
    assert 60 < call["completion_tokens"] < 100
    assert call["usage_estimated"] is True
    assert call["attempts"][0]["usage_estimated"] is True
    cost = (call["prompt_tokens"] + 2 * call["completion_tokens"]) / 1_000_000
    assert call["cost_usd"] == pytest.approx(cost)


@pytest.mark.parametrize("route", ["then-zeros", "halves", "then-zeros|slow", "halves|slow"])
def test_halves_are_put_together_and_zeros_replace_nothing(replayed_site: ReplayedSite, route: str) -> None:
    model = route.removesuffix("|slow")
    client, _ = replayed_site(CAN_NOT_BE, PRICES={model: PRICE, "slow": PRICE})
    path = "/chat/parallel" if "|" in route else "/chat/stream"
    (attempt, *_) = record_of(client, ask(client, path, route))["attempts"]
    assert (*counts_of(attempt), attempt["cost_usd"], attempt["usage_estimated"]) == (1_000, 100, 0, 0, 0.0012, False)
    if "|" in route:
        assembled = ask(client, CHAT, route).json()["usage"]
        assert {name: assembled[name] for name in FULL} == FULL


CHOICE_USAGE = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": {**FULL, "cached_tokens": 900}}
PLACES: dict[str, list[Json]] = {
    "in a choice": [chat_chunk({"content": "hi"}), {**chat_chunk({}), "choices": [CHOICE_USAGE]}],
    "in x_groq": [
        chat_chunk({"content": "hi"}),
        chat_chunk({}, "stop", x_groq={"usage": {**FULL, "prompt_tokens_details": {"cached_tokens": 900}}}),
    ],
    "before the end": [
        chat_chunk({"content": "hi"}, usage={**FULL, "prompt_cache_hit_tokens": 900}),
        chat_chunk({}, "stop"),
        {**chat_chunk({}), "choices": [], "usage": None},
    ],
    "as texts": [
        chat_chunk({"content": "hi"}, "stop"),
        {**chat_chunk({}), "choices": [], "usage": {name: str(count) for name, count in FULL.items()}}
        | {"usage": {"prompt_tokens": "1000", "completion_tokens": 100.0, "cached_tokens": "900"}},
    ],
}


@pytest.mark.parametrize("chunks", PLACES.values(), ids=PLACES)
def test_usage_of_a_stream_is_found_wherever_it_is(replayed_site: ReplayedSite, chunks: list[Json]) -> None:
    client, _ = replayed_site({"m": streamed(*chunks)}, PRICES={"m": PRICE})
    call = record_of(client, ask(client, "/chat/stream", "m"))
    assert (*counts_of(call), call["usage_estimated"]) == (1_000, 100, 900, 0, False)
    assert call["cost_usd"] == 0.00039


def test_usage_of_a_whole_answer_may_be_in_its_choice(replayed_site: ReplayedSite) -> None:
    payload = chat_whole({"content": "hi"}, usage=None)
    payload["choices"][0]["usage"] = {**FULL, "cached_tokens": 900}
    client, _ = replayed_site({"m": whole(payload)}, PRICES={"m": PRICE})
    call = record_of(client, ask(client, "/chat", "m"))
    assert (*counts_of(call), call["cost_usd"]) == (1_000, 100, 900, 0, 0.00039)


@pytest.mark.parametrize(
    ("path", "payload"),
    [
        ("/v1/completions", {"choices": [{"index": 0, "text": LONG_TEXT, "finish_reason": "stop"}]}),
        (
            "/v1/responses",
            {
                "id": "resp_1",
                "object": "response",
                "status": "completed",
                "output": [{"type": "message", "content": [{"type": "output_text", "text": LONG_TEXT}]}],
            },
        ),
        ("/v1/embeddings", {"object": "list", "data": [{"index": 0, "embedding": [0.5]}]}),
    ],
)
def test_zeros_are_not_believed_in_any_api(replayed_site: ReplayedSite, path: str, payload: Json) -> None:
    names = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens")
    client, _ = replayed_site({"m": whole({**payload, "usage": dict.fromkeys(names, 0)})}, PRICES={"m": PRICE})
    call = record_of(client, ask(client, path, "m"))
    assert call["status"] == "succeeded"
    assert call["prompt_tokens"] > 0
    assert (call["completion_tokens"] > 60) is (path != "/v1/embeddings")
    assert call["usage_estimated"] is True
    assert call["cost_usd"] > 0


def test_a_stream_that_broke_after_half_of_its_usage_has_the_other_half_estimated(replayed_site: ReplayedSite) -> None:
    half = {"prompt_tokens": 1_000, "completion_tokens": 0, "total_tokens": 1_000}
    steps = streamed(chat_chunk({"content": LONG_TEXT}, usage=half), done=False)
    client, _ = replayed_site({"m": steps}, PRICES={"m": PRICE})
    call = record_of(client, ask(client, "/chat/stream", "m"))
    assert call["status"] == "failed"
    assert call["prompt_tokens"] == 1_000
    assert 60 < call["completion_tokens"] < 100
    assert call["usage_estimated"] is True
