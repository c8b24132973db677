"""Streams of a real model server, through the service, have the events that the server sends directly."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import openai
import pytest

from chat.models import CallRecord
from tests.models.comparing import comparable, comparable_stream, events_of, is_done, said, said_by
from tests.models.conftest import Servers
from tests.models.questions import CHATS, COMPLETIONS, RESPONSES, Json


def both(
    servers: Servers, service: httpx2.Client, path: str, body: Json, **more: object
) -> tuple[httpx2.Response, httpx2.Response]:
    """The stream that the server `first` sends, and that of the service in front of it."""
    body = {**body, **more, "stream": True}
    direct = servers.first.ask(path, body)
    through = service.post(f"/v1{path}", json={**body, "model": servers.first.model})
    assert (direct.status_code, through.status_code) == (200, 200), through.text
    return direct, through


@pytest.mark.parametrize("about", CHATS)
def test_a_chat_stream_is_the_same_and_its_answer_is_on_record(
    servers: Servers, service: httpx2.Client, about: str
) -> None:
    asked = {**CHATS[about], "stream_options": {"include_usage": True}}
    direct, through = both(servers, service, "/chat/completions", asked)
    assert comparable_stream(through) == comparable_stream(direct)
    assert is_done(direct) and is_done(through)
    whole = servers.first.ask("/chat/completions", CHATS[about]).json()
    call = CallRecord.objects.get()
    assert call.status == "succeeded"
    assert said(call.body.answer) == said(whole)
    assert (call.prompt_tokens, call.usage_estimated) == (whole["usage"]["prompt_tokens"], False)
    assert call.completion_tokens == whole["usage"]["completion_tokens"]


def test_a_caller_who_asks_for_no_usage_sees_none_and_it_is_on_record(servers: Servers, service: httpx2.Client) -> None:
    direct, through = both(servers, service, "/chat/completions", CHATS["text"])
    # Without `include_usage` the server puts its timings into the chunk with the finish reason, and with it into the
    # chunk with the usage, which this caller does not see.
    *chunks, last = comparable_stream(direct)
    assert last.pop("timings")
    assert comparable_stream(through) == [*chunks, last]
    assert CallRecord.objects.get().completion_tokens == CHATS["text"]["max_tokens"]


@pytest.mark.parametrize("about", COMPLETIONS)
def test_a_text_completion_s_stream_is_the_same_and_on_record(
    servers: Servers, service: httpx2.Client, about: str
) -> None:
    asked = {**COMPLETIONS[about], "stream_options": {"include_usage": True}}
    direct, through = both(servers, service, "/completions", asked)
    assert comparable_stream(through) == comparable_stream(direct)
    assert is_done(through)
    whole = servers.first.ask("/completions", COMPLETIONS[about]).json()
    kept = CallRecord.objects.get().body.answer["choices"]
    assert [choice["text"] for choice in kept] == [choice["text"] for choice in whole["choices"]]


@pytest.mark.parametrize("about", RESPONSES)
def test_a_response_s_events_are_the_same_and_on_record(servers: Servers, service: httpx2.Client, about: str) -> None:
    direct, through = both(servers, service, "/responses", RESPONSES[about])
    assert comparable(events_of(through)) == comparable(events_of(direct))
    call = CallRecord.objects.get()
    last = events_of(through)[-1]
    assert (last["type"], call.status) == ("response.completed", "succeeded")
    assert call.body.answer["output"] == last["response"]["output"]
    assert call.completion_tokens == last["response"]["usage"]["output_tokens"]


def test_a_native_stream_gives_the_same_text(servers: Servers, service: httpx2.Client) -> None:
    messages = CHATS["text"]["messages"]
    direct = servers.first.ask("/chat/completions", {"messages": messages, "max_tokens": 8, "temperature": 0}).json()
    body = {"messages": messages, "max_tokens": 8, "temperature": 0, "model": servers.first.model}
    *texts, done = service.post("/chat/stream", json=body).text.removesuffix("\n\n").split("\n\n")
    text = "".join("\n".join(line.removeprefix("data: ") for line in event.split("\n")) for event in texts)
    assert (text, done) == (direct["choices"][0]["message"]["content"], "data: [DONE]")


@pytest.mark.parametrize("about", ["text", "two tool calls", "thoughts", "any characters", "logprobs"])
def test_the_sdk_puts_the_whole_answer_together(servers: Servers, sdk: openai.OpenAI, about: str) -> None:
    unknown = ("cache_prompt", "grammar")
    asked = {name: value for name, value in CHATS[about].items() if name not in unknown}
    more = {name: CHATS[about][name] for name in unknown if name in CHATS[about]}
    with sdk.chat.completions.stream(model=servers.first.model, extra_body=more, **asked) as stream:
        for _ in stream:
            pass
        together = stream.current_completion_snapshot.choices[0]
    whole = servers.first.ask("/chat/completions", CHATS[about]).json()["choices"][0]
    assert (together.message.content or "") == whole["message"]["content"]
    assert together.finish_reason == whole["finish_reason"]
    called = [(call.function.name, call.function.arguments) for call in together.message.tool_calls or ()]
    calls = [call["function"] for call in whole["message"].get("tool_calls", ())]
    assert called == [(call["name"], call["arguments"]) for call in calls]


@pytest.mark.parametrize("about", ["text", "two tool calls", "thoughts", "two choices", "json_schema", "logprobs"])
def test_a_stored_stream_is_read_back_as_the_whole_answer(servers: Servers, service: httpx2.Client, about: str) -> None:
    asked = {**CHATS[about], "stream_options": {"include_usage": True}}
    _, through = both(servers, service, "/chat/completions", asked, store=True)
    whole = servers.first.ask("/chat/completions", CHATS[about]).json()
    stored = service.get(f"/v1/chat/completions/{events_of(through)[0]['id']}").json()
    assert said(stored) == said(whole)


@pytest.mark.parametrize("about", ["text", "two tool calls", "thoughts", "two choices", "logprobs"])
def test_a_stream_from_the_cache_says_the_same(
    servers: Servers, start_service: Callable[..., httpx2.Client], about: str
) -> None:
    first, again = twice(start_service(CACHE_TTL=60), "/chat/completions", servers.first.model, CHATS[about])
    assert said_by(again) == said_by(first)
    assert is_done(again)


@pytest.mark.parametrize("about", COMPLETIONS)
def test_a_text_completion_s_stream_from_the_cache_says_the_same(
    servers: Servers, start_service: Callable[..., httpx2.Client], about: str
) -> None:
    def texts(stream: httpx2.Response) -> dict[int, tuple[str, list[Json], str]]:
        """By the index of a choice: its text, the tokens of its logprobs and its finish reason."""
        found: dict[int, tuple[str, list[Json], str]] = {}
        for choice in (choice for event in events_of(stream) for choice in event["choices"]):
            text, tokens, reason = found.get(choice["index"], ("", [], ""))
            tokens = tokens + (choice.get("logprobs") or {"content": []})["content"]
            found[choice["index"]] = (text + choice["text"], tokens, choice["finish_reason"] or reason)
        return found

    first, again = twice(start_service(CACHE_TTL=60), "/completions", servers.first.model, COMPLETIONS[about])
    assert texts(again) == texts(first)
    assert is_done(again)


@pytest.mark.parametrize("about", RESPONSES)
def test_a_response_s_stream_from_the_cache_ends_with_the_same_response(
    servers: Servers, start_service: Callable[..., httpx2.Client], about: str
) -> None:
    first, again = twice(start_service(CACHE_TTL=60), "/responses", servers.first.model, RESPONSES[about])
    assert events_of(again)[-1]["response"] == events_of(first)[-1]["response"]


def twice(service: httpx2.Client, path: str, model: str, body: Json) -> tuple[httpx2.Response, httpx2.Response]:
    """The stream of the model, and the one that the cache gives for the same request."""
    asked = {**body, "model": model, "stream": True}
    first, again = (service.post(f"/v1{path}", json=asked) for _ in range(2))
    assert (first.headers["x-cached"], again.headers["x-cached"]) == ("false", "true")
    return first, again
