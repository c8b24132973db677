"""Tasks that live as long as the process."""

from __future__ import annotations

import asyncio
import logging

import pytest

from chat.background_tasks import background_task


async def for_ever() -> None:
    await asyncio.Event().wait()


def named(name: str) -> list[asyncio.Task[None]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == name]


@pytest.mark.parametrize(("error", "said"), [(ValueError("a defect"), ["background_task_died"]), (None, [])])
async def test_a_background_task_that_dies_is_logged_at_once_and_raises_on_leaving(
    caplog: pytest.LogCaptureFixture, error: Exception | None, said: list[str]
) -> None:
    async def run() -> None:
        if error is not None:
            raise error

    raised = None
    try:
        with caplog.at_level(logging.CRITICAL):
            async with background_task("recorder", run):
                await asyncio.wait(named("recorder"))
                await asyncio.sleep(0)
                assert [record.message for record in caplog.records] == said
    except ValueError as exception:
        raised = exception
    assert raised is error


async def test_without_a_close_a_task_is_cancelled_and_awaited() -> None:
    ended: list[str] = []

    async def run() -> None:
        try:
            await for_ever()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    async with background_task("metrics", run):
        await asyncio.sleep(0)
        assert named("metrics")
    assert ended == ["cleaned up"]
    assert not named("metrics")


@pytest.mark.parametrize("awaited", [False, True])
async def test_with_a_close_a_task_ends_by_itself_after_its_work(awaited: bool) -> None:
    closing = asyncio.Event()
    done: list[str] = []

    async def run() -> None:
        await closing.wait()
        await asyncio.sleep(0)
        done.append("the rest of the work")

    def close() -> None:
        closing.set()

    async def close_later() -> None:
        await asyncio.sleep(0)
        closing.set()

    async with background_task("recorder", run, close=close_later if awaited else close):
        assert done == []
    assert done == ["the rest of the work"]


async def test_a_service_that_is_cancelled_while_a_task_closes_is_still_cancelled_and_leaves_no_task() -> None:
    async def live() -> None:
        async with background_task("recorder", for_ever, close=lambda: None):
            pass

    living = asyncio.create_task(live())
    for _ in range(3):
        await asyncio.sleep(0)
    living.cancel()
    with pytest.raises(asyncio.CancelledError):
        await living
    assert not named("recorder")


async def test_an_error_inside_the_context_ends_the_task() -> None:
    with pytest.raises(ValueError, match="the start failed"):
        async with background_task("metrics", for_ever):
            raise ValueError("the start failed")
    assert not named("metrics")
