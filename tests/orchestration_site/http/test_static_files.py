"""The scripts and styles of the pages."""

from __future__ import annotations

import httpx2

from tests.support.reading.error_envelope import assert_is_envelope

STATIC_FILE = "/static/admin/css/base.css"


def test_a_static_file_has_an_id_and_one_that_is_missing_too(client: httpx2.Client) -> None:
    good, missing = client.get(STATIC_FILE), client.get("/static/nothing.css")
    assert (good.status_code, missing.status_code) == (200, 404)
    assert good.headers["x-request-id"].startswith("req_")
    assert_is_envelope(missing, 404, "not_found")


def test_a_static_file_is_served(client: httpx2.Client) -> None:
    response = client.get(STATIC_FILE)
    assert (response.status_code, response.headers["content-type"].partition(";")[0]) == (200, "text/css")
    assert client.get("/static/nothing.css").status_code == 404
