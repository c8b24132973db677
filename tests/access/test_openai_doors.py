"""Keys at the /v1 doors, sent by OpenAI's own client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI

from tests.access.conftest import MakeKey
from tests.support.loopback import loopback_client

StartSite = Callable[..., httpx2.Client]
HELLO: Any = [{"role": "user", "content": "hi"}]


@pytest.fixture
def sdk_of() -> Iterator[Callable[[httpx2.Client, str], OpenAI]]:
    with ExitStack() as stack:

        def make(client: httpx2.Client, key: str) -> OpenAI:
            http = stack.enter_context(loopback_client())
            return stack.enter_context(OpenAI(base_url=f"{client.base_url}/v1", api_key=key, http_client=http))

        yield make


def bearer(headers: dict[str, str]) -> str:
    return headers["Authorization"].removeprefix("Bearer ")


def test_without_a_right_key_the_sdk_raises_its_authentication_error(start_site: StartSite, sdk_of: Any) -> None:
    sdk = sdk_of(start_site(API_KEYS_REQUIRED=True), "sk-whatever")
    with pytest.raises(openai.AuthenticationError):
        sdk.chat.completions.create(model="gpt-4o", messages=HELLO)


def test_where_none_is_required_a_key_of_somebody_else_s_is_not_looked_at(start_site: StartSite, sdk_of: Any) -> None:
    client = start_site()
    assert sdk_of(client, "sk-whatever").chat.completions.create(model="gpt-4o", messages=HELLO).choices
    with pytest.raises(openai.AuthenticationError):  # a key that looks like one of ours must be valid
        sdk_of(client, "sk-orch-" + "x" * 43).chat.completions.create(model="gpt-4o", messages=HELLO)


def test_a_model_that_the_key_may_not_call_is_a_permission_error(
    start_site: StartSite, make_key: MakeKey, sdk_of: Any
) -> None:
    sdk = sdk_of(start_site(API_KEYS_REQUIRED=True), bearer(make_key("app", allowed_models="gpt-4o-mini")))
    assert sdk.chat.completions.create(model="gpt-4o-mini", messages=HELLO).choices
    with pytest.raises(openai.PermissionDeniedError, match="gpt-4o"):
        sdk.chat.completions.create(model="gpt-4o-mini>gpt-4o", messages=HELLO)


def test_stored_completions_belong_to_their_key(start_site: StartSite, make_key: MakeKey, sdk_of: Any) -> None:
    client = start_site(API_KEYS_REQUIRED=True)
    mine, other = sdk_of(client, bearer(make_key("mine"))), sdk_of(client, bearer(make_key("other")))
    made = mine.chat.completions.create(model="gpt-4o", messages=HELLO, store=True)
    assert [stored.id for stored in mine.chat.completions.list()] == [made.id]
    assert list(other.chat.completions.list()) == []
    for touch in (other.chat.completions.retrieve, other.chat.completions.delete):
        with pytest.raises(openai.NotFoundError):
            touch(made.id)
    auditor = sdk_of(client, bearer(make_key("auditor", scopes=["read_all"])))
    assert auditor.chat.completions.retrieve(made.id).id == made.id
    with pytest.raises(openai.NotFoundError):
        auditor.chat.completions.delete(made.id)
    assert mine.chat.completions.delete(made.id).deleted


def test_an_idempotency_key_of_one_is_no_key_of_another(start_site: StartSite, make_key: MakeKey) -> None:
    client = start_site(API_KEYS_REQUIRED=True)
    ids = []
    for name in ("one", "two"):
        headers = make_key(name) | {"Idempotency-Key": "same"}
        answer = client.post("/chat", json={"prompt": "hi"}, headers=headers)
        assert answer.status_code == 200
        ids.append(answer.json()["request_id"])
    assert ids[0] != ids[1]


def test_a_limit_is_a_rate_limit_error_and_its_headers_are_openai_s(
    start_site: StartSite, make_key: MakeKey, sdk_of: Any
) -> None:
    sdk = sdk_of(start_site(), bearer(make_key("app", rate_limit="1/h"))).with_options(max_retries=0)
    raw = sdk.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO)
    assert raw.headers["x-ratelimit-remaining-requests"] == "0"
    with pytest.raises(openai.RateLimitError) as raised:
        sdk.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert int(raised.value.response.headers["retry-after"]) > 0


def test_a_cached_answer_counts_as_a_request_and_costs_no_budget(start_site: StartSite, make_key: MakeKey) -> None:
    client = start_site()
    headers = make_key("app", rate_limit="3/h", usd_per_day="0.05")
    order = {"prompt": "hi", "model": "gpt-4o", "max_tokens": 5, "cache_ttl": 60}
    answers = [client.post("/chat", json=order, headers=headers) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers.get("x-cached") for answer in answers[:3]] == [None, "true", "true"]


def test_metrics_are_for_keys_that_may_see_all(start_site: StartSite, make_key: MakeKey) -> None:
    client = start_site(API_KEYS_REQUIRED=True)
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers=make_key("app")).status_code == 403
    assert client.get("/metrics", headers=make_key("prometheus", scopes=["read_all"])).status_code == 200
