"""The service as a process of its own, so that it can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2

from tests.support.loopback import loopback_get
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]

# A SQLite file with all tables and no rows of ours, when it was needed before.
_with_tables: list[bytes] = []


class SiteProcess:
    """Runs `manage.py serve`, as production does. `variables` are its settings."""

    def __init__(self, folder: Path, *, upstream: str, **variables: str) -> None:
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.output = folder / f"site-{self.port}.log"
        self.environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "ENVIRONMENT": "test",
            "OPENAI_API_KEY": "sk-test-0123456789abcdef",
            "OPENAI_BASE_URL": upstream,
            "DATABASE_URL": f"sqlite:///{folder}/site.sqlite3",
            "SPOOL_DIR": str(folder / "spool"),
            "LOG_DIR": str(folder / "logs"),
            "ALLOWED_HOSTS": "127.0.0.1",
            **variables,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def manage(self, *arguments: str) -> str:
        """Run a management command with this site's settings; returns what it prints."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def migrate(self) -> None:
        """Make the tables. A SQLite file is made once for all tests of this process, because it takes two seconds."""
        scheme, _, path = self.environment["DATABASE_URL"].partition(":///")
        if scheme != "sqlite":
            self.manage("migrate", "-v0")
        elif _with_tables:
            Path(path).write_bytes(_with_tables[0])
        else:
            self.manage("migrate", "-v0")
            _with_tables.append(Path(path).read_bytes())

    def start(self, *arguments: str) -> SiteProcess:
        """Start the service. A SQLite file that is not there yet gets its tables, because `serve` insists on them."""
        scheme, _, path = self.environment["DATABASE_URL"].partition(":///")
        if scheme == "sqlite" and not Path(path).exists():
            self.migrate()
        command = [sys.executable, "manage.py", "serve", "--port", str(self.port), *arguments]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            try:
                if loopback_get(f"{self.base_url}/health", timeout=1).status_code == 200:
                    return self
            except httpx2.HTTPError:
                assert self.process.poll() is None, self.output.read_text()
                time.sleep(0.05)
        raise AssertionError(self.output.read_text())

    def kill(self) -> None:
        """Kill the process and its workers, as the kernel does."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def terminate(self, timeout: float = 30) -> int:
        """Ask the process to stop, as an orchestrator does. Returns its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
