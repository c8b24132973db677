"""The metric of the last reconciliation, which another process has run. So it is read from a table."""

from __future__ import annotations

import asyncio
import logging

from django.db import DatabaseError
from prometheus_client import Gauge

from chat.record.database import in_database_thread
from stats.models import Reconciliation

logger = logging.getLogger("stats")

# How often the table is read.
REFRESH_SECONDS = 60.0

DRIFT = Gauge(
    "llm_reconcile_drift_ratio",
    "How much more our books said than the provider's in the last reconciliation, as a part of theirs.",
    ("provider",),
    multiprocess_mode="livemostrecent",
)


async def watch_reconciliations() -> None:
    """Keep the metric up to date. Runs until it is cancelled."""
    while True:
        try:
            for provider, drift in await in_database_thread(_last_drifts):
                DRIFT.labels(provider).set(drift)
        except DatabaseError as error:
            # The metric keeps what it was.
            logger.warning("reconciliations_unread", extra={"error": type(error).__name__})
        await asyncio.sleep(REFRESH_SECONDS)


def _last_drifts() -> list[tuple[str, float]]:
    return list(Reconciliation.objects.values_list("provider", "drift_ratio"))
