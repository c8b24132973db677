"""Keys at the doors: who is let in, what a key may do, and what it sees."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from access.keys import keyring as keyring_module
from access.keys.key_lifecycle import KeyNotActive, revoke_key, rotate_key
from access.keys.keyring import Keyring, KeysUnreadable
from access.keys.secret_keys import new_secret
from access.models import ApiKey, ApiKeySecret
from chat.models import CallRecord
from llm.simulator import SimulatorThread
from tests.access.conftest import MakeKey
from tests.support.loopback import loopback_get, loopback_post
from tests.support.site_subprocess import SiteProcess

StartSite = Callable[..., httpx2.Client]
ORDER = {"prompt": "a", "model": "gpt-4o"}


@pytest.fixture
def client(start_site: StartSite) -> httpx2.Client:
    return start_site(API_KEYS_REQUIRED=True, ROUTES={"fast": "gpt-4o|gpt-4o-mini", "slow": "gpt-4o>o3"})


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every request read its key from the database."""
    monkeypatch.setattr(keyring_module, "TTL_SECONDS", 0.0)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def refusal(answer: httpx2.Response) -> tuple[int, str, str]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer sk-wrong"},
        {"Authorization": f"Bearer {new_secret()}"},
        {"X-API-Key": new_secret()},
        {"X-API-Key": "\xff\xfe"},
        {"api-key": new_secret()},
        {"api-key": ""},
        {"Authorization": ""},
        {"Authorization": new_secret()},
        {"Authorization": "Bearer one", "api-key": "two"},
    ],
)
def test_no_key_or_a_wrong_one_is_a_401_that_says_how(client: httpx2.Client, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = client.post("/chat", json=ORDER, headers=raw)
    assert refusal(answer)[:2] == (401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert not CallRecord.objects.exists()


def test_a_part_of_a_key_or_a_key_and_more_is_wrong(client: httpx2.Client, make_key: MakeKey) -> None:
    secret = make_key("app")["Authorization"].removeprefix("Bearer ")
    assert client.get("/calls", headers=bearer(secret)).status_code == 200
    flipped = secret[:-2] + ("AA" if secret[-2:] != "AA" else "BB")
    for wrong in (secret[:-1], secret + "A", flipped, secret.upper(), ApiKeySecret.objects.get().digest):
        assert client.get("/calls", headers=bearer(wrong)).status_code == 401


def test_two_keys_that_differ_are_a_401(client: httpx2.Client, make_key: MakeKey) -> None:
    one, other = make_key("one"), make_key("other")
    secrets = [key["Authorization"].removeprefix("Bearer ") for key in (one, other)]
    for both in (
        {**one, "X-API-Key": secrets[1]},
        {**one, "api-key": secrets[1]},
        {"X-API-Key": secrets[0], "api-key": secrets[1]},
        {**one, "X-API-Key": secrets[0], "api-key": secrets[1]},
    ):
        status, code, message = refusal(client.get("/calls", headers=both))
        assert (status, code) == (401, "not_authenticated")
        assert "several different keys" in message
        assert not [secret for secret in secrets if secret in message]


def test_a_placeholder_beside_a_key_of_ours_is_ignored(client: httpx2.Client, make_key: MakeKey) -> None:
    secret = make_key("app")["Authorization"].removeprefix("Bearer ")
    for brought in (
        {"Authorization": "Bearer dummy", "api-key": secret},
        {"Authorization": f"Bearer {secret}", "api-key": "unused", "X-API-Key": "none"},
        {"Authorization": "Basic YTpi", "X-API-Key": secret},
    ):
        assert client.post("/chat", json=ORDER, headers=brought).status_code == 200
    assert [row.api_key for row in CallRecord.objects.all()] == ["app"] * 3


def test_where_none_is_required_placeholders_may_differ(start_site: StartSite) -> None:
    client = start_site(API_KEYS_REQUIRED=False)
    brought = {"Authorization": "Bearer one", "api-key": "two", "X-API-Key": "three"}
    assert client.post("/chat", json=ORDER, headers=brought).status_code == 200


def test_where_none_is_required_a_wrong_key_is_still_a_401(start_site: StartSite, make_key: MakeKey) -> None:
    client = start_site(API_KEYS_REQUIRED=False)
    assert client.post("/chat", json=ORDER).status_code == 200
    assert client.post("/chat", json=ORDER, headers=bearer(new_secret())).status_code == 401
    assert client.post("/chat", json=ORDER, headers=make_key("app")).status_code == 200
    assert [row.api_key for row in CallRecord.objects.order_by("id")] == ["", "app"]
    assert len(client.get("/calls").json()["results"]) == 2


@pytest.mark.parametrize("door", ["/chat", "/chat/parallel", "/chat/fallback", "/chat/stream"])
def test_a_key_opens_every_door_in_each_header_and_its_name_is_on_record(
    client: httpx2.Client, make_key: MakeKey, door: str
) -> None:
    headers = make_key("app")
    secret = headers["Authorization"].removeprefix("Bearer ")
    ways: list[dict[str, str]] = [
        headers,
        {"X-API-Key": secret},
        {"api-key": secret},
        {"API-KEY": secret},
        {"Authorization": f"bearer  {secret}", "X-API-Key": secret, "api-key": secret},
        {"Authorization": "", "api-key": secret},
    ]
    for brought in ways:
        answer = client.post(door, json={"prompt": "a"}, headers=brought)
        assert answer.status_code == 200, answer.text
    assert [row.api_key for row in CallRecord.objects.all()] == ["app"] * len(ways)


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


def test_a_scope_or_a_model_that_is_refused_is_a_403_that_names_it(client: httpx2.Client, make_key: MakeKey) -> None:
    reader = make_key("reader", scopes=["read_all"])
    assert refusal(client.post("/chat", json=ORDER, headers=reader)) == (
        403,
        "permission_denied",
        "The API key 'reader' lacks the scope 'chat'.",
    )
    minis = make_key("minis", allowed_models="*-mini\nfast")
    for model, refused in (
        ("gpt-4o-mini", ""),
        ("fast", ""),
        ("gpt-4o", ""),  # a named route stands for its models
        ("openai/gpt-4o-mini>gpt-4o", ""),
        ("slow", "o3"),
        ("gpt-4o-mini|o1", "o1"),
        ("gpt-4o-mini>fast>o1", "o1"),
        ("GPT-4O-MINI", "GPT-4O-MINI"),
    ):
        answer = client.post("/chat", json={"prompt": "a", "model": model}, headers=minis)
        if refused:
            assert refusal(answer)[0] == 403, model
            assert f"'{refused}'" in refusal(answer)[2]
        else:
            assert answer.status_code == 200, (model, answer.text)
    for door in ("/chat/stream", "/chat/fallback", "/chat/parallel"):
        assert client.post(door, json={"prompt": "a", "model": "o1"}, headers=minis).status_code == 403
    assert not CallRecord.objects.filter(model_requested="o1").exists()


def test_a_key_sees_its_own_calls_and_statistics_only(client: httpx2.Client, make_key: MakeKey) -> None:
    mine, other = make_key("mine"), make_key("other")
    of_mine = client.post("/chat", json=ORDER, headers=mine).json()["request_id"]
    of_other = client.post("/chat", json=ORDER, headers=other).json()["request_id"]
    client.post("/chat", json=ORDER, headers=other)

    assert [call["request_id"] for call in client.get("/calls", headers=mine).json()["results"]] == [of_mine]
    assert client.get(f"/calls/{of_mine}", headers=mine).status_code == 200
    hidden, absent = (client.get(f"/calls/{name}", headers=mine) for name in (of_other, "req_none"))
    assert refusal(hidden)[:2] == refusal(absent)[:2] == (404, "not_found")
    assert client.get("/stats", headers=mine).json()["total_requests"] == 1
    assert client.get("/stats?api_key=mine", headers=mine).json()["total_requests"] == 1
    groups = client.get("/stats?group_by=api_key", headers=mine).json()["groups"]
    assert [group["key"] for group in groups] == ["mine"]
    for name in ("other", "nobody", ""):
        assert "'read_all'" in refusal(client.get("/stats", params={"api_key": name}, headers=mine))[2]

    for scope in ("read_all", "admin"):
        auditor = make_key(scope, scopes=[scope])
        assert len(client.get("/calls", headers=auditor).json()["results"]) == 3
        assert client.get(f"/calls/{of_other}", headers=auditor).status_code == 200
        assert client.get("/stats?api_key=other", headers=auditor).json()["total_requests"] == 2


def test_a_page_link_of_another_key_leads_to_nothing_of_it(client: httpx2.Client, make_key: MakeKey) -> None:
    mine, other = make_key("mine"), make_key("other")
    for headers in (mine, other, mine, other):
        client.post("/chat", json=ORDER, headers=headers)
    link = client.get("/calls?page_size=1", headers=other).json()["next"]
    assert {call["api_key"] for call in client.get(link, headers=mine).json()["results"]} <= {"mine"}


def test_a_key_that_was_just_seen_costs_no_query(make_key: MakeKey) -> None:
    secret = make_key("app")["Authorization"].removeprefix("Bearer ")
    keyring = Keyring()
    keyring.find(secret)
    with CaptureQueriesContext(connection) as queries:
        keyring.find(secret)
    assert len(queries) == 0


def test_a_busy_key_is_marked_as_used_once_in_a_while(make_key: MakeKey) -> None:
    secret = make_key("app")["Authorization"].removeprefix("Bearer ")
    Keyring().find(secret)
    used = ApiKey.objects.get().last_used_at
    Keyring().find(secret)
    assert used is not None
    assert ApiKey.objects.get().last_used_at == used


def test_wrong_keys_are_forgotten_before_the_right_ones(make_key: MakeKey, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = make_key("app")["Authorization"].removeprefix("Bearer ")
    monkeypatch.setattr(keyring_module, "UNKNOWN_KEYS", 3)
    keyring = Keyring()
    keyring.find(secret)
    for _ in range(10):
        with pytest.raises(keyring_module.AuthenticationFailed):
            keyring.find(new_secret())
    with CaptureQueriesContext(connection) as queries:
        keyring.find(secret)
    assert len(queries) == 0
    assert len(keyring._unknown) == 3


def test_without_a_database_a_key_that_was_good_is_believed_for_a_while(make_key: MakeKey) -> None:
    secret = make_key("app")["Authorization"].removeprefix("Bearer ")
    now = 0.0
    keyring = Keyring(clock=lambda: now)
    keyring.find(secret)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE access_apikeysecret RENAME TO gone")
    try:
        now = keyring_module.STALE_SECONDS - 1
        assert keyring.find(secret).name == "app"
        with CaptureQueriesContext(connection) as queries:  # with a pool, each query would wait for seconds
            assert keyring.find(secret).name == "app"
        assert len(queries) == 0
        with pytest.raises(KeysUnreadable):
            keyring.find(new_secret())
        now = keyring_module.STALE_SECONDS + keyring_module.TTL_SECONDS
        with pytest.raises(KeysUnreadable):
            keyring.find(secret)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE gone RENAME TO access_apikeysecret")


def test_of_many_that_ask_for_one_key_at_once_one_asks_the_database(
    make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = make_key("app")["Authorization"].removeprefix("Bearer ")
    keyring = Keyring()
    read = keyring_module.read_key_facts
    asked: list[str] = []

    def slowly(digest: str) -> object:
        asked.append(digest)
        time.sleep(0.2)
        return read(digest)

    monkeypatch.setattr(keyring_module, "read_key_facts", slowly)

    async def ask() -> set[str]:
        asking = [asyncio.create_task(keyring.afind(secret)) for _ in range(50)]
        await asyncio.sleep(0.05)
        asking[0].cancel()  # the first one may leave, and the others still get the answer
        return {facts.name for facts in await asyncio.gather(*asking[1:])}

    assert asyncio.run(ask()) == {"app"}
    assert len(asked) == 1
    keyring.close()


def test_the_schema_says_how_to_send_a_key_and_what_needs_none(client: httpx2.Client) -> None:
    schema = client.get("/schema", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    assert schema["components"]["securitySchemes"]["BearerKey"]["scheme"] == "bearer"
    assert schema["components"]["securitySchemes"]["HeaderKey"]["name"] == "X-API-Key"
    assert schema["components"]["securitySchemes"]["AzureKey"]["name"] == "api-key"
    assert schema["paths"]["/chat"]["post"]["security"] == [{"BearerKey": []}, {"AzureKey": []}, {"HeaderKey": []}]
    assert "security" not in schema["paths"]["/health"]["get"]


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
