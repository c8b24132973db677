"""Answers in a few words."""

from __future__ import annotations

from typing import Any

import pytest

from chat.record.kept.summary import one_line, summary_of

PNG = f"data:image/png;sha256={'0' * 64};size=12345,"
WAV = f"data:audio/wav;sha256={'0' * 64};size=1234567,"


def call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def chat(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [{"index": place, "message": message} for place, message in enumerate(messages)]}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (chat({"content": "One\ntwo"}), "One\ntwo"),
        (chat({"content": None, "tool_calls": [call("a", '{"b":1}'), call("c", "{}")]}), 'called a({"b":1}), c({})'),
        (chat({"content": "Wait.", "tool_calls": [call("a", "{}")]}), "Wait.\ncalled a({})"),
        (chat({"function_call": {"name": "a", "arguments": "{}"}}), "called a({})"),
        (chat({"tool_calls": [{"type": "custom", "custom": {"name": "sh", "input": "ls"}}]}), "called sh(ls)"),
        (chat({"content": None, "refusal": "No."}), "refused: No."),
        (chat({"content": "Heads"}, {"content": "Tails"}), "2 choices: Heads | Tails"),
        (chat({"content": "A"}, {"tool_calls": [call("a", "{}")]}), "2 choices: A | called a({})"),
        (chat({"images": [{"image_url": {"url": PNG}}]}), "an image (png, 12 kB)"),
        (chat({"content": [{"type": "text", "text": "Look:"}, {"type": "image_url", "image_url": {"url": PNG}}]}),
         "Look:\nan image (png, 12 kB)"),
        (chat({"images": [{"image_url": {"url": "https://a/b.png"}}]}), "an image (https://a/b.png)"),
        (chat({"audio": {"data": WAV, "transcript": "Hi."}}), "audio (wav, 1.2 MB): Hi."),
        (chat({"content": "", "reasoning_content": "Hm"}), "thought: Hm"),
        (chat({"content": "Yes", "reasoning_content": "Hm"}), "Yes"),
        ({"choices": [{"text": "one"}]}, "one"),
        ({"choices": [{"text": "one"}, {"text": "two"}]}, "2 choices: one | two"),
        ({"output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}]}, "Hi"),
        ({"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}]}, "refused: No."),
        ({"output": [{"type": "function_call", "name": "a", "arguments": "{}"}]}, "called a({})"),
        ({"output": [{"type": "custom_tool_call", "name": "sh", "input": "ls"}]}, "called sh(ls)"),
        ({"output": [{"type": "web_search_call", "status": "completed"}]}, "called web_search()"),
        ({"output": [{"type": "image_generation_call", "result": PNG}]}, "an image (png, 12 kB)"),
        ({"output": [{"type": "reasoning", "summary": [{"text": "Hm"}]}]}, "thought: Hm"),
        ({"vectors": 3, "dimensions": 1536}, "3 vectors of 1,536 numbers"),
        ({"vectors": 1, "dimensions": None}, "1 vector"),
        ({}, ""),
        ({"choices": []}, ""),
        ({"choices": [{"message": None}]}, ""),
        ({"choices": [{"message": {"content": 5, "tool_calls": "x", "audio": [], "images": 7, "refusal": None}}]}, ""),
        ({"output": [None, {"type": 7}, {"type": "message", "content": "x"}]}, ""),
    ],
)  # fmt: skip
def test_an_answer_of_each_kind_is_told(answer: dict[str, Any], expected: str) -> None:
    assert summary_of(answer) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a\n  b", "a b"), ("abcdefgh", "abcdefgh"), ("abcdefghi", "abcdefg…"), ("ab " * 1000, "ab ab a…")],
)
def test_a_line_is_one_line_and_bounded(text: str, expected: str) -> None:
    assert one_line(text, 8) == expected
