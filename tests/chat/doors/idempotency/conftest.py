"""A PostgreSQL server for a test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.database_servers import PostgresServer


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # not below pytest's own, which only its owner may enter
    folder.chmod(0o755)
    server = PostgresServer(folder)
    server.start()
    yield server
    server.close()
    shutil.rmtree(folder)


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest) -> Callable[[], str]:
    """A function that gives the URL of a PostgreSQL server. The server starts with the first call of it."""
    return lambda: str(request.getfixturevalue("postgres").url)
