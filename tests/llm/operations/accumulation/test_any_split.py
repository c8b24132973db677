"""Any split of any answer gives the answer back."""

from __future__ import annotations

import copy
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from llm.json_values import Json
from llm.operations import CHAT_COMPLETIONS
from llm.operations import COMPLETIONS as TEXT_COMPLETIONS
from tests.llm.operations.accumulation import answers
from tests.llm.operations.accumulation.streams import chat, completion

RANDOMS = st.randoms(use_true_random=False)


@settings(deadline=None)
@given(answers.CHAT, RANDOMS)
def test_any_split_of_a_chat_completion_gives_it_back(answer: Json, random: Random) -> None:
    chunks = answers.chunks_of(answer, answers.chat_queues, random)
    before = copy.deepcopy(chunks)
    assert chat(*chunks) == answer
    assert chunks == before


@settings(deadline=None)
@given(answers.COMPLETIONS, RANDOMS)
def test_any_split_of_a_text_completion_gives_it_back(answer: Json, random: Random) -> None:
    chunks = answers.chunks_of(answer, answers.completion_queues, random)
    before = copy.deepcopy(chunks)
    assert completion(*chunks) == answer
    assert chunks == before


@settings(deadline=None)
@given(answers.CHAT)
def test_the_chunks_that_the_service_makes_of_a_chat_completion_give_it_back(answer: Json) -> None:
    assert chat(*CHAT_COMPLETIONS.chunks_of(answer)) == answer


@settings(deadline=None)
@given(answers.COMPLETIONS)
def test_the_chunks_that_the_service_makes_of_a_text_completion_give_it_back(answer: Json) -> None:
    assert completion(*TEXT_COMPLETIONS.chunks_of(answer)) == answer


@settings(deadline=None)
@given(answers.CHAT)
def test_a_whole_answer_as_the_only_chunk_gives_it_back(answer: Json) -> None:
    assert chat(answer) == answer
