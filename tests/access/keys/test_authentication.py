"""Who is let in: the headers that a key may come in, and what the schema says of them."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest

from access.keys.secret_keys import new_secret
from access.models import ApiKeySecret
from chat.models import CallRecord
from tests.access.conftest import MakeKey
from tests.access.keys.asking import ORDER, bearer, refusal

StartSite = Callable[..., httpx2.Client]


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


def test_the_schema_says_how_to_send_a_key_and_what_needs_none(client: httpx2.Client) -> None:
    schema = client.get("/schema", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    assert schema["components"]["securitySchemes"]["BearerKey"]["scheme"] == "bearer"
    assert schema["components"]["securitySchemes"]["HeaderKey"]["name"] == "X-API-Key"
    assert schema["components"]["securitySchemes"]["AzureKey"]["name"] == "api-key"
    assert schema["paths"]["/chat"]["post"]["security"] == [{"BearerKey": []}, {"AzureKey": []}, {"HeaderKey": []}]
    assert "security" not in schema["paths"]["/health"]["get"]
