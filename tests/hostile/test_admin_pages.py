"""The admin shows whatever callers and upstreams wrote as plain text."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from django.contrib.auth.models import User
from django.test import Client

from access.keys.key_lifecycle import create_key
from access.models import ApiKey
from chat.models import CallRecord
from llm.simulator import Behaviour, SimulatorThread

StartSite = Callable[..., httpx2.Client]

LIST = "/admin/chat/callrecord/"
KEYS = "/admin/access/apikey/"
# Each of them takes most of a second, so `make test` tries only one of each kind.
EVIL = (
    '"><img src=x onerror="window.owned=1">',
    "</script><script>window.owned=1</script>",
    "</textarea></pre></style></title><iframe srcdoc='<script>owned</script>'>",
    "{% load static %}{{ request.user.password }}{{ settings.SECRET_KEY }}{% debug %}",
    "' OR 1=1 --",
    "__class__ owner__secrets__digest",
)
MORE_EVIL = (
    "<script>window.owned=1</script>",
    "'><svg/onload=window.owned=1>",
    "<a href=javascript:owned>x</a>",
    "<base href=//evil.example>",
    "<!--><x onclick=owned>-->",
    "%(password)s {0.__class__} ${1234*5678} #{1234*5678} <%= 1234*5678 %>",
    "'; DROP TABLE chat_callrecord; --",
    '" UNION SELECT digest FROM access_apikeysecret --',
    "\\' OR 1=1 #",
    "%' OR '%'='",
)


class Page(HTMLParser):
    """The elements that a browser would make of a page, and what in them could run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.suspects: list[str] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._in_script = tag == "script" and "src" not in values and values.get("type") != "application/json"
        if tag in ("iframe", "object", "embed", "base", "x"):
            self.suspects.append(self.get_starttag_text() or tag)
        for name, value in attrs:
            if name.startswith("on") or name == "srcdoc" or (value or "").strip().lower().startswith("javascript:"):
                self.suspects.append(self.get_starttag_text() or tag)
            if name in ("src", "href", "action") and "//" in (value or "") and "127.0.0.1" not in (value or ""):
                self.suspects.append(self.get_starttag_text() or tag)

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)
        self.text += data


@pytest.fixture
def browser(start_site: StartSite) -> Callable[[str], Any]:
    """Gives a function that gets a page over a real socket as a superuser who is logged in.

    The client is `browser.client`.
    """
    client = start_site(STORED_COMPLETIONS="all", MAX_RETRIES=0, BREAKER_FAILURES=1_000)
    login = Client()
    login.force_login(User.objects.create(username="admin", is_staff=True, is_superuser=True))
    cookies = {"sessionid": login.cookies["sessionid"].value}

    def get(path: str) -> httpx2.Response:
        return client.get(path, headers={"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())})

    get.client = client  # type: ignore[attr-defined]
    return get


def assert_nothing_runs(answer: httpx2.Response, evil: str) -> None:
    assert answer.status_code in (200, 400), answer.text[:500]
    page = Page(answer.text)
    assert page.suspects == []
    assert not any("owned" in script for script in page.scripts)
    assert "7006652" not in page.text  # the product of what a template would multiply
    assert "insecure-and-only" not in answer.text


@pytest.mark.parametrize("evil", [*EVIL, *(pytest.param(evil, marks=pytest.mark.slow) for evil in MORE_EVIL)])
def test_what_callers_and_models_wrote_is_text_on_every_page(
    browser: Any, simulator: SimulatorThread, evil: str
) -> None:
    client = browser.client
    function = {"type": "function", "function": {"name": evil, "arguments": evil}, "id": evil}
    messages = [
        {"role": "user", "content": evil, "name": evil},
        {"role": "assistant", "content": None, "tool_calls": [function], "refusal": evil},
        {"role": "tool", "content": [{"type": evil, "text": evil}], "tool_call_id": evil},
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": evil}}, {"type": "text", "text": evil}],
        },
    ]
    name = "m" + "".join(letter for letter in evil if letter not in " |>/\n")
    simulator.script(name, Behaviour(answer=evil))
    simulator.script("fails", Behaviour(status=500, error={"message": evil, "code": evil, "type": evil}))
    key = create_key(key=ApiKey(name="app", owner=evil))
    ApiKey.objects.update(name=evil)  # an update does not check that a name is a word
    headers = {"User-Agent": evil, "Authorization": f"Bearer {key}"}
    metadata = {evil[:64]: evil}
    body: dict[str, Any] = {"messages": messages, "metadata": metadata}
    for path, more in (
        ("/chat", {"model": name, "user": evil, "stop": [evil]}),
        ("/chat", {"model": "fails"}),
        ("/v1/chat/completions", {"model": name, evil: {evil: [evil]}, "response_format": {"type": evil}}),
        ("/v1/responses", {"model": name, "input": evil, "instructions": evil}),
        ("/v1/embeddings", {"model": name, "input": [evil]}),
    ):
        sent = body | more if "input" not in more else more
        answer = client.post(path, json=sent, headers=headers)
        assert answer.status_code in (200, 400, 502), answer.text
    assert CallRecord.objects.count() >= 4

    for call in CallRecord.objects.all():
        page = browser(f"{LIST}{call.pk}/change/")
        assert_nothing_runs(page, evil)
        assert evil[:20] in Page(page.text).text
    keys = [f"{KEYS}{found.pk}/{what}/" for found in ApiKey.objects.all() for what in ("change", "history")]
    asked = quote(evil)
    filters = ("q", "status", "door", "api_key", "model", "model_used__exact", "o", "p", "cursor", "created_at", "page")
    for path in (
        *(LIST, KEYS, "/admin/", f"{LIST}figures/", *keys),
        *(f"{LIST}?{name}={asked}" for name in filters),
        *(f"{LIST}figures/?{name}={asked}" for name in filters),
        *(f"{KEYS}?{name}={asked}" for name in ("q", "owner", "state", "o")),
        *(f"{LIST}?{asked}={asked}", f"/admin/login/?next={asked}", f"/admin/jsi18n/?{asked}"),
    ):
        answer = browser(path)
        if path.startswith("/admin/jsi18n") or answer.status_code == 302:
            continue
        assert_nothing_runs(answer, evil)
    assert CallRecord.objects.count() >= 4


def test_a_search_with_sql_in_it_finds_the_text_and_no_more(browser: Any) -> None:
    client = browser.client
    for prompt in ("' OR 1=1 --", "plain", "100%", "under_score", "back\\slash"):
        client.post("/chat", json={"prompt": prompt})
    ids = {call.body.messages[0]["content"]: call.request_id for call in CallRecord.objects.select_related("body")}
    for prompt, found in (("' OR 1=1 --", 1), ("' OR 'a'='a", 0), ("100%", 1), ("%", 1), ("under_score", 1), ("_", 1)):
        page = browser(f"{LIST}?q={quote(prompt)}").text
        shown = {request_id for request_id in ids.values() if request_id in page}
        assert len(shown) == found, prompt
        if prompt in ids:
            assert shown == {ids[prompt]}


def test_a_page_of_the_admin_is_in_no_frame_and_only_for_those_who_logged_in(browser: Any) -> None:
    page = browser(LIST)
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert browser.client.get(LIST).status_code == 302
    answer = browser.client.post(f"{KEYS}add/", data={"name": "x"}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert not ApiKey.objects.exists()
