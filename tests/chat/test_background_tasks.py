"""Tasks that live as long as the process."""

from __future__ import annotations

import asyncio
import logging

import pytest

from chat.background_tasks import report_death


@pytest.mark.parametrize(("error", "said"), [(ValueError("a defect"), ["background_task_died"]), (None, [])])
async def test_a_background_task_that_dies_is_logged_at_once(
    caplog: pytest.LogCaptureFixture, error: Exception | None, said: list[str]
) -> None:
    async def task() -> None:
        if error is not None:
            raise error

    running = asyncio.create_task(task(), name="recorder")
    running.add_done_callback(report_death)
    with caplog.at_level(logging.CRITICAL):
        await asyncio.wait([running])
        await asyncio.sleep(0)
    assert [record.message for record in caplog.records] == said
