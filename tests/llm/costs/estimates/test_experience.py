"""What told usages teach, and how little memory and time that takes."""

from __future__ import annotations

import time

import pytest

from llm.costs.estimates import Experience, ModelKey
from llm.costs.estimates.beginnings import CACHED_SECONDS, MAX_BEGINNINGS, Beginnings, digests_of
from llm.costs.estimates.experience import MAX_MODELS, USUAL_COMPLETION, USUAL_SPEED

O3 = ModelKey("openai", "o3")
GPT_4O = ModelKey("openai", "gpt-4o")


def test_before_anything_is_known_a_model_thinks_if_its_name_says_so() -> None:
    experience = Experience()
    for model in ("o1", "o3-mini", "openai/gpt-5", "gpt-5-mini", "gpt-6-luna", "deepseek-reasoner", "gpt-oss-120b"):
        assert experience.hidden_tokens(ModelKey("x", model), 2.0) == 2 * USUAL_SPEED, model
    for model in ("gpt-4o", "gpt-4.1", "gpt-5-chat-latest", "omni", "llama-3.3-70b", "sim-slow"):
        assert experience.hidden_tokens(ModelKey("x", model), 2.0) == 0, model
    assert experience.expected_completion(GPT_4O) == USUAL_COMPLETION


def test_a_model_that_was_seen_to_think_is_known_to_think_at_its_speed() -> None:
    experience, unknown = Experience(), ModelKey("x", "m")
    experience.saw_answer(unknown, tokens=1_000, answers=1, seconds=10)
    experience.saw_thoughts(unknown, hidden=800, silent_seconds=8)
    assert experience.hidden_tokens(unknown, 3) == pytest.approx(300)
    assert experience.expected_completion(unknown) == 1_000
    experience.saw_answer(O3, tokens=0, answers=1, seconds=1)
    experience.saw_thoughts(O3, hidden=0, silent_seconds=1)
    assert experience.hidden_tokens(O3, 3) == 0, "it was asked not to think, and did not"


def test_the_speed_of_whole_answers_stands_in_for_that_of_thoughts() -> None:
    experience, model = Experience(), ModelKey("x", "m")
    experience.saw_thoughts(model, hidden=1, silent_seconds=0)
    experience.saw_answer(model, tokens=600, answers=1, seconds=6)
    assert experience.hidden_tokens(model, 2) == pytest.approx(200)


def test_a_model_that_has_not_answered_yet_is_taken_to_speak_as_long_as_the_others() -> None:
    experience = Experience()
    experience.saw_answer(GPT_4O, tokens=300, answers=3, seconds=1)
    assert experience.expected_completion(O3) == 100


def test_recent_answers_count_most() -> None:
    experience = Experience()
    for tokens in [10] * 100 + [1_000] * 100:
        experience.saw_answer(GPT_4O, tokens=tokens, answers=1, seconds=1)
    assert experience.expected_completion(GPT_4O) == pytest.approx(1_000, rel=0.02)


def test_tiers_are_learned_apart_and_odd_ones_are_none() -> None:
    assert ModelKey.of("p", "m", "flex") != ModelKey.of("p", "m", None)
    for odd in (None, "auto", "default", "x" * 100, 5, {}, []):
        assert ModelKey.of("p", "m", odd) == ModelKey("p", "m")


def test_what_is_remembered_is_bounded() -> None:
    experience = Experience()
    for number in range(MAX_MODELS * 2):
        experience.saw_answer(ModelKey("p", str(number)), tokens=1, answers=1, seconds=1)
    assert len(experience) == MAX_MODELS
    beginnings = Beginnings()
    for number in range(MAX_BEGINNINGS // 10):
        digests = [(1_024, b"%d-%d" % (number, each)) for each in range(20)]
        beginnings.note(digests, used=0, ready=0)
    assert len(beginnings) == MAX_BEGINNINGS


def prompt(*texts: str) -> list[tuple[int, bytes]]:
    return digests_of(texts, sum(map(len, texts)) // 4, "openai\nkey\ngpt-4o")


SHARED = "All work and no play makes Jack a dull boy. " * 200  # 8,800 bytes, taken for 2,200 tokens


def test_a_beginning_that_was_sent_before_is_known_in_steps_of_128_tokens() -> None:
    beginnings = Beginnings()
    beginnings.note(prompt(SHARED, "first" * 100), used=100, ready=101)
    assert beginnings.known_tokens(prompt(SHARED, "second" * 200), 102) in (2_048, 2_176)
    assert beginnings.known_tokens(prompt(SHARED, "first" * 100), 100.5) == 0, "it was not read yet"
    assert beginnings.known_tokens(prompt(SHARED), 101 + CACHED_SECONDS) == 0, "it is too long ago"
    assert beginnings.known_tokens(prompt("Another beginning. ", SHARED), 102) == 0
    assert beginnings.known_tokens(digests_of([SHARED], 2_200, "openai\nother key\ngpt-4o"), 102) == 0


def test_a_beginning_that_is_used_stays_known() -> None:
    beginnings = Beginnings()
    for used in range(0, 3_000, 300):
        beginnings.note(prompt(SHARED), used=used, ready=used + 1)
    assert beginnings.known_tokens(prompt(SHARED), 3_000) > 0
    beginnings.note(prompt(SHARED), used=9_000, ready=9_010)
    assert beginnings.known_tokens(prompt(SHARED), 9_005) == 0, "it was forgotten meanwhile, and is not read again yet"


def test_a_short_prompt_has_no_beginning_and_a_long_one_not_many() -> None:
    assert prompt("a" * 4_000) == []
    assert prompt("a" * 4_200)
    assert len(prompt("a" * 4_000_000)) < 250


def test_what_a_plain_call_pays_is_small() -> None:
    experience = Experience()
    began = time.process_time()
    for _ in range(10_000):
        experience.saw_answer(GPT_4O, tokens=100, answers=1, seconds=1)
    assert (time.process_time() - began) / 10_000 < 20e-6


def test_what_told_answers_wrote_to_the_cache_is_the_share_of_a_prompt_that_was_cut() -> None:
    experience = Experience()
    assert experience.written_share(GPT_4O) == 0
    experience.saw_written(GPT_4O, told=1_500, expected=2_000)
    experience.saw_written(GPT_4O, told=0, expected=0)  # all of it came from the cache, which says nothing of the rest
    assert experience.written_share(GPT_4O) == pytest.approx(0.75)


def test_a_stream_that_was_cut_went_on_at_the_models_speed_but_only_for_a_moment() -> None:
    experience = Experience()
    assert experience.unseen_tokens(GPT_4O, 0.1) == 0
    experience.saw_answer(GPT_4O, tokens=1_000, answers=1, seconds=10)
    assert experience.unseen_tokens(GPT_4O, 0.1) == pytest.approx(10)
    assert experience.unseen_tokens(GPT_4O, 60) == pytest.approx(20)
