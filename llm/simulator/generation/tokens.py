"""The simulator's approximation of tokens, and the usage that it reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from llm.simulator.script.behaviour import Behaviour


def approximate_tokens(text: str) -> int:
    """One token for every four characters, and at least one."""
    return max(1, len(text) // 4)


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """What an answer is billed by. As with OpenAI, `cached` is a part of `prompt`, and `reasoning` of `completion`."""

    prompt: int
    cached: int
    completion: int
    reasoning: int

    @classmethod
    def of(cls, prompt: int, generated: int, behaviour: Behaviour) -> Self | None:
        """The counts for `generated` tokens in answer to `prompt` tokens; None if the model reports no usage."""
        if not behaviour.usage:
            return None
        # Whoever computes a price relies on the parts being parts, so they must be that with any script.
        return cls(
            prompt=max(prompt, behaviour.cached_tokens),
            cached=behaviour.cached_tokens,
            completion=generated + behaviour.reasoning_tokens,
            reasoning=behaviour.reasoning_tokens,
        )

    @property
    def total(self) -> int:
        """The prompt's and the completion's tokens together."""
        return self.prompt + self.completion

    def as_completion_usage(self) -> dict[str, Any]:
        """The usage object of chat and text completions. The Responses API has one of its own."""
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
