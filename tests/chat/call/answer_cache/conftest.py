"""A Redis server, and a site with each of the stores of answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.database_servers import RedisServer

StartSite = Callable[..., httpx2.Client]


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["process", "redis"])
def client(request: pytest.FixtureRequest, start_site: StartSite) -> httpx2.Client:
    """With either store, and with CACHE_TTL at 0."""
    url = request.getfixturevalue("redis_server").url if request.param == "redis" else ""
    return start_site(REDIS_URL=url, CACHE_TTL=0.0)
