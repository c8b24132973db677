"""Tasks that live as long as the process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

logger = logging.getLogger("chat")


@asynccontextmanager
async def background_task(
    name: str,
    run: Callable[[], Coroutine[Any, Any, None]],
    *,
    close: Callable[[], Awaitable[None] | None] | None = None,
) -> AsyncGenerator[None]:
    """Run `run()` in a task of its own while the context is open. On leaving, the task is ended and awaited.

    With `close`, that function asks the task to end by itself, and the task may first finish its work. Without it, the
    task is cancelled. An error that has ended the task is logged at once, and raised on leaving.
    """
    task = asyncio.create_task(run(), name=name)
    task.add_done_callback(report_death)
    try:
        yield
    finally:
        if close is None:
            task.cancel()
        elif (asked := close()) is not None:
            await asked
        # `gather` waits until the task has ended, and cancels it if we are cancelled while we wait.
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome


def report_death(task: asyncio.Task[None]) -> None:
    """Log the error of a task at once. Without this done-callback nobody would see it until the task is awaited."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.critical("background_task_died", exc_info=error, extra={"task": task.get_name()})
