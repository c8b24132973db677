"""HTTPS behind a proxy: what is redirected, refused, or answered nevertheless, and which cookies are secure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx2
import pytest
from django.conf import settings

from llm.simulator import SimulatorThread
from tests.support.loaded_settings import load_settings
from tests.support.loopback import loopback_client, loopback_get, loopback_post
from tests.support.site_subprocess import SiteProcess

BY_HTTPS = {"X-Forwarded-Proto": "https"}
HSTS = "strict-transport-security"
# In one process, because each takes two seconds before it does anything.
SET_UP = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("createsuperuser", interactive=False)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, _simulator: SimulatorThread) -> Iterator[SiteProcess]:
    """A service behind a proxy on this machine, which it trusts."""
    site = SiteProcess(
        tmp_path_factory.mktemp("https"),
        upstream=_simulator.base_url,
        HTTPS="true",
        TRUSTED_PROXIES="127.0.0.1",
        DJANGO_SUPERUSER_USERNAME="root",
        DJANGO_SUPERUSER_PASSWORD="correct-horse-1",
        DJANGO_SUPERUSER_EMAIL="root@example.com",
    )
    site.manage("shell", "--command", SET_UP)
    site.start()
    yield site
    site.close()


@pytest.fixture(scope="module")
def misplaced(tmp_path_factory: pytest.TempPathFactory, _simulator: SimulatorThread) -> Iterator[SiteProcess]:
    """A service behind a proxy that it does not trust."""
    folder = tmp_path_factory.mktemp("misplaced")
    site = SiteProcess(folder, upstream=_simulator.base_url, HTTPS="true", TRUSTED_PROXIES="10.0.0.0/8")
    site.start()  # without tables in its database, for it refuses everything that would need one
    yield site
    site.close()


@pytest.fixture
def client(site: SiteProcess) -> Iterator[httpx2.Client]:
    with loopback_client(base_url=site.base_url, timeout=30) as client:
        yield client


@pytest.fixture
def misplaced_client(misplaced: SiteProcess) -> Iterator[httpx2.Client]:
    with loopback_client(base_url=misplaced.base_url, timeout=30) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("POST", path) for path in ("/chat", "/chat/stream", "/v1/embeddings", "/admin/login/", "/docs")),
        *(("GET", path) for path in ("/calls", "/stats", "/v1/models", "/no-such-address", "/health/", "/metrics/x")),
        ("OPTIONS", "/chat"),
    ],
)
def test_a_call_by_plain_http_is_refused_and_not_redirected(client: httpx2.Client, method: str, path: str) -> None:
    answer = client.request(method, path, json={"prompt": "a"})
    assert answer.status_code == 403
    error = answer.json()["error"]
    assert error["code"] == "https_required"
    assert "https://" in error["message"]
    assert "replace it" in error["message"]
    assert error["request_id"] == answer.headers["x-request-id"]
    assert "location" not in answer.headers


def test_an_openai_client_reads_the_refusal_as_an_error_of_openai(client: httpx2.Client) -> None:
    error = client.post("/v1/chat/completions", json={}).json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("permission_error", None, "https_required")


def test_a_refusal_is_one_line_in_the_log(site: SiteProcess, client: httpx2.Client) -> None:
    request_id = client.post("/chat", json={}, headers={"Authorization": "Bearer sk-secret"}).headers["x-request-id"]
    lines = [line for line in (site.output.parent / "logs" / "app.log").read_text().splitlines() if request_id in line]
    (line,) = map(json.loads, lines)
    assert (line["event"], line["code"], line["path"]) == ("request_refused", "https_required", "/chat")
    assert "sk-secret" not in lines[0]


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc?a=b", "/schema", "/admin/", "/admin/login/?next=/admin/"])
def test_a_page_by_plain_http_is_redirected(client: httpx2.Client, path: str) -> None:
    for method in ("GET", "HEAD"):
        answer = client.request(method, path)
        assert answer.status_code == 301
        assert answer.headers["location"] == f"https://{client.base_url.host}:{client.base_url.port}{path}"
        assert HSTS not in answer.headers


def test_a_redirect_never_leads_to_a_host_that_is_not_ours(client: httpx2.Client) -> None:
    assert client.get("/docs", headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/metrics"])
def test_probes_come_by_plain_http(client: httpx2.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert HSTS not in answer.headers


def test_a_call_by_https_is_answered_and_browsers_are_told_to_insist_on_it(client: httpx2.Client) -> None:
    for path in ("/chat", "/v1/chat/completions"):
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "a"}]}
        answer = client.post(path, json=body, headers=BY_HTTPS)
        assert answer.status_code == 200
        assert answer.headers[HSTS] == "max-age=3600"
    assert client.get("/docs", headers=BY_HTTPS).headers[HSTS] == "max-age=3600"


def test_the_admin_logs_in_behind_the_proxy_and_its_cookies_are_secure(site: SiteProcess) -> None:
    host = f"127.0.0.1:{site.port}"
    page = loopback_get(f"{site.base_url}/admin/login/", headers=BY_HTTPS)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token is not None
    csrf_cookie = page.headers["set-cookie"]
    assert "; Secure" in csrf_cookie
    answer = loopback_post(
        f"{site.base_url}/admin/login/",
        data={"username": "root", "password": "correct-horse-1", "csrfmiddlewaretoken": token[1], "next": "/admin/"},
        headers={**BY_HTTPS, "Cookie": csrf_cookie.partition(";")[0], "Origin": f"https://{host}"},
    )
    assert (answer.status_code, answer.headers["location"]) == (302, "/admin/")
    session = next(cookie for cookie in answer.headers.get_list("set-cookie") if cookie.startswith("sessionid="))
    assert "; Secure" in session
    assert "; HttpOnly" in session


def test_nobody_but_a_trusted_proxy_can_say_that_it_was_https(misplaced_client: httpx2.Client) -> None:
    for method, path in (("POST", "/chat"), ("GET", "/docs"), ("GET", "/admin/login/")):
        answer = misplaced_client.request(method, path, headers=BY_HTTPS)
        # A redirect would come back by the same proxy again and again.
        assert answer.status_code == 403
        assert "TRUSTED_PROXIES" in answer.json()["error"]["message"]
        assert HSTS not in answer.headers
    assert misplaced_client.get("/docs").status_code == 301
    assert misplaced_client.get("/health", headers=BY_HTTPS).status_code == 200


def test_a_body_over_the_limit_by_plain_http_is_told_of_https_first(client: httpx2.Client) -> None:
    too_large = b"x" * (settings.MAX_BODY_BYTES + 1)
    assert client.post("/chat", content=too_large).json()["error"]["code"] == "https_required"
    assert client.post("/chat", content=too_large, headers=BY_HTTPS).status_code == 413


def test_production_takes_https_only_unless_told_otherwise() -> None:
    secure = ("HTTPS", "SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE")
    production, *plain_ones, told = load_settings(
        {"ENVIRONMENT": "production"},
        {"ENVIRONMENT": "production", "HTTPS": "false", "HSTS_SECONDS": "60"},
        {"ENVIRONMENT": "development", "HTTPS": "", "HSTS_SECONDS": "60"},
        {"HTTPS": "true", "HSTS_SECONDS": "60"},
    )
    assert {production[name] for name in secure} == {"True"}
    assert production["SECURE_HSTS_SECONDS"] == "3600"
    for plain in plain_ones:
        assert {plain[name] for name in secure} == {"False"}
        assert plain["SECURE_HSTS_SECONDS"] == "0"
    assert told["SECURE_HSTS_SECONDS"] == "60"
