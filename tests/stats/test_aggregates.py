"""The aggregates that the database computes."""

from __future__ import annotations

import pytest

from chat.models import CallRecord
from stats.aggregates import AGGREGATE_OF_STATUS, CALL_AGGREGATES, UNDECIDED_AGGREGATES
from tests.support.history import make_call

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("status", CallRecord.Status.values)
def test_every_call_that_an_error_rate_leaves_out_is_counted_once(status: str) -> None:
    make_call(status=status)
    counted = CallRecord.objects.aggregate(**CALL_AGGREGATES)
    assert sum(counted[name] for name in UNDECIDED_AGGREGATES) == (status in CallRecord.UNDECIDED)
    assert [name for name in AGGREGATE_OF_STATUS.values() if counted[name]] == (
        [AGGREGATE_OF_STATUS[CallRecord.Status(status)]] if status in AGGREGATE_OF_STATUS else []
    )
