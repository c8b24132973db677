"""POST /v1/embeddings"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx2
import openai
import pytest

from chat.models import CallRecord
from llm.simulator import SimulatorThread
from tests.support.openai_sdk import sdk_of
from tests.support.upstreams.written_upstream import Reply

SMALL = "text-embedding-3-small"


def test_the_sdk_gets_the_same_vectors_in_base64_and_in_floats(sdk: openai.OpenAI, simulator: SimulatorThread) -> None:
    by_default = sdk.embeddings.create(model=SMALL, input=["one", "two"], dimensions=4)
    as_floats = sdk.embeddings.create(model=SMALL, input=["one", "two"], dimensions=4, encoding_format="float")
    assert [len(each.embedding) for each in by_default.data] == [4, 4]
    for one, other in zip(by_default.data, as_floats.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    first, second = (request["body"] for request in simulator.requests())
    assert first == {"model": SMALL, "input": ["one", "two"], "dimensions": 4, "encoding_format": "base64"}
    assert second["encoding_format"] == "float"


def test_embeddings_fall_back_race_and_are_on_record_with_their_cost(client: httpx2.Client) -> None:
    for model in (f"sim-500>{SMALL}", f"{SMALL}|sim-timeout"):
        response = client.post("/v1/embeddings", json={"model": model, "input": "Hello there, you all"})
        assert response.status_code == 200, response.text
        call = CallRecord.objects.latest("created_at")
        assert (call.door, call.operation, call.route, call.status) == ("openai", "embeddings", model, "succeeded")
        assert (call.model_used, call.prompt_tokens, call.completion_tokens) == (SMALL, 5, 0)
        assert call.body.messages == [{"role": "user", "content": "Hello there, you all"}]
        assert call.body.parameters == {}
        assert response.headers["x-model-used"] == SMALL
    fallback = CallRecord.objects.earliest("created_at")
    assert fallback.cost_usd == Decimal("0.0000001")  # 0.02 US dollars for a million tokens
    assert fallback.fallback_triggered


def test_an_answer_with_no_embedding_is_a_failure_and_no_default_message_stands_in(
    written_site: Callable[..., Any],
) -> None:
    client, _ = written_site(lambda path, body: Reply({"object": "list", "data": []}), MAX_RETRIES=0)
    response = client.post("/v1/embeddings", json={"model": "m", "input": "a", "x-default-message": "Sorry"})
    assert (response.status_code, response.json()["error"]["code"]) == (502, "invalid_upstream_response")
    assert CallRecord.objects.get().status == "failed"


def test_fields_that_nobody_knows_go_both_ways(written_site: Callable[..., Any]) -> None:
    answer = {"object": "list", "model": "m", "data": [{"embedding": [0.5, 1e-9], "new": None}], "brand_new": {"a": 1}}
    client, upstream = written_site(lambda path, body: Reply(answer))
    asked = {"model": "m", "input": [[1, 2], [3]], "user": "u", "brand_new": [None]}
    assert client.post("/v1/embeddings", json=asked).json() == answer
    assert upstream.seen == [("/v1/embeddings", asked)]
    call = CallRecord.objects.get()
    assert (call.prompt_tokens, call.usage_estimated) == (3, True)


def test_embeddings_can_not_be_streamed(client: httpx2.Client) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        sdk_of(client).embeddings.create(model=SMALL, input="a", extra_body={"stream": True})
    assert raised.value.param == "stream"
