"""Log records to write, and the events of a log file."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")
# A midnight in Berlin, which is 23:00 UTC of the day before.
MIDNIGHT = datetime(2025, 12, 22, tzinfo=BERLIN).timestamp()


def make_record(event: object, /, created: float = MIDNIGHT, **extra: object) -> logging.LogRecord:
    values = {"name": "chat", "levelno": logging.INFO, "levelname": "INFO", "msg": event, "created": created}
    return logging.makeLogRecord(values | extra)


def events(path: Path) -> list[str]:
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]
