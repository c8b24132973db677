"""Keys that are revoked, that expire, and whose secret is changed."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from access.keys import keyring as keyring_module
from access.keys.key_lifecycle import KeyNotActive, revoke_key, rotate_key
from access.keys.secret_keys import new_secret
from access.models import ApiKey
from llm.simulator import SimulatorThread
from tests.access.conftest import MakeKey
from tests.access.keys.asking import ORDER, bearer, refusal
from tests.support.loopback import loopback_get, loopback_post
from tests.support.site_subprocess import SiteProcess


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every request read its key from the database."""
    monkeypatch.setattr(keyring_module, "TTL_SECONDS", 0.0)


def test_a_revoked_key_is_refused_and_says_so(client: httpx2.Client, make_key: MakeKey, eager: None) -> None:
    headers = make_key("app")
    assert client.get("/calls", headers=headers).status_code == 200
    revoke_key(key=ApiKey.objects.get())
    assert "revoked" in refusal(client.get("/calls", headers=headers))[2]


def test_an_expired_key_is_refused_though_it_is_cached(client: httpx2.Client, make_key: MakeKey) -> None:
    headers = make_key("app", expires_in=timedelta(seconds=1))
    assert client.get("/calls", headers=headers).status_code == 200
    client.get("/health")
    give_up = 40
    while (answer := client.get("/calls", headers=headers)).status_code == 200 and give_up:
        give_up -= 1
        time.sleep(0.1)
    assert "expired" in refusal(answer)[2]


def test_after_a_rotation_both_keys_count_until_the_overlap_is_over(
    client: httpx2.Client, make_key: MakeKey, eager: None
) -> None:
    first = make_key("app")
    second = bearer(rotate_key(key=ApiKey.objects.get()))
    third = bearer(rotate_key(key=ApiKey.objects.get()))
    assert [client.get("/calls", headers=h).status_code for h in (first, second, third)] == [200] * 3
    fourth = bearer(rotate_key(key=ApiKey.objects.get(), overlap=timedelta(0)))
    assert [client.get("/calls", headers=h).status_code for h in (first, second, third, fourth)] == [401] * 3 + [200]


def test_a_key_that_is_no_more_gets_no_new_secret(make_key: MakeKey) -> None:
    make_key("app")
    revoke_key(key=ApiKey.objects.get())
    with pytest.raises(KeyNotActive):
        rotate_key(key=ApiKey.objects.get())


@pytest.mark.slow
def test_a_revoked_key_stops_within_seconds_on_every_worker_and_no_key_is_left_behind(
    tmp_path: Path, simulator: SimulatorThread
) -> None:
    site = SiteProcess(tmp_path, upstream=simulator.base_url, LOG_LEVEL="DEBUG", API_KEYS_REQUIRED="true")
    site.migrate()
    secret = site.manage("api_key", "create", "app").strip()
    wrong = new_secret()
    site.start("--workers", "2")
    try:
        answers = []

        def get(key: str, path: str = "/calls") -> int:
            answer = loopback_get(f"{site.base_url}{path}", headers=bearer(key))
            answers.append(answer.text)
            return answer.status_code

        def post(key: str, body: dict[str, Any]) -> None:
            answer = loopback_post(f"{site.base_url}/chat", headers=bearer(key), json=body, timeout=20)
            answers.append(answer.text)

        for key in (secret, wrong):
            post(key, ORDER)
            post(key, {"prompt": "a", "model": "sim-500"})
            post(key, {})
        assert {get(secret) for _ in range(20)} == {200}
        site.manage("api_key", "revoke", "app")
        time.sleep(keyring_module.TTL_SECONDS + 0.5)
        assert {get(secret) for _ in range(20)} == {401}
        answers += [site.manage("api_key", "list"), json.dumps([get(wrong)])]
        assert site.terminate() == 0
    finally:
        site.close()
    lines = [json.loads(line) for line in (tmp_path / "logs" / "app.log").read_text().splitlines()]
    refused = [line for line in lines if line["event"] == "request_refused"]
    assert {line["detail"] for line in refused} == {"The API key is not known.", "The API key was revoked."}
    assert {line["http_status"] for line in refused} == {401}
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"site.sqlite3", "app.log"} <= {path.name for path in left}
    for key in (secret, wrong):
        assert not [answer for answer in answers if key in answer]
        assert not [path for path in left if key.encode() in path.read_bytes()]
