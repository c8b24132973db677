"""The tokens of prompts, against numbers that OpenAI's API was seen to count."""

from __future__ import annotations

import base64
import struct
import time
from typing import Any

import pytest

from llm import CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, RESPONSES
from llm.costs.estimates import read_chat
from llm.costs.estimates.reading import TOKENS_PER_MESSAGE, TOKENS_PER_REPLY
from llm.costs.tokens import count_tokens
from tests.llm.costs.estimates.test_images import PNG, data_url

# The examples of OpenAI's cookbook, "How to count tokens with tiktoken".
JARGON = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon "
        "into plain English.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "New synergies will help drive top-line growth.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Things working well together will increase revenue.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities "
        "for increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": ("This late pivot means we don't have time to boil the ocean for the client deliverable."),
    },
]
WEATHER = {
    "name": "get_current_weather",
    "description": "Get the current weather in a given location",
    "parameters": {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
            "unit": {
                "type": "string",
                "description": "The unit of temperature to return",
                "enum": ["celsius", "fahrenheit"],
            },
        },
        "required": ["location"],
    },
}
QUESTION = [
    {
        "role": "system",
        "content": "You are a helpful assistant that can answer to questions about the weather.",
    },
    {"role": "user", "content": "What's the weather like in San Francisco?"},
]
HI = [{"role": "user", "content": "Hi"}]


def chat(model: str = "gpt-4o", **body: Any) -> int:
    return CHAT_COMPLETIONS.prompt_tokens({"messages": HI, **body}, model)


def content(*parts: Any, model: str = "gpt-4o") -> int:
    """What parts of a content add to a message without any."""
    return chat(model, messages=[{"role": "user", "content": list(parts)}]) - chat(
        model, messages=[{"role": "user", "content": []}]
    )


@pytest.mark.parametrize(
    ("model", "tokens"), [("gpt-4-0613", 129), ("gpt-3.5-turbo", 129), ("gpt-4o", 124), ("gpt-4o-mini", 124)]
)
def test_messages_have_the_tokens_that_openai_counted(model: str, tokens: int) -> None:
    assert chat(model, messages=JARGON) == tokens


@pytest.mark.parametrize(
    ("model", "tokens"), [("gpt-4", 105), ("gpt-3.5-turbo", 105), ("gpt-4o", 101), ("gpt-4o-mini", 101)]
)
def test_tools_have_the_tokens_that_openai_counted(model: str, tokens: int) -> None:
    tools = [{"type": "function", "function": WEATHER}]
    assert chat(model, messages=QUESTION, tools=tools) == tokens
    assert chat(model, messages=QUESTION, functions=[WEATHER]) == tokens
    flat = {"input": QUESTION, "tools": [{"type": "function", **WEATHER}]}
    assert RESPONSES.prompt_tokens(flat, model) == tokens


def test_a_call_of_a_tool_in_the_history_counts() -> None:
    """OpenAI counted 40 for this: https://community.openai.com/t/538914."""
    call = {"id": "a", "type": "function", "function": {"name": "calculator", "arguments": '{"a":2, "b":2}'}}
    history = [
        {"role": "user", "content": [{"type": "text", "text": "How much is 2 plus 2?"}]},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "4"},
    ]
    assert chat("gpt-3.5-turbo", messages=history) == pytest.approx(40, abs=2)
    items = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "How much is 2 plus 2?"}]},
        {"type": "function_call", "call_id": "a", "name": "calculator", "arguments": '{"a":2, "b":2}'},
        {"type": "function_call_output", "call_id": "a", "output": "4"},
    ]
    assert RESPONSES.prompt_tokens({"input": items}, "gpt-3.5-turbo") == pytest.approx(40, abs=4)


def test_a_schema_counts_by_its_text() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    described = {"name": "place", "schema": schema}
    added = chat(response_format={"type": "json_schema", "json_schema": described}) - chat()
    assert 20 < added < 60
    text = {"format": {"type": "json_schema", **described}}
    without = RESPONSES.prompt_tokens({"input": "Hi"}, "gpt-4o")
    assert RESPONSES.prompt_tokens({"input": "Hi", "text": text}, "gpt-4o") - without == added
    assert chat(response_format={"type": "json_object"}) == chat()


def test_inner_properties_of_a_tool_count() -> None:
    inner = {"type": "object", "properties": {"deep": {"type": "string", "description": "One two three four"}}}
    flat = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "array"}}}}
    nested = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "array", "items": inner}}}}
    assert chat(functions=[nested]) > chat(functions=[flat]) + 8


def test_the_input_of_a_response_is_framed_as_a_message() -> None:
    assert RESPONSES.prompt_tokens({"input": "Hi"}, "gpt-4o") == chat()
    with_instructions = {"input": "Hi", "instructions": "Be brief."}
    assert RESPONSES.prompt_tokens(with_instructions) == chat(
        messages=[{"role": "system", "content": "Be brief."}, *HI]
    )


@pytest.mark.parametrize(
    ("parts", "tokens"),
    [
        ([], 0),
        (["Hello there"], 2),
        ([{"type": "text", "text": "Hello there"}], 2),
        ([1, None, {"text": 5}, [], {}], 0),
        ([{"type": "image_url", "image_url": {"url": data_url(PNG)}}], 85 + 2 * 170),
        ([{"type": "image_url", "image_url": {"url": data_url(PNG), "detail": "low"}}], 85),
        ([{"type": "input_image", "image_url": data_url(PNG), "detail": "low"}], 85),
        ([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}], 765),
        ([{"type": "image_url", "image_url": None}], 765),
        ([{"type": "image", "source": {"type": "base64", "data": base64.b64encode(PNG).decode()}}], 85 + 2 * 170),
        ([{"type": "input_audio", "input_audio": {"data": "A" * 64_000, "format": "mp3"}}], 30),
        ([{"type": "input_audio", "input_audio": {"data": "A" * 64_000, "format": "wav"}}], 10),
        ([{"type": "file", "file": {"file_id": "file-1"}}], 5_000),
        ([{"type": "input_file", "file_url": "https://example.com/a.pdf"}], 5_000),
        ([{"type": "file", "file": {"file_data": "data:application/pdf;base64," + "A" * 80_000}}], 1_200),
        ([{"type": "file", "file": {"file_data": data_url(b"Hello there", "text/plain")}}], 2),
    ],
    ids=range(16),
)
def test_each_kind_of_part_counts(parts: list[Any], tokens: int) -> None:
    assert content(*parts) == tokens


def test_sound_is_measured_by_its_own_header_and_is_a_part_of_the_prompt() -> None:
    """Ten tokens a second: four seconds of 8 kHz, 16 bits."""
    head = b"RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00" + struct.pack("<IIHH", 8_000, 16_000, 2, 16)
    data = base64.b64encode(head + b"\x00" * 64_000).decode()
    part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    counted = read_chat({"messages": [{"role": "user", "content": [part]}]}, "gpt-4o-audio-preview").tokens("gpt-4o")
    assert counted.audio == 40
    assert counted.total == 40 + TOKENS_PER_MESSAGE + 1 + TOKENS_PER_REPLY


def test_prompts_and_inputs_are_texts_or_tokens_or_lists_of_them() -> None:
    assert COMPLETIONS.prompt_tokens({"prompt": "Hello there"}) == 2
    assert COMPLETIONS.prompt_tokens({"prompt": ["Hello there", "Hello there"]}) == 4
    assert EMBEDDINGS.prompt_tokens({"input": [[1, 2, 3], [4]]}) == 4
    assert EMBEDDINGS.prompt_tokens({"input": "网关把请求交给最快的模型。"}, "text-embedding-3-small") == count_tokens(
        "网关把请求交给最快的模型。", "gpt-4"
    )


@pytest.mark.parametrize(
    "body",
    [
        {"messages": None},
        {"messages": "Hi"},
        {"messages": [None, 1, "Hi", [], {"role": 5, "content": {"a": 1}, "name": {}, "tool_calls": 7}]},
        {"messages": [{"tool_calls": [None, {"function": "f"}, {"function": {"arguments": {}}}]}]},
        {"tools": [None, {}, {"type": "web_search"}, {"function": {"parameters": [1]}}]},
        {
            "functions": [
                {"name": "f", "parameters": {"properties": {"a": None, "b": {"enum": [None, {}], "type": []}}}}
            ]
        },
        {"response_format": {"type": "json_schema", "json_schema": 5}},
        {"input": [{"type": "reasoning", "encrypted_content": "A" * 600}], "text": 5, "instructions": [1]},
    ],
    ids=range(8),
)
def test_a_body_of_any_shape_has_a_count(body: dict[str, Any]) -> None:
    assert CHAT_COMPLETIONS.prompt_tokens(body) >= TOKENS_PER_REPLY
    assert RESPONSES.prompt_tokens(body) >= TOKENS_PER_REPLY


def test_counting_stays_bounded_whatever_a_body_consists_of() -> None:
    """The time would be seconds, if each of these were counted by itself."""
    names = {f"name{number}": {"type": "string", "description": "One two three"} for number in range(30_000)}
    bodies = [
        {"messages": [{"role": "user", "content": "a"}] * 40_000},
        {"functions": [{"name": "f", "parameters": {"properties": names}}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": data_url(PNG)}] * 5_000}]},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": "A" * 2_000_000}}]}]},
    ]
    for body in bodies:
        began = time.process_time()
        assert chat(**body) > 30_000
        assert time.process_time() - began < 0.6
