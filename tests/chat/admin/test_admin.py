"""The admin of the call history: list, filters, search, pages, figures, and the page of one call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chat.admin import change_list, formats
from chat.admin.calls import CallAdmin
from chat.models import Attempt, CallContent, CallRecord

LIST = "/admin/chat/callrecord/"
FIGURES = "/admin/chat/callrecord/figures/"
NOON = datetime(2026, 5, 10, 12, tzinfo=UTC)
EVIL = "<script>alert('owned')</script>"


@pytest.fixture
def admin_client(db: None) -> Client:
    """A superuser's. Without a password: hashing it would take longer than the test."""
    client = Client()
    client.force_login(User.objects.create(username="admin", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def call(db: None) -> Iterator[Callable[..., CallRecord]]:
    """Make a call: `call(status="failed", at=NOON, body={"content": "hi"})`. Each is a minute later than the last."""
    made = 0

    def make(body: dict[str, Any] | None = None, at: datetime | None = None, **fields: Any) -> CallRecord:
        nonlocal made
        made += 1
        values: dict[str, Any] = {
            "request_id": f"req_{made:032x}",
            "created_at": at or NOON + timedelta(minutes=made),
            "door": "chat",
            "status": "succeeded",
            "route": "gpt-4o",
            "model_requested": "gpt-4o",
            "model_used": "gpt-4o",
            "provider_used": "openai",
            "cost_usd": Decimal("0.001"),
        }
        record = CallRecord.objects.create(**(values | fields))
        if body is not None:
            CallContent.objects.create(call=record, **body)
        return record

    yield make


def listed(client: Client, query: str = "") -> list[str]:
    """The request ids on the page, from top to bottom."""
    response = client.get(f"{LIST}{query}")
    assert response.status_code == 200
    return re.findall(r'class="request-id" title="([^"]*)"', response.content.decode())


def link(client: Client, query: str, text: str) -> str | None:
    """Where the link with this text leads to, from the list with this query."""
    page = client.get(f"{LIST}{query}").content.decode()
    found = re.search(rf'<a href="([^"]*)"[^>]*>{re.escape(text)}</a>', page)
    return unescape(found[1]) if found else None


def plans(queries: CaptureQueriesContext) -> list[str]:
    """What SQLite says it does for each query that reads calls."""
    steps = []
    captured = [query["sql"] for query in queries.captured_queries if 'FROM "chat_callrecord"' in query["sql"]]
    with connection.cursor() as cursor:
        for sql in captured:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            steps += [row[3] for row in cursor.fetchall()]
    assert steps
    return steps


def assert_reads_by_index(queries: CaptureQueriesContext) -> None:
    for step in plans(queries) if connection.vendor == "sqlite" else ():
        assert not re.match(r"SCAN chat_callrecord(?! USING)", step), step
        assert "TEMP B-TREE" not in step, step
    assert not [query["sql"] for query in queries.captured_queries if "COUNT(" in query["sql"]]


def staff(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


# --- who may do what ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["add/", "1/change/", "1/delete/"])
def test_nothing_can_be_added_changed_or_deleted(admin_client: Client, call: Any, page: str) -> None:
    call(pk=1)
    assert admin_client.post(f"{LIST}{page}", {"status": "failed", "post": "yes"}).status_code == 403
    assert CallRecord.objects.get().status == "succeeded"


def test_the_list_offers_no_bulk_action(admin_client: Client, call: Any) -> None:
    made = call()
    admin_client.post(LIST, {"action": "delete_selected", "_selected_action": made.pk, "index": 0, "post": "yes"})
    assert CallRecord.objects.count() == 1
    assert b"delete_selected" not in admin_client.get(LIST).content


@pytest.mark.parametrize("page", ["", "figures/", "1/change/"])
def test_the_pages_are_for_those_who_may_view_calls(call: Any, page: str) -> None:
    call(pk=1)
    assert Client().get(f"{LIST}{page}").status_code == 302
    assert staff(Client()).get(f"{LIST}{page}").status_code == 403
    User.objects.all().delete()
    assert staff(Client(), "view_callrecord").get(f"{LIST}{page}").status_code == 200


def test_who_may_not_view_content_sees_no_prompts_and_cannot_search_them(call: Any) -> None:
    call(pk=1, body={"content": "the secret", "messages": [{"role": "user", "content": "a secret?"}]})
    reader = staff(Client(), "view_callrecord")
    assert b"secret" not in reader.get(f"{LIST}1/change/").content
    assert listed(reader, "?q=secret") == []


# --- the list -------------------------------------------------------------------------------------------------------


def test_the_list_shows_the_figures_of_each_call_newest_first(admin_client: Client, call: Any) -> None:
    older = call(latency_ms=812, time_to_first_token_ms=90, prompt_tokens=1234, completion_tokens=56)
    newer = call(status="failed", model_used="", cost_usd=None, latency_ms=12_345)
    assert listed(admin_client) == [newer.request_id, older.request_id]
    page = admin_client.get(LIST).content.decode()
    for shown in ("2026-05-10 12:01:00", "gpt-4o", "812 ms", "90 ms", "1,234 / 56", "$0.001", "12.3 s", "unknown"):
        assert f">{shown}<" in page
    assert '<span class="badge badge-failed">failed</span>' in page


@pytest.mark.parametrize(
    ("amount", "estimated", "written"),
    [
        (None, False, "unknown"),
        ("0", False, "$0"),
        ("0.000123", False, "$0.000123"),
        ("0.000123", True, "~$0.000123"),
        ("0.0001234567", False, "$0.000123"),
        ("0.0000000001", False, "$0.0000000001"),
        ("0.5", False, "$0.50"),
        ("0.9999", False, "$1.00"),
        ("12.345", False, "$12.35"),
        ("1234567.8", False, "$1,234,567.80"),
    ],
)
def test_costs_are_written_with_sensible_digits(amount: str | None, estimated: bool, written: str) -> None:
    assert formats.cost(None if amount is None else Decimal(amount), estimated=estimated) == written


def test_the_list_counts_nothing_reads_no_content_and_asks_as_often_for_many_calls_as_for_one(
    admin_client: Client, call: Any
) -> None:
    call(body={"content": "hi"})
    with CaptureQueriesContext(
        connection,
    ) as one:
        admin_client.get(LIST)
    for _ in range(30):
        Attempt.objects.create(
            call=call(body={"content": "hi"}), ordinal=1, model="m", provider="p", started_after_ms=0
        )
    with CaptureQueriesContext(connection) as many:
        admin_client.get(LIST)
    assert len(many) == len(one) <= 10
    assert_reads_by_index(many)
    assert not [query for query in many.captured_queries if "chat_callcontent" in query["sql"]]


# --- filters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("status__exact=failed", {"status": "failed"}),
        ("door__exact=stream", {"door": "stream"}),
        ("model_used=o4-mini", {"model_used": "o4-mini"}),
        ("model_used=", {"model_used": ""}),
        ("provider_used=anthropic", {"provider_used": "anthropic"}),
        ("api_key=mobile", {"api_key": "mobile"}),
        ("streamed__exact=1", {"streamed": True}),
        ("fallback_triggered__exact=1", {"fallback_triggered": True}),
        ("is_default_message__exact=1", {"is_default_message": True}),
        ("cached__exact=1", {"cached": True}),
        ("cost=0", {"cost_usd": 0}),
        ("cost=lt0.01", {"cost_usd": Decimal("0.0099999999")}),
        ("cost=lt0.1", {"cost_usd": Decimal("0.01")}),
        ("cost=gte0.1", {"cost_usd": Decimal("0.1")}),
        ("cost=unknown", {"cost_usd": None}),
        ("created_at__year=2025", {"created_at": datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)}),
    ],
)
def test_a_filter_is_offered_and_lets_only_its_calls_through(
    admin_client: Client, call: Any, query: str, fields: dict[str, Any]
) -> None:
    call(cost_usd=Decimal("0.05") if query != "cost=lt0.1" else 0)
    wanted = call(**fields)
    assert listed(admin_client, f"?{query}") == [wanted.request_id]
    assert f'href="?{query}"' in admin_client.get(LIST).content.decode()


def test_filters_go_together(admin_client: Client, call: Any) -> None:
    call(status="failed")
    wanted = call(status="failed", door="stream")
    call(door="stream")
    assert listed(admin_client, "?status__exact=failed&door__exact=stream") == [wanted.request_id]


def test_the_values_of_a_filter_are_found_without_reading_the_table(admin_client: Client, call: Any) -> None:
    for name in ("b", "a", "c", "a", ""):
        call(api_key=name)
    with CaptureQueriesContext(connection) as queries:
        page = admin_client.get(LIST).content.decode()
    assert re.findall(r'href="\?api_key=(\w*)"', page) == ["", "a", "b", "c"]
    assert not [query for query in queries.captured_queries if "DISTINCT" in query["sql"]]


@pytest.mark.parametrize(
    "query",
    ["older=x", "older=1-", "newer=9" + "9" * 30 + "-1", "created_at__year=9999", "created_at__year=x", "nonsense=1"],
)
def test_an_address_that_makes_no_sense_is_no_server_error(admin_client: Client, call: Any, query: str) -> None:
    call()
    assert admin_client.get(f"{LIST}?{query}").status_code in (302, 400)
    assert admin_client.get(f"{FIGURES}?{query}").status_code == 400


# --- dates ----------------------------------------------------------------------------------------------------------


def test_the_dates_lead_down_from_years_to_days_and_only_where_there_are_calls(admin_client: Client, call: Any) -> None:
    call(at=datetime(2024, 2, 1, tzinfo=UTC))
    wanted = call(at=datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC))
    call(at=datetime(2026, 12, 31, tzinfo=UTC))
    assert link(admin_client, "", "2025") is None
    year = link(admin_client, "", "2026")
    assert year == "?created_at__year=2026"
    assert link(admin_client, year, "March 2026") is None
    assert link(admin_client, year, "December 2026")
    month = link(admin_client, year, "February 2026") or ""
    assert link(admin_client, month, "February 27") is None
    day = link(admin_client, month, "February 28") or ""
    assert listed(admin_client, day) == [wanted.request_id]
    assert link(admin_client, day, "&lsaquo; February 2026") == month
    with CaptureQueriesContext(connection) as queries:
        admin_client.get(f"{LIST}{month}")
    assert_reads_by_index(queries)


# --- search ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("term", ["req_abcdef012345", "req_abcdef0123", " req_abcdef012345 "])
def test_a_request_id_or_its_beginning_is_found_by_the_index_alone(admin_client: Client, call: Any, term: str) -> None:
    wanted = call(request_id="req_abcdef012345")
    call(request_id="req_abcdef020000")
    with CaptureQueriesContext(connection) as queries:
        assert listed(admin_client, f"?q={term}") == [wanted.request_id]
    assert_reads_by_index(queries)
    if connection.vendor == "sqlite":
        by_id = [step for step in plans(queries) if "request_id" in step]
        assert by_id
        assert all(step.startswith("SEARCH chat_callrecord USING COVERING INDEX") for step in by_id)


def test_an_unknown_request_id_is_not_searched_for_in_texts(admin_client: Client, call: Any) -> None:
    call(body={"content": "it was req_0f0f0f0f"})
    with CaptureQueriesContext(connection) as queries:
        assert listed(admin_client, "?q=req_0f0f0f0f") == []
    assert not [query for query in queries.captured_queries if "chat_callcontent" in query["sql"]]


def test_a_request_id_of_the_callers_own_making_is_found(admin_client: Client, call: Any) -> None:
    wanted = call(request_id="my-own-id.7")
    call()
    assert listed(admin_client, "?q=my-own-id.7") == [wanted.request_id]


def test_too_short_a_beginning_of_a_request_id_is_explained(admin_client: Client, call: Any) -> None:
    call()
    assert "at least 10 characters after req_" in admin_client.get(f"{LIST}?q=req_019ac3f0e").content.decode()


@pytest.mark.parametrize("term", ["needle", "NEEDLE in", 'a "quoted" needle', "nädel"])
@pytest.mark.parametrize("place", ["content", "messages", "error_message"])
def test_a_text_is_found_in_answers_messages_and_errors(admin_client: Client, call: Any, term: str, place: str) -> None:
    text = 'a needle in hay, a "quoted" needle, a nädel'
    call(body={"content": "hay", "messages": [{"role": "user", "content": "hay"}]})
    call()
    wanted = {
        "content": lambda: call(body={"content": text}),
        "messages": lambda: call(body={"messages": [{"role": "user", "content": text}]}),
        "error_message": lambda: call(error_message=text),
    }[place]()
    assert listed(admin_client, f"?q={term}") == [wanted.request_id]


def test_a_search_in_texts_is_bounded_says_so_and_goes_on_from_there(
    admin_client: Client, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_list, "SEARCH_ROWS", 3)
    old = call(body={"content": "needle"})
    for _ in range(3):
        call()
    new = call(body={"content": "needle"})
    call()
    page = admin_client.get(f"{LIST}?q=needle").content.decode()
    assert "Searched back to 2026-05-10 12:04:00." in page
    assert listed(admin_client, "?q=needle") == [new.request_id]
    further = link(admin_client, "?q=needle", "search on ›") or ""
    assert listed(admin_client, further) == [old.request_id]
    assert link(admin_client, further, "search on ›") is None
    assert ">1<" in admin_client.get(f"{FIGURES}?q=needle").content.decode()


# --- pages ----------------------------------------------------------------------------------------------------------


def test_pages_follow_each_other_both_ways_with_no_call_missing_or_twice(
    admin_client: Client, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CallAdmin, "list_per_page", 3)
    # All in the same moment, so that only the id tells them apart.
    made = [call(at=NOON, status="failed").request_id for _ in range(8)][::-1]
    call()
    start = "?status__exact=failed"
    pages, query = [listed(admin_client, start)], start
    while following := link(admin_client, query, "older ›"):
        query = following
        pages.append(listed(admin_client, query))
    assert pages == [made[:3], made[3:6], made[6:]]
    back = link(admin_client, query, "‹ newer") or ""
    assert listed(admin_client, back) == made[3:6]
    back = link(admin_client, back, "‹ newer") or ""
    assert listed(admin_client, back) == made[:3]
    assert link(admin_client, query, "« newest") == start
    with CaptureQueriesContext(connection) as queries:
        admin_client.get(f"{LIST}{query}")
    assert_reads_by_index(queries)
    assert not [captured for captured in queries.captured_queries if "OFFSET" in captured["sql"]]


def test_a_page_stays_where_it_is_when_its_neighbour_is_pruned(
    admin_client: Client, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CallAdmin, "list_per_page", 1)
    oldest, middle = call(), call()
    older = link(admin_client, "", "older ›") or ""
    middle.delete()
    assert listed(admin_client, older) == [oldest.request_id]


def test_another_filter_starts_at_the_first_page(
    admin_client: Client, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CallAdmin, "list_per_page", 1)
    call(), call()
    older = link(admin_client, "", "older ›") or ""
    assert link(admin_client, older, "Failed") == "?status__exact=failed"


# --- figures --------------------------------------------------------------------------------------------------------


def figures(client: Client, query: str = "") -> str:
    page = client.get(f"{FIGURES}{query}").content.decode()
    found = re.search(r'<div id="call-figures".*?</dl>', page, re.DOTALL)
    assert found
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split())


def test_the_figures_are_those_of_the_filtered_calls(admin_client: Client, call: Any) -> None:
    for status, cost in [
        ("succeeded", "0.1"),
        ("succeeded", "0.2"),
        ("succeeded", None),
        ("failed", "0"),
        ("defaulted", "0.000001"),
        ("cancelled", "1"),
    ]:
        call(status=status, cost_usd=cost, door="stream")
    call(cost_usd=7)
    # 2 of the 5 that were not cancelled
    assert figures(admin_client, "?door__exact=stream") == (
        "Calls 6 Total cost $1.30 and 1 of unknown cost "
        "Error rate 40.00 % 2 failed, defaulted or interrupted; 1 cancelled or in progress not counted"
    )
    assert figures(admin_client).startswith("Calls 7 Total cost $8.30")


def test_the_figures_of_no_calls_are_no_error(admin_client: Client) -> None:
    assert figures(admin_client) == "Calls 0 Total cost $0 Error rate –"


def test_the_list_fetches_the_figures_of_its_own_filters_and_has_a_link_without_scripts(
    admin_client: Client, call: Any
) -> None:
    call()
    page = admin_client.get(f"{LIST}?door__exact=chat&cost=0").content.decode()
    address = f"{FIGURES}?cost=0&amp;door__exact=chat"
    assert f'data-figures="{address}"' in page
    assert f'<a href="{address}">' in page
    assert 'src="/static/chat/figures.js"' in page


def test_the_figures_come_from_one_aggregate(admin_client: Client, call: Any) -> None:
    call()
    with CaptureQueriesContext(connection) as queries:
        admin_client.get(FIGURES)
    assert len([query for query in queries.captured_queries if "SUM(" in query["sql"]]) == 1
    assert len(queries) <= 8


# --- one call -------------------------------------------------------------------------------------------------------


def test_a_call_shows_its_conversation_answer_parameters_and_attempts(admin_client: Client, call: Any) -> None:
    made = call(
        body={
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": [{"type": "text", "text": "Look at this"}]},
                {"role": "assistant", "tool_calls": [{"function": {"name": "look", "arguments": '{"at": "it"}'}}]},
            ],
            "content": "A cat.",
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
    for shown in ("Be kind.", "Look at this", 'look {\n  "at": "it"\n}', "A cat.", '"temperature": 0.7', '"team"'):
        assert shown in page
    assert "$0.0001234567" in page
    assert page.index("upstream_timeout") < page.index("gpt-4o-mini")
    assert 'class="bar bar-succeeded" x="50.0" y="1" width="50.0"' in page
    assert "Save" not in re.findall(r'<input type="submit" value="(\w+)', page)


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
        **dict.fromkeys(("route", "model_used", "provider_used", "api_key", "error_message", "user_agent"), EVIL),
    )
    Attempt.objects.create(
        call=made,
        ordinal=1,
        started_after_ms=0,
        status="failed",
        **dict.fromkeys(("model", "provider", "error_code", "error_message", "upstream_request_id"), EVIL),
    )
    for address in (
        f"{LIST}{made.pk}/change/",
        LIST,
        f"{LIST}?api_key={EVIL}",
        f"{LIST}?q={EVIL}",
        f"{FIGURES}?q={EVIL}",
    ):
        page = admin_client.get(address).content.decode()
        assert "<script>alert" not in page
        assert "alert(" in unescape(page) or address.startswith(FIGURES)


@pytest.mark.parametrize(
    "messages", ["hi", 5, {}, [], [None], [[]], [{}], [{"name": [1]}], [{"content": {"a": 1}}], [{"tool_calls": 5}]]
)
def test_messages_of_any_shape_are_shown(admin_client: Client, call: Any, messages: Any) -> None:
    made = call(body={"messages": messages})
    assert admin_client.get(f"{LIST}{made.pk}/change/").status_code == 200


def test_a_huge_text_is_cut_and_an_image_is_named_not_loaded(admin_client: Client, call: Any) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    made = call(body={"messages": [{"role": "user", "content": [image]}], "content": "x" * 1_000_000})
    page = admin_client.get(f"{LIST}{made.pk}/change/").content.decode()
    assert "and 950000 characters more" in page
    assert "(100,022 characters)" in page
    assert len(page) < 200_000


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
