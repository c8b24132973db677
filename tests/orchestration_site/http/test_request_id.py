"""The id that every response has."""

from __future__ import annotations

import httpx2


def test_every_response_has_an_id(client: httpx2.Client) -> None:
    big = b'{"prompt": "' + b"a" * (21 * 1024 * 1024) + b'"}'
    responses = [
        client.get("/health"),
        client.post("/chat", json={"prompt": "a"}),
        client.post("/chat", json={}),
        client.post("/chat/stream", json={"prompt": "a"}),
        client.options("/chat"),
        client.get("/calls"),
        client.get("/nothing"),
        client.get("/docs"),
        client.get("/redoc"),
        client.get("/schema"),
        client.get("/admin/"),
        client.get("/admin/login/"),
        client.get("/admin"),
        client.post("/chat", content=big, headers={"content-type": "application/json"}),
    ]
    assert [r.status_code for r in responses] == [200, 200, 400, 200, 200, 200, 404, 200, 200, 200, 302, 200, 301, 413]
    ids = [response.headers.get("x-request-id", "") for response in responses]
    assert all(each.startswith("req_") and len(each) == 36 for each in ids)
    assert len(set(ids)) == len(ids)


def test_a_well_formed_id_of_the_callers_own_is_kept(client: httpx2.Client) -> None:
    for path in ("/health", "/nothing", "/admin/login/"):
        assert client.get(path, headers={"X-Request-ID": "my.own_id-1"}).headers["x-request-id"] == "my.own_id-1"
    for bad in ("short", "a" * 65, "with space", "new;line", "ümlaut-12".encode(), ""):
        kept = client.get("/health", headers=[(b"x-request-id", bad if isinstance(bad, bytes) else bad.encode())])
        assert kept.headers["x-request-id"].startswith("req_")


def test_a_well_formed_id_is_kept_by_a_413_too(client: httpx2.Client) -> None:
    headers = {"X-Request-ID": "my.own_id-1", "content-type": "application/json"}
    response = client.post("/chat", content=b"a" * (21 * 1024 * 1024), headers=headers)
    assert (response.status_code, response.headers["x-request-id"]) == (413, "my.own_id-1")
