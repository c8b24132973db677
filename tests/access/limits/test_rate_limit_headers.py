"""The headers that tell a caller what is left of its limits."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from access.limit_rules import Limits, Rate
from access.limits.limit_store import Reading
from access.limits.meters import Estimate, Kind, meters_of
from access.limits.rate_limit_headers import RATE_LIMIT_HEADERS, rate_limit_headers
from orchestration_site.http.browsers.cors import RESPONSE_HEADERS

# A caller for whom every kind of limit is set.
ALL = Limits(Rate(5, 60), tokens_per_minute=5, max_concurrent=5, usd_per_day=Decimal(5), usd_per_month=Decimal(5))


def test_pages_of_other_origins_may_read_the_headers_of_every_kind_of_limit() -> None:
    meters = meters_of(ALL, Estimate(1, Decimal(1)), datetime(2028, 2, 29, tzinfo=UTC))
    assert {meter.kind for meter in meters} == set(Kind)
    headers = rate_limit_headers(meters, [Reading(0, 0, 0.0, 0.0, 0.0) for _ in meters], taken=True)
    assert {name.lower() for name in headers} == set(RATE_LIMIT_HEADERS) <= set(RESPONSE_HEADERS)
