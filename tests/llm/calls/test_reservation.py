"""What a call may use, before it runs: everything that can be large in its body counts, however it is written."""

from __future__ import annotations

from typing import Any

import pytest

from llm import CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, RESPONSES, CallRequest, Operation, Reservation, Usage
from llm.calls.reservation import ANSWER_TOKENS
from llm.costs.estimates.bounds import MAX_ANSWERS
from llm.costs.usage import MAX_TOKENS
from llm.routing.notation import parse_route
from tests.llm.costs.estimates.test_images import PNG, data_url
from tests.llm.worlds.world import PROVIDERS

HI = [{"role": "user", "content": "Hi"}]


def reserved(operation: Operation = CHAT_COMPLETIONS, model: str = "gpt-4o", **body: Any) -> Usage:
    route = parse_route(model, providers=PROVIDERS, default_provider="openai")
    return Reservation(CallRequest(route, body, operation=operation)).usage(route.first)


@pytest.mark.parametrize(
    ("bounds", "tokens"),
    [
        ({}, ANSWER_TOKENS),
        ({"max_tokens": 5}, 5),
        ({"max_tokens": 5, "max_completion_tokens": 70}, 70),
        ({"max_tokens": 70, "max_completion_tokens": 5}, 70),
        ({"max_output_tokens": 70, "max_tokens": 5}, 70),
        ({"max_tokens": "7000"}, 7_000),
        ({"max_tokens": 7000.0}, 7_000),
        ({"max_tokens": "7e3"}, 7_000),
        ({"max_tokens": 0.5}, 1),
        ({"max_tokens": None}, ANSWER_TOKENS),
        ({"max_tokens": 0}, ANSWER_TOKENS),
        ({"max_tokens": -1}, ANSWER_TOKENS),
        ({"max_tokens": True}, ANSWER_TOKENS),
        ({"max_tokens": "many"}, ANSWER_TOKENS),
        ({"max_tokens": float("inf")}, ANSWER_TOKENS),
        ({"max_tokens": 10**30}, MAX_TOKENS),
        ({"max_tokens": 10, "n": 3}, 30),
        ({"max_tokens": 10, "n": "3"}, 30),
        ({"max_tokens": 10, "n": 10**9}, 10 * MAX_ANSWERS),
        ({"max_tokens": 10, "n": 2, "best_of": 5}, 50),
    ],
    ids=str,
)
def test_an_answer_may_use_its_largest_bound_as_often_as_it_is_asked_for(bounds: dict[str, Any], tokens: int) -> None:
    assert reserved(messages=HI, **bounds).completion_tokens == tokens


def test_a_list_of_prompts_has_an_answer_for_each() -> None:
    usage = reserved(COMPLETIONS, prompt=["Hello there"] * 4, max_tokens=10, best_of=2)
    assert (usage.prompt_tokens, usage.completion_tokens) == (8, 80)
    assert reserved(COMPLETIONS, prompt=[1, 2, 3], max_tokens=10).completion_tokens == 10
    assert reserved(COMPLETIONS, prompt=[[1, 2], [3]], max_tokens=10).completion_tokens == 20


def test_an_embedding_has_no_answer() -> None:
    assert reserved(EMBEDDINGS, input=["Hello there"] * 3, max_tokens=10) == Usage(6, 0, estimated=True)


PLAIN = reserved(messages=HI).prompt_tokens


@pytest.mark.parametrize(
    ("large", "tokens"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": data_url(PNG)}]}]}, 400),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "https://a/b"}]}]}, 700),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": "A" * 99_999}}]}]}, 24_000),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]}, 5_000),
        ({"messages": [{"role": "user", "content": [{"type": "video", "video": "A" * 99_999}]}]}, 24_000),
        ({"tools": [{"type": "function", "function": {"name": "f", "description": "word " * 5_000}}]}, 5_000),
        ({"functions": [{"name": "f", "description": "word " * 5_000}]}, 5_000),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"a": "word " * 5_000}}}}, 5_000),
        ({"documents": [{"text": "word " * 5_000}]}, 5_000),
        ({"anything": {"odd": "\ud800" * 5_000}}, 5_000),
    ],
    ids=range(10),
)
def test_whatever_is_large_in_a_body_counts(large: dict[str, Any], tokens: int) -> None:
    assert reserved(**{"messages": HI, **large}).prompt_tokens - PLAIN > tokens * 0.95


@pytest.mark.parametrize(
    "small", [{"temperature": 0.5}, {"metadata": {"a": "b" * 500}}, {"user": "x" * 500}, {"stop": None}], ids=str
)
def test_what_no_model_reads_counts_nothing(small: dict[str, Any]) -> None:
    assert reserved(messages=HI, **small).prompt_tokens == PLAIN


def test_the_tools_and_the_schema_of_a_response_count() -> None:
    plain = reserved(RESPONSES, input="Hi").prompt_tokens
    schema = {"format": {"type": "json_schema", "schema": {"a": "word " * 5_000}}}
    assert reserved(RESPONSES, input="Hi", text=schema).prompt_tokens - plain > 5_000
    tools = [{"type": "function", "name": "f", "description": "word " * 5_000}]
    assert reserved(RESPONSES, input="Hi", tools=tools).prompt_tokens - plain > 5_000


def test_a_prediction_may_be_billed_beside_the_answer() -> None:
    predicted = {"type": "content", "content": "word " * 4_000}
    assert reserved(messages=HI, prediction=predicted, max_tokens=10).completion_tokens > 4_000


def test_sound_is_reserved_at_its_own_price() -> None:
    part = {"type": "input_audio", "input_audio": {"data": "A" * 640_000, "format": "mp3"}}
    assert reserved(messages=[{"role": "user", "content": [part]}]).audio_prompt_tokens == 300
