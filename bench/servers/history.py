"""Makes a database for one run, on a real disk, and counts its calls afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

POSTGRES_PORT = 9330


@dataclass(frozen=True)
class History:
    """The database of one run. `folder` also contains the logs and the spool."""

    url: str
    folder: Path

    def count(self, status: str) -> int:
        """Count the recorded calls with this status. They are read from the database, and not from the service."""
        query = f"SELECT count(*) FROM chat_callrecord WHERE status = '{status}'"
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection:
                return int(connection.execute(query).fetchone()[0])
        with psycopg.connect(self.url) as postgres:
            row = postgres.execute(query).fetchone()
            assert row is not None
            return int(row[0])


@contextmanager
def sqlite_history(parent: Path) -> Iterator[History]:
    """Make an empty SQLite database, and delete it afterwards."""
    with tempfile.TemporaryDirectory(dir=parent, prefix="sqlite-") as name:
        yield History(f"sqlite:///{name}/calls.sqlite3", Path(name))


def postgres_binaries() -> Path | None:
    """Return the folder of the newest version that Debian has installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


def postgres_version() -> str:
    binaries = postgres_binaries()
    assert binaries is not None
    command = [str(binaries / "postgres"), "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def postgres_history() -> Iterator[History]:
    """Run a PostgreSQL server on the core that makes the load, and delete it afterwards.

    It has its default settings, so it syncs each commit to disk.
    """
    binaries = postgres_binaries()
    assert binaries is not None
    # The user `postgres` may not enter the folder of the project, and /tmp may be in memory.
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="bench-postgres-"))
    folder.chmod(0o711)
    data = folder / "data"
    data.mkdir(mode=0o700)
    account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    if account:
        shutil.chown(data, account.pw_uid)
    user = account.pw_uid if account else None
    url = f"postgres://service@127.0.0.1:{POSTGRES_PORT}/postgres"
    try:
        initdb = [str(binaries / "initdb"), "-D", str(data), "-U", "service", "--auth=trust"]
        subprocess.run(initdb, check=True, capture_output=True, user=user, cwd="/")
        command = [str(binaries / "postgres"), "-D", str(data), "-p", str(POSTGRES_PORT)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user, cwd="/"
        ) as process:
            try:
                wait_for(url)
                yield History(url, folder)
            finally:
                process.terminate()
    finally:
        shutil.rmtree(folder)


def wait_for(url: str) -> None:
    give_up = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)
