"""Starts a server under test on a core of its own, measures it, and stops it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.machine import SERVER_CORE, cpu_seconds, memory_mib

START_GIVES_UP_S = 120


@dataclass(frozen=True)
class Request:
    """A POST request that can be sent many times."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def raw(self, port: int) -> bytes:
        lines = [f"POST {self.path} HTTP/1.1", f"host: 127.0.0.1:{port}", f"content-length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def post(port: int, request: Request, timeout: float = 10) -> tuple[int, bytes]:
    """Return the status and the body of the answer. Raises OSError or HTTPException if there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST", request.path, request.body, dict(request.headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@dataclass
class Server:
    """A process and what it starts. What they print is written to the file `output`."""

    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    output: Path
    port: int
    cores: str = str(SERVER_CORE)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self, first: Request) -> float:
        """Start the process, and return the seconds until `first` was answered with 200. It is sent every 10 ms."""
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                raise RuntimeError(f"Something else listens on port {self.port} already.")
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        began = time.perf_counter()
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                ["taskset", "-c", self.cores, *self.command],
                cwd=self.folder,
                env={**inherited, **self.environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while time.perf_counter() - began < START_GIVES_UP_S and self.process.poll() is None:
            try:
                status, _ = post(self.port, first)
                if status == 200:
                    return time.perf_counter() - began
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.01)
        self.stop()
        raise RuntimeError(f"{self.command[0]} gave no answer; the end of {self.output}:\n{self.tail()}")

    def tail(self) -> str:
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-20:])

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    def memory_mib(self, *, peak: bool = False) -> float:
        return memory_mib(self.pid, peak=peak)

    def stop(self) -> None:
        """Send SIGTERM.

        If the process is still running after 40 seconds, send SIGKILL to it and to all that it started.
        """
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
