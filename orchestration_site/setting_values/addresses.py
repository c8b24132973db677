"""Checks addresses that settings name: of providers, of this service, of websites, of Redis and of the collector."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from urllib.parse import SplitResult, urlsplit

import redis.asyncio

# A host name or an IPv4 address.
HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
# A path of an address below which a proxy shows the service.
ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


def problem_of_base_address(address: str) -> str:
    """Why nothing can be asked at this address; empty if it is one. The text has no part of the address.

    A query is allowed, because Azure's addresses have one (`?api-version=…`).
    """
    if not address.isprintable() or any(character.isspace() for character in address):
        return "has a space in it"
    if ";" in address or "|" in address:
        return "has a ; or a | in it; commas separate providers"
    try:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            return "must be http(s)://HOST…"
    except ValueError:
        return "must be http(s)://HOST…"
    if parts.username is not None or parts.password is not None:
        return "has a user or a password in it, which are never sent; the key belongs into its own variable"
    if "#" in address:
        return "has a # in it, and what is behind a # is never sent"
    if not _is_host(parts):
        return "must be http(s)://HOST…"
    return ""


def read_address(written: str) -> str:
    """An address, or nothing. Raises ValueError, which does not quote it."""
    address = written.strip()
    if address and (problem := problem_of_base_address(address)):
        raise ValueError(f"the address {problem}.")
    return address


def read_hosts(hosts: list[str]) -> list[str]:
    """Host names for ALLOWED_HOSTS. `*` means every host, and a name that begins with a dot all names that end so."""
    for host in hosts:
        name = host.removeprefix(".")
        if host != "*" and not HOST.fullmatch(name) and not _is_ipv6(name):
            raise ValueError(f"'{host[:60]}' is not a host name. Write it without https://, port and path.")
    return hosts


def read_origins(origins: list[str], *, or_else: tuple[str, ...] = ()) -> list[str]:
    """Origins like `https://app.example.com:8443`. In the place of a subdomain there may be a `*`."""
    for origin in origins:
        try:
            parts = urlsplit(origin)
            is_origin = origin == f"{parts.scheme}://{parts.netloc}" and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_origin = False
        if origin not in or_else and (not is_origin or "@" in origin):
            raise ValueError(
                f"'{origin[:60] if '@' not in origin else '…'}' is not an origin. Write scheme, host and port, like "
                "https://app.example.com, without a path."
            )
    return origins


def read_redis_url(written: str) -> str:
    url = written.strip()
    if url:
        try:
            redis.asyncio.ConnectionPool.from_url(url).make_connection()  # type: ignore[no-untyped-call]
        except (ValueError, TypeError):  # the text of the error may contain the password
            raise ValueError("write redis://host:6379/0, or rediss:// for TLS.") from None
    return url


def read_root_path(written: str) -> str:
    path = written.strip().rstrip("/")
    if not ROOT_PATH.fullmatch(path):
        raise ValueError("write a path that begins with a slash, like /llm.")
    return path


def _is_host(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    # A name with letters beyond ASCII is sent in another form, which aiohttp makes.
    return _is_ipv6(f"[{host}]") if ":" in host else bool(HOST.fullmatch(host)) or not host.isascii()


def _is_ipv6(host: str) -> bool:
    if not (host.startswith("[") and host.endswith("]")):
        return False
    try:
        IPv6Address(host[1:-1])
    except ValueError:
        return False
    return True
