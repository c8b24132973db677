"""Whole answers of all kinds, and streams of them cut at any place, for property tests.

A stream is made of an answer by laws of its own, and not by the accumulators': each field that comes in pieces becomes
a queue of pieces, and the queues are emptied in any order, a few pieces to a chunk.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

from hypothesis import strategies as st

from llm.json_values import Json

Queue = list[Json]

TEXTS = st.text(max_size=12) | st.text("a😀é𝒳\n", max_size=12)
WORDS = st.text(min_size=1, max_size=8)
SCALARS = WORDS | st.integers() | st.booleans() | st.floats(allow_nan=False)
OBJECTS = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), SCALARS | st.dictionaries(WORDS, SCALARS, min_size=1), min_size=1
)
ENTRIES = st.lists(st.fixed_dictionaries({"token": TEXTS, "logprob": st.floats(-9, 0)}), max_size=4)
COUNTS = st.integers(1, 10**6)


def maybe(**fields: Any) -> st.SearchStrategy[Json]:
    """Any of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def tool_calls(draw: Callable[..., Any]) -> list[Json]:
    calls = []
    for n in range(draw(st.integers(1, 3))):
        arguments = json.dumps(draw(st.dictionaries(TEXTS, SCALARS, max_size=2)), ensure_ascii=False)
        name = draw(st.sampled_from(["get_weather", "get_time", "f"]))
        if draw(st.booleans()):
            calls.append({"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": arguments}})
        else:
            calls.append({"id": f"call_{n}", "type": "custom", "custom": {"name": name, "input": draw(TEXTS)}})
    return calls


@st.composite
def parts(draw: Callable[..., Any]) -> list[Json]:
    """Thoughts and texts in turn: two of a kind in a row would be one in the stream."""
    kinds = draw(st.sampled_from(["t", "k", "kt", "tk", "ktk", "tkt"]))
    text = {"t": lambda: {"type": "text", "text": draw(WORDS)}, "k": lambda: thought(draw(WORDS))}
    return [text[kind]() for kind in kinds]


def thought(text: str) -> Json:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


REASONING_DETAILS = st.lists(
    st.tuples(WORDS, maybe(format=WORDS, signature=WORDS)).map(
        lambda made: {"type": "reasoning.text", "text": made[0], **made[1]}
    ),
    max_size=3,
).map(lambda details: [{**detail, "index": n} for n, detail in enumerate(details)])

MESSAGES = st.builds(
    lambda content, rest: {"role": "assistant", "content": content, **rest},
    st.none() | TEXTS | parts(),
    maybe(
        refusal=st.none() | TEXTS,
        reasoning_content=TEXTS,
        reasoning=st.none() | TEXTS,
        reasoning_details=REASONING_DETAILS,
        tool_calls=tool_calls(),
        function_call=st.fixed_dictionaries({"name": st.just("f"), "arguments": TEXTS}),
        audio=st.fixed_dictionaries(
            {"id": WORDS, "data": st.text("ABCD", max_size=8), "transcript": TEXTS, "expires_at": COUNTS}
        ),
        annotations=st.lists(OBJECTS, max_size=3, unique_by=lambda entry: json.dumps(entry, sort_keys=True)),
        x_scalar=SCALARS,
        x_object=OBJECTS,
        x_list=st.lists(SCALARS, max_size=3),
    ),
)

USAGES = st.fixed_dictionaries(
    {"prompt_tokens": COUNTS, "completion_tokens": COUNTS, "total_tokens": COUNTS},
    optional={"completion_tokens_details": st.fixed_dictionaries({"reasoning_tokens": st.integers(0, 9)})},
)


def answers(object_name: str, choices: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    envelope = st.fixed_dictionaries(
        {"id": WORDS, "object": st.just(object_name), "created": COUNTS, "model": WORDS},
        optional={
            "system_fingerprint": st.none() | WORDS,
            "service_tier": WORDS,
            "usage": USAGES,
            "x": SCALARS,
            "prompt_filter_results": st.lists(OBJECTS, min_size=1, max_size=2),
        },
    )
    return st.builds(
        lambda fields, made: {**fields, "choices": [{**choice, "index": n} for n, choice in enumerate(made)]},
        envelope,
        st.lists(choices, min_size=1, max_size=3),
    )


def choices(own: Json, logprobs: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    fields = {**own, "finish_reason": st.none() | st.sampled_from(["stop", "length"]), "logprobs": st.none() | logprobs}
    return st.fixed_dictionaries(fields, optional={"content_filter_results": OBJECTS, "native_finish_reason": WORDS})


CHAT = answers(
    "chat.completion",
    choices(
        {"message": MESSAGES},
        st.fixed_dictionaries({"content": st.none() | ENTRIES, "refusal": st.none() | ENTRIES}),
    ),
)
COMPLETIONS = answers(
    "text_completion",
    choices(
        {"text": TEXTS},
        st.fixed_dictionaries(
            {
                "tokens": st.lists(TEXTS, max_size=4),
                "token_logprobs": st.lists(st.none() | st.floats(-9, 0), max_size=4),
                "top_logprobs": st.none() | st.lists(st.dictionaries(TEXTS, st.floats(-9, 0)), max_size=4),
                "text_offset": st.lists(COUNTS, max_size=4),
            }
        ),
    ),
)


# Cutting


def cut(text: str, random: Random) -> list[str]:
    """Pieces of a text, cut anywhere, also between the surrogates of one character, and some of them empty."""
    units = text.encode("utf-16-le", "surrogatepass")
    marks = sorted(random.choices(range(len(units) // 2 + 1), k=random.randrange(4)))
    ends = [0, *marks, len(units) // 2]
    pieces = [units[2 * a : 2 * b].decode("utf-16-le", "surrogatepass") for a, b in pairwise(ends)]
    return pieces or [""]


def cut_list(entries: list[Any], random: Random) -> list[list[Any]]:
    mark = random.randrange(len(entries) + 1)
    return [entries[:mark], entries[mark:]]


def merged(queues: list[Queue], random: Random) -> Queue:
    """One queue of all pieces, in which those of each queue keep their order."""
    queues = [list(queue) for queue in queues if queue]
    out = []
    while queues:
        queue = random.choice(queues)
        out.append(queue.pop(0))
        queues = [queue for queue in queues if queue]
    return out


def chunks_of(answer: Json, queues_of: Callable[[Json, Random], list[Queue]], random: Random) -> list[Json]:
    """A stream of an answer with choices."""
    envelope = {name: value for name, value in answer.items() if name not in ("choices", "usage")}
    envelope["object"] = f"{answer['object']}.chunk"
    queues = []
    for choice in answer["choices"]:
        index = {"index": choice["index"]}
        queue = [{**piece, **index} for piece in merged(queues_of(choice, random), random)]
        ended = {key: value for key, value in choice.items() if key in ("finish_reason", "native_finish_reason")}
        queues.append([{**index, "logprobs": None}, *queue, {**index, **ended}])
    chunks: list[Json] = []
    for said in merged(queues, random):
        piece = {"finish_reason": random.choice([None, ""]), **said}
        if chunks and random.random() < 0.3 and all(c["index"] != piece["index"] for c in chunks[-1]["choices"]):
            chunks[-1]["choices"].append(piece)
        else:
            chunks.append({**envelope, "choices": [piece], "usage": None, "obfuscation": "xyz"})
    if "usage" in answer:
        chunks.append({**envelope, "choices": [], "usage": answer["usage"]})
    return chunks


def _of_logprobs(choice: Json, random: Random) -> list[Queue]:
    queues = []
    for kind, entries in (choice["logprobs"] or {}).items():
        pieces = [None] if entries is None else cut_list(entries, random)
        queues.append([{"logprobs": {kind: piece}} for piece in pieces])
    return queues


def _of_rest(choice: Json) -> list[Queue]:
    filtered = choice.get("content_filter_results", {})
    return [[{"content_filter_results": {name: value}}] for name, value in filtered.items()]


def completion_queues(choice: Json, random: Random) -> list[Queue]:
    text = [{"text": piece} for piece in cut(choice["text"], random)]
    return [text, *_of_logprobs(choice, random), *_of_rest(choice)]


def chat_queues(choice: Json, random: Random) -> list[Queue]:
    queues = []
    for name, value in choice["message"].items():
        deltas = _deltas_of(name, value, random)
        queues += [[{"delta": {name: piece}} for piece in queue] for queue in deltas]
    return [*queues, *_of_logprobs(choice, random), *_of_rest(choice)]


def _deltas_of(name: str, value: Any, random: Random) -> list[list[Any]]:
    match name, value:
        case "role", _:
            return [[value] * random.randrange(3)]
        case _, None:
            return [[None] * random.randint(1, 2)]
        case "content", list():
            return [_pieces_of_parts(value, random)]
        case (("content" | "refusal" | "reasoning" | "reasoning_content"), str()):
            return [[*cut(value, random), *random.choice([[], [None]])]]
        case "tool_calls", _:
            return _pieces_of_calls(value, random)
        case "reasoning_details", _:
            return [[[]], *(_pieces_of_detail(detail, random) for detail in value)]
        case "function_call", _:
            arguments = [{"arguments": piece} for piece in cut(value["arguments"], random)]
            return [[{"name": value["name"]}, *arguments]]
        case "audio", _:
            data = [{"id": value["id"], "data": piece} for piece in cut(value["data"], random)]
            transcript = [{"transcript": piece} for piece in cut(value["transcript"], random)]
            return [data, transcript, [{"expires_at": value["expires_at"]}]]
        case (("annotations" | "x_list"), _):
            return [cut_list(value, random)]
        case "x_object", _:
            return [[{key: inner}] for key, inner in value.items()]
    return [[value] * random.randint(1, 2)]


def _pieces_of_parts(parts: list[Json], random: Random) -> list[Any]:
    pieces: list[Any] = []
    for part in parts:
        is_thought = part["type"] == "thinking"
        text = part["thinking"][0]["text"] if is_thought else part["text"]
        for piece in cut(text, random):
            as_text = len(parts) > 1 and random.random() < 0.5
            pieces.append([thought(piece)] if is_thought else piece if as_text else [{"type": "text", "text": piece}])
    return pieces


def _pieces_of_calls(calls: list[Json], random: Random) -> list[list[Any]]:
    repeats, has_index = random.random() < 0.3, random.random() < 0.7
    queues = []
    for n, call in enumerate(calls):
        kind, field = ("function", "arguments") if call["type"] == "function" else ("custom", "input")
        index = {"index": n} if has_index else random.choice([{}, {"index": None}])
        pieces = [{**index, kind: {field: piece}} for piece in cut(call[kind][field], random)]
        for piece in pieces if repeats else pieces[:1]:
            piece |= {"id": call["id"], "type": call["type"]}
            piece[kind]["name"] = call[kind]["name"]
        queues.append([[piece] for piece in pieces])
    # Without an index, calls are in the order of their coming.
    return queues if has_index else [[piece for queue in queues for piece in queue]]


def _pieces_of_detail(detail: Json, random: Random) -> list[Any]:
    at = {"index": detail["index"], "type": detail["type"]}
    pieces: list[Json] = [{**at, "text": piece} for piece in cut(detail["text"], random)]
    pieces += [{**at, name: detail[name]} for name in ("format", "signature") if name in detail]
    return [[piece] for piece in pieces]
