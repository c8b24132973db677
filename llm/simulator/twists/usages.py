"""Twists of the usage: the words of other vendors, other places for it, and counts that can't be right."""

from __future__ import annotations

from collections.abc import Iterable

from llm.simulator.twists.twist import Json, PayloadTwist

_MAIN = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens")


class UsageTwist(PayloadTwist):
    """Changes the usage, wherever an answer or an event of any API has one."""

    def usage(self, usage: Json) -> Json:
        """The usage that goes out."""
        return usage

    def whole(self, answer: Json) -> Json:
        for holder in (answer, answer.get("response") or {}):
            if holder.get("usage"):
                holder["usage"] = self.usage(holder["usage"])
        return answer

    def payload(self, payload: Json) -> Iterable[Json]:
        return (self.whole(payload),)


class UsageZeros(UsageTwist):
    """All counts are 0."""

    def usage(self, usage: Json) -> Json:
        return {name: 0 for name in usage if name in _MAIN}


class UsageNegative(UsageTwist):
    """The count of the completion is -1, and the total fits it."""

    def usage(self, usage: Json) -> Json:
        prompt, completion = _names(usage)
        return {prompt: usage[prompt], completion: -1, "total_tokens": usage[prompt] - 1}


class UsageBeside(UsageTwist):
    """Reasoning is counted beside the completion, and only the total has both (xAI)."""

    def usage(self, usage: Json) -> Json:
        _, completion = _names(usage)
        reasoning = (usage.get(f"{completion}_details") or {}).get("reasoning_tokens", 0)
        return {**usage, completion: usage.get(completion, reasoning) - reasoning}


class UsageDeepSeek(UsageTwist):
    """Cached tokens have DeepSeek's names."""

    def usage(self, usage: Json) -> Json:
        prompt, _ = _names(usage)
        cached = (usage.get(f"{prompt}_details") or {}).get("cached_tokens", 0)
        cache = {"prompt_cache_hit_tokens": cached, "prompt_cache_miss_tokens": usage[prompt] - cached}
        return {name: usage[name] for name in usage if name in _MAIN} | cache


class UsageInChoice(PayloadTwist):
    """The usage is in the last choice (Moonshot)."""

    def whole(self, answer: Json) -> Json:
        if answer.get("choices") and answer.get("usage"):
            answer["choices"][-1]["usage"] = answer.pop("usage")
        return answer

    def payload(self, payload: Json) -> Iterable[Json]:
        if payload.get("usage") and payload.get("choices") == []:
            choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": payload.pop("usage")}
            return ({**payload, "choices": [choice]},)
        return (payload,)


class UsageHalves(PayloadTwist):
    """A stream states the prompt and the completion in two chunks, each with a zero for the other."""

    def payload(self, payload: Json) -> Iterable[Json]:
        usage = payload.get("usage")
        if not usage or "completion_tokens" not in usage:
            return (payload,)
        prompt, completion = usage["prompt_tokens"], usage["completion_tokens"]
        halves = ((prompt, 0), (0, completion))
        names = ("prompt_tokens", "completion_tokens", "total_tokens")
        return tuple({**payload, "usage": dict(zip(names, (*half, sum(half)), strict=True))} for half in halves)


def _names(usage: Json) -> tuple[str, str]:
    """What this API calls the tokens of the prompt and of the completion."""
    return ("input_tokens", "output_tokens") if "input_tokens" in usage else ("prompt_tokens", "completion_tokens")
