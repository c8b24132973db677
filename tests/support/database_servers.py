"""PostgreSQL and Redis servers for tests that need real ones. The binaries come from Debian's packages."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg
import pytest
import redis

from tests.support.ports import free_port


def postgres_binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres")) or [
        Path(path) for path in [shutil.which("postgres")] if path
    ]
    return found[-1].parent if found else None


def require(found: object, what: str) -> None:
    """Skip the test if something is not installed. Where REQUIRE_SERVERS is set, as in CI, fail instead."""
    if not found:
        assert not os.environ.get("REQUIRE_SERVERS"), f"{what} is not installed"
        pytest.skip(f"{what} is not installed")


class PostgresServer:
    """A PostgreSQL server with its data in `folder`, on a free port. It can be stopped, killed and started again."""

    def __init__(self, folder: Path) -> None:
        binaries = postgres_binaries()
        require(binaries, "PostgreSQL")
        assert binaries is not None
        self._binaries = binaries
        self._data = folder / "postgres"
        self.port = free_port()
        self.url = f"postgres://service@127.0.0.1:{self.port}/postgres"
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root. If the tests run as root, it runs as the user of its package.
        self._user = "postgres" if os.geteuid() == 0 else None
        self._data.mkdir()
        if self._user:
            shutil.chown(self._data, self._user)
            for parent in (self._data, *self._data.parents):
                if parent.stat().st_uid == 0 and parent != Path("/"):
                    parent.chmod(parent.stat().st_mode | 0o711)
        self._run("initdb", "-D", str(self._data), "-U", "service", "--auth=trust", "--no-sync")

    def _run(self, *command: str) -> None:
        subprocess.run(
            [str(self._binaries / command[0]), *command[1:]], check=True, capture_output=True, **self._as_user()
        )

    def _as_user(self) -> dict[str, object]:
        if self._user is None:
            return {}
        entry = pwd.getpwnam(self._user)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "cwd": "/"}

    def start(self) -> None:
        command = [str(self._binaries / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=60"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self._as_user()
        )
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                time.sleep(0.1)
        raise AssertionError("PostgreSQL did not start")

    def stop(self) -> None:
        """Stop the server like an administrator: at once, but in order."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """Kill the server and all its processes, as a power cut does."""
        assert self._process is not None
        self._signal_all(signal.SIGKILL)
        self._process.wait(20)
        self._process = None

    def freeze(self) -> None:
        """Let the server accept connections and answer nothing, as if its disk no longer answered."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: int) -> None:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in [str(self._process.pid), *children]:
            try:
                os.kill(int(pid), number)
            except ProcessLookupError:
                continue

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    def close(self) -> None:
        self._signal(signal.SIGQUIT)

    def query(self, sql: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url, connect_timeout=5) as connection:
            return connection.execute(sql).fetchall()


class RedisServer:
    """A Redis that keeps nothing on disk, on a free port. It can be killed, frozen and started again."""

    def __init__(self, folder: Path) -> None:
        binary = shutil.which("redis-server")
        require(binary, "Redis")
        assert binary is not None
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> RedisServer:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        give_up = time.monotonic() + 10
        with self.client() as client:
            while time.monotonic() < give_up:
                try:
                    client.ping()
                    return self
                except redis.ConnectionError:
                    time.sleep(0.05)
        raise AssertionError("Redis did not start")

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=5)

    def freeze(self) -> None:
        """Let the server accept connections and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
