"""Headers that say who answered, after how many attempts, and for how much."""

from __future__ import annotations

from llm import AttemptStatus, CallOutcome, Opening


def headers_of(known: Opening | CallOutcome) -> dict[str, str]:
    """The headers that can be written when the answer begins. The cost of a stream is not known by then."""
    attempts = known.attempts if isinstance(known, Opening) else len(known.attempts)
    headers = {"x-attempts": str(attempts), "x-cached": "true" if known.cached else "false"}
    if known.model_used:
        headers |= {"x-model-used": known.model_used, "x-provider-used": known.provider_used}
    if isinstance(known, CallOutcome):
        if known.cost_usd is not None:
            headers["x-cost-usd"] = f"{known.cost_usd:f}"
            if known.cost_estimated:
                headers["x-cost-estimated"] = "true"
        if known.cost_incomplete:
            headers["x-cost-incomplete"] = "true"
        headers["x-latency-ms"] = str(known.latency_ms)
        for attempt in known.attempts:
            if attempt.status is AttemptStatus.SUCCEEDED and attempt.upstream_request_id:
                headers["x-upstream-request-id"] = attempt.upstream_request_id
    return {name: header_value(value) for name, value in headers.items()}


def header_value(text: str) -> str:
    """The text with `?` for every character that a header may not contain. A model's name may contain anything."""
    if text.isascii() and text.isprintable():  # Nearly always, and much faster than looking at each letter.
        return text
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)
