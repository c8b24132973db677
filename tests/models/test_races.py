"""Races of two real model servers. A whole answer is fetched as a stream there, and put together."""

from __future__ import annotations

import httpx2
import pytest

from chat.models import Attempt, CallRecord
from tests.models.comparing import comparable, is_done, said, said_by
from tests.models.conftest import FREE_SECONDS, Servers
from tests.models.questions import CHATS, COMPLETIONS, LONG, RESPONSES


@pytest.mark.parametrize("about", CHATS)
def test_a_raced_whole_answer_has_every_field_of_a_direct_one(
    servers: Servers, service: httpx2.Client, about: str
) -> None:
    # The other racer never answers, so that the model server works on one answer only.
    body = {**CHATS[about], "model": f"{servers.first.model}|sim-timeout"}
    through = service.post("/v1/chat/completions", json=body).json()
    direct = servers.first.ask("/chat/completions", CHATS[about]).json()
    assert said(through) == said(direct)
    assert {choice["message"]["role"] for choice in through["choices"]} == {"assistant"}
    others = {name: value for name, value in comparable(direct).items() if name != "choices"}
    assert {name: comparable(through)[name] for name in others} == others
    kept = CallRecord.objects.get()
    assert kept.body.answer == through
    assert (kept.usage_estimated, kept.prompt_tokens) == (False, direct["usage"]["prompt_tokens"])


@pytest.mark.parametrize("about", ["text", "logprobs", "two choices"])
def test_of_two_servers_the_winner_s_answer_is_given(servers: Servers, service: httpx2.Client, about: str) -> None:
    route = f"{servers.first.model}|{servers.second.model}"
    answer = service.post("/v1/chat/completions", json={**CHATS[about], "model": route})
    winner = servers.first if answer.headers["x-provider-used"] == "first" else servers.second
    assert said(answer.json()) == said(winner.ask("/chat/completions", CHATS[about]).json())
    assert {attempt.provider: attempt.raced for attempt in Attempt.objects.all()} == {"first": True, "second": True}


@pytest.mark.parametrize("about", ["one prompt", "two prompts", "two choices"])
def test_a_raced_text_completion_is_the_same(servers: Servers, service: httpx2.Client, about: str) -> None:
    route = f"{servers.first.model}|{servers.second.model}"
    through = service.post("/v1/completions", json={**COMPLETIONS[about], "model": route}).json()
    direct = servers.first.ask("/completions", COMPLETIONS[about]).json()
    assert comparable(through["choices"]) == comparable(direct["choices"])
    assert through["object"] == "text_completion"


@pytest.mark.parametrize("about", RESPONSES)
def test_a_raced_response_is_the_same(servers: Servers, service: httpx2.Client, about: str) -> None:
    body = {**RESPONSES[about], "model": f"{servers.first.model}|sim-timeout"}
    through = comparable(service.post("/v1/responses", json=body).json())
    direct = comparable(servers.first.ask("/responses", RESPONSES[about]).json())
    # The server says when a whole response was completed, and in a stream it does not say it.
    assert direct.pop("completed_at")
    assert {name: through[name] for name in direct} == direct


def test_a_raced_stream_is_the_winner_s(servers: Servers, service: httpx2.Client) -> None:
    route = f"{servers.first.model}|{servers.second.model}"
    body = {**CHATS["text"], "stream": True}
    through = service.post("/v1/chat/completions", json={**body, "model": route})
    winner = servers.first if through.headers["x-provider-used"] == "first" else servers.second
    assert said_by(through) == said_by(winner.ask("/chat/completions", body))
    assert is_done(through)


def test_a_loser_is_cut_at_once_and_its_slot_is_free(servers: Servers, service: httpx2.Client) -> None:
    # The second model of the race answers with a few tokens; the first one has been told to go on for long.
    asked = {name: LONG[name] for name in ("messages", "max_tokens", "temperature")}
    service.post("/chat/parallel", json={**asked, "models": [servers.first.model, "gpt-4o"]})
    servers.first.becomes_free(within=FREE_SECONDS)
    call = CallRecord.objects.get()
    assert call.provider_used == "openai"
    assert {attempt.provider: attempt.status for attempt in call.attempts.all()} == {
        "first": "cancelled",
        "openai": "succeeded",
    }
