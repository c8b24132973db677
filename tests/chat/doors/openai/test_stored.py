"""Stored chat completions with the SDK's own methods: list, retrieve, update, delete and messages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest

from chat.models import CallContent, CallRecord
from llm.simulator import Behaviour, SimulatorThread
from tests.support.openai_sdk import HELLO, WEATHER, chunks_of, sdk_of
from tests.support.upstreams.written_upstream import Reply

StartSite = Callable[..., httpx2.Client]


def make(sdk: openai.OpenAI, model: str = "gpt-4o", **fields: Any) -> str:
    """Make a stored completion. Returns its id."""
    fields = {"store": True, "messages": HELLO, **fields}
    return str(sdk.chat.completions.create(model=model, **fields).id)


def ids(page: Any) -> list[str]:
    return [completion.id for completion in page]


def test_pages_in_both_orders_by_the_sdk_s_own_paging(sdk: openai.OpenAI) -> None:
    made = [make(sdk) for _ in range(5)]
    make(sdk, store=False)
    stored = sdk.chat.completions
    assert ids(stored.list()) == made
    assert ids(stored.list(limit=2)) == made
    assert ids(stored.list(limit=2, order="desc")) == made[::-1]
    page = stored.list(limit=2, after=made[0])
    assert (ids(page.data), page.has_more) == (made[1:3], True)
    assert stored.list(limit=2, after=made[2]).has_more is False
    with pytest.raises(openai.NotFoundError):
        stored.list(after="chatcmpl-nothing")
    for wrong in ({"limit": 0}, {"limit": 101}, {"limit": "many"}, {"order": "up"}):
        with pytest.raises(openai.BadRequestError) as raised:
            stored.list(**wrong)
        assert raised.value.param == next(iter(wrong))


def test_filters_by_model_and_by_every_metadata_pair(sdk: openai.OpenAI) -> None:
    blue = make(sdk, metadata={"team": "blue", "0": "zero", "a__b": "x", "line\nend": "y"})
    red = make(sdk, "sim-500>gpt-4o-mini", metadata={"team": "red"})
    stored = sdk.chat.completions
    assert ids(stored.list(model="gpt-4o-mini")) == [red]
    assert ids(stored.list(metadata={"team": "blue"})) == [blue]
    assert ids(stored.list(metadata={"team": "blue", "0": "zero", "a__b": "x", "line\nend": "y"})) == [blue]
    assert ids(stored.list(metadata={"team": "blue", "0": "one"})) == []
    with pytest.raises(openai.BadRequestError):
        stored.list(extra_query={"metadata": "team"})


def test_retrieve_update_and_delete(sdk: openai.OpenAI) -> None:
    made = make(sdk, metadata={"team": "blue"})
    stored = sdk.chat.completions
    found = stored.retrieve(made)
    assert (found.id, found.object, found.metadata) == (made, "chat.completion", {"team": "blue"})  # type: ignore[attr-defined]
    assert found.choices[0].message.content == CallRecord.objects.get().body.content
    assert stored.update(made, metadata={"team": "red\x00"}).metadata == {"team": "red\ufffd"}  # type: ignore[attr-defined]
    assert ids(stored.list(metadata={"team": "blue"})) == []
    assert stored.update(made, metadata=None).metadata == {}  # type: ignore[attr-defined]
    with pytest.raises(openai.BadRequestError) as raised:
        stored.update(made, metadata={"a": "b" * 513})
    assert raised.value.param == "metadata.a"
    assert stored.delete(made).deleted is True
    for call in (
        lambda: stored.retrieve(made),
        lambda: stored.delete(made),
        lambda: stored.update(made, metadata={}),
        lambda: stored.messages.list(made),
    ):
        with pytest.raises(openai.NotFoundError):
            call()
    call = CallRecord.objects.get()
    assert (call.status, call.prompt_tokens is not None, CallContent.objects.count()) == ("succeeded", True, 0)


def test_the_messages_of_a_completion(sdk: openai.OpenAI) -> None:
    parts = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    made = make(sdk, messages=[{"role": "system", "content": "Be brief"}, {"role": "user", "content": parts}, *HELLO])
    messages = sdk.chat.completions.messages
    everything = list(messages.list(made, limit=1))
    assert [message.content for message in everything] == ["Be brief", None, "Hello"]
    assert everything[1].content_parts[0].text == "Look"  # type: ignore[index, union-attr]
    assert [m.id for m in messages.list(made, order="desc")] == [m.id for m in everything[::-1]]
    assert [m.content for m in messages.list(made, after=everything[1].id)] == ["Hello"]
    with pytest.raises(openai.NotFoundError):
        messages.list(made, after="nothing")


def test_streamed_and_raced_ones_too_tool_calls_and_all(client: httpx2.Client) -> None:
    sdk = sdk_of(client)
    raced = make(sdk, "sim-tool|sim-timeout", tools=[WEATHER])
    streamed = chunks_of(
        client.post(
            "/v1/chat/completions",
            json={"model": "sim-500>sim-tool", "messages": HELLO, "tools": [WEATHER], "store": True, "stream": True},
        )
    )[0]["id"]
    assert ids(sdk.chat.completions.list()) == [raced, streamed]
    for made in (raced, streamed):
        completion = sdk.chat.completions.retrieve(made)
        (call,) = completion.choices[0].message.tool_calls or []
        assert json.loads(call.function.arguments) == {"city": "simulated"}  # type: ignore[union-attr]
        assert completion.choices[0].finish_reason == "tool_calls"
        assert completion.usage is not None


def test_by_the_setting_all_are_listed_or_no_content_is_kept(start_site: StartSite) -> None:
    sdk = sdk_of(start_site(STORED_COMPLETIONS="all"))
    kept = [make(sdk, store=False)]
    for _ in sdk.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True):  # type: ignore[call-overload]
        pass
    assert len(ids(sdk.chat.completions.list())) == 2
    assert ids(sdk.chat.completions.list())[:1] == kept
    assert CallRecord.objects.filter(stored=True).count() == 0
    sdk = sdk_of(start_site(STORED_COMPLETIONS="asked", STORE_CONTENT=False))
    before = CallContent.objects.count()
    made = make(sdk)
    assert ids(sdk.chat.completions.list()) == []
    with pytest.raises(openai.NotFoundError):
        sdk.chat.completions.retrieve(made)
    assert CallContent.objects.count() == before


def test_what_must_not_be_kept_is_redacted_in_every_place(start_site: StartSite, simulator: SimulatorThread) -> None:
    sdk = sdk_of(start_site(REDACT_PATTERNS=(re.compile(r"secret-\d+"),)))
    simulator.script("tells", Behaviour(answer="It is secret-1, really."))
    made = make(
        sdk, "tells", messages=[{"role": "user", "content": "secret-2?"}], metadata={"a": "secret-3"}, user="secret-4"
    )
    stored = sdk.chat.completions
    stored.update(made, metadata={"a": "secret-5"})
    answers = [stored.retrieve(made).to_json(), stored.list().to_json(), stored.messages.list(made).to_json()]
    rows = [str(list(model.objects.values())) for model in (CallRecord, CallContent)]
    assert not re.search(r"secret-\d", " ".join([*answers, *rows]))
    assert "It is [redacted], really." in answers[0]
    assert stored.retrieve(made).metadata == {"a": "[redacted]"}  # type: ignore[attr-defined]


def test_an_answer_that_the_cache_gave_again_is_listed_once(sdk: openai.OpenAI) -> None:
    first, again = (make(sdk, extra_body={"x-cache-ttl": 60}) for _ in range(2))
    assert first == again
    assert CallRecord.objects.count() == 2
    assert ids(sdk.chat.completions.list()) == [first]


def test_pages_end_even_where_an_upstream_gives_one_id_to_all(written_site: Callable[..., Any]) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
    client, _ = written_site(lambda path, body: Reply({"id": body["model"], "choices": [choice]}))
    sdk = sdk_of(client)
    for model in ("same", "one", "same", "two", "same"):
        make(sdk, model)
    for order in ("asc", "desc"):
        page = sdk.chat.completions.list(limit=1, order=order)  # type: ignore[arg-type]
        for _ in range(6):
            if not page.has_next_page():
                break
            page = page.get_next_page()
        else:
            pytest.fail("the pages do not end")
