"""Errors that no door has made, and the id that every response has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from chat.models import CallRecord

StartSite = Callable[..., httpx2.Client]
STATIC_FILE = "/static/admin/css/base.css"


def assert_is_envelope(response: httpx2.Response, status: int, code: str) -> None:
    assert response.status_code == status
    assert response.headers["content-type"].startswith("application/json")
    error = response.json()["error"]
    assert error["code"] == code
    assert error["message"]
    assert error["request_id"] == response.headers["x-request-id"]
    assert error["request_id"].startswith("req_")


@pytest.mark.parametrize(
    "path", ["/nothing", "/chat/", "/calls/", "/chat/nobody", "/%00", "/%ff", "/../etc/passwd", "/v0/x"]
)
def test_an_address_that_does_not_exist_is_a_404_in_json(client: httpx2.Client, path: str) -> None:
    for method in ("GET", "POST"):
        assert_is_envelope(client.request(method, path), 404, "not_found")


def test_a_method_that_a_door_does_not_have_is_a_405_that_says_which_it_has(client: httpx2.Client) -> None:
    for path in ("/chat", "/chat/parallel", "/chat/fallback", "/chat/stream"):
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            response = client.request(method, path)
            assert_is_envelope(response, 405, "method_not_allowed")
            assert "POST" in response.headers["allow"]
    for path in ("/health", "/health/ready", "/calls"):
        assert_is_envelope(client.post(path), 405, "method_not_allowed")


def test_a_media_type_that_we_do_not_speak_is_a_406_in_json(client: httpx2.Client) -> None:
    response = client.post("/chat", json={"prompt": "a"}, headers={"Accept": "application/xml"})
    assert_is_envelope(response, 406, "not_acceptable")
    assert CallRecord.objects.count() == 0


def test_a_host_that_is_not_ours_is_a_400_in_json(client: httpx2.Client) -> None:
    assert_is_envelope(client.get("/schema", headers={"Host": "evil.example"}), 400, "invalid_request")


def test_a_defect_in_a_door_is_a_500_in_json_and_says_nothing_of_the_inside(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr("chat.doors.native.views.call_request", broken)
    for path in ("/chat", "/chat/stream", "/chat/parallel", "/chat/fallback"):
        response = client.post(path, json={"prompt": "a"})
        assert_is_envelope(response, 500, "internal_error")
        assert "secret" not in response.text
    logged = [record for record in caplog.records if record.message == "unhandled_error"]
    assert len(logged) == 4
    assert all(record.exc_info for record in logged)
    assert logged[-1].request_id == response.json()["error"]["request_id"]  # type: ignore[attr-defined]


def test_a_defect_outside_the_doors_is_a_500_in_json_too(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr("django.contrib.admin.sites.AdminSite.has_permission", broken)
    response = client.get("/admin/")
    assert_is_envelope(response, 500, "internal_error")
    assert "secret" not in response.text


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


def test_a_static_file_has_an_id_and_one_that_is_missing_too(client: httpx2.Client) -> None:
    good, missing = client.get(STATIC_FILE), client.get("/static/nothing.css")
    assert (good.status_code, missing.status_code) == (200, 404)
    assert good.headers["x-request-id"].startswith("req_")
    assert_is_envelope(missing, 404, "not_found")


def test_a_static_file_is_served(client: httpx2.Client) -> None:
    response = client.get(STATIC_FILE)
    assert (response.status_code, response.headers["content-type"].partition(";")[0]) == (200, "text/css")
    assert client.get("/static/nothing.css").status_code == 404


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


def test_what_is_no_http_ends_no_service(client: httpx2.Client) -> None:
    import socket

    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as connection:
        connection.sendall(b"\x16\x03\x01 not http\r\n\r\n")
        connection.settimeout(5)
        assert connection.recv(4096).startswith(b"HTTP/1.1 400")
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("path", ["/nope", "/chat/", "/v0/chat"])
def test_an_unknown_address_is_json_in_development_too(
    start_site: Callable[..., httpx2.Client], debug: bool, path: str
) -> None:
    response = start_site(DEBUG=debug).post(path, json={})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


def test_the_root_leads_to_the_documentation(client: httpx2.Client) -> None:
    response = client.get("/")
    assert (response.status_code, response.headers["location"]) == (302, "/docs")
