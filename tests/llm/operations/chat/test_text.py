"""The text of a stream as its reader is shown it, piece by piece."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.json_values import Json
from llm.operations import CHAT_COMPLETIONS, COMPLETIONS
from tests.llm.operations.accumulation import answers
from tests.llm.operations.accumulation.streams import chat, chunk


def shown(*chunks: Json) -> list[str]:
    text = CHAT_COMPLETIONS.stream_text()
    return [piece for piece in (*map(text.read, chunks), text.rest()) if piece]


@settings(deadline=None)
@given(answers.CHAT, st.randoms(use_true_random=False))
def test_the_text_that_is_shown_is_the_text_of_the_whole_answer(answer: Json, random: Random) -> None:
    chunks = answers.chunks_of(answer, answers.chat_queues, random)
    whole = next(choice["message"] for choice in answer["choices"] if choice["index"] == 0)
    text = CHAT_COMPLETIONS.text({"choices": [{"index": 0, "message": {**whole, "refusal": None}}]})
    without_refusals = [
        {**c, "choices": [{**x, "delta": {**x["delta"], "refusal": None}} for x in c["choices"] if "delta" in x]}
        for c in chunks
    ]
    assert "".join(shown(*without_refusals)) == text


def test_a_message_that_repeats_the_whole_at_the_end_is_shown_once() -> None:
    whole: Json = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!"}}]}
    assert shown(chunk({"content": "Hel"}), chunk({"content": "lo"}), whole) == ["Hel", "lo", "!"]
    assert chat(chunk({"content": "Hello"}), whole)["choices"][0]["message"]["content"] == "Hello!"


def test_messages_that_grow_are_shown_by_what_is_new_in_each() -> None:
    texts = ("Hel", "Hello", "Hello", "Hello there")
    messages: list[Json] = [{"choices": [{"index": 0, "message": {"content": text}}]} for text in texts]
    assert shown(*messages) == ["Hel", "lo", " there"]


def test_pieces_that_come_as_messages_are_shown_one_after_the_other() -> None:
    messages: list[Json] = [{"choices": [{"index": 0, "message": {"content": text}}]} for text in ("Hel", "lo")]
    assert shown(*messages) == ["Hel", "lo"]
    assert chat(*messages)["choices"][0]["message"]["content"] == "Hello"


def test_thoughts_are_not_shown_and_text_between_them_is() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    pieces = [{"content": [thinking]}, {"content": [thinking, {"type": "text", "text": "4"}]}, {"content": "2"}]
    assert shown(*map(chunk, pieces), chunk({"reasoning_content": "hm"})) == ["4", "2"]


def test_both_halves_of_a_character_are_shown_together() -> None:
    pieces = [{"content": "a\ud83d"}, {"content": ""}, {"content": "\ude00b"}]
    assert shown(*map(chunk, pieces)) == ["a", "😀b"]
    assert shown(chunk({"content": "a\ud83d"})) == ["a", "\ud83d"]


def test_a_refusal_is_shown_where_there_is_no_content() -> None:
    assert shown(chunk({"refusal": "I "}), chunk({"refusal": "can't."})) == ["I ", "can't."]
    assert shown(chunk({"content": "Hi."}), chunk({"refusal": "No."})) == ["Hi."]


@pytest.mark.parametrize("text", ["", "a"])
def test_the_text_of_the_first_choice_alone_is_shown(text: str) -> None:
    first, second = chunk({"content": text}, 0), chunk({"content": "b"}, 1)
    assert "".join(shown(first, second)) == text
    reader = COMPLETIONS.stream_text()
    choices = [{"index": index, "text": said} for index, said in enumerate((text, "b"))]
    assert reader.read({"choices": choices}) == text
