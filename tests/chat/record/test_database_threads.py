"""A database that holds up whoever asks it must not hold up the finding of upstreams' addresses."""

from __future__ import annotations

import asyncio
import threading

import pytest

from chat.record.database import in_database_thread


@pytest.mark.django_db(transaction=True)
async def test_the_event_loops_own_threads_are_free_while_all_that_ask_the_database_wait() -> None:
    back = threading.Event()
    asking = [asyncio.create_task(in_database_thread(lambda: back.wait(30))) for _ in range(50)]
    try:
        await asyncio.sleep(0.1)
        found = await asyncio.wait_for(asyncio.get_running_loop().getaddrinfo("localhost", 80), 10)
        assert found
        assert not any(task.done() for task in asking)
    finally:
        back.set()
        assert await asyncio.gather(*asking) == [True] * 50
