"""The log line of a call."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import pytest

from chat.observers.log import log_call, log_late_end
from llm import LateEnd
from tests.support.outcomes import an_order, outcome_of

GUESS = {"cost_estimated": True}
PART = {"cost_incomplete": True}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    "marks",
    [{}, {"cost_estimated": True}, {"cost_incomplete": True}, {"cost_estimated": True, "cost_incomplete": True}],
)
def test_a_cost_that_is_a_guess_or_a_part_says_so_and_any_other_says_nothing(
    caplog: pytest.LogCaptureFixture, marks: dict[str, Any], late: bool
) -> None:
    outcome = outcome_of(cost_usd=Decimal("0.5"), **marks)
    with caplog.at_level(logging.INFO, "chat"):
        if late:
            log_late_end(an_order(), LateEnd(outcome, None))
        else:
            log_call(an_order(), outcome)
    (line,) = caplog.records
    said = {name: value for name, value in vars(line).items() if name.startswith("cost_")}
    assert said == {"cost_usd": Decimal("0.5"), **marks}
