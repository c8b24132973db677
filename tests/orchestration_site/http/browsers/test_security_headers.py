"""Security headers and the content security policy, on every kind of answer."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from orchestration_site.http.browsers.security import Cors, Security

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
COMPLETION = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "a"}]}'
ANSWERS = (
    ("GET", "/health", None, 200),
    ("POST", "/chat", b'{"prompt": "a"}', 200),
    ("POST", "/chat/stream", b'{"prompt": "a"}', 200),
    ("POST", "/v1/chat/completions", COMPLETION, 200),
    ("POST", "/chat", b"{", 400),
    ("GET", "/no-such-address", None, 404),
    ("GET", "/docs/", None, 404),
    ("GET", "/chat", None, 405),
    ("POST", "/chat", b"x" * (settings.MAX_BODY_BYTES + 1), 413),
    ("GET", "/", None, 302),
    ("GET", "/schema", None, 200),
    ("GET", "/metrics", None, 200),
)


def policy(answer: httpx2.Response) -> dict[str, str]:
    """The sources of each directive."""
    (written,) = answer.headers.get_list("content-security-policy")
    directives = (directive.strip().partition(" ") for directive in written.split(";"))
    return {name: sources for name, _, sources in directives}


def test_an_answer_of_the_api_may_load_nothing_run_nothing_and_be_framed_nowhere(client: httpx2.Client) -> None:
    nothing = dict.fromkeys(("default-src", "base-uri", "form-action", "frame-ancestors"), "'none'")
    for method, path, body, status in ANSWERS:
        answer = client.request(method, path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == status, path
        assert policy(answer) == nothing, path
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_a_refusal_for_want_of_a_key_has_them_too(start_site: Callable[..., httpx2.Client]) -> None:
    answer = start_site(API_KEYS_REQUIRED=True).post("/chat", json={"prompt": "a"})
    assert answer.status_code == 401
    assert policy(answer)["default-src"] == "'none'"
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_a_page_loads_from_this_host_alone_and_runs_no_inline_script(client: httpx2.Client) -> None:
    for page in ("/docs", "/docs?script=", "/redoc", "/admin/login/", "/admin/", "/admin/jsi18n/"):
        answer = client.get(page)
        assert answer.status_code in (200, 302)
        sources = policy(answer)
        assert sources["default-src"] == "'none'"
        assert sources["script-src"] == sources["connect-src"] == "'self'"
        assert sources["frame-ancestors"] == sources["base-uri"] == "'none'"
        assert not any("http" in allowed or "*" in allowed for allowed in sources.values())
        assert sources["style-src"] == ("'self' 'unsafe-inline'" if page == "/redoc" else "'self'")
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_a_page_whose_policy_forbids_inline_scripts_and_styles_has_none(client: httpx2.Client) -> None:
    for page in ("/docs", "/admin/login/"):
        text = client.get(page).text
        assert "<style" not in text
        assert " style=" not in text
        assert all(script.startswith(" src=") for script in text.split("<script")[1:])


@pytest.mark.parametrize("middleware", [Security, Cors])
def test_what_every_answer_passes_never_waits_for_a_thread(middleware: Callable[..., Callable[..., object]]) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse("a")

    passing = middleware(view)(RequestFactory().post("/chat", headers={"Origin": "https://app.example.com"}))
    with pytest.raises(StopIteration) as ended:  # at the first step: there was nothing to wait for
        passing.send(None)  # type: ignore[attr-defined]
    assert ended.value.value.content == b"a"


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/metrics"])
def test_a_probe_may_call_the_service_by_any_name(client: httpx2.Client, path: str) -> None:
    assert client.get(path, headers={"Host": "10.1.2.3:8000"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/calls"), ("GET", "/docs"), ("POST", "/chat"), ("POST", "/v1/embeddings")]
)
def test_nobody_else_may(client: httpx2.Client, method: str, path: str) -> None:
    answer = client.request(method, path, headers={"Host": "10.1.2.3:8000"}, json={"prompt": "a"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
