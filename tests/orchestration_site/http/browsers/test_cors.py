"""CORS: what a browser lets the pages of other origins send and read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from llm.simulator import SimulatorThread
from tests.support.loaded_settings import load_settings

ORIGIN = "https://app.example.com"
FROM_PAGE = {"Origin": ORIGIN}
BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "a"}]}
KEYS = ("authorization", "api-key", "x-api-key")
OURS = (*KEYS, "content-type", "idempotency-key", "x-request-id", "traceparent", "x-cache-ttl")
EXTRAS = ("x-route", "x-timeout", "x-hedge-after", "x-default-message")
OF_THE_SDK = tuple(
    f"x-stainless-{name}"
    for name in (
        *("arch", "lang", "os", "package-version", "retry-count", "runtime", "runtime-version", "timeout"),
        *("helper-method", "poll-helper", "custom-poll-interval"),
    )
)
DOORS = (
    *(("POST", path) for path in ("/chat", "/chat/parallel", "/chat/fallback", "/chat/stream")),
    *(("GET", path) for path in ("/calls", "/calls/req_1", "/stats", "/health", "/health/ready", "/schema")),
    *(("POST", f"/v1/{name}") for name in ("chat/completions", "completions", "embeddings", "responses")),
    *(("GET", "/v1/models"), ("GET", "/v1/chat/completions"), ("DELETE", "/v1/chat/completions/chatcmpl-1")),
)
# Headers that browsers and proxies obey. No page needs to read them.
FOR_BROWSERS = {"x-frame-options", "x-content-type-options", "x-accel-buffering"}
StartSite = Callable[..., httpx2.Client]


@pytest.fixture
def client(start_site: StartSite) -> Iterator[httpx2.Client]:
    """A client of a service that the pages of one origin may call, and that requires keys."""
    yield start_site(CORS_ALLOWED_ORIGINS=[ORIGIN], API_KEYS_REQUIRED=True)


def preflight(
    client: httpx2.Client, path: str, method: str, headers: tuple[str, ...] = (), origin: str = ORIGIN
) -> Any:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        asked["Access-Control-Request-Headers"] = ",".join(sorted(headers))
    return client.options(path, headers=asked)


def names(answer: httpx2.Response, header: str) -> set[str]:
    return {name.strip().lower() for name in answer.headers.get(header, "").split(",")}


def may_be_sent(answer: httpx2.Response, method: str, headers: tuple[str, ...] = (), origin: str = ORIGIN) -> bool:
    """Decide like a browser. Source: fetch.spec.whatwg.org, "CORS-preflight fetch"."""
    allowed = names(answer, "access-control-allow-headers")
    return (
        200 <= answer.status_code <= 299
        and answer.headers.get("access-control-allow-origin") in (origin, "*")
        and (method in ("GET", "HEAD", "POST") or method.lower() in names(answer, "access-control-allow-methods"))
        and all(name in allowed or ("*" in allowed and name != "authorization") for name in headers)
    )


def may_be_read(answer: httpx2.Response) -> bool:
    return answer.headers.get("access-control-allow-origin") == ORIGIN and "Origin" in answer.headers["vary"].title()


def test_a_page_of_another_origin_may_not_call(client: httpx2.Client) -> None:
    for origin in (
        "https://evil.example",
        "http://app.example.com",
        f"{ORIGIN}:8443",
        f"{ORIGIN}.evil.example",
        "null",
    ):
        asked = preflight(client, "/chat", "POST", origin=origin)
        assert not may_be_sent(asked, "POST", origin=origin)
        assert "access-control-allow-origin" not in client.get("/health", headers={"Origin": origin}).headers


def test_no_page_may_call_unless_the_settings_say_so(start_site: StartSite) -> None:
    client = start_site()
    assert not may_be_sent(preflight(client, "/chat", "POST"), "POST")
    assert "access-control-allow-origin" not in client.get("/health", headers=FROM_PAGE).headers


def test_the_admin_is_for_its_own_pages_alone(client: httpx2.Client) -> None:
    for path in ("/admin", "/admin/", "/admin/login/", "/static/admin/css/base.css"):
        assert not may_be_sent(preflight(client, path, "GET"), "GET")
        assert "access-control-allow-origin" not in client.get(path, headers=FROM_PAGE).headers


def test_a_preflight_of_every_door_needs_no_key(client: httpx2.Client) -> None:
    headers = (*OURS, *EXTRAS, *OF_THE_SDK)
    for method, path in DOORS:
        answer = preflight(client, path, method, headers)
        assert may_be_sent(answer, method, headers), path
        # Each is named, because old browsers do not know the star.
        assert set(OURS) | set(EXTRAS) <= names(answer, "access-control-allow-headers")
        assert "access-control-allow-credentials" not in answer.headers
        assert int(answer.headers["access-control-max-age"]) > 0


def test_a_preflight_alone_is_let_through_without_a_key(client: httpx2.Client) -> None:
    assert client.options("/chat", headers=FROM_PAGE).status_code == 401
    assert client.options("/chat", headers={"Access-Control-Request-Method": "POST"}).status_code == 200


def test_an_answer_and_a_stream_can_be_read(start_site: StartSite) -> None:
    client = start_site(CORS_ALLOWED_ORIGINS=[ORIGIN])
    assert may_be_read(client.post("/chat", json={"prompt": "a"}, headers=FROM_PAGE))
    assert may_be_read(client.post("/v1/chat/completions", json=BODY, headers=FROM_PAGE))
    for path, body in (("/chat/stream", {"prompt": "a"}), ("/v1/chat/completions", {**BODY, "stream": True})):
        with client.stream("POST", path, json=body, headers=FROM_PAGE) as stream:
            assert may_be_read(stream)
            assert stream.read().decode().rstrip().endswith("[DONE]")


def test_an_error_can_be_read(start_site: StartSite, simulator: SimulatorThread) -> None:
    client = start_site(CORS_ALLOWED_ORIGINS=[ORIGIN], RATE_LIMIT="3/h", MAX_RETRIES=0)
    answers = [
        client.post("/chat", json={"prompt": "a", "model": "sim-500"}, headers=FROM_PAGE),
        client.post("/chat", json={}, headers=FROM_PAGE),
        client.post("/chat", json={"prompt": "a"}, headers=FROM_PAGE),
        client.post("/chat", json={"prompt": "a"}, headers=FROM_PAGE),
        client.post("/chat", json={"prompt": "a"}, headers=FROM_PAGE),
        client.get("/no-such-address", headers=FROM_PAGE),
        client.get("/chat", headers=FROM_PAGE),
        client.post("/chat", content=b"x" * (django_settings.MAX_BODY_BYTES + 1), headers=FROM_PAGE),
    ]
    assert {answer.status_code for answer in answers} >= {502, 400, 200, 429, 404, 405, 413}
    assert all(may_be_read(answer) for answer in answers)


def test_a_refusal_for_want_of_a_key_can_be_read(client: httpx2.Client) -> None:
    for path in ("/chat", "/v1/chat/completions"):
        answer = client.post(path, json=BODY, headers=FROM_PAGE)
        assert answer.status_code == 401
        assert may_be_read(answer)


def test_every_header_that_says_something_can_be_read(start_site: StartSite) -> None:
    client = start_site(CORS_ALLOWED_ORIGINS=[ORIGIN], RATE_LIMIT="4/h", MAX_RETRIES=0)
    again = {**FROM_PAGE, "Idempotency-Key": "one"}
    answers = [
        client.post("/v1/chat/completions", json=BODY, headers=again),
        client.post("/v1/chat/completions", json=BODY, headers=again),
        client.post("/v1/chat/completions", json={**BODY, "model": "sim-429"}, headers=FROM_PAGE),
        client.post("/v1/chat/completions", json={**BODY, "stream": True}, headers=FROM_PAGE),
        *(client.post("/chat", json={"prompt": "a"}, headers=FROM_PAGE) for _ in range(3)),
    ]
    assert answers[-1].status_code == 429
    said = {
        name
        for answer in answers
        for name in answer.headers
        if re.match("x-|ratelimit|retry|idempot", name) and name not in FOR_BROWSERS
    }
    assert {"x-request-id", "retry-after", "ratelimit-remaining", "x-cached", "x-cost-usd", "x-should-retry"} <= said
    assert {"idempotent-replayed", "x-ratelimit-remaining-requests", "x-attempts", "x-model-used"} <= said
    assert said <= names(answers[0], "access-control-expose-headers")


def test_a_star_is_every_origin() -> None:
    star, nobody = load_settings({"CORS_ALLOWED_ORIGINS": "*"}, {"CORS_ALLOWED_ORIGINS": ""})
    assert (star["CORS_ALLOW_ALL_ORIGINS"], star["CORS_ALLOWED_ORIGINS"]) == ("True", "[]")
    assert nobody["CORS_ALLOW_ALL_ORIGINS"] == "False"


def test_every_origin_may_call_where_the_setting_is_a_star(start_site: StartSite) -> None:
    client = start_site(CORS_ALLOW_ALL_ORIGINS=True)
    assert may_be_sent(preflight(client, "/chat", "POST", OURS, origin="https://any.example"), "POST", OURS)
    assert client.get("/health", headers=FROM_PAGE).headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("written", ["app.example.com", "https://app.example.com/", "https://app.example.com/app"])
def test_an_origin_that_can_never_match_is_an_error_at_start(settings: Any, written: str) -> None:
    settings.CORS_ALLOWED_ORIGINS = [written]
    with pytest.raises(SystemCheckError, match="CORS_ALLOWED_ORIGINS"):
        call_command("check")
