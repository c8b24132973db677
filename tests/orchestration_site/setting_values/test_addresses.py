"""Addresses in settings: hosts, origins, Redis, the path of a proxy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestration_site.setting_values import addresses


def hosts(written: str) -> Any:
    return addresses.read_hosts(written.split(","))


def origins(written: str) -> Any:
    return addresses.read_origins(written.split(","))


@pytest.mark.parametrize(
    ("read", "written"),
    [
        (hosts, "localhost,127.0.0.1,[::1],llm.example.com,.example.com,my_host,*"),
        (origins, "https://app.example.com,http://localhost:3000,https://*.example.com,http://[::1]:3000"),
        (addresses.read_redis_url, ""),
        (addresses.read_redis_url, "redis://host:6379/0"),
        (addresses.read_redis_url, "rediss://u:p@host"),
        (addresses.read_redis_url, "unix:///run/redis.sock"),
        (addresses.read_root_path, ""),
        (addresses.read_root_path, "/llm"),
        (addresses.read_root_path, "/a/b-c"),
        (addresses.read_address, ""),
        (addresses.read_address, "https://host/v1?api-version=2024-10-21"),
        (addresses.read_address, "http://[::1]:8001"),
        (addresses.read_address, "http://my_service:8001"),
        (addresses.read_address, "http://bücher.example/v1"),
    ],
)
def test_what_can_be_reached(read: Callable[[str], Any], written: str) -> None:
    found = read(written)
    assert found == (written.split(",") if isinstance(found, list) else written)


@pytest.mark.parametrize(
    ("read", "written", "reason"),
    [
        (hosts, "https://llm.example.com", "not a host name"),
        (hosts, "llm.example.com:8000", "not a host name"),
        (hosts, "llm.example.com/x", "not a host name"),
        (hosts, "*.example.com", "not a host name"),
        (hosts, "::1", "not a host name"),
        (origins, "app.example.com", "not an origin"),
        (origins, "https://app.example.com/", "not an origin"),
        (origins, "https://u:secret@app.example.com", "not an origin"),
        (origins, "*", "not an origin"),
        (addresses.read_redis_url, "host:6379", "redis://host"),
        (addresses.read_redis_url, "http://host", "redis://host"),
        (addresses.read_redis_url, "redis://:secret@host:port", "redis://host"),
        (addresses.read_redis_url, "redis://:secret@host/0?no_such_option=1", "redis://host"),
        (addresses.read_root_path, "llm", "begins with a slash"),
        (addresses.read_root_path, "/llm?x", "begins with a slash"),
        (addresses.read_root_path, "//llm", "begins with a slash"),
        (addresses.read_address, "collector:4318", "http(s)://HOST"),
        (addresses.read_address, "http://a b", "space"),
        (addresses.read_address, "http://-a", "http(s)://HOST"),
        (addresses.read_address, "http://[::1", "http(s)://HOST"),
        (addresses.read_address, "http://u:secret@host", "user or a password"),
        (addresses.read_address, "http://host/v1#x", "has a #"),
    ],
)
def test_what_can_never_be_reached_is_an_error(read: Callable[[str], Any], written: str, reason: str) -> None:
    with pytest.raises(ValueError) as raised:
        read(written)
    assert reason in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_star_is_an_origin_only_where_every_website_may_be_named() -> None:
    assert addresses.read_origins(["*"], or_else=("*",)) == ["*"]
