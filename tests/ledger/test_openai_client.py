"""OpenAI's own client reads the ledger's answers. Otherwise only our reading of the protocol would confirm them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai

from tests.ledger.driver.material import FUNCTIONS
from tests.ledger.test_server import upstream
from tests.ledger.upstream.lines import Line
from tests.ledger.upstream.prices import Searches
from tests.support.loopback import DIRECT
from tests.support.openai_sdk import HELLO

QUICK = {"seconds_per_token": 0.0005, "answer": 30, "calls_function": False}
CHAT_TOOLS: list[Any] = [{"type": "function", "function": function} for function in FUNCTIONS]
RESPONSE_TOOLS: list[Any] = [{"type": "function", **function} for function in FUNCTIONS]


@asynccontextmanager
async def client_of(**plan: Any) -> AsyncIterator[tuple[openai.AsyncOpenAI, list[Line]]]:
    async with upstream(**QUICK | plan) as (session, ledger):
        connections = openai.DefaultAsyncHttpxClient(**DIRECT)
        async with openai.AsyncOpenAI(base_url=str(session._base_url), api_key="x", http_client=connections) as client:
            yield client, ledger.ledger.lines


async def test_a_chat_completion() -> None:
    async with client_of() as (client, lines):
        answer = await client.chat.completions.create(model="o3", messages=HELLO)
    assert answer.usage is not None and answer.usage.completion_tokens == lines[0].tokens.completion == 130
    assert answer.choices[0].message.content


async def test_a_streamed_call_of_a_function() -> None:
    options: Any = {"include_usage": True}
    async with (
        client_of(calls_function=True) as (client, lines),
        client.chat.completions.stream(model="o3", messages=HELLO, tools=CHAT_TOOLS, stream_options=options) as stream,
    ):
        answer = await stream.get_final_completion()
    call = (answer.choices[0].message.tool_calls or [])[0]
    assert call.function.name in ("search_catalogue", "write_note")
    assert '"text"' in call.function.arguments
    assert answer.usage is not None and answer.usage.completion_tokens == lines[0].tokens.completion > 130


async def test_a_streamed_response_with_searches() -> None:
    async with (
        client_of(searches=Searches(web=1, file=1), pages_opened=1) as (client, lines),
        client.responses.stream(model="gpt-5.4", input="Hello", tools=RESPONSE_TOOLS) as stream,
    ):
        kinds = {event.type async for event in stream}
        answer = await stream.get_final_response()
    assert {"response.web_search_call.searching", "response.file_search_call.completed"} <= kinds
    assert [item.type for item in answer.output] == [
        "reasoning",
        "web_search_call",
        "web_search_call",
        "file_search_call",
        "message",
    ]
    assert answer.usage is not None and answer.usage.output_tokens == lines[0].tokens.completion == 130


async def test_embeddings_and_completions() -> None:
    async with client_of(reasoning=0) as (client, lines):
        vectors = await client.embeddings.create(
            model="text-embedding-3-small", input=["a", "b"], encoding_format="float"
        )
        text = await client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Hello")
    assert (len(vectors.data), vectors.usage.prompt_tokens) == (2, 2)
    assert text.usage is not None and (text.usage.prompt_tokens, text.usage.completion_tokens) == (1, 30)
    assert [line.tokens.completion for line in lines] == [0, 30]
