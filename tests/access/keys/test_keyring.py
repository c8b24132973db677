"""The keyring: how seldom it asks the database for a key, and what it does without a database."""

from __future__ import annotations

import asyncio
import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from access.keys import keyring as keyring_module
from access.keys.keyring import Keyring, KeysUnreadable
from access.keys.secret_keys import new_secret
from access.models import ApiKey
from tests.access.conftest import MakeKey


def test_a_key_that_was_just_seen_costs_no_query(make_key: MakeKey) -> None:
    secret = make_key("app")["Authorization"].removeprefix("Bearer ")
    keyring = Keyring()
    keyring.find(secret)
    with CaptureQueriesContext(connection) as queries:
        keyring.find(secret)
    assert len(queries) == 0


def test_a_busy_key_is_marked_as_used_once_in_a_while(make_key: MakeKey) -> None:
    secret = make_key("app")["Authorization"].removeprefix("Bearer ")
    Keyring().find(secret)
    used = ApiKey.objects.get().last_used_at
    Keyring().find(secret)
    assert used is not None
    assert ApiKey.objects.get().last_used_at == used


def test_wrong_keys_are_forgotten_before_the_right_ones(make_key: MakeKey, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = make_key("app")["Authorization"].removeprefix("Bearer ")
    monkeypatch.setattr(keyring_module, "UNKNOWN_KEYS", 3)
    keyring = Keyring()
    keyring.find(secret)
    for _ in range(10):
        with pytest.raises(keyring_module.AuthenticationFailed):
            keyring.find(new_secret())
    with CaptureQueriesContext(connection) as queries:
        keyring.find(secret)
    assert len(queries) == 0
    assert len(keyring._unknown) == 3


def test_without_a_database_a_key_that_was_good_is_believed_for_a_while(make_key: MakeKey) -> None:
    secret = make_key("app")["Authorization"].removeprefix("Bearer ")
    now = 0.0
    keyring = Keyring(clock=lambda: now)
    keyring.find(secret)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE access_apikeysecret RENAME TO gone")
    try:
        now = keyring_module.STALE_SECONDS - 1
        assert keyring.find(secret).name == "app"
        with CaptureQueriesContext(connection) as queries:  # with a pool, each query would wait for seconds
            assert keyring.find(secret).name == "app"
        assert len(queries) == 0
        with pytest.raises(KeysUnreadable):
            keyring.find(new_secret())
        now = keyring_module.STALE_SECONDS + keyring_module.TTL_SECONDS
        with pytest.raises(KeysUnreadable):
            keyring.find(secret)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE gone RENAME TO access_apikeysecret")


def test_of_many_that_ask_for_one_key_at_once_one_asks_the_database(
    make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = make_key("app")["Authorization"].removeprefix("Bearer ")
    keyring = Keyring()
    read = keyring_module.read_key_facts
    asked: list[str] = []

    def slowly(digest: str) -> object:
        asked.append(digest)
        time.sleep(0.2)
        return read(digest)

    monkeypatch.setattr(keyring_module, "read_key_facts", slowly)

    async def ask() -> set[str]:
        asking = [asyncio.create_task(keyring.afind(secret)) for _ in range(50)]
        await asyncio.sleep(0.05)
        asking[0].cancel()  # the first one may leave, and the others still get the answer
        return {facts.name for facts in await asyncio.gather(*asking[1:])}

    assert asyncio.run(ask()) == {"app"}
    assert len(asked) == 1
    keyring.close()
