"""An event loop with a virtual clock: when nothing is ready, its time jumps to that of the next timer.

The engine takes its time from the running loop, so a test of several minutes runs in a millisecond, and always in the
same way. If nothing is ready and no timer is set, nothing can ever happen again. Then `Stuck` is raised, so that the
test fails and does not hang.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")

# How many turns the loop may take at one point in time before this counts as an endless loop.
MOST_TURNS = 50_000


class Stuck(BaseException):
    """Every task waits for something that nobody will do, or time does not go on."""


class _JumpingSelector(selectors.DefaultSelector):
    now = 0.0
    turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise Stuck("Nothing is ready, and no timer is set.")
        self.turns += 1
        if self.turns > MOST_TURNS:
            raise Stuck(f"At {self.now} s, tasks run in circles.")
        if not ready and timeout:
            self.now += timeout
            self.turns = 0
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Its time starts at 0 s. `complaints` has what asyncio would only log, like an exception that nobody retrieved."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self.complaints: list[str] = []
        self.set_exception_handler(lambda _, context: self.complaints.append(repr(context)))

    def time(self) -> float:
        return self._jumping.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on a new loop. Fails if it leaves a task running, or if asyncio has something to complain about."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(_leaving_nothing(main))


def virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A decorator for tests that are coroutines and run in virtual time."""

    @functools.wraps(test)
    def in_virtual_time(*args: P.args, **kwargs: P.kwargs) -> None:
        run(test(*args, **kwargs))

    return in_virtual_time


async def _leaving_nothing(main: Coroutine[Any, Any, T]) -> T:
    result = await main
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"left running: {left}"
    gc.collect(0)  # asyncio reports an exception that nobody retrieved when its task is collected
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    assert not loop.complaints, loop.complaints
    return result
