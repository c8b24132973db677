"""Addresses as clients put them together lead where they mean, without a redirect."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

import httpx2
import pytest

from chat.models import CallRecord
from orchestration_site.http.addresses import read_address
from tests.support.wire import DOORS, OPENAI, raw, request


def variants(path: str) -> list[str]:
    """Other ways to write the address of a door."""
    written = [f"{path}/", f"{path}//", f"/{path}", path.replace("/", "//")]
    if path in OPENAI:
        rest = path.removeprefix("/v1")
        written += [rest, f"{rest}/", f"/{rest}", f"/v1{path}", f"/v1/v1{path}", f"/v1/{rest}"]
        written += [f"/openai{rest}", f"/openai{path}", f"/openai/{rest}/", f"/openai{path}?api-version=preview"]
    return written


@pytest.mark.parametrize("path", DOORS)
def test_every_way_to_write_a_door_s_address_leads_to_it(client: httpx2.Client, path: str) -> None:
    body = json.dumps(DOORS[path]).encode()
    for written in variants(path):
        (answer,) = raw(client, request(written, body))
        assert answer.status == 200, (written, answer.body)
        assert answer.header("location") is None
    assert CallRecord.objects.count() == len(variants(path))


def test_what_is_read_has_the_same_freedom(client: httpx2.Client) -> None:
    client.post("/v1/chat/completions", json={**DOORS["/v1/chat/completions"], "store": True})
    call = client.get("/calls").json()["results"][0]
    completion = client.get("/v1/chat/completions").json()["data"][0]["id"]
    for path in (
        *("/calls/", "//calls", f"/calls/{call['request_id']}/", "/stats/"),
        *("/v1/models/", "/models", "/openai/models?api-version=2024-10-21", "/openai/v1/models", "/v1/v1/models"),
        *("/models/gpt-4o", "/openai/models/gpt-4o/", "/openai/chat/completions?api-version=2024-10-21&limit=1"),
        *(f"/openai/v1/chat/completions/{completion}", f"/chat/completions/{completion}/messages"),
    ):
        (answer,) = raw(client, request(path, b"", method="GET"))
        assert answer.status == 200, path


def test_a_link_to_the_next_page_is_in_the_standard_form(client: httpx2.Client) -> None:
    for _ in range(2):
        client.post("/chat", json={"prompt": "a"})
    following = client.get("/calls/?page_size=1").json()["next"]
    assert following.startswith(f"{client.base_url}/calls?cursor=")
    assert len(client.get(following).json()["results"]) == 1


def test_other_addresses_are_taken_exactly(client: httpx2.Client) -> None:
    for path in (
        "//health",
        "/health/",
        "/metrics/",
        "//metrics",
        "//docs",
        "//schema/",
        "//admin//login/",
        "/v2/chat",
    ):
        (answer,) = raw(client, request(path, b"", method="GET"))
        assert answer.status == 404, path
    assert client.get("/admin").headers["location"] == "/admin/"


def test_an_error_of_another_address_has_the_shape_of_openai_too(start_site: Callable[..., httpx2.Client]) -> None:
    client = start_site(RECEIVE_TIMEOUT=0.3)
    for path in (
        "/openai/deployments/gpt-4o/chat/completions",
        "/openai/v1/embeddings",
        "/chat/completions",
        "/v1/v1/x",
    ):
        late, too_large, empty = (
            request(path, b"{", "Content-Length: 10", length=False, close=False),
            request(path, b"{}", "Content-Length: 999999999999", length=False),
            request(path, b"{"),
        )
        for sent, status in ((late, 408), (too_large, 413), (empty, 404 if path.endswith("/x") else 400)):
            (answer,) = raw(client, sent)
            assert answer.status == status, path
            assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("model", ["gpt-4o", "groq/llama", "a|b>c/d,e", "70*azure/gpt-4o", "a//b", "chat", "é%", " "])
def test_a_deployment_is_read_as_it_was_encoded(model: str) -> None:
    for before in ("/openai", "", "/v1", "/openai/v1", "//openai/"):
        for api in ("chat/completions", "completions", "embeddings"):
            sent = f"{before}/deployments/{quote(model, safe='')}/{api}"
            address = read_address(sent.replace("%2F", "/"), sent)
            assert (address.path, address.deployment) == (f"/v1/{api}", model)


def test_a_deployment_with_a_plain_slash_is_read_as_well() -> None:
    for path in ("/openai/deployments/groq/llama/chat/completions", "/deployments/groq/llama/chat/completions/"):
        address = read_address(path)
        assert (address.path, address.deployment) == ("/v1/chat/completions", "groq/llama")


def test_a_very_long_address_is_read_at_once(client: httpx2.Client) -> None:
    for path in (
        "/" * 60_000,
        "/openai/deployments/" + "a/" * 30_000,
        "/v1" * 20_000,
        "/openai" + "/deployments" * 5000,
    ):
        (answer,) = raw(client, request(path, b"{}"))
        assert answer.status in (400, 404)
