"""Chat completions: the answer's own fields, its choices, and the parts of a message other than tool calls."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from llm.json_values import Json
from llm.operations.accumulation import ChatAccumulator
from tests.llm.operations.accumulation.streams import chat, chunk, message

# What is odd


@pytest.mark.parametrize(
    "odd",
    [
        None,
        "text",
        7,
        [],
        {},
        {"choices": None},
        {"choices": "odd"},
        {"choices": {"index": 0}},
        {"choices": [None, "odd", 7, []]},
        {"choices": [{"index": 0, "delta": None}]},
        {"choices": [{"index": 0, "delta": 7}]},
        {"choices": [{"index": 0, "delta": [], "logprobs": "odd", "finish_reason": 7}]},
        {"choices": [{"index": 0, "message": None, "text": None, "usage": "odd"}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": "odd", "audio": 7, "reasoning_details": 7, "images": 7}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [None, 7], "function_call": "odd", "role": {}}}]},
        {"choices": [{"index": 0, "delta": {"content": 7, "refusal": {}, "annotations": {}}}]},
        {"choices": [{"index": True, "delta": {}}], "usage": [], "id": {}, "created": "odd"},
    ],
)
def test_an_odd_chunk_takes_nothing_from_the_answer(odd: Any) -> None:
    whole = chat(chunk({"content": "Hel"}), odd, chunk({"content": "lo"}, finish_reason="stop"))
    (choice,) = whole["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hello", "stop")


def test_a_delta_that_is_a_text_is_content() -> None:
    assert message("Hel", {"content": "lo"})["content"] == "Hello"


def test_without_chunks_there_is_an_answer_without_choices() -> None:
    assert chat() == {"object": "chat.completion", "choices": []}


def test_the_chunks_stay_as_they_are() -> None:
    chunks = [
        chunk({"role": "assistant", "content": [{"type": "text", "text": "a"}], "x": {"y": [1]}}),
        chunk({"content": [{"type": "text", "text": "b"}], "x": {"y": [2]}, "reasoning_details": [{"index": 0}]}),
        chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": {}}}]}),
        {"usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}}},
        {"usage": {"prompt_tokens_details": {"cached_tokens": 2}}},
    ]
    before = copy.deepcopy(chunks)
    chat(*chunks)
    assert chunks == before


def test_an_answer_so_far_is_not_changed_by_what_comes_later() -> None:
    accumulator = ChatAccumulator()
    logprobs = {"content": [{"token": "a"}], "refusal": None}
    details = [{"index": 0, "text": "a"}]
    accumulator.add(chunk({"content": "a", "reasoning_details": details}, logprobs=logprobs))
    so_far = accumulator.answer()
    before = copy.deepcopy(so_far)
    accumulator.add(chunk({"content": "b", "reasoning_details": details}, logprobs=logprobs))
    assert so_far == before
    assert accumulator.answer()["choices"][0]["message"]["content"] == "ab"
    assert accumulator.answer() == accumulator.answer()


# The answer's own fields


def test_the_last_value_stands_and_null_erases_nothing() -> None:
    whole = chat(
        {"id": "a", "created": 1, "model": "m", "system_fingerprint": None, "service_tier": "auto", "x": 2},
        {"id": "a", "created": 1, "model": "m", "system_fingerprint": "fp", "service_tier": "default", "x": 3},
        {"id": None, "created": None, "service_tier": None, "x": None, "citations": ["u"], "obfuscation": "abc"},
        {"citations": ["u", "v"], "choices": []},
    )
    assert whole == {
        "id": "a",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "system_fingerprint": "fp",
        "service_tier": "default",
        "x": 3,
        "citations": ["u", "v"],
        "choices": [],
    }


def test_late_chunks_about_azures_filters_take_nothing_from_the_answer() -> None:
    """With the asynchronous filter, they have empty names and a time of 0."""
    filtered = {"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False}}}
    whole = chat(
        {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [filtered]},
        {"id": "c", "object": "chat.completion.chunk", "created": 5, "model": "m", **_choices({"content": "a"})},
        {"id": "", "object": "", "created": 0, "model": "", **_choices({}, content_filter_results={"hate": {"a": 1}})},
        {"id": "", "object": "", "created": 0, "model": "", **_choices({}, content_filter_results={"self": {"b": 2}})},
    )
    assert (whole["id"], whole["created"], whole["model"], whole["object"]) == ("c", 5, "m", "chat.completion")
    assert whole["prompt_filter_results"] == [filtered]
    assert whole["choices"][0]["content_filter_results"] == {"hate": {"a": 1}, "self": {"b": 2}}


def _choices(delta: Json, **more: Any) -> Json:
    return {"choices": [{"index": 0, "delta": delta, **more}]}


# Choices


def test_choices_come_in_the_order_of_their_index_however_they_arrive() -> None:
    whole = chat(chunk({"content": "b1"}, 1), chunk({"content": "a1"}), chunk({"content": "b2"}, 1))
    assert [(c["index"], c["message"]["content"]) for c in whole["choices"]] == [(0, "a1"), (1, "b1b2")]


@pytest.mark.parametrize("index", [None, "odd", False])
def test_a_choice_without_an_index_is_the_first(index: Any) -> None:
    whole = chat(chunk({"content": "a"}), chunk({"content": "b"}, index), {"choices": [{"delta": {"content": "c"}}]})
    assert [(c["index"], c["message"]["content"]) for c in whole["choices"]] == [(0, "abc")]


@pytest.mark.parametrize(
    ("reasons", "reason"),
    [
        ([None, "stop", None], "stop"),
        (["stop", ""], "stop"),
        (["null", "stop", "null"], "stop"),
        (["stop", "tool_calls"], "tool_calls"),
        (["null"], None),
        (["", None], None),
        ([], None),
    ],
)
def test_the_last_finish_reason_that_is_one_stands(reasons: list[Any], reason: str | None) -> None:
    whole = chat(chunk({"content": "a"}), *(chunk({}, finish_reason=each) for each in reasons))
    assert whole["choices"][0]["finish_reason"] == reason


def test_fields_of_a_choice_that_nobody_knows_are_kept() -> None:
    whole = chat(
        chunk({"content": "a"}, native_finish_reason=None, token_ids=[1, 1], stop_reason=None, x={"a": 1, "b": 2}),
        chunk({}, native_finish_reason="end", token_ids=[1], error={"code": 502}, x={"b": 3}),
    )
    assert whole["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "a"},
        "finish_reason": None,
        "native_finish_reason": "end",
        "token_ids": [1, 1, 1],
        "stop_reason": None,
        "error": {"code": 502},
        "x": {"a": 1, "b": 3},
    }


# Log probabilities


def test_log_probabilities_are_put_in_a_row_and_equal_ones_are_all_kept() -> None:
    entry = {"token": "a", "logprob": -0.1, "top_logprobs": []}
    whole = chat(
        chunk({"content": ""}, logprobs=None),
        chunk({"content": "aa"}, logprobs={"content": [entry, entry], "refusal": None}),
        chunk({"content": "a"}, logprobs={"content": [entry], "refusal": [entry]}),
        chunk({"content": "a"}, logprobs={"content": None, "refusal": []}),
        chunk({}),
    )
    assert whole["choices"][0]["logprobs"] == {"content": [entry] * 3, "refusal": [entry]}


@pytest.mark.parametrize("logprobs", [None, {"content": [], "refusal": None}, {"content": None, "refusal": None}])
def test_log_probabilities_without_entries_stay_as_they_were_said(logprobs: Json | None) -> None:
    whole = chat(chunk({"content": "a"}, logprobs=logprobs), chunk({}, logprobs=logprobs))
    assert whole["choices"][0]["logprobs"] == logprobs


# The message


@pytest.mark.parametrize("roles", [[], [None], [""], ["assistant", "assistant"], ["assistant", None, ""]])
def test_a_message_has_one_role(roles: list[str | None]) -> None:
    whole = chat(chunk({"content": "a"}), *(chunk({"role": role}) for role in roles))
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": "a"}


def test_another_role_than_the_assistants_is_kept() -> None:
    assert message({"role": "tool", "content": "a"}, {"role": ""})["role"] == "tool"


@pytest.mark.parametrize("field", ["refusal", "reasoning", "reasoning_content", "reasoning_text", "thinking"])
def test_texts_are_joined(field: str) -> None:
    assert message({field: ""}, {field: "Let "}, {field: None}, {field: "me"}) == {
        "role": "assistant",
        "content": None,
        field: "Let me",
    }


@pytest.mark.parametrize("field", ["content", "refusal", "reasoning_content", "tool_calls", "audio", "function_call"])
def test_null_alone_stays_null(field: str) -> None:
    assert message({field: None}, {field: None})[field] is None


def test_fields_of_a_delta_that_nobody_knows_are_kept() -> None:
    whole = message(
        {"x": 1, "y": "a", "z": {"a": 1, "b": [1]}, "w": [{"index": 1, "v": "a"}, {"index": 0, "v": "b"}]},
        {"x": 1, "y": "b", "z": {"b": [1, 2]}, "w": [{"index": 1, "u": 2}], "s": ["one"], "n": None, "e": []},
        {"x": 0, "y": None, "s": ["one", "two"]},
    )
    assert whole == {
        "role": "assistant",
        "content": None,
        "x": 0,
        "y": "b",
        "z": {"a": 1, "b": [1, 1, 2]},
        "w": [{"index": 1, "v": "a", "u": 2}, {"index": 0, "v": "b"}],
        "s": ["one", "one", "two"],
        "n": None,
        "e": [],
    }


def test_annotations_and_images_that_are_repeated_come_once() -> None:
    one, two = ({"type": "url_citation", "url_citation": {"url": f"https://example.com/{n}"}} for n in (1, 2))
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}, "index": 0}
    whole = message(
        {"annotations": [one], "images": [image]},
        {"annotations": [one, two]},
        {"annotations": [two], "images": [image]},
    )
    assert (whole["annotations"], whole["images"]) == ([one, two], [image])


def test_a_function_call_of_old_is_joined() -> None:
    whole = message({"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": '{"x":1}'}})
    assert whole["function_call"] == {"name": "f", "arguments": '{"x":1}'}


# Audio


def test_base64_that_was_cut_anywhere_is_joined() -> None:
    whole = message({"audio": {"id": "a", "data": "SGV"}}, {"audio": {"data": "sbG8"}}, {"audio": {"data": "="}})
    assert whole["audio"] == {"id": "a", "data": "SGVsbG8="}


def test_base64_whose_pieces_are_each_padded_is_joined_as_bytes() -> None:
    """Joined as text, a padding in the middle would end the audio there."""
    whole = message({"audio": {"data": "SA=="}}, {"audio": {"data": "ZWxs"}}, {"audio": {"data": "bw=="}})
    assert whole["audio"]["data"] == "SGVsbG8="


def test_what_only_looks_like_base64_is_joined_as_text() -> None:
    assert message({"audio": {"data": "S="}}, {"audio": {"data": "!?"}})["audio"]["data"] == "S=!?"


# Surrogates


@pytest.mark.parametrize("field", ["content", "refusal", "reasoning_content"])
def test_a_character_that_was_cut_between_two_chunks_is_one(field: str) -> None:
    assert message({field: "a\ud83d"}, {field: "\ude00b"})[field] == "a😀b"


def test_half_a_character_stays_half() -> None:
    assert message({"content": "é\ud83d"}, {"content": "b\ude00"})["content"] == "é\ud83db\ude00"


# Whole messages, and `text`, in a stream


def test_a_message_at_the_end_takes_the_place_of_the_pieces_and_of_nothing_else() -> None:
    calls = [{"id": n, "type": "function", "function": {"name": n, "arguments": ""}} for n in ("f", "g")]
    whole = chat(
        chunk({"content": "Hel", "reasoning_content": "hm", "tool_calls": [{**calls[0], "index": 0}]}),
        chunk({"content": "lo "}),
        {"choices": [{"message": {"role": "assistant", "content": "Hello", "tool_calls": calls, "refusal": None}}]},
    )
    assert whole["choices"][0]["message"] == {
        "role": "assistant",
        "content": "Hello",
        "reasoning_content": "hm",
        "refusal": None,
        "tool_calls": calls,
    }


def test_an_empty_message_at_the_end_takes_nothing_away() -> None:
    whole = chat(chunk({"content": "Hello"}), chunk({}, message={"role": "assistant", "content": ""}))
    assert whole["choices"][0]["message"]["content"] == "Hello"


def test_a_whole_answer_alone_is_itself() -> None:
    whole = {
        "id": "c",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    }
    assert chat(whole) == whole


def test_messages_that_are_pieces_are_joined() -> None:
    pieces = ({"choices": [{"message": {"role": "assistant", "content": text}}]} for text in ("Hello", " there", "!"))
    assert chat(*pieces)["choices"][0]["message"] == {"role": "assistant", "content": "Hello there!"}


def test_messages_that_each_hold_the_text_so_far_are_not_appended() -> None:
    pieces = ({"choices": [{"message": {"content": text}}]} for text in ("Hel", "Hello", "Hello", "Hello there"))
    assert chat(*pieces)["choices"][0]["message"]["content"] == "Hello there"


def test_a_message_beside_the_same_delta_is_read_once() -> None:
    pieces = (chunk({"content": text}, message={"role": "assistant", "content": text}) for text in ("Hel", "lo"))
    assert chat(*pieces)["choices"][0]["message"]["content"] == "Hello"


def test_a_text_beside_the_same_delta_is_read_once() -> None:
    """So Together streams chat."""
    pieces = (chunk({"content": text}, text=text) for text in ("Hel", "lo", ""))
    assert chat(*pieces)["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "Hello"},
        "finish_reason": None,
    }


def test_a_text_alone_is_content() -> None:
    pieces = ({"choices": [{"index": 0, "text": text}]} for text in ("Hel", "lo"))
    assert chat(*pieces)["choices"][0]["message"]["content"] == "Hello"
