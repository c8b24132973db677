"""A request for a text completion, checked as far as the simulator needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from llm.simulator.apis.parameters import count, flag, model_name, texts_or_tokens, wants_usage
from llm.simulator.generation.model_output import Prompt
from llm.simulator.generation.tokens import approximate_tokens
from llm.simulator.openai_errors import Refusal

# OpenAI's default, which only this API has.
DEFAULT_MAX_TOKENS: Final = 16

# How many texts `stop` may list, as with OpenAI.
_MAX_STOPS: Final = 4


@dataclass(frozen=True, slots=True)
class CompletionsRequest:
    """The parameters that the simulator uses. Each of the `prompts` is answered `choices` times."""

    model: str
    prompts: tuple[Prompt, ...]
    choices: int
    echo: bool
    stream: bool
    include_usage: bool

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """Raises Refusal (400), which names the wrong parameter."""
        model = model_name(payload)
        max_tokens = count(payload, "max_tokens", least=0)
        stop = _stop(payload.get("stop"))
        prompt = payload.get("prompt")
        return cls(
            model=model,
            prompts=tuple(
                Prompt(
                    model=model,
                    tokens=approximate_tokens(each) if isinstance(each, str) else len(each),
                    last_user_text=each if isinstance(each, str) else "",
                    max_tokens=DEFAULT_MAX_TOKENS if max_tokens is None else max_tokens,
                    stop=stop,
                )
                for each in texts_or_tokens("" if prompt is None else prompt, param="prompt")
            ),
            choices=count(payload, "n") or 1,
            echo=flag(payload, "echo"),
            stream=flag(payload, "stream"),
            include_usage=wants_usage(payload),
        )


def _stop(value: object) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if texts is None:
        return ()
    if not isinstance(texts, list) or len(texts) > _MAX_STOPS or not all(isinstance(each, str) for each in texts):
        raise Refusal(400, f"'stop' must be a text, or a list of up to {_MAX_STOPS}.", param="stop")
    return tuple(text for text in texts if text)
