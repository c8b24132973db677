"""Queries inside a snapshot see one state of the database, and no writer waits for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from chat.models import CallRecord
from chat.record.snapshot import read_snapshot
from tests.support.history import make_call


def write_elsewhere() -> None:
    def write() -> None:
        try:
            with transaction.atomic():
                make_call()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(write).result(timeout=10)


@pytest.mark.django_db(transaction=True)
def test_a_write_meanwhile_goes_through_and_is_not_seen() -> None:
    make_call()
    with read_snapshot():
        assert CallRecord.objects.count() == 1
        write_elsewhere()
        assert CallRecord.objects.count() == 1
    assert CallRecord.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_later_transactions_begin_as_the_settings_say() -> None:
    before = getattr(connection, "transaction_mode", None)
    with pytest.raises(ZeroDivisionError), read_snapshot():
        raise ZeroDivisionError
    assert getattr(connection, "transaction_mode", None) == before
    assert not connection.in_atomic_block


@pytest.mark.django_db
def test_inside_a_transaction_its_own_rows_are_seen() -> None:
    make_call()
    with read_snapshot():
        assert CallRecord.objects.count() == 1
