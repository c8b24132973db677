"""One API key can do nothing with what another key has made, and can't even tell whether it exists."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from access.keys import keyring, secret_keys
from access.models import ApiKeySecret
from chat.models import CallContent, CallRecord
from llm.simulator import SimulatorThread
from tests.access.conftest import MakeKey
from tests.support.wire import DOORS, MESSAGES

StartSite = Callable[..., httpx2.Client]


@pytest.fixture
def two(start_site: StartSite, make_key: MakeKey) -> tuple[httpx2.Client, dict[str, str], dict[str, str]]:
    """Gives a client, and the headers of two keys. The name of the one key is the beginning of the other's."""
    client = start_site(API_KEYS_REQUIRED=True, STORED_COMPLETIONS="all")
    return client, make_key("team", scopes=["chat"]), make_key("team-2", scopes=["chat"])


def without_ids(answer: httpx2.Response, *names: str) -> str:
    """Return the answer without the parts that are different in every answer."""
    text = answer.text.replace(answer.headers["x-request-id"], "ID")
    for name in names:
        text = text.replace(name, "NAME")
    return text


def test_another_key_s_call_can_not_be_told_from_one_that_is_not_there(two: Any) -> None:
    client, owner, other = two
    made = client.post("/v1/chat/completions", json={"model": "gpt-4o", "messages": MESSAGES}, headers=owner)
    request_id, completion_id = made.headers["x-request-id"], made.json()["id"]
    for method, path, body in (
        ("GET", "/calls/{}", None),
        ("GET", "/v1/chat/completions/{}", None),
        ("GET", "/v1/chat/completions/{}/messages", None),
        ("GET", "/v1/chat/completions?after={}", None),
        ("POST", "/v1/chat/completions/{}", {"metadata": {"a": "b"}}),
        ("DELETE", "/v1/chat/completions/{}", None),
    ):
        theirs = request_id if path.startswith("/calls") else completion_id
        missing = "chatcmpl-missing"
        found = client.request(method, path.format(theirs), json=body, headers=other)
        absent = client.request(method, path.format(missing), json=body, headers=other)
        assert (found.status_code, absent.status_code) == (404, 404), path
        assert without_ids(found, theirs) == without_ids(absent, missing)
        assert found.headers.keys() == absent.headers.keys()
    assert CallRecord.objects.get().metadata == {}
    assert CallContent.objects.count() == 1
    assert client.get(f"/v1/chat/completions/{completion_id}", headers=owner).status_code == 200


def test_nothing_of_another_key_is_in_a_list_a_figure_or_a_filter(two: Any) -> None:
    client, owner, other = two
    secret = {"model": "secret-model", "messages": MESSAGES, "metadata": {"project": "secret"}}
    client.post("/v1/chat/completions", json=secret, headers=owner)
    made = CallRecord.objects.get()
    for query in (
        "",
        "?model=secret-model",
        "?metadata=project:secret",
        "?metadata[project]=secret",
        "?status=succeeded&door=openai&page_size=500",
        "?since=2000-01-01&until=2100-01-01",
    ):
        assert client.get(f"/calls{query}", headers=other).json()["results"] == [], query
        assert len(client.get(f"/calls{query}", headers=owner).json()["results"]) == 1, query
    for query in ("", "?model=secret-model", "?metadata[project]=secret", "?limit=100&order=desc"):
        assert client.get(f"/v1/chat/completions{query}", headers=other).json()["data"] == [], query
        assert len(client.get(f"/v1/chat/completions{query}", headers=owner).json()["data"]) == 1, query
    for group_by in ("model", "provider", "door", "status", "api_key", "hour", "day"):
        stats = client.get(f"/stats?group_by={group_by}", headers=other)
        assert (stats.json()["total_requests"], stats.json()["groups"]) == (0, []), group_by
        assert "secret" not in stats.text
    assert client.get("/stats?api_key=team", headers=other).status_code == 403
    assert client.get("/stats?api_key=", headers=other).status_code == 403
    assert client.get("/stats?api_key=nobody", headers=other).status_code == 403
    for trick in ("api_key=team-2&api_key=team", "api_key[]=team", "API_KEY=team", "api_key__startswith=team"):
        assert client.get(f"/stats?{trick}", headers=other).status_code == 400, trick
    for trick in ("api_key=team", "api_key__in=team", "id=1", "cursor=a", "ordering=api_key", f"request_id={made.pk}"):
        assert client.get(f"/calls?{trick}", headers=other).status_code == 400, trick
    assert client.get("/metrics", headers=other).status_code == 403


def test_another_s_request_id_gives_no_way_into_its_call(two: Any, simulator: SimulatorThread) -> None:
    client, owner, other = two
    chosen = {"X-Request-ID": "chosen-by-both"}
    client.post("/chat", json={"prompt": "the secret"}, headers=owner | chosen)
    client.post("/chat", json={"prompt": "mine"}, headers=other | chosen)
    assert CallRecord.objects.count() == 2
    assert client.get("/calls/chosen-by-both", headers=other).status_code == 404
    [mine] = client.get("/calls", headers=other).json()["results"]
    assert "the secret" not in client.get(f"/calls/{mine['request_id']}", headers=other).text
    theirs = client.get("/calls/chosen-by-both", headers=owner).json()
    assert theirs["messages"][0]["content"] == "the secret"


@pytest.mark.parametrize("path", DOORS)
def test_a_saved_answer_is_its_key_s_alone(two: Any, simulator: SimulatorThread, path: str) -> None:
    client, owner, other = two
    body = DOORS[path] | ({"cache_ttl": 60} if path.startswith("/chat") else {"x-cache-ttl": 60})
    for more in ({"Idempotency-Key": "one"}, {}):
        simulator.reset()
        mine = client.post(path, json=body, headers=owner | more)
        again = client.post(path, json=body, headers=owner | more)
        asked = len(simulator.requests())
        theirs = client.post(path, json=body, headers=other | more)
        assert [answer.status_code for answer in (mine, again, theirs)] == [200] * 3
        assert len(simulator.requests()) > asked or not asked
        assert theirs.headers.get("x-cached", "false") == "false"
        assert "idempotent-replayed" not in theirs.headers
        assert "idempotent-replayed" in again.headers or again.headers["x-cached"] == "true"
        body = {**body, "temperature": 0.3} if path != "/v1/embeddings" else {**body, "input": "other"}


def test_what_looks_like_a_key_is_no_query_and_no_pattern(start_site: StartSite, make_key: MakeKey) -> None:
    client = start_site(API_KEYS_REQUIRED=True)
    right = make_key("app", scopes=["chat"])["Authorization"].removeprefix("Bearer ")
    wrong = [
        right[:-1] + ("A" if right[-1] != "A" else "B"),
        right.swapcase(),
        f"{right[:-1]}%",
        "sk-orch-" + "%" * 43,
        "sk-orch-" + "_" * 43,
        "sk-orch-" + "' OR '1'='1' --".ljust(43, "a"),
        hashlib.sha256(right.encode()).hexdigest(),
        f"{right},{right}",
        f"{right} {right}",
        "sk-orch-" + "é" * 43,
        "sk-orch-" + "a" * 60_000,
        "null",
        "undefined",
        "[object Object]",
    ]
    for secret in wrong:
        for header in ("Authorization", "X-API-Key", "api-key"):
            value = f"Bearer {secret}" if header == "Authorization" else secret
            answer = client.get("/calls", headers=[(header.encode(), value.encode("latin-1"))])
            assert answer.status_code == 401, (header, secret[:60])
            assert right not in answer.text
            assert secret[8:] not in answer.text or len(secret) < 16
    for query in (f"?api_key={right}", f"?key={right}", f"?access_token={right}"):
        assert client.get(f"/calls{query}").status_code == 401
    assert client.get("/calls", headers={"Cookie": f"Authorization=Bearer {right}"}).status_code == 401


def test_the_time_of_a_key_s_check_depends_on_no_character_of_it(make_key: MakeKey) -> None:
    """Whole secrets are hashed, and only hashes are compared. Measuring the time would be a matter of luck.

    The time of a lookup could tell something about a hash. But nobody can choose the beginning of a secret's hash.
    """
    make_key("app")
    stored = ApiKeySecret.objects.get()
    assert len(stored.digest) == 64
    assert ApiKeySecret._meta.get_field("digest").unique
    texts = {name for field in ApiKeySecret._meta.concrete_fields if (name := field.name) not in ("id", "digest")}
    assert not any("secret" in name for name in texts)
    code = inspect.getsource(keyring) + inspect.getsource(secret_keys)
    assert "hashlib.sha256(secret" in code
    for comparison in ("== secret", "secret ==", "startswith(secret", "== digest", "digest ==", "digest__"):
        assert comparison not in code, comparison


def test_a_key_can_not_widen_itself(two: Any) -> None:
    client, owner, other = two
    for path, body in DOORS.items():
        for field in ("api_key", "scopes", "owner", "caller", "sees_only"):
            answer = client.post(path, json={**body, field: "team"}, headers=other)
            assert answer.status_code in (200, 400)
    for name in ("X-Api-Key-Name", "X-Owner", "X-Scopes", "X-Forwarded-User", "Remote-User", "X-Remote-User"):
        assert client.get("/calls/1", headers=other | {name: "team"}).status_code == 404
        assert client.get("/metrics", headers=other | {name: "admin"}).status_code == 403
    assert set(CallRecord.objects.values_list("api_key", flat=True)) == {"team-2"}
    assert json.loads(client.get("/calls", headers=owner).text)["results"] == []
