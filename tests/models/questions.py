"""What the tests ask: bodies of requests whose answers are always the same.

Temperature 0 takes the likeliest token each time. `cache_prompt` is llama.cpp's own field: without its cache of prompts
it computes each prompt in the same way, so that two answers are equal to the last digit of a logprob.
"""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]

ALWAYS_THE_SAME: Json = {"temperature": 0, "seed": 7, "cache_prompt": False}

WEATHER: Json = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}

TRIP: Json = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city", "days"],
    "additionalProperties": False,
}


# Characters that are easily lost on the way through JSON, UTF-8 and lines of events.
CHARACTERS = '🙂漢字 é\n\t"q" \\ \u2028<b>&amp;☃\ufe0f'


def user(text: str) -> Json:
    return {"role": "user", "content": text}


def chat(*messages: Json, **fields: Any) -> Json:
    return {"messages": list(messages), "max_tokens": 8, **ALWAYS_THE_SAME, **fields}


def _called(*cities: str) -> list[Json]:
    """A question, the calls that answer it, and their results. The model is small and has to be shown how it goes."""
    calls = [
        {
            "id": f"call_{city}",
            "type": "function",
            "function": {"name": "get_weather", "arguments": json.dumps({"city": city})},
        }
        for city in cities
    ]
    return [
        user(f"What is the weather in {' and in '.join(cities)}?"),
        {"role": "assistant", "content": "", "tool_calls": calls},
        *({"role": "tool", "tool_call_id": call["id"], "content": "sunny"} for call in calls),
    ]


CAPITAL = user("What is the capital of France?")
ONE_CALL = [*_called("Oslo"), {"role": "assistant", "content": "It is sunny."}, user("What is the weather in Paris?")]
TWO_CALLS = [
    *_called("Oslo", "Rome"),
    {"role": "assistant", "content": "It is sunny."},
    user("What is the weather in Paris and in Lima?"),
]
THOUGHTS = [
    user("2+2?"),
    {"role": "assistant", "reasoning_content": "Two and two are four.", "content": "4"},
    user("1+2?"),
    {"role": "assistant", "reasoning_content": "One and two are three.", "content": "3"},
    user("1+4?"),
]

# By what each is about. Server `first` answers them all.
CHATS: dict[str, Json] = {
    "text": chat(CAPITAL),
    "max_completion_tokens": chat(CAPITAL, max_tokens=None, max_completion_tokens=3),
    "stop": chat(CAPITAL, stop=[" ", "\n"]),
    "logprobs": chat(CAPITAL, max_tokens=3, logprobs=True, top_logprobs=2),
    "two choices": chat(CAPITAL, max_tokens=4, n=2, logprobs=True),
    "json_schema": chat(
        CAPITAL,
        max_tokens=60,
        response_format={"type": "json_schema", "json_schema": {"name": "trip", "schema": TRIP, "strict": True}},
    ),
    "json_object": chat(CAPITAL, max_tokens=60, response_format={"type": "json_object"}),
    "tool call": chat(*ONE_CALL, max_tokens=60, tools=[WEATHER]),
    "two tool calls": chat(*TWO_CALLS, max_tokens=90, tools=[WEATHER], parallel_tool_calls=True),
    "results of tools": chat(*_called("Paris"), tools=[WEATHER]),
    "thoughts": chat(*THOUGHTS, max_tokens=40),
    "thoughts that reach the limit": chat(*THOUGHTS, max_tokens=6),
    # The server is told each character. Where the first one takes several tokens, its stream names no role.
    "any characters": chat(CAPITAL, max_tokens=60, grammar=f"root ::= {json.dumps(CHARACTERS, ensure_ascii=False)}"),
    # Its stream begins with chunks that say how far the prompt has been read, and each of them names the role again.
    "fields of llama.cpp": chat(CAPITAL, max_tokens=2, return_progress=True, timings_per_token=True, min_p=0.1),
}

COMPLETIONS: dict[str, Json] = {
    "one prompt": {"prompt": "The capital of France is", "max_tokens": 5, **ALWAYS_THE_SAME},
    "two prompts": {"prompt": ["The capital of France is", "One, two,"], "max_tokens": 5, **ALWAYS_THE_SAME},
    "logprobs": {"prompt": "The capital of France is", "max_tokens": 3, "logprobs": 2, **ALWAYS_THE_SAME},
    "two choices": {"prompt": "The capital of France is", "max_tokens": 3, "n": 2, **ALWAYS_THE_SAME},
}

RESPONSES: dict[str, Json] = {
    "text": {"input": "What is the capital of France?", "max_output_tokens": 8, **ALWAYS_THE_SAME},
    "instructions": {"input": [CAPITAL], "instructions": "Be brief.", "max_output_tokens": 8, **ALWAYS_THE_SAME},
    "tool call": {
        "input": [
            user("What is the weather in Oslo?"),
            {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city": "Oslo"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "It is sunny."}],
            },
            user("What is the weather in Paris?"),
        ],
        "tools": [{"type": "function", **WEATHER["function"]}],
        "max_output_tokens": 60,
        **ALWAYS_THE_SAME,
    },
}

# About 3,000 tokens, where a slot has 1,024.
TOO_LONG = "word " * 3_000

# A long answer, to be cut: llama.cpp's own `ignore_eos` keeps it from ending early.
LONG = chat(user("Tell me a long story."), max_tokens=900, ignore_eos=True)
