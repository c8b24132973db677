"""While keys are required, only the addresses that are meant to be open are.

Every address is tried with every method.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import httpx2
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
OPEN = {"health", "health/ready", "schema", "docs", "redoc", "", "static/admin/css/base.css"}
OPEN_IN_THE_ADMIN = {"login/", "logout/", "jsi18n/"}


def addresses() -> Iterator[str]:
    """Every address of the site, with a value in the place of each argument."""
    for pattern in get_resolver().url_patterns:
        yield from _addresses(pattern, "")


def _addresses(pattern: URLResolver | URLPattern, before: str) -> Iterator[str]:
    path = before + re.sub(r"<[^>]+>", "1", str(pattern.pattern))
    if isinstance(pattern, URLResolver):
        for inner in pattern.url_patterns:
            yield from _addresses(inner, path)
    else:  # a regular expression matches every address that no pattern before it has matched
        yield before + "no-such-address" if isinstance(pattern.pattern, RegexPattern) else path


def test_nothing_is_open_without_a_key_but_what_is_meant_to_be(start_site: Callable[..., httpx2.Client]) -> None:
    client = start_site(API_KEYS_REQUIRED=True)
    found = list(addresses())
    assert {"chat", "chat/stream", "calls", "calls/1", "stats", "health", "schema", "admin/access/apikey/add/"} <= set(
        found
    )
    for path in [*found, "static/admin/css/base.css"]:
        for method in METHODS:
            answer = client.request(method, f"/{path}")
            case = (method, path, answer.status_code)
            if path.startswith("admin/"):
                if path.removeprefix("admin/") not in OPEN_IN_THE_ADMIN:
                    to_login = answer.status_code == 302 and "/admin/login/" in answer.headers["location"]
                    assert to_login or answer.status_code in (403, 404, 405), case
            elif path == "no-such-address":
                assert answer.status_code == 404, case
            elif path not in OPEN:
                assert answer.status_code == 401, case
                assert answer.json()["error"]["code"] == "not_authenticated", case
                assert answer.headers["www-authenticate"] == "Bearer", case
        if path in OPEN:
            assert client.get(f"/{path}").status_code in (200, 302), path


def test_what_is_open_shows_no_key(start_site: Callable[..., httpx2.Client]) -> None:
    client = start_site(API_KEYS_REQUIRED=True)
    for path in OPEN:
        assert "sk-test" not in client.get(f"/{path}").text
