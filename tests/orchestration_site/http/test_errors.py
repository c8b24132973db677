"""Errors that no door has made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.support.reading.error_envelope import assert_is_envelope

StartSite = Callable[..., httpx2.Client]


@pytest.mark.parametrize(
    "path", ["/nothing", "/chatter", "/health/", "/chat/nobody", "/%00", "/%ff", "/../etc/passwd", "/v0/x"]
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


def test_a_host_that_is_not_ours_is_a_400_in_json(client: httpx2.Client) -> None:
    assert_is_envelope(client.get("/schema", headers={"Host": "evil.example"}), 400, "invalid_request")


def test_a_defect_in_a_door_is_a_500_in_json_and_says_nothing_of_the_inside(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr("chat.doors.native.orders.call_request", broken)
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


def test_what_is_no_http_ends_no_service(client: httpx2.Client) -> None:
    import socket

    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as connection:
        connection.sendall(b"\x16\x03\x01 not http\r\n\r\n")
        connection.settimeout(5)
        assert connection.recv(4096).startswith(b"HTTP/1.1 400")
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("path", ["/nope", "/chat/nobody", "/v0/chat"])
def test_an_unknown_address_is_json_in_development_too(
    start_site: Callable[..., httpx2.Client], debug: bool, path: str
) -> None:
    response = start_site(DEBUG=debug).post(path, json={})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


def test_the_root_leads_to_the_documentation(client: httpx2.Client) -> None:
    response = client.get("/")
    assert (response.status_code, response.headers["location"]) == (302, "/docs")
