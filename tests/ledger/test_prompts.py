"""How the ledger counts prompts, against counts that were made by hand from the published rules."""

from __future__ import annotations

import subprocess
import sys
from random import Random
from typing import Any

import pytest

from tests.ledger.driver.material import png_url, wav
from tests.ledger.upstream.media import image_tokens, recording_tokens
from tests.ledger.upstream.prompt_cache import PromptCache
from tests.ledger.upstream.prompts import Prompt, encode, read_chat, read_response, read_texts

# "Hello" and "!" are two tokens, "user" and "system" are one each, in both vocabularies.
HELLO = {"role": "user", "content": "Hello!"}


class Hits(Random):
    """Chance by which every request goes to the machine that has its beginning."""

    def random(self) -> float:
        return 0.99


@pytest.mark.parametrize(
    ("messages", "count"),
    [
        ([HELLO], 3 + 1 + 2 + 3),
        ([{"role": "system", "content": "Hello!"}, HELLO], 2 * (3 + 1 + 2) + 3),
        # "Tom" is one token, and a name adds one.
        ([HELLO | {"name": "Tom"}], 3 + 1 + 2 + 1 + 1 + 3),
    ],
)
def test_messages_have_the_frames_of_the_cookbook(messages: list[Any], count: int) -> None:
    assert len(read_chat("gpt-4o", {"messages": messages}).tokens) == count


def test_a_tool_has_the_frames_of_the_cookbook() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "string", "description": "Hello.", "enum": ["user"]}}}
    tool = {"type": "function", "function": {"name": "user", "description": "Hello.", "parameters": schema}}
    # The texts are user|:|Hello, x|:string|:|Hello and user, where bars divide the tokens.
    texts = 3 + 4 + 1
    frames = 7 + 3 + 3 - 3 + 3 + 12
    assert len(read_chat("gpt-4o", {"messages": [HELLO], "tools": [tool]}).tokens) == 9 + texts + frames
    assert len(read_chat("gpt-4-turbo", {"messages": [HELLO], "tools": [tool]}).tokens) == 9 + texts + frames + 3


def test_a_text_given_to_responses_is_a_message() -> None:
    assert len(read_response("gpt-4o", {"input": "Hello!"}).tokens) == 3 + 1 + 2 + 3


def test_an_embedding_has_no_frame() -> None:
    assert len(read_texts("text-embedding-3-small", ["Hello!", "Hello!"]).tokens) == 4


def test_each_model_has_its_own_vocabulary() -> None:
    hindi = "नमस्ते दुनिया"
    assert len(encode("gpt-4-turbo", hindi)) > 2 * len(encode("gpt-4o", hindi))


@pytest.mark.parametrize(
    ("model", "size", "detail", "count"),
    [
        # The examples of OpenAI's guide to images.
        ("gpt-4o", (1024, 1024), "high", 765),
        ("gpt-4o", (2048, 4096), "high", 1105),
        ("gpt-4o", (4096, 8192), "low", 85),
        ("gpt-4o-mini", (1024, 1024), "high", 2833 + 4 * 5667),
        # 1024 patches and, where there were too many, 1452; each is 1.62 or 1.72 tokens.
        ("gpt-4.1-mini", (1024, 1024), "high", 1658),
        ("o4-mini", (1800, 2400), "high", 2497),
    ],
)
def test_an_image_is_counted_by_the_rule_of_its_model(
    model: str, size: tuple[int, int], detail: str, count: int
) -> None:
    assert image_tokens(model, png_url(*size), detail) == count


@pytest.mark.parametrize(("seconds", "count"), [(1.0, 10), (1.55, 16)])
def test_a_second_of_a_recording_is_ten_tokens(seconds: float, count: int) -> None:
    assert recording_tokens(wav(seconds)) == count


def prompt(length: int, *, different_from: int | None = None, breakpoints: tuple[int, ...] = ()) -> Prompt:
    tokens = list(range(length))
    if different_from is not None:
        tokens[different_from:] = [-token for token in tokens[different_from:]]
    return Prompt(tokens, breakpoints=list(breakpoints), message_ends=[*breakpoints, length - 3])


def test_an_older_model_reuses_a_beginning_in_steps_of_128_tokens_and_bills_no_write() -> None:
    cache, chance = PromptCache(), Hits()
    assert cache.read("gpt-4o", prompt(1500), now=0, ready=1, random=chance) == (0, 0)
    # 1024 + 2 x 128 tokens are the same.
    assert cache.read("gpt-4o", prompt(1500, different_from=1300), now=2, ready=3, random=chance) == (1280, 0)


def test_a_model_of_the_56_family_bills_what_it_writes_up_to_the_last_message() -> None:
    cache, chance = PromptCache(), Hits()
    assert cache.read("gpt-5.6-sol", prompt(1500), now=0, ready=1, random=chance) == (0, 1497)
    # Another last message shares no breakpoint, so all is written again.
    other = prompt(1500, different_from=1300)
    assert cache.read("gpt-5.6-sol", other, now=2, ready=3, random=chance) == (0, 1497)
    assert cache.read("gpt-5.6-sol", other, now=4, ready=5, random=chance) == (1497, 0)


def test_a_model_of_the_56_family_reuses_what_ends_at_a_breakpoint() -> None:
    cache, chance = PromptCache(), Hits()
    cache.read("gpt-5.6-sol", prompt(1500, breakpoints=(1200,)), now=0, ready=1, random=chance)
    other = prompt(1500, different_from=1300, breakpoints=(1200,))
    assert cache.read("gpt-5.6-sol", other, now=2, ready=3, random=chance) == (1200, 297)


@pytest.mark.parametrize(("length", "now"), [(1023, 2), (1500, 0.5)])
def test_nothing_comes_from_the_cache_if_a_prompt_is_short_or_is_still_being_read(length: int, now: float) -> None:
    cache, chance = PromptCache(), Hits()
    cache.read("gpt-4o", prompt(length), now=0, ready=1, random=chance)
    assert cache.read("gpt-4o", prompt(length), now=now, ready=3, random=chance) == (0, 0)


def test_the_ledger_imports_nothing_of_the_product() -> None:
    show = "import sys, tests.ledger.upstream.server; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout.split()
    product = {"llm", "chat", "access", "stats", "orchestration_site", "genai_prices", "django"}
    assert "splintr" in loaded and not product & set(loaded)
