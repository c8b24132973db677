"""Redaction of texts that are JSON, such as the arguments of a tool call, and of what spells an answer once more."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from chat.record.kept.keeping import Keeping

CARD = "4111111111111111"
KEEPING = Keeping((re.compile(r"\b\d{16}\b"), re.compile("^Müller$")))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"card":"4111111111111111"}', '{"card":"[redacted]"}'),
        ('{"card":4111111111111111,"n":1}', '{"card":"[redacted]","n":1}'),
        (r'{"card":"\u0034111111111111111"}', '{"card":"[redacted]"}'),
        (r'{"who":["M\u00fcller"]}', '{"who":["[redacted]"]}'),
        (r'{"inner":"{\"who\":\"M\\u00fcller\"}"}', r'{"inner":"{\"who\":\"[redacted]\"}"}'),
        ('{"card":"4111111111111111', '{"card":"[redacted]'),
        ('{ "city" : "Paris" }', '{ "city" : "Paris" }'),
    ],
)
def test_values_inside_a_text_of_json_are_redacted(arguments: str, expected: str) -> None:
    call = {"function": {"name": "pay", "arguments": arguments}}
    assert KEEPING.answer(call) == {"function": {"name": "pay", "arguments": expected}}


def test_json_that_nests_too_deeply_is_redacted_as_a_text() -> None:
    assert CARD not in KEEPING.text("[" * 100_000 + CARD)


def test_log_probabilities_are_left_out_where_something_is_redacted() -> None:
    spelled: Any = {"content": [{"token": part, "bytes": list(part.encode())} for part in ("4111111", "111111111")]}
    answer = {"choices": [{"message": {"content": CARD}, "logprobs": spelled, "token_ids": [1, 2]}]}
    kept = KEEPING.answer(answer)
    assert kept == {"choices": [{"message": {"content": "[redacted]"}, "logprobs": None, "token_ids": None}]}
    assert Keeping().answer(answer) == answer


def test_a_parameter_named_logprobs_is_kept() -> None:
    assert KEEPING.value({"logprobs": True}) == {"logprobs": True}


def test_nulls_and_halves_of_characters_are_replaced() -> None:
    kept = Keeping().value({"a\x00": "b\x00\ud800"})
    assert json.loads(json.dumps(kept)) == {"a\ufffd": "b\ufffd?"}


@pytest.mark.parametrize(
    "value",
    [
        {"text": "plain", "n": [1, 2.5, None, True]},
        {"text": "non-ASCII: ü 💥"},
        {"text": "b\x00"},
        {"text": "\ud800"},
        {"na\x00me": 1},
        {"url": "DATA:image/png;BASE64,iVBORw0KGgo="},
        {"text": "see data:image/png;base64," + "A" * 100},
        {"b64_json": "iVBORw0KGgo="},
        {"audio": {"data": "AAAA", "format": "wav"}},
        {"file": {"file_data": "AAAA"}},
        {"type": "image_generation_call", "result": "iVBORw0KGgo="},
    ],
)
@pytest.mark.parametrize("with_bytes", [False, True])
def test_what_needs_no_look_is_kept_as_a_look_would_have_kept_it(value: dict[str, Any], with_bytes: bool) -> None:
    kept = Keeping().kept(value, with_bytes=with_bytes)
    assert kept.value == Keeping().value(value, with_bytes=with_bytes)
    assert json.loads(kept.written) == kept.value
    assert kept.size == len(kept.written.encode())
