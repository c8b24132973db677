"""Fixtures that make API keys and start a real Redis server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from access.keys.key_lifecycle import create_key
from access.models import ApiKey
from tests.support.database_servers import RedisServer

MakeKey = Callable[..., dict[str, str]]


@pytest.fixture
def make_key(transactional_db: None) -> MakeKey:
    """Makes a key, and returns the headers that send it: `make_key("app", scopes=["read_all"])`."""

    def make(name: str, *, expires_in: timedelta | None = None, **fields: Any) -> dict[str, str]:
        expires_at = None if expires_in is None else timezone.now() + expires_in
        return {"Authorization": f"Bearer {create_key(key=ApiKey(name=name, expires_at=expires_at, **fields))}"}

    return make


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path).start()
    yield server
    server.kill()
