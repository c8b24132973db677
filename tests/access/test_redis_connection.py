"""When Redis is asked, and what the log says of it."""

from __future__ import annotations

import logging

import pytest

from access.redis_connection import Availability

logger = logging.getLogger("test")


def availability(rest_seconds: float) -> Availability:
    return Availability(rest_seconds, logger, "redis_away", "redis_back")


def test_redis_is_left_alone_for_a_while_after_a_failure() -> None:
    redis = availability(rest_seconds=60)
    assert redis.may_be_asked
    redis.lost(OSError())
    assert redis.is_away
    assert not redis.may_be_asked


def test_redis_that_is_away_is_asked_again_after_the_rest() -> None:
    redis = availability(rest_seconds=0)
    redis.lost(OSError())
    assert redis.is_away
    assert redis.may_be_asked


def test_the_log_has_one_line_when_redis_goes_and_one_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    redis = availability(rest_seconds=0)
    redis.found()
    redis.lost(OSError())
    redis.lost(OSError())
    redis.found()
    redis.found()
    assert [record.message for record in caplog.records] == ["redis_away", "redis_back"]
