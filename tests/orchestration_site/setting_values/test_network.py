"""Proxies and certificates, as the environment names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration_site.setting_values import SettingError
from orchestration_site.setting_values.network import check_certificates, proxy_for, read_proxies
from orchestration_site.setting_values.spelling import misspelt

PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("address", "no_proxy", "is_by_proxy"),
    [
        ("https://api.openai.com/v1", "", True),
        ("https://api.openai.com/v1", "localhost,127.0.0.1", True),
        ("https://api.openai.com/v1", "*", False),
        ("https://api.openai.com/v1", "api.openai.com", False),
        ("https://api.openai.com/v1", "openai.com", False),
        ("https://api.openai.com/v1", ".openai.com", False),
        ("https://api.openai.com/v1", "*.openai.com", False),
        ("https://api.openai.com/v1", " localhost , OPENAI.com ", False),
        ("https://api.openai.com/v1", "penai.com", True),
        ("https://api.openai.com/v1", "api.openai.com:443", False),
        ("https://api.openai.com/v1", "api.openai.com:8443", True),
        ("http://10.1.2.3:8001/v1", "10.0.0.0/8", False),
        ("http://10.1.2.3:8001/v1", "10.1.2.3:8001", False),
        ("http://11.1.2.3:8001/v1", "10.0.0.0/8", True),
        ("http://[::1]:8001/v1", "::1", False),
        ("http://[fd00::1]:8001/v1", "fd00::/8", False),
        ("http://[fd00::2]:8001/v1", "[fd00::1]", True),
    ],
)
def test_no_proxy_names_hosts_their_ends_and_networks(address: str, no_proxy: str, is_by_proxy: bool) -> None:
    environment = {"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}
    assert proxy_for(address, environment) == (PROXY if is_by_proxy else "")


def test_a_proxy_is_for_one_scheme_and_small_letters_come_first() -> None:
    assert proxy_for("http://a/v1", {"HTTPS_PROXY": PROXY}) == ""
    assert read_proxies({"HTTPS_PROXY": "http://a:1", "https_proxy": "b:2", "http_proxy": " "}) == {
        "https": "http://b:2"
    }
    assert proxy_for("http://a/v1", {"http_proxy": PROXY, "NO_PROXY": "a", "no_proxy": "b"}) == PROXY


@pytest.mark.parametrize(
    "written", ["socks5://u:secret@h:1", "http://", "http://h:port", "http://secret@h/path", "a b"]
)
def test_a_proxy_that_cannot_be_used_is_an_error_that_does_not_show_it(written: str) -> None:
    with pytest.raises(SettingError, match="HTTPS_PROXY can't be read") as raised:
        read_proxies({"https_proxy": written})
    assert "secret" not in str(raised.value)


def test_certificates_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    check_certificates({})
    check_certificates({"SSL_CERT_DIR": str(tmp_path)})
    (tmp_path / "ca.pem").write_text("no certificate")
    for environment in ({"SSL_CERT_FILE": "/nonexistent"}, {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}):
        with pytest.raises(SettingError, match="SSL_CERT_FILE"):
            check_certificates(environment)
    with pytest.raises(SettingError, match="SSL_CERT_DIR"):
        check_certificates({"SSL_CERT_DIR": "/nonexistent"})


def test_a_name_that_is_nearly_one_of_ours_is_found() -> None:
    known = ["RATE_LIMIT", "OPENAI_API_KEY", "OPENAI_BASE_URL", "LOG_DIR", "DATABASE_URL", "PROVIDERS", "HTTPS"]
    written = ["RATE_LIMITS", "OPENAI_APIKEY", "openai_api_key", "DATABASE_URI", "PROVIDER", "LOG_DIR", "TZ", "PGHOST"]
    assert misspelt([*written, "POSTGRES_PASSWORD", "GROQ_API_KEY", "OTEL_SERVICE_NAME"], known) == {
        "RATE_LIMITS": "RATE_LIMIT",
        "OPENAI_APIKEY": "OPENAI_API_KEY",
        "openai_api_key": "OPENAI_API_KEY",
        "DATABASE_URI": "DATABASE_URL",
        "PROVIDER": "PROVIDERS",
    }
