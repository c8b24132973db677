"""Usage, which may be said in several chunks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.llm.operations.accumulation.streams import chat

FULL = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


@pytest.mark.parametrize(
    ("said", "usage"),
    [
        ([FULL], FULL),
        ([None, FULL, None], FULL),
        ([FULL, {}], FULL),
        ([FULL, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}], FULL),
        ([{"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}, FULL], FULL),
        ([{"prompt_tokens": 10}, {"completion_tokens": 5}], {"prompt_tokens": 10, "completion_tokens": 5}),
        (
            [{"input_tokens": 10, "output_tokens": 0, "total_tokens": 10}, {"output_tokens": 5, "total_tokens": 5}],
            {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
        ),
        ([FULL, {"completion_tokens": -1}], FULL),
        ([FULL, {"cost": 0.5, "cost_details": {"a": 1}}], {**FULL, "cost": 0.5, "cost_details": {"a": 1}}),
        (
            [{**FULL, "details": {"cached": 3, "audio": None}}, {**FULL, "details": {"cached": 0, "audio": 0}}],
            {**FULL, "details": {"cached": 3, "audio": 0}},
        ),
        # What one chunk says is left as it is: whether it can be right is for its reader to judge.
        ([{"prompt_tokens": 0, "completion_tokens": -1}], {"prompt_tokens": 0, "completion_tokens": -1}),
        ([{**FULL, "total_tokens": 3}], {**FULL, "total_tokens": 3}),
        ([{**FULL, "total_tokens": 99}, {"x": 1}], {**FULL, "total_tokens": 99, "x": 1}),
    ],
)
def test_usage_is_what_all_chunks_say_together(said: list[Any], usage: Any) -> None:
    assert chat(*({"choices": [], "usage": each} for each in said))["usage"] == usage


@pytest.mark.parametrize("said", [[], [None], [{}], ["odd"]])
def test_where_nothing_is_said_there_is_no_usage(said: list[Any]) -> None:
    assert "usage" not in chat(*({"choices": [], "usage": each} for each in said))


def test_usage_in_a_choice_is_the_answers_where_that_has_none() -> None:
    """So Moonshot says it."""
    whole = chat({"choices": [{"index": 0, "delta": {}, "usage": FULL}]})
    assert whole["usage"] == whole["choices"][0]["usage"] == FULL
