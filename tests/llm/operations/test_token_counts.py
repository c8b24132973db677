"""Reading the token counts that a provider states, in the words of many vendors."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm import CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, RESPONSES, Usage
from llm.operations import Operation
from llm.operations.billing.counts import as_count
from llm.operations.token_counts import StatedUsage, read_usage

FULL = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
BOTH = StatedUsage(1_000, 100)
NO_COUNTS = (None, True, -5, 5.5, 2**31, float("inf"), float("nan"), "", "-5", "five", [], {})


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (FULL, BOTH),
        ({"input_tokens": 1_000, "output_tokens": 100}, BOTH),
        ({**FULL, "prompt_tokens_details": None, "completion_tokens_details": "odd"}, BOTH),
        ({"prompt_tokens": 1_000.0, "completion_tokens": "100", "total_tokens": "1100.0"}, BOTH),
        # One count that is missing is what the other leaves of the total.
        ({"prompt_tokens": 1_000, "total_tokens": 1_100}, BOTH),
        ({"completion_tokens": 100, "total_tokens": 1_100}, BOTH),
        ({"prompt_tokens": 0, "completion_tokens": 100, "total_tokens": 1_100}, BOTH),
        ({"prompt_tokens": 1_000, "completion_tokens": 0, "total_tokens": 1_100}, BOTH),
        ({"prompt_tokens": 1_000}, StatedUsage(1_000, None)),
        ({"completion_tokens": 100}, StatedUsage(None, 100)),
        ({"prompt_tokens": 1_000, "completion_tokens": -1, "total_tokens": 999}, StatedUsage(1_000, None)),
        ({"prompt_tokens": 1_000, "completion_tokens": 10**30}, StatedUsage(1_000, None)),
        # A total that is less than its parts is not believed.
        ({**FULL, "total_tokens": 3}, BOTH),
        ({**FULL, "total_tokens": 10**30}, BOTH),
        ({**FULL, "total_tokens": 0}, BOTH),
    ],
)
def test_counts_are_read_in_any_words_and_checked_against_their_total(usage: object, expected: StatedUsage) -> None:
    assert read_usage(usage) == expected


@pytest.mark.parametrize(
    "usage",
    [None, "many", [], {}, {"total_tokens": 12}, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}],
)
def test_usage_that_says_nothing_is_none(usage: object) -> None:
    assert read_usage(usage) is None


@pytest.mark.parametrize(
    "stated",
    [
        pytest.param({"prompt_tokens_details": {"cached_tokens": 900}}, id="OpenAI"),
        pytest.param({"input_tokens_details": {"cached_tokens": 900}}, id="the Responses API"),
        pytest.param({"cached_tokens": 900}, id="Moonshot"),
        pytest.param({"cached_tokens": 900, "prompt_tokens_details": {"cached_tokens": 900}}, id="Moonshot, twice"),
        pytest.param({"prompt_cache_hit_tokens": 900, "prompt_cache_miss_tokens": 100}, id="DeepSeek"),
        pytest.param(
            {"prompt_cache_hit_tokens": 900, "prompt_tokens_details": {"cached_tokens": 0}}, id="a zero elsewhere"
        ),
        pytest.param({"cache_read_input_tokens": 900, "cache_creation_input_tokens": 0}, id="a gateway to Anthropic"),
        pytest.param({"cached_prompt_text_tokens": 900}, id="xAI"),
        pytest.param({"cached_input_tokens": "900"}, id="Codex"),
        pytest.param({"input_token_details": {"cache_read": 900}}, id="LangChain"),
    ],
)
def test_cached_tokens_are_found_under_the_name_of_each_vendor(stated: dict[str, Any]) -> None:
    assert read_usage({**FULL, **stated}) == StatedUsage(1_000, 100, cached_tokens=900)


def test_deepseek_may_state_its_prompt_only_by_what_was_cached_and_what_was_not() -> None:
    usage = {"prompt_cache_hit_tokens": 900, "prompt_cache_miss_tokens": 100, "completion_tokens": 100}
    assert read_usage(usage) == StatedUsage(1_000, 100, cached_tokens=900)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param(
            {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 1_100, "cached_tokens": 900},
            StatedUsage(1_000, 100, 900),
            id="by the total",
        ),
        pytest.param(
            {
                "prompt_tokens": 100,
                "completion_tokens": 40,
                "total_tokens": 1_100,
                "cached_tokens": 900,
                "reasoning_tokens": 60,
            },
            StatedUsage(1_000, 100, 900, 60),
            id="by the total, with reasoning",
        ),
        pytest.param(
            {
                "input_tokens": 50,
                "output_tokens": 100,
                "cache_read_input_tokens": 900,
                "cache_creation_input_tokens": 50,
            },
            StatedUsage(1_000, 100, 900, cache_write_tokens=50),
            id="Anthropic's own words",
        ),
        pytest.param(
            {"input_tokens": 990, "output_tokens": 100, "cache_read_input_tokens": 10},
            StatedUsage(1_000, 100, 10),
            id="Anthropic's own words, with little in the cache",
        ),
        pytest.param(
            {
                "prompt_tokens": 50,
                "completion_tokens": 100,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 900},
                "cache_read_input_tokens": 900,
                "cache_creation_input_tokens": 50,
            },
            StatedUsage(1_000, 100, 900, cache_write_tokens=50),
            id="Anthropic's, translated, with a total that leaves the cache out",
        ),
    ],
)
def test_a_cache_that_is_counted_beside_the_prompt_is_added_to_it(usage: object, expected: StatedUsage) -> None:
    assert read_usage(usage) == expected


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        pytest.param(
            {"completion_tokens": 100, "completion_tokens_details": {"reasoning_tokens": 70}, "total_tokens": 1_100},
            StatedUsage(1_000, 100, 0, 70),
            id="OpenAI: a part of the completion",
        ),
        pytest.param(
            {"completion_tokens": 100, "completion_tokens_details": {"reasoning_tokens": 700}, "total_tokens": 1_800},
            StatedUsage(1_000, 800, 0, 700),
            id="xAI: beside the completion, as the total shows",
        ),
        pytest.param(
            {"completion_tokens": 0, "completion_tokens_details": {"reasoning_tokens": 60}, "total_tokens": 1_060},
            StatedUsage(1_000, 60, 0, 60),
            id="xAI: only thoughts",
        ),
        pytest.param(
            {"completion_tokens": 198, "total_tokens": 1_603}, StatedUsage(1_000, 603), id="Gemini: in the total alone"
        ),
        pytest.param(
            {"completion_tokens": 10, "reasoning_tokens": 70},
            StatedUsage(1_000, 80, 0, 70),
            id="no total, and too many for a part",
        ),
        pytest.param(
            {"completion_tokens": 10, "reasoning_tokens": 70, "total_tokens": 1_010},
            StatedUsage(1_000, 10, 0, 10),
            id="too many for a part, and the total knows nothing of them",
        ),
    ],
)
def test_reasoning_is_counted_once(stated: dict[str, Any], expected: StatedUsage) -> None:
    assert read_usage({"prompt_tokens": 1_000, **stated}) == expected


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (5, 5),
        (5.0, 5),
        ("5", 5),
        ("5.0", 5),
        (0, 0),
        *((value, None) for value in NO_COUNTS),
    ],
)
def test_a_count_is_a_whole_number_however_it_is_written(value: object, count: int | None) -> None:
    assert as_count(value) == count


@pytest.mark.parametrize("operation", [CHAT_COMPLETIONS, COMPLETIONS])
@pytest.mark.parametrize(
    "answer",
    [
        {"usage": FULL},
        {"usage": FULL, "choices": [{"usage": {"prompt_tokens": 1}}]},
        {"usage": None, "choices": [{"index": 0, "usage": FULL}]},
        {"usage": {}, "choices": [{"index": 0, "usage": FULL}, {"index": 1, "usage": None}]},
        {"choices": [], "x_groq": {"id": "req_1", "usage": {**FULL, "prompt_time": 0.006}}},
    ],
)
def test_usage_is_found_wherever_a_vendor_puts_it(operation: Operation, answer: dict[str, Any]) -> None:
    assert operation.usage(answer) == BOTH


@pytest.mark.parametrize("usage", [FULL, {"input_tokens": 1_000, "output_tokens": 100}])
@pytest.mark.parametrize("place", ["response", "event"])
def test_usage_of_a_response_is_in_its_last_event(usage: dict[str, Any], place: str) -> None:
    event = {"type": "response.completed", "response": {"object": "response"}}
    (event["response"] if place == "response" else event)["usage"] = usage  # type: ignore[index]
    assert RESPONSES.usage(event) == BOTH


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 8, "total_tokens": 8}, StatedUsage(8, 0)),
        ({"prompt_tokens": 8, "completion_tokens": 0, "total_tokens": 8}, StatedUsage(8, 0)),
        ({"prompt_tokens": 0, "total_tokens": 8}, StatedUsage(8, 0)),
        ({"total_tokens": "8"}, StatedUsage(8, 0)),
        ({"input_tokens": 8}, StatedUsage(8, 0)),
        ({"prompt_tokens": 0, "total_tokens": 0}, None),
        ("odd", None),
    ],
)
def test_embeddings_take_only_their_prompt(usage: object, expected: StatedUsage | None) -> None:
    assert EMBEDDINGS.usage({"usage": usage}) == (expected if isinstance(usage, dict) else None)


@pytest.mark.parametrize(
    ("stated", "usage"),
    [
        (StatedUsage(1_000, 100, 900, 70), Usage(1_000, 100, 900, 70)),
        (StatedUsage(1_000, None), Usage(1_000, 7, estimated=True)),
        (StatedUsage(1_000, 0), Usage(1_000, 7, estimated=True)),
        (StatedUsage(None, 100), Usage(9, 100, estimated=True)),
        (StatedUsage(0, 100, cached_tokens=20), Usage(9, 100, 9, estimated=True)),
    ],
)
def test_what_is_missing_or_zero_is_estimated_and_marked(stated: StatedUsage, usage: Usage) -> None:
    assert stated.completed(prompt_tokens=lambda: 9, completion_tokens=lambda: 7) == usage


def test_a_zero_that_is_right_is_no_estimate() -> None:
    stated = StatedUsage(1_000, 0)
    assert stated.completed(prompt_tokens=lambda: 9, completion_tokens=lambda: 0) == Usage(1_000, 0)


def test_a_count_that_can_not_be_read_is_an_estimate_even_if_it_is_zero() -> None:
    stated = StatedUsage(1_000, None)
    assert stated.completed(prompt_tokens=lambda: 9, completion_tokens=lambda: 0) == Usage(1_000, 0, estimated=True)


DETAIL = st.one_of(st.integers(min_value=-2, max_value=30), st.none(), st.booleans())


@given(
    prompt=st.integers(min_value=0, max_value=30),
    completion=st.integers(min_value=0, max_value=30),
    off=st.sampled_from([0, 0, 0, 1, -1]),
    details=st.fixed_dictionaries({}, optional={"cached_tokens": DETAIL, "audio_tokens": st.just(0)}) | st.none(),
    parts=st.fixed_dictionaries({}, optional={"reasoning_tokens": DETAIL, "audio_tokens": DETAIL}) | st.none(),
)
def test_the_short_way_for_a_plain_usage_reads_the_same_as_the_long_one(
    prompt: int, completion: int, off: int, details: dict[str, Any] | None, parts: dict[str, Any] | None
) -> None:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion + off}
    usage |= {"prompt_tokens_details": details, "completion_tokens_details": parts}
    # A field that nobody knows counts nothing, and sends the usage the long way.
    assert read_usage(usage) == read_usage({**usage, "nobody_knows": 1})
