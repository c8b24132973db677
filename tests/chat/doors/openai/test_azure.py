"""Azure's clients: they bring `api-key`, and name the model in the address."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import openai
import pytest
from django.conf import settings

from chat.models import CallRecord
from llm.simulator import SimulatorThread
from tests.access.conftest import MakeKey, make_key
from tests.support.openai_sdk import HELLO, WEATHER

__all__ = ["make_key"]

DEPLOYMENTS = "/openai/deployments"
VERSION = "?api-version=2024-10-21"
MESSAGES: Any = HELLO


@pytest.fixture
def keyed(start_site: Callable[..., httpx2.Client]) -> httpx2.Client:
    return start_site(API_KEYS_REQUIRED=True)


@pytest.fixture
def secret(keyed: httpx2.Client, make_key: MakeKey) -> str:
    return make_key("app")["Authorization"].removeprefix("Bearer ")


@pytest.fixture
def azure(keyed: httpx2.Client, secret: str) -> Iterator[openai.AzureOpenAI]:
    """The Azure client of OpenAI's SDK, as its documents show it."""
    with openai.AzureOpenAI(azure_endpoint=str(keyed.base_url), api_key=secret, api_version="2024-10-21") as client:
        yield client


def routes() -> list[str]:
    return list(CallRecord.objects.order_by("id").values_list("route", flat=True))


def test_the_sdk_gets_whole_answers_streams_tools_and_embeddings(azure: openai.AzureOpenAI) -> None:
    whole = azure.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert "Hello" in (whole.choices[0].message.content or "")
    stream = azure.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    tools: Any = [WEATHER]
    called = azure.chat.completions.create(model="sim-tool", messages=MESSAGES, tools=tools)
    assert called.choices[0].message.tool_calls
    assert azure.embeddings.create(model="text-embedding-3-small", input="a").data[0].embedding
    assert azure.completions.create(model="gpt-3.5-turbo-instruct", prompt="a").choices[0].text
    assert routes() == ["gpt-4o", "gpt-4o", "sim-tool", "text-embedding-3-small", "gpt-3.5-turbo-instruct"]
    assert set(CallRecord.objects.values_list("api_key", "door")) == {("app", "openai")}


def test_the_sdk_gets_responses_models_and_stored_completions(azure: openai.AzureOpenAI) -> None:
    assert azure.responses.create(model="gpt-4o", input="a").output_text
    events = list(azure.responses.create(model="gpt-4o", input="a", stream=True))
    assert events[-1].type == "response.completed"
    assert "gpt-4o" in [model.id for model in azure.models.list()]
    stored = azure.chat.completions.create(model="gpt-4o", messages=MESSAGES, store=True)
    assert [completion.id for completion in azure.chat.completions.list()] == [stored.id]
    assert azure.chat.completions.retrieve(stored.id).id == stored.id


def test_the_sdk_may_name_any_route(azure: openai.AzureOpenAI, simulator: SimulatorThread) -> None:
    for route in ("sim-503>gpt-4o", "gpt-4o|gpt-4o-mini", "openai/gpt-4o", "sim-503|sim-500>openai/gpt-4o"):
        assert azure.chat.completions.create(model=route, messages=MESSAGES).choices[0].message.content
    assert routes() == ["sim-503>gpt-4o", "gpt-4o|gpt-4o-mini", "openai/gpt-4o", "sim-503|sim-500>openai/gpt-4o"]


def test_the_sdk_with_a_deployment_of_its_own_has_that_whatever_the_body_says(
    keyed: httpx2.Client, secret: str
) -> None:
    with openai.AzureOpenAI(
        azure_endpoint=str(keyed.base_url), azure_deployment="gpt-4o-mini", api_key=secret, api_version="2024-10-21"
    ) as client:
        client.chat.completions.create(model="another", messages=MESSAGES)
        client.responses.create(model="gpt-4o", input="a")
    assert routes() == ["gpt-4o-mini", "gpt-4o"]


def test_the_plain_sdk_speaks_to_azure_s_v1_address(keyed: httpx2.Client, secret: str) -> None:
    with openai.OpenAI(base_url=f"{keyed.base_url}/openai/v1/", api_key=secret) as client:
        assert client.chat.completions.create(model="gpt-4o", messages=MESSAGES).choices
        assert client.responses.create(model="gpt-4o", input="a").output_text
        assert client.embeddings.create(model="text-embedding-3-small", input="a").data
        assert client.models.retrieve("gpt-4o").id == "gpt-4o"


async def test_the_asynchronous_sdk_with_a_token_of_entra_is_one_with_a_bearer(
    keyed: httpx2.Client, secret: str
) -> None:
    endpoint = str(keyed.base_url)
    async with openai.AsyncAzureOpenAI(azure_endpoint=endpoint, azure_ad_token=secret, api_version="preview") as client:
        stream = await client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
        assert [chunk async for chunk in stream]


def test_the_sdk_raises_the_errors_that_it_knows(azure: openai.AzureOpenAI) -> None:
    with pytest.raises(openai.RateLimitError):
        azure.with_options(max_retries=0).chat.completions.create(model="sim-429", messages=MESSAGES)
    with pytest.raises(openai.NotFoundError):
        azure.chat.completions.create(model="sim-404", messages=MESSAGES)
    with pytest.raises(openai.AuthenticationError) as refused:
        azure.with_options(api_key="sk-wrong").chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert refused.value.body["type"] == "authentication_error"  # type: ignore[index]
    with pytest.raises(openai.BadRequestError) as bad:
        azure.chat.completions.create(model="a>", messages=MESSAGES)
    assert bad.value.param == "model"


def test_no_model_is_needed_in_the_body_and_one_that_differs_is_ignored(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    for body in ({"messages": HELLO}, {"messages": HELLO, "model": "other"}, {"messages": HELLO, "model": None}):
        answer = client.post(f"{DEPLOYMENTS}/gpt-4o/chat/completions{VERSION}", json=body)
        assert answer.headers["x-model-used"] == "gpt-4o"
    assert [seen["body"]["model"] for seen in simulator.requests()] == ["gpt-4o"] * 3


def test_the_header_for_a_route_counts_more_than_the_deployment(client: httpx2.Client) -> None:
    path = f"{DEPLOYMENTS}/gpt-4o/chat/completions{VERSION}"
    answer = client.post(path, json={"messages": HELLO}, headers={"x-route": "gpt-4o-mini"})
    assert answer.headers["x-model-used"] == "gpt-4o-mini"


def test_an_idempotency_key_tells_deployments_apart_and_knows_the_same_call_elsewhere(client: httpx2.Client) -> None:
    key = {"Idempotency-Key": "one"}
    first = client.post(f"{DEPLOYMENTS}/gpt-4o/chat/completions{VERSION}", json={"messages": HELLO}, headers=key)
    again = client.post(f"{DEPLOYMENTS}/gpt-4o/chat/completions", json={"messages": HELLO}, headers=key)
    plain = client.post("/v1/chat/completions", json={"messages": HELLO, "model": "gpt-4o"}, headers=key)
    other = client.post(f"{DEPLOYMENTS}/gpt-4o-mini/chat/completions{VERSION}", json={"messages": HELLO}, headers=key)
    assert [answer.status_code for answer in (first, again, plain, other)] == [200, 200, 200, 422]
    assert first.content == again.content == plain.content
    assert CallRecord.objects.count() == 1


def test_a_key_may_ask_only_its_models_here_too(keyed: httpx2.Client, make_key: MakeKey) -> None:
    secret = make_key("app", allowed_models="gpt-4o")["Authorization"].removeprefix("Bearer ")
    headers = {"api-key": secret}
    for model, status in (("gpt-4o", 200), ("gpt-4o-mini", 403), ("gpt-4o%3Egpt-4o-mini", 403)):
        path = f"{DEPLOYMENTS}/{model}/chat/completions{VERSION}"
        answer = keyed.post(path, json={"messages": HELLO, "model": "gpt-4o"}, headers=headers)
        assert answer.status_code == status, model


def test_errors_have_openai_s_shape(client: httpx2.Client) -> None:
    json_type = {"Content-Type": "application/json"}
    for method, path, content, status in (
        ("POST", f"{DEPLOYMENTS}/gpt-4o/chat/completions{VERSION}", b"{", 400),
        ("POST", f"{DEPLOYMENTS}/gpt-4o/chat/completions{VERSION}", b"[]", 400),
        ("POST", f"{DEPLOYMENTS}/{'a' * 2000}/chat/completions{VERSION}", b"{}", 400),
        ("POST", f"{DEPLOYMENTS}/gpt-4o/nothing{VERSION}", b"{}", 404),
        ("PUT", f"{DEPLOYMENTS}/gpt-4o/embeddings{VERSION}", b"{}", 405),
        ("GET", f"{DEPLOYMENTS}{VERSION}", b"", 404),
        ("GET", "/openai", b"", 404),
        ("POST", f"{DEPLOYMENTS}/gpt-4o/embeddings", b"x" * (settings.MAX_BODY_BYTES + 1), 413),
    ):
        answer = client.request(method, path, content=content, headers=json_type)
        assert answer.status_code == status, path
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert json.loads(answer.text)["error"]["request_id"] == answer.headers["x-request-id"]
    assert CallRecord.objects.count() == 0
