"""Tokens, as the simulator approximates them, and the usage that it reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from llm.simulator.behaviour import Behaviour


def approximate_tokens(text: str) -> int:
    """A token for four characters, and at least one."""
    return max(1, len(text) // 4)


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """What an answer is billed by. As at OpenAI, `cached` is a part of `prompt`, and `reasoning` of `completion`."""

    prompt: int
    cached: int
    completion: int
    reasoning: int

    @classmethod
    def of(cls, prompt: int, generated: int, behaviour: Behaviour) -> Self | None:
        """The counts for so many tokens read and written; None if the model reports no usage."""
        if not behaviour.usage:
            return None
        # A bill is computed by the parts being parts, so it must hold for any script.
        return cls(
            prompt=max(prompt, behaviour.cached_tokens),
            cached=behaviour.cached_tokens,
            completion=generated + behaviour.reasoning_tokens,
            reasoning=behaviour.reasoning_tokens,
        )

    @property
    def total(self) -> int:
        """All of them."""
        return self.prompt + self.completion

    def as_completion_usage(self) -> dict[str, Any]:
        """In the shape of chat and text completions; the Responses API has its own words."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.total,
            "prompt_tokens_details": {"cached_tokens": self.cached, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }
