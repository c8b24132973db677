"""Tasks that live as long as the process."""

from __future__ import annotations

import asyncio
import logging

logger = logging.getLogger("chat")


def report_death(task: asyncio.Task[None]) -> None:
    """A done-callback: a task that a defect has ended is reported now, and not only when someone awaits it."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.critical("background_task_died", exc_info=error, extra={"task": task.get_name()})
