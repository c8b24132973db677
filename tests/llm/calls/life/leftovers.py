"""What a call could leave behind, and waiting until it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any


async def eventually(condition: Callable[[], bool], within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def others() -> set[asyncio.Task[Any]]:
    """All tasks but the one that asks; each fixture and each test has one of its own."""
    current = asyncio.current_task()
    return {task for task in asyncio.all_tasks() if task is not current}
