"""Who the client is, behind proxies: X-Forwarded-For and X-Forwarded-Proto are believed from TRUSTED_PROXIES alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from orchestration_site.http.asgi_types import Application, Receive, Scope, Send

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def read_networks(written: Iterable[str]) -> tuple[Network, ...]:
    """`10.0.0.0/8` or a single address. Raises ValueError that names what is none."""
    return tuple(ipaddress.ip_network(network.strip(), strict=False) for network in written)


class TrustedProxies:
    """Wraps an application. The client's address and scheme are in the scope as if it had connected directly."""

    def __init__(self, application: Application, networks: Sequence[Network]) -> None:
        self._application = application
        self._networks = networks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._networks and scope["type"] == "http" and self._is_trusted(_address((scope["client"] or [""])[0])):
            scope = {**scope, "client": (self._client(scope), 0)}
            scheme = b",".join(_all(scope, b"x-forwarded-proto")).split(b",")[-1].strip().lower()
            if scheme in (b"http", b"https"):
                scope["scheme"] = scheme.decode()
        await self._application(scope, receive, send)

    def _client(self, scope: Scope) -> str:
        """The last address that a trusted proxy has seen: whatever stands before it, anybody may have written."""
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


def _all(scope: Scope, name: bytes) -> list[bytes]:
    return [value for header, value in scope["headers"] if header == name]


def _address(written: str) -> Address | None:
    """An address, with or without a port, in the ways that proxies write it."""
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
