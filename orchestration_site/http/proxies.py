"""Finds out who the client is when a request came by a proxy.

X-Forwarded-For and X-Forwarded-Proto are believed only if a proxy that TRUSTED_PROXIES names has sent them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from orchestration_site.http.asgi_types import Application, AsgiScope, Receive, Send

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def read_networks(written: Iterable[str]) -> tuple[Network, ...]:
    """Read networks like `10.0.0.0/8`, or single addresses. The ValueError for anything else names it."""
    return tuple(ipaddress.ip_network(network.strip(), strict=False) for network in written)


class TrustedProxies:
    """Wraps an ASGI application, whose scope gets the address and the scheme of the client instead of the proxy's."""

    def __init__(self, application: Application, networks: Sequence[Network]) -> None:
        self._application = application
        self._networks = networks

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if self._networks and scope["type"] == "http" and self._is_trusted(_address((scope["client"] or [""])[0])):
            scope = {**scope, "client": (self._client(scope), 0)}
            scheme = b",".join(_all(scope, b"x-forwarded-proto")).split(b",")[-1].strip().lower()
            if scheme in (b"http", b"https"):
                scope["scheme"] = scheme.decode()
        await self._application(scope, receive, send)

    def _client(self, scope: AsgiScope) -> str:
        """The client's address: the last one in X-Forwarded-For that is not a trusted proxy.

        Whatever stands before it may have been written by the client itself.
        """
        client = str(scope["client"][0])
        for hop in reversed(b",".join(_all(scope, b"x-forwarded-for")).split(b",")):
            address = _address(hop.decode("latin-1"))
            if address is None:
                break
            client = str(address)
            if not self._is_trusted(address):
                break
        return client

    def _is_trusted(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _all(scope: AsgiScope, name: bytes) -> list[bytes]:
    return [value for header, value in scope["headers"] if header == name]


def _address(written: str) -> Address | None:
    """Read an address as proxies write it: with or without a port, and an IPv6 address also in brackets."""
    text = written.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
