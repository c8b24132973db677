"""One process of the midnight tests. It writes numbered lines to the log file before and after a given midnight.

python log_writer.py FOLDER WORKER LINES MIDNIGHT MODE

It says "ready", and begins when it is told FLIP, a real time, by its input.

With the mode "shared" the clock of all workers passes MIDNIGHT when real time passes FLIP. Each worker stops after
LINES lines of the new day. With the mode "skewed" the clock of each worker makes a step with each line, so that some
workers are still in the old day when others have renamed the file.
"""

import logging
import random
import sys
import time
from pathlib import Path

from orchestration_site.logs.formatter import JsonFormatter
from orchestration_site.logs.midnight_file import MidnightFileHandler


def main(folder: str, worker: str, lines: int, midnight: float, mode: str) -> None:
    handler = MidnightFileHandler(Path(folder) / "app.log", retention_days=7, now=lambda: midnight)
    handler.setFormatter(JsonFormatter())
    print("ready", flush=True)
    flip = float(sys.stdin.readline())
    number = after = 0
    while after < lines:
        moment = midnight + (time.time() - flip if mode == "shared" else (number - lines) * 0.001)
        after += moment >= midnight
        record = logging.makeLogRecord(
            {"name": "test", "levelname": "INFO", "msg": "line", "created": moment, "worker": worker, "number": number}
        )
        record.__dict__["after_midnight"] = moment >= midnight
        record.__dict__["filling"] = "x" * random.choice((0, 100, 5000))
        handler.handle(record)
        number += 1
        if number % 3 == 0:
            time.sleep(0.001)
    handler.close()
    print(number)
    if handler.last_error:
        sys.exit(handler.last_error)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5])
