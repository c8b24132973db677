"""The client address and the scheme that the application sees behind proxies."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestration_site.checks.start import check_access
from orchestration_site.http.proxies import TrustedProxies, read_networks


def seen(peer: str, trusted: list[str], *headers: tuple[str, str]) -> tuple[str, str]:
    """The client address and the scheme that the application sees when `peer` connects."""
    scopes: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)

    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": "http", "client": (peer, 1234), "scheme": "http", "headers": raw}
    asyncio.run(TrustedProxies(application, read_networks(trusted))(scope, None, None))  # type: ignore[arg-type]
    return scopes[0]["client"][0], scopes[0]["scheme"]


def test_nobody_is_believed_unless_the_settings_say_so() -> None:
    headers = (("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "https"))
    assert seen("127.0.0.1", [], *headers) == ("127.0.0.1", "http")
    assert seen("9.9.9.9", ["10.0.0.0/8"], *headers) == ("9.9.9.9", "http")
    assert seen("10.0.0.7", ["10.0.0.0/8"], *headers) == ("1.2.3.4", "https")


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("6.6.6.6, 1.2.3.4", "1.2.3.4"),  # the caller wrote the first address itself
        ("1.2.3.4, 10.0.0.9", "1.2.3.4"),
        ("10.0.0.8, 10.0.0.9", "10.0.0.8"),
        ("nonsense, 10.0.0.9", "10.0.0.9"),
        ("nonsense", "10.0.0.7"),
        ("", "10.0.0.7"),
        ("1.2.3.4:5678", "1.2.3.4"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("1.2.3.4\xff", "10.0.0.7"),
    ],
)
def test_the_client_is_the_last_address_that_a_trusted_proxy_has_seen(forwarded: str, client: str) -> None:
    assert seen("10.0.0.7", ["10.0.0.0/8"], ("X-Forwarded-For", forwarded))[0] == client


def test_several_headers_are_one_list() -> None:
    headers = (("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "1.2.3.4"))
    assert seen("10.0.0.7", ["10.0.0.7"], *headers)[0] == "1.2.3.4"


def test_a_scheme_that_is_none_is_not_taken() -> None:
    assert seen("10.0.0.7", ["10.0.0.7"], ("X-Forwarded-Proto", "gopher"))[1] == "http"


def test_production_without_keys_is_warned(settings: Any) -> None:
    settings.PRODUCTION, settings.API_KEYS_REQUIRED = True, False
    assert [message.id for message in check_access(None)] == ["site.W001"]
