"""What the environment says about the way to the providers: proxies (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) and the
certificates that are trusted (SSL_CERT_FILE, SSL_CERT_DIR).

These names are other programs' too, so the small letters of a proxy's name count as well, and come first, as in curl.
`~/.netrc` is not read.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from orchestration_site.setting_values.errors import SettingError

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


def proxy_for(address: str, environment: Mapping[str, str]) -> str:
    """The address of the proxy by which this address is asked; empty if it is asked directly. Raises SettingError."""
    parts = urlsplit(address)
    proxy = read_proxies(environment).get(parts.scheme, "")
    return "" if not proxy or _is_exempt(parts, environment) else proxy


def read_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """The proxies by the scheme of the addresses that are asked by them."""
    found = {}
    for scheme in ("http", "https"):
        name = f"{scheme}_proxy"
        proxy = _either(name, environment)
        if not proxy:
            continue
        address = proxy if "://" in proxy else f"http://{proxy}"
        try:
            parts = urlsplit(address)
            is_proxy = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_proxy = False
        if not is_proxy or parts.path.strip("/") or parts.query or parts.fragment or any(map(str.isspace, address)):
            raise SettingError(
                name.upper(), "can't be read: write http://host:port, or http://user:password@host:port."
            )
        found[scheme] = address
    return found


def check_certificates(environment: Mapping[str, str]) -> None:
    """Raise SettingError if the certificates that are to be trusted can't be read."""
    if file := environment.get("SSL_CERT_FILE"):
        try:
            ssl.create_default_context(cafile=file)
        except (OSError, ssl.SSLError):
            raise SettingError("SSL_CERT_FILE", "does not name a file of certificates that can be read.") from None
    folders = environment.get("SSL_CERT_DIR", "")
    if folders and not any(Path(folder).is_dir() for folder in folders.split(":")):
        raise SettingError("SSL_CERT_DIR", "does not name a folder.")


def _either(name: str, environment: Mapping[str, str]) -> str:
    return (environment.get(name) or environment.get(name.upper()) or "").strip()


def _is_exempt(address: SplitResult, environment: Mapping[str, str]) -> bool:
    """Whether NO_PROXY names the host: by its name, the end of its name, its address, or a network like 10.0.0.0/8.

    A name without a star or a dot before it stands for the names below it too, as in curl.
    """
    host = (address.hostname or "").rstrip(".")
    port = address.port or {"http": 80, "https": 443}[address.scheme]
    for written in filter(None, re.split(r"[,\s]+", _either("no_proxy", environment).lower())):
        if written == "*" or _contains(written, host):
            return True
        name, colon, of_port = written.rpartition(":")
        name = (name if colon and of_port == str(port) else written).removeprefix("*").removeprefix(".").strip("[]")
        if name and (host == name or host.endswith(f".{name}")):
            return True
    return False


def _contains(network: str, host: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network.strip("[]"), strict=False)
    except ValueError:
        return False  # one of them is a name
