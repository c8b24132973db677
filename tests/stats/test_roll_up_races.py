"""Writers, and several processes that roll up, at the same time: on SQLite's file and on a real PostgreSQL.

The result depends on the order in which they read and commit, so each test stops one of them at the place that matters.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.utils import timezone

from chat.models import Attempt, CallRecord, LateHour
from chat.record.late_hours import hour_of, note_changes
from stats.models import HourlyAttempts, HourlyCalls, RollUpState
from stats.roll_ups import roll_up
from stats.roll_ups.roll_up import roll_up_hour
from stats.roll_ups.task import RollUps
from stats.selectors import read_statistics
from stats.stats_filter import StatsFilter
from tests.support.database_servers import PostgresServer
from tests.support.history import START, make_call

T = TypeVar("T")


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    # PostgreSQL runs as another user, so its folder cannot be inside pytest's own, which only the owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    folder.chmod(0o755)
    server = PostgresServer(folder)
    server.start()
    yield server
    server.close()
    shutil.rmtree(folder)


@pytest.fixture(params=["the tests' own database", "PostgreSQL"])
def history(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[None]:
    """An hour with one call, which is rolled up. All threads use the same database."""
    if request.param == "PostgreSQL":
        server: PostgresServer = request.getfixturevalue("postgres")
        own = connections["default"]
        values = {**own.settings_dict, "ENGINE": "django.db.backends.postgresql", "OPTIONS": {"connect_timeout": 3}}
        values |= {"NAME": "postgres", "HOST": "127.0.0.1", "PORT": server.port, "USER": "service", "PASSWORD": ""}
        settings = connections.settings["default"]
        connections.settings["default"] = values
        del connections["default"]
        try:
            call_command("migrate", verbosity=0)
            _empty()
            yield from _with_one_call()
        finally:
            connections["default"].close()
            connections.settings["default"] = settings
            connections["default"] = own
    else:
        yield from _with_one_call()


def _with_one_call() -> Iterator[None]:
    make_call({"cost_usd": "0.1"}, latency_ms=10)
    while roll_up_hour():
        pass
    yield


def _empty() -> None:
    for model in (Attempt, CallRecord, LateHour, HourlyCalls, HourlyAttempts, RollUpState):
        model.objects.all().delete()


def in_thread(thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return thread.submit(work).result(timeout=20)


def closing(work: Callable[[], T]) -> Callable[[], T]:
    def run() -> T:
        try:
            return work()
        finally:
            connection.close()

    return run


def write_late(**columns: object) -> None:
    with transaction.atomic():
        note_changes([START])
        make_call({"cost_usd": "0.1"}, created_at=START, **columns)


def statistics() -> tuple[int, int | None]:
    found = read_statistics(StatsFilter()).statistics
    return found.total_requests, found.latency_ms.p99


def from_the_calls() -> tuple[int, int | None]:
    latencies = sorted(CallRecord.objects.values_list("latency_ms", flat=True))
    return len(latencies), latencies[-(-99 * len(latencies) // 100) - 1]


def stop_before_storing(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """The next thread that rolls up stops after it has read. Every other thread goes on."""
    has_read, go_on = threading.Event(), threading.Event()
    store, once = roll_up._store, threading.Lock()

    def slow(found: object) -> bool:
        if once.acquire(blocking=False):
            has_read.set()
            assert go_on.wait(20)
        return store(found)

    monkeypatch.setattr(roll_up, "_store", slow)
    return has_read, go_on


def test_a_late_call_that_commits_while_its_hour_is_rolled_up_is_not_lost(
    history: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_late(latency_ms=20)
    has_read, go_on = stop_before_storing(monkeypatch)
    with ThreadPoolExecutor(1) as thread:
        rolling_up = thread.submit(closing(roll_up_hour))
        assert has_read.wait(20)
        write_late(latency_ms=30)
        go_on.set()
        assert rolling_up.result(timeout=20)
    assert LateHour.objects.count() == 1
    assert statistics() == (3, 30)
    assert roll_up_hour()
    assert not LateHour.objects.exists()
    assert statistics() == (3, 30)


def test_a_call_that_is_late_for_an_hour_not_yet_rolled_up_is_not_lost(
    history: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = START + dt.timedelta(hours=3)
    make_call(created_at=later, latency_ms=20)
    has_read, go_on = stop_before_storing(monkeypatch)
    with ThreadPoolExecutor(1) as thread:
        rolling_up = thread.submit(closing(roll_up_hour))
        assert has_read.wait(20)
        with transaction.atomic():
            note_changes([later])
            make_call(created_at=later, latency_ms=30)
        go_on.set()
        assert rolling_up.result(timeout=20)
    assert RollUpState.objects.get().rolled_until == hour_of(later) + dt.timedelta(hours=1)
    assert statistics() == (3, 30)


def test_who_read_earlier_does_not_overwrite_what_another_stored_meanwhile(
    history: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_late(latency_ms=20)
    has_read, go_on = stop_before_storing(monkeypatch)
    with ThreadPoolExecutor(1) as thread:
        rolling_up = thread.submit(closing(roll_up_hour))
        assert has_read.wait(20)
        write_late(latency_ms=30)
        assert roll_up_hour()
        go_on.set()
        assert rolling_up.result(timeout=20)
    assert not LateHour.objects.exists()
    assert statistics() == (3, 30)


def test_a_note_that_is_not_committed_outlives_those_that_are_dealt_with(history: None) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    write_late(latency_ms=20)
    with ThreadPoolExecutor(1) as thread, transaction.atomic():
        note_changes([START])
        make_call(created_at=START, latency_ms=30)
        assert in_thread(thread, closing(roll_up_hour))
        assert in_thread(thread, closing(statistics)) == (2, 20)
    assert LateHour.objects.count() == 1
    assert statistics() == (3, 30)


# Seconds between the transactions of a thread. SQLite lets the next writer wait until it happens to find the database
# free, so threads that write without a pause could keep another one out for longer than its patience.
PAUSE = 0.005


def test_with_writers_and_roll_ups_at_once_every_answer_is_of_one_state(history: None) -> None:
    """Each transaction adds two calls or deletes two, so an odd count would show half of a transaction."""
    stop = threading.Event()
    make_call(created_at=START, latency_ms=10)
    with transaction.atomic():
        note_changes([START])

    def write(seed: int) -> None:
        rng = random.Random(seed)
        while not stop.wait(PAUSE):
            moment = START + dt.timedelta(hours=rng.randrange(3))
            with transaction.atomic():
                note_changes([moment])
                if rng.random() < 0.7:
                    for _ in range(2):
                        make_call({}, created_at=moment, latency_ms=rng.randrange(1000))
                elif len(doomed := list(CallRecord.objects.order_by("?").values_list("id", "created_at")[:2])) == 2:
                    note_changes(created_at for _, created_at in doomed)
                    ids = [id_ for id_, _ in doomed]
                    locked = CallRecord.objects.filter(id__in=ids)
                    if connection.vendor == "postgresql":
                        locked = locked.select_for_update()
                    if locked.count() == len(list(locked)) == 2:
                        Attempt.objects.filter(call_id__in=ids).delete()
                        CallRecord.objects.filter(id__in=ids).delete()

    def keep_rolling_up() -> None:
        while not stop.wait(PAUSE):
            roll_up_hour()

    def read() -> int:
        answers = 0
        while not stop.is_set():
            assert statistics()[0] % 2 == 0
            answers += 1
        return answers

    works: list[Callable[[], object]] = [lambda: write(1), keep_rolling_up, keep_rolling_up, read]
    if connection.vendor == "postgresql":
        works.insert(0, lambda: write(2))
    with ThreadPoolExecutor(len(works)) as threads:
        running = [threads.submit(closing(work)) for work in works]
        # A machine with much else to do may need longer for some work of each kind.
        started = time.monotonic()
        stop.wait(4)
        while RollUpState.objects.get().version <= 5 and time.monotonic() - started < 60:
            stop.wait(0.5)
        stop.set()
        results = [each.result(timeout=30) for each in running]
    assert isinstance(results[-1], int)
    assert results[-1] > 0
    assert RollUpState.objects.get().version > 5
    assert statistics() == from_the_calls()
    while roll_up_hour():
        pass
    assert not LateHour.objects.exists()
    assert statistics() == from_the_calls()


# --- The service's background task -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
async def test_the_service_rolls_up_what_is_old_and_ends_when_it_is_told_to() -> None:
    await asyncio.to_thread(closing(lambda: make_call(created_at=timezone.now() - dt.timedelta(hours=9))))
    task = RollUps(first_seconds=0)
    running = asyncio.create_task(task.run())
    async with asyncio.timeout(10):
        while not await asyncio.to_thread(closing(HourlyCalls.objects.exists)):
            await asyncio.sleep(0.01)
        task.close()
        await running


async def test_a_service_that_ends_at_once_waits_for_nothing() -> None:
    task = RollUps()
    running = asyncio.create_task(task.run())
    await asyncio.sleep(0)
    task.close()
    async with asyncio.timeout(1):
        await running
