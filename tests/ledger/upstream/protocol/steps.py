"""What a model does one after the other while it answers, and what was done when it was stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.ledger.upstream.lines import Line
from tests.ledger.upstream.prices import Searches, Tokens

NO_SEARCHES = Searches()


@dataclass(frozen=True, slots=True)
class Step:
    """After `seconds` these tokens have been made and these searches done, and `data` is sent if there is any."""

    seconds: float = 0.0
    reasoning: int = 0
    text: int = 0
    audio: int = 0
    searches: Searches = NO_SEARCHES
    search_content: int = 0
    data: bytes = b""


def do(line: Line, step: Step, part: float = 1.0) -> None:
    """Bill a step, or a part of its tokens. A search is billed when it is done."""
    reasoning, text, audio = (int(count * part) for count in (step.reasoning, step.text, step.audio))
    tokens = line.tokens
    line.tokens = replace(
        tokens,
        completion=tokens.completion + reasoning + text + audio,
        reasoning=tokens.reasoning + reasoning,
        audio_out=tokens.audio_out + audio,
        prompt=tokens.prompt + (step.search_content if part == 1.0 else 0),
    )
    if part == 1.0:
        searches = line.searches
        line.searches = Searches(searches.web + step.searches.web, searches.file + step.searches.file)


def do_for(line: Line, steps: Sequence[Step], seconds: float) -> None:
    """Bill what is done of these steps in so many seconds."""
    for step in steps:
        if step.seconds > seconds:
            do(line, step, seconds / step.seconds)
            return
        do(line, step)
        seconds -= step.seconds


def totals(prompt: Tokens, steps: Sequence[Step]) -> tuple[Tokens, Searches]:
    """What all steps have cost together, on top of the prompt."""
    line = Line(number=0, operation="", model="", mark="", upstream_request_id="", streamed=False, tokens=prompt)
    for step in steps:
        do(line, step)
    return line.tokens, line.searches
