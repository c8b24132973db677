"""The page of one call."""

from __future__ import annotations

import re
from decimal import Decimal
from html import unescape
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chat.models import Attempt
from tests.support.reading.admin_pages import EVIL, LIST, SUMMARY


def test_a_call_shows_its_conversation_answer_parameters_and_attempts(admin_client: Client, call: Any) -> None:
    made = call(
        body={
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": [{"type": "text", "text": "Look at this"}]},
                {"role": "assistant", "tool_calls": [{"function": {"name": "look", "arguments": '{"at": "it"}'}}]},
            ],
            "content": "A cat.",
            "answer": {"choices": [{"message": {"content": "A cat.", "tool_calls": []}}]},
            "parameters": {"temperature": 0.7},
        },
        metadata={"team": "search"},
        cost_usd=Decimal("0.0001234567"),
        latency_ms=4210,
    )
    attempt = {"call": made, "provider": "openai", "started_after_ms": 0}
    Attempt.objects.create(
        **attempt | {"ordinal": 1, "model": "gpt-4o", "status": "failed", "error_code": "upstream_timeout"}
    )
    Attempt.objects.create(
        **attempt
        | {"ordinal": 2, "model": "gpt-4o-mini", "status": "succeeded", "started_after_ms": 2105, "latency_ms": 2105}
    )
    with CaptureQueriesContext(connection) as queries:
        page = unescape(admin_client.get(f"{LIST}{made.pk}/change/").content.decode())
    assert len(queries) <= 6
    for shown in (
        "Be kind.",
        "Look at this",
        'look {\n  "at": "it"\n}',
        "A cat.",
        '"temperature": 0.7',
        '"team"',
        '"tool_calls": []',
    ):
        assert shown in page
    assert "$0.0001234567" in page
    assert page.index("upstream_timeout") < page.index("gpt-4o-mini")
    assert 'class="bar bar-succeeded" x="50.0" y="1" width="50.0"' in page
    assert "Save" not in re.findall(r'<input type="submit" value="(\w+)', page)


def test_a_call_says_which_api_it_was_if_it_came_from_the_cache_and_under_which_id_it_is_stored(
    admin_client: Client, call: Any
) -> None:
    made = call(operation="responses", completion_id="resp_42", cached=True, stored=False)
    page = admin_client.get(f"{LIST}{made.pk}/change/").content.decode()
    assert "resp_42" in page
    for name, shown in (("operation", "responses"), ("cached", 'alt="True"'), ("stored", 'alt="False"')):
        field = page.split(f"field-{name}", 1)[1]
        assert shown in field[:1500], name


def test_a_call_without_content_says_why(admin_client: Client, call: Any) -> None:
    assert "Not kept" in admin_client.get(f"{LIST}{call().pk}/change/").content.decode()


def test_nothing_that_a_caller_or_an_upstream_wrote_is_ever_run(admin_client: Client, call: Any) -> None:
    made = call(
        body={
            "messages": [
                {"role": EVIL, "name": EVIL, "content": EVIL},
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": EVIL}}, {"type": EVIL}, EVIL]},
                {"role": "assistant", "refusal": EVIL, "tool_calls": [{"function": {"name": EVIL, "arguments": EVIL}}]},
                EVIL,
            ],
            "content": EVIL,
            "parameters": {EVIL: EVIL},
        },
        metadata={EVIL: EVIL},
        service_tier=EVIL[:32],
        **dict.fromkeys(("route", "model_used", "provider_used", "api_key", "error_message", "user_agent"), EVIL),
    )
    Attempt.objects.create(
        call=made,
        ordinal=1,
        started_after_ms=0,
        status="failed",
        service_tier=EVIL[:32],
        other_usage={EVIL: 1},
        **dict.fromkeys(
            ("model", "provider", "error_code", "error_message", "upstream_request_id", "answered_model"), EVIL
        ),
    )
    for address in (
        f"{LIST}{made.pk}/change/",
        LIST,
        f"{LIST}?api_key={EVIL}",
        f"{LIST}?q={EVIL}",
        f"{SUMMARY}?q={EVIL}",
    ):
        page = admin_client.get(address).content.decode()
        assert "<script>alert" not in page
        assert "alert(" in unescape(page) or address.startswith(SUMMARY)


def test_an_attempt_whose_answer_was_read_on_says_so(admin_client: Client, call: Any) -> None:
    made = call(status="cancelled")
    attempt = {"call": made, "provider": "openai", "started_after_ms": 0, "model": "gpt-4o", "status": "cancelled"}
    Attempt.objects.create(**attempt, ordinal=0)
    assert "read on</small>" not in admin_client.get(f"{LIST}{made.pk}/change/").content.decode()
    Attempt.objects.create(**attempt, ordinal=1, read_on=True)
    assert admin_client.get(f"{LIST}{made.pk}/change/").content.decode().count("read on</small>") == 1


def test_a_call_shows_every_number_of_its_bill(admin_client: Client, call: Any) -> None:
    made = call(
        cost_usd=Decimal("0.002"),
        cost_estimated=True,
        cost_incomplete=True,
        original_cost_usd=Decimal("0.001"),
        charged_usd=Decimal("0.0025"),
        service_tier="flex",
        cache_write_tokens=1111,
        audio_prompt_tokens=2222,
        audio_completion_tokens=3333,
        web_searches=4,
        file_searches=5,
    )
    page = unescape(admin_client.get(f"{LIST}{made.pk}/change/").content.decode())
    for name, shown in (
        ("full_cost", "at least ~$0.002 (estimated, a part has no known price)"),
        ("original_cost", "$0.001"),
        ("charged", "$0.0025"),
        ("service_tier", "flex"),
        ("cache_write_tokens", "1111"),
        ("audio_prompt_tokens", "2222"),
        ("audio_completion_tokens", "3333"),
        ("web_searches", "4"),
        ("file_searches", "5"),
    ):
        field = page.split(f"field-{name}", 1)[1]
        assert f">{shown}<" in field[:2000], name


def test_an_attempt_shows_what_is_rare_and_where_its_cost_comes_from(admin_client: Client, call: Any) -> None:
    made = call()
    attempt = {"call": made, "provider": "openai", "started_after_ms": 0, "model": "gpt-4o", "status": "succeeded"}
    Attempt.objects.create(**attempt, ordinal=0, cost_usd=Decimal("0.1"), usage_estimated=True, cached_tokens=0)
    Attempt.objects.create(
        **attempt,
        ordinal=1,
        cost_usd=Decimal("0.2"),
        usage_estimated=True,
        cost_stated=True,
        cost_incomplete=True,
        original_cost_usd=Decimal("0.15"),
        cached_tokens=1024,
        web_searches=2,
        other_usage={"image_prompt_tokens": 77},
        service_tier="priority",
        answered_model="gpt-4o-2024-11-20",
    )
    page = unescape(admin_client.get(f"{LIST}{made.pk}/change/").content.decode())
    assert ">~$0.10<" in page
    assert ">≥ $0.20<" in page  # what the provider has stated is no guess, however the tokens were counted
    assert (
        "cached tokens 1,024, web searches 2, image prompt tokens 77, service tier priority, answered as "
        "gpt-4o-2024-11-20, the provider stated the cost, the cost was $0.15 before it was priced again"
    ) in page
    assert page.count('<tr class="error">') == 1
