"""The recorder has a connection of its own, whatever others do with the pool."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from django.db import OperationalError, connection

from chat.models import CallRecord

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL has a pool")

ORDER = {"prompt": "a", "model": "gpt-4o"}


def read_slowly(seconds: float) -> bool:
    """Hold a connection of the pool. False where there was none to be had."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(%s)", [seconds])
        return True
    except OperationalError:
        return False
    finally:
        connection.close()


def test_a_connection_that_the_server_has_cut_is_replaced_and_no_call_is_lost(client: httpx2.Client) -> None:
    assert client.post("/chat", json=ORDER).status_code == 200
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert client.post("/chat", json=ORDER).status_code == 200
    assert CallRecord.objects.count() == 2  # in the database at once, and not by way of the spool


def test_reads_that_hold_the_whole_pool_keep_no_call_from_its_record(client: httpx2.Client) -> None:
    assert client.post("/chat", json=ORDER).status_code == 200  # the recorder has written, and so has a connection
    connection.close()  # this test's own
    size = connection.pool.max_size
    with ThreadPoolExecutor(size) as readers:
        reading = [readers.submit(read_slowly, 7) for _ in range(size)]
        time.sleep(0.5)
        started = time.monotonic()
        assert client.post("/chat", json=ORDER).status_code == 200
        assert time.monotonic() - started < 3
    assert sum(reader.result() for reader in reading) == size - 1, "there was a connection to spare"
    assert CallRecord.objects.count() == 2
