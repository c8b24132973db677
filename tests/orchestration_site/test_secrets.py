"""No secret is in a row, a log or an error. Everything that a process leaves behind is searched for the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm.simulator import Behaviour, SimulatorThread
from tests.support.loopback import loopback_client
from tests.support.site_subprocess import SiteProcess

pytestmark = pytest.mark.slow

KEY = "sk-test-0123456789abcdef"
OTHER = "sk-orch-" + "b" * 43


def test_the_upstream_key_is_nowhere_in_what_a_process_leaves_behind(
    tmp_path: Path, simulator: SimulatorThread
) -> None:
    quoted = {"message": f"Incorrect API key provided: {KEY}", "type": "invalid_request_error"}
    simulator.script("quoting", Behaviour(status=400, error=quoted))
    simulator.script("refusing", Behaviour(status=401, error=quoted))
    site = SiteProcess(tmp_path, upstream=simulator.base_url, LOG_LEVEL="DEBUG")
    site.migrate()
    callers_key = site.manage("api_key", "create", "app").strip()
    site.start()
    try:
        ways = ({"Authorization": f"Bearer {callers_key}"}, {"api-key": callers_key}, {"X-API-Key": callers_key})
        with loopback_client(base_url=site.base_url, timeout=30) as client:
            answers = [
                client.post(door, json={"prompt": "a", "model": model}, headers=headers).text
                for model in ("gpt-4o", "quoting", "refusing", "sim-500", "sim-html")
                for door in ("/chat", "/chat/stream")
                for headers in ways
            ]
            # Several keys at once are refused, and the refusal is logged.
            answers.append(client.post("/chat", json={"prompt": "a"}, headers={**ways[1], "X-API-Key": OTHER}).text)
            answers.append(client.get("/health/ready").text)
        assert site.terminate() == 0
    finally:
        site.close()
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"site.sqlite3", "app.log"} <= {path.name for path in left}
    for secret in (KEY, callers_key, OTHER):
        assert not [answer for answer in answers if secret in answer]
        assert not [path for path in left if secret.encode() in path.read_bytes()]
