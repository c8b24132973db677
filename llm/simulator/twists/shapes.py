"""Twists of what the choices of an answer say, and of how they end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from llm.simulator.twists.twist import ChoiceTwist, Json, PayloadTwist, said_in

_THOUGHT: Final = "Let me think."


class DoneOnly(ChoiceTwist):
    """No choice has a finish reason. A stream ends with `[DONE]` all the same."""

    def choice(self, choice: Json) -> None:
        choice["finish_reason"] = None


class NullReason(ChoiceTwist):
    """Until the end, the finish reason is the text "null"."""

    def choice(self, choice: Json) -> None:
        choice["finish_reason"] = choice.get("finish_reason") or "null"


class FinishError(ChoiceTwist):
    """The finish reason is "error", with an error object inside the choice, as OpenRouter has it."""

    def choice(self, choice: Json) -> None:
        if choice.get("finish_reason"):
            choice["finish_reason"] = "error"
            choice["error"] = {"code": 502, "message": "Provider returned error (simulated)."}


class GoesOn(PayloadTwist):
    """After the finish reason, the stream of a choice goes on: the first finish reason was not its end."""

    def payload(self, payload: Json) -> Iterable[Json]:
        choices = payload.get("choices") or []
        if not any(choice.get("finish_reason") for choice in choices):
            return (payload,)
        more = {"delta": {"content": " And more."}} if "delta" in choices[0] else {"text": " And more."}
        going_on = {**payload, "choices": [{**choice, **more, "finish_reason": None} for choice in choices]}
        return (payload, going_on, payload)


class FullMessage(PayloadTwist):
    """The last frame of a chat stream repeats the whole message, and is called `chat.completion`."""

    def __init__(self) -> None:
        self._said: dict[int, str] = {}

    def payload(self, payload: Json) -> Iterable[Json]:
        for choice in payload.get("choices") or ():
            index, delta = choice["index"], choice.get("delta")
            if delta is None:
                continue
            self._said[index] = self._said.get(index, "") + (delta.get("content") or "")
            if choice.get("finish_reason"):
                payload["object"] = "chat.completion"
                choice["message"] = {"role": "assistant", "content": self._said[index]}
                del choice["delta"]
        return (payload,)


class Parts(ChoiceTwist):
    """The content of a chat completion begins with a part that holds a thought, and goes on as text (Mistral)."""

    def choice(self, choice: Json) -> None:
        said = said_in(choice)
        thought = {"type": "thinking", "thinking": [{"type": "text", "text": _THOUGHT}]}
        if "message" in choice:
            said["content"] = [thought, {"type": "text", "text": said.get("content") or ""}]
        elif "role" in said:
            said["content"] = [thought]


class ThinksOnly(ChoiceTwist):
    """A chat completion has thoughts and no answer, and says `stop`."""

    def choice(self, choice: Json) -> None:
        said = said_in(choice)
        if said.get("content"):
            said["reasoning_content"], said["content"] = said["content"], ""


class AudioOnly(ChoiceTwist):
    """A chat completion is spoken: it has a transcript, and no content."""

    def choice(self, choice: Json) -> None:
        said = said_in(choice)
        if said.get("content"):
            said["audio"] = {"id": "audio_simulated", "transcript": said["content"]}
            said["content"] = None


class ToolNoIndex(ChoiceTwist):
    """The pieces of a streamed tool call do not say which call they belong to."""

    def choice(self, choice: Json) -> None:
        for call in said_in(choice).get("tool_calls") or ():
            call.pop("index", None)


class CutPairs(PayloadTwist):
    """A character that takes two escapes is cut in the middle, so that each chunk has half of it."""

    def payload(self, payload: Json) -> Iterable[Json]:
        for choice in payload.get("choices") or ():
            said = said_in(choice)
            name = "text" if "text" in said else "content"
            halves = _halves(said.get(name))
            if halves is not None:
                return tuple(self._with(payload, choice, name, half) for half in halves)
        return (payload,)

    @staticmethod
    def _with(payload: Json, choice: Json, name: str, text: str) -> Json:
        said = {name: text}
        return {**payload, "choices": [{**choice, **({"delta": said} if "delta" in choice else said)}]}


def _halves(text: object) -> tuple[str, str] | None:
    """A text cut inside its first character beyond the basic plane; None if it has none."""
    if isinstance(text, str):
        for place, character in enumerate(text):
            if (beyond := ord(character) - 0x10000) >= 0:
                high, low = chr(0xD800 + (beyond >> 10)), chr(0xDC00 + (beyond & 0x3FF))
                return text[:place] + high, low + text[place + 1 :]
    return None
