"""OpenAI's own SDK as a judge from outside, on streams as OpenAI sends them.

It is wrong on many others, which is why it does not put our answers together; on these, both must agree.
"""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from llm.json_values import Json
from tests.llm.operations.accumulation.answers import ENTRIES, TEXTS, USAGES, cut, merged
from tests.llm.operations.accumulation.streams import chat

FUNCTIONS = st.lists(st.tuples(st.sampled_from(["f", "get_weather"]), TEXTS), min_size=1, max_size=3)
LOGPROBS = ENTRIES.map(lambda entries: [{**entry, "bytes": None, "top_logprobs": []} for entry in entries])
CHOICES = st.tuples(TEXTS | st.none(), TEXTS | st.none(), FUNCTIONS | st.none(), LOGPROBS | st.none())


def without_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
        case list():
            return [without_nulls(inner) for inner in value]
    return value


def chunks_of_choice(made: Any, index: int, random: Random) -> list[Json]:
    content, refusal, functions, logprobs = made
    queues: list[list[Json]] = []
    for name, text in (("content", content), ("refusal", refusal)):
        if text is not None:
            # Whole characters: the SDK does not join the halves of one.
            queues.append(
                [{"delta": {name: piece.encode("utf-16-le").decode("utf-16-le")}} for piece in _cut(text, random)]
            )
    calls: list[Json] = []
    for n, (name, arguments) in enumerate(functions or []):
        head = {"index": n, "id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": ""}}
        rest = [{"index": n, "function": {"arguments": piece}} for piece in _cut(arguments, random)]
        calls += [{"delta": {"tool_calls": [call]}} for call in (head, *rest)]
    entries = [{"logprobs": {"content": [entry], "refusal": None}, "delta": {}} for entry in logprobs or []]
    first = {"delta": {"role": "assistant", "content": None if content is None else ""}}
    pieces = [first, *merged([*queues, calls, entries], random), {"delta": {}, "finish_reason": "stop"}]
    return [{"index": index, "finish_reason": None, "logprobs": None, **piece} for piece in pieces]


def _cut(text: str, random: Random) -> list[str]:
    pieces = cut(text, random)
    return pieces if all(not 0xD800 <= ord(c) < 0xE000 for piece in pieces for c in piece) else [text]


@settings(deadline=None)
@given(st.lists(CHOICES, min_size=1, max_size=2), st.none() | USAGES, st.randoms(use_true_random=False))
def test_on_streams_as_openai_sends_them_the_sdk_agrees(made: list[Any], usage: Json | None, random: Random) -> None:
    queues = [chunks_of_choice(choice, index, random) for index, choice in enumerate(made)]
    # The SDK takes the choices in the order of their coming.
    heads = [queue.pop(0) for queue in queues]
    frame = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "system_fingerprint": "fp"}
    chunks: list[Json] = [{**frame, "choices": [piece]} for piece in [*heads, *merged(queues, random)]]
    chunks.append({**frame, "choices": [], "usage": usage})
    judge = ChatCompletionStreamState()
    for each in chunks:
        judge.handle_chunk(ChatCompletionChunk.model_validate(each))
    theirs = judge.get_final_completion().model_dump(mode="json", warnings=False)
    for choice in theirs["choices"]:
        # The SDK's own fields, which no answer has.
        for call in choice["message"].get("tool_calls") or ():
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
    assert without_nulls(chat(*chunks)) == without_nulls(theirs)
