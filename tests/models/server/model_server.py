"""llama.cpp's server with real weights, as a process that can be asked, watched, killed and started again."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from llm import Provider
from tests.models.questions import LONG
from tests.support.ports import free_port

FOLDER = Path(__file__).parent

# Seconds within which the server has loaded its weights. One second is enough where nothing else runs.
START_SECONDS = 60

# Seconds for one answer. An answer of these tests takes one to five where nothing else runs.
ANSWER_SECONDS = 120


class ModelServer:
    """`name` is the provider's name in the service, and `options` are those of serve.py.

    With a `key` the server refuses requests that do not bring it.
    """

    def __init__(self, python: Path, folder: Path, name: str, *options: str, key: str = "") -> None:
        self.name = name
        self.model = f"{name}/smollm2"
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{name}.log"
        self._key = key
        self._command = [str(python), str(FOLDER / "serve.py"), str(self.port), "2", *options, "--key", key]
        self._process: subprocess.Popen[bytes] | None = None
        # Without `verify=False` each client would read all certificates of the machine.
        self._client = httpx2.Client(
            base_url=self.address,
            headers={"Authorization": f"Bearer {key or 'none'}"},
            timeout=ANSWER_SECONDS,
            trust_env=False,
            verify=False,
        )

    @property
    def provider(self) -> Provider:
        return Provider(name=self.name, base_url=f"{self.address}/v1", api_key=self._key, needs_key=False)

    def start(self) -> None:
        """Start the server, if it does not run, and wait until it can answer."""
        self.launch()
        assert self._process is not None
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up:
            try:
                if self._client.get("/health").status_code == 200:
                    return
            except httpx2.NetworkError:
                assert self._process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def launch(self) -> None:
        """Start the server, if it does not run, without waiting. It refuses requests until its weights are loaded."""
        if self._process is None or self._process.poll() is not None:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command, env={"PATH": os.environ["PATH"]}, stdout=log, stderr=subprocess.STDOUT
                )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def close(self) -> None:
        self.kill()
        self._client.close()

    def ask(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        """Ask the server itself, with nothing between."""
        return self._client.post(f"/v1{path}", json={**body, "model": "smollm2"})

    @contextmanager
    def long_stream(self) -> Iterator[httpx2.Response]:
        """An answer that another caller gets, directly. It goes on until this is left."""
        body = {**LONG, "stream": True, "model": "smollm2"}
        with self._client.stream("POST", "/v1/chat/completions", json=body) as response:
            yield response

    def models(self) -> dict[str, Any]:
        return dict(self._client.get("/v1/models").json())

    def busy_slots(self) -> int:
        """How many answers it works on."""
        return sum(slot["is_processing"] for slot in self._client.get("/slots").json())

    def becomes_free(self, within: float) -> None:
        """Wait until it works on nothing."""
        give_up = time.monotonic() + within
        while self.busy_slots():
            assert time.monotonic() < give_up, f"{self.name} still works after {within:g} s"
            time.sleep(0.01)

    def becomes_busy(self, slots: int = 1, within: float = 30) -> None:
        give_up = time.monotonic() + within
        while self.busy_slots() < slots:
            assert time.monotonic() < give_up, f"{self.name} has not begun after {within:g} s"
            time.sleep(0.01)
