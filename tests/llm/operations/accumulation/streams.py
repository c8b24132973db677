"""What the tests of the accumulators share: chunks to write by hand, and the streams of the wire cases."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from llm.json_values import Json
from llm.operations.accumulation import ChatAccumulator, CompletionAccumulator, ResponseAccumulator

CASES = Path(__file__).parents[3] / "cases" / "wire"


def chunk(delta: Any, index: Any = 0, **more: Any) -> Json:
    return {"id": "c", "choices": [{"index": index, "delta": delta, "finish_reason": None, **more}]}


def chat(*chunks: Any) -> Json:
    return _answer(ChatAccumulator(), chunks)


def message(*deltas: Any) -> Json:
    """The message of the first choice, from deltas alone."""
    whole: Json = chat(*map(chunk, deltas))["choices"][0]["message"]
    return whole


def completion(*chunks: Any) -> Json:
    return _answer(CompletionAccumulator(), chunks)


def response(*events: Any) -> Json:
    return _answer(ResponseAccumulator(), events)


def _answer(accumulator: Any, chunks: Iterable[Any]) -> Json:
    for each in chunks:
        accumulator.add(each)
    answer: Json = accumulator.answer()
    return answer


def sent(case: str, upstream: str) -> list[Json]:
    """The chunks that an upstream of a wire case sends, out of its chunked HTTP."""
    steps = json.loads((CASES / f"{case}.json").read_text())["upstreams"][upstream]
    _, _, body = "".join(step.get("send", "") for step in steps).encode("latin-1").partition(b"\r\n\r\n")
    text = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        text, body = text + body[: int(size, 16)], body[int(size, 16) + 2 :]
    events = re.findall(r"^data: (.*)$", text.decode(), re.MULTILINE)
    return [json.loads(event) for event in events if event != "[DONE]"]
