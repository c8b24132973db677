"""The models that need no script: one whose name begins with `sim-` fails or is slow in the way that its name says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from llm.simulator.openai_errors import KNOWN_STATUSES, error_object
from llm.simulator.script.behaviour import Behaviour
from llm.simulator.script.odd_models import ODD_ANSWERS, ODD_FAULTS
from llm.simulator.script.sim_model import SimModel

# A wait that is longer than any client waits: a day. JSON and uvloop can't express an infinite one.
NEVER_S: Final = 86_400.0


_QUOTA = error_object("insufficient_quota", "You exceeded your current quota (simulated).", code="insufficient_quota")

_NAMED: Final[Mapping[str, SimModel]] = {
    "sim-slow": SimModel("answers well, but the first token takes 3 s", Behaviour(first_token_s=3.0)),
    "sim-timeout": SimModel("takes the request and never answers", Behaviour(latency_s=NEVER_S)),
    "sim-cut": SimModel("the connection is reset after 3 chunks", Behaviour(cut_after=3)),
    "sim-stall": SimModel("falls silent after 3 chunks, connection open", Behaviour(stall_after=3)),
    "sim-end": SimModel("ends after 3 chunks with no finish reason", Behaviour(end_after=3)),
    "sim-malformed": SimModel("sends something that is not JSON after 3 chunks", Behaviour(malformed_after=3)),
    "sim-html": SimModel(
        "a 200 with an HTML page, as a misconfigured proxy sends",
        Behaviour(raw_body="<html><body><h1>It works!</h1></body></html>", content_type="text/html; charset=utf-8"),
    ),
    "sim-empty": SimModel("a correct answer with no content", Behaviour(empty=True)),
    "sim-error-in-200": SimModel("an error object inside a 200", Behaviour(error_after=0)),
    "sim-tool": SimModel("calls the first tool of the request", Behaviour(tool_call=True)),
    "sim-quota": SimModel("429 insufficient_quota: no retry helps", Behaviour(status=429, error=_QUOTA)),
    "sim-context": SimModel("400 context_length_exceeded, for any prompt", Behaviour(context_window=0)),
    "sim-refuse": SimModel(
        "400 for max_tokens, and for a temperature other than 1",
        Behaviour(refuse=("max_tokens",), refuse_values=("temperature",)),
    ),
}


def _of_status(status: int) -> Behaviour:
    return Behaviour(status=status, retry_after="1" if status == 429 else None)


# The built-in models that are listed. `sim-` with any other status from 200 to 599 works too.
SIM_MODELS: Final[Mapping[str, SimModel]] = {
    **_NAMED,
    **ODD_FAULTS,
    **ODD_ANSWERS,
    **{
        f"sim-{status}": SimModel(
            f"HTTP {status}" + (", Retry-After: 1" if status == 429 else ""),
            _of_status(status),
        )
        for status in KNOWN_STATUSES
    },
}


def built_in_behaviour(model: str) -> Behaviour:
    """How `model` behaves without a script: as its `sim-` name says, otherwise healthy."""
    if model in SIM_MODELS:
        return SIM_MODELS[model].behaviour
    status = re.fullmatch(r"sim-([2-5][0-9]{2})", model)
    return _of_status(int(status[1])) if status else Behaviour()
