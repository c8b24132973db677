"""The pages of GET /calls."""

from __future__ import annotations

from datetime import timedelta

import httpx2

from chat.models import CallRecord
from tests.chat.history.rows import NOON, keep


def follow(client: httpx2.Client, url: str | None, direction: str) -> list[list[str]]:
    """All pages, beginning with the one at `url`."""
    pages = []
    while url:
        page = client.get(url).json()
        pages.append([call["request_id"] for call in page["results"]])
        url = page[direction]
    return pages


def test_pages_go_forwards_and_backwards_newest_first(client: httpx2.Client) -> None:
    for number in range(10):
        keep(
            f"call-{number}", created_at=NOON + timedelta(minutes=(number + 1) // 3)
        )  # up to three at the same instant
    newest_first = [f"call-{number}" for number in reversed(range(10))]
    pages = follow(client, "/calls?page_size=4", "next")
    assert pages == [newest_first[:4], newest_first[4:8], newest_first[8:]]
    second = client.get(client.get("/calls?page_size=4").json()["next"]).json()
    third = client.get(second["next"]).json()
    assert third["next"] is None
    assert follow(client, third["previous"], "previous") == [newest_first[4:8], newest_first[:4]]


def test_pages_go_backwards_from_a_last_page_of_one_instant(client: httpx2.Client) -> None:
    for number in range(6):
        keep(f"call-{number}", created_at=NOON + timedelta(minutes=max(0, number - 2)))
    last = client.get(client.get("/calls?page_size=4").json()["next"]).json()
    assert [call["request_id"] for call in last["results"]] == ["call-1", "call-0"]
    assert follow(client, last["previous"], "previous") == [["call-5", "call-4", "call-3", "call-2"]]


def test_pages_hold_still_while_new_calls_come_in(client: httpx2.Client) -> None:
    for number in range(4):
        keep(f"old-{number}", created_at=NOON + timedelta(minutes=number))
    first = client.get("/calls?page_size=2").json()
    keep("new", created_at=NOON + timedelta(hours=1))
    second = client.get(first["next"]).json()
    assert [call["request_id"] for call in second["results"]] == ["old-1", "old-0"]


def test_many_calls_of_the_same_instant_are_all_on_some_page(client: httpx2.Client) -> None:
    for number in range(25):
        keep(f"call-{number:02}")
    seen = [request_id for page in follow(client, "/calls?page_size=4", "next") for request_id in page]
    assert seen == [f"call-{number:02}" for number in reversed(range(25))]


def test_pages_keep_their_filters(client: httpx2.Client) -> None:
    for number in range(6):
        keep(f"call-{number}", door="stream" if number % 2 else "chat", model_used="a b+c&d")
    url = str(httpx2.URL("/calls", params={"door": "stream", "page_size": "2", "model": "a b+c&d"}))
    assert follow(client, url, "next") == [["call-5", "call-3"], ["call-1"]]


def test_a_page_has_fifty_calls_and_at_most_five_hundred(client: httpx2.Client) -> None:
    CallRecord.objects.bulk_create(
        CallRecord(
            request_id=f"call-{n}", created_at=NOON, door="chat", route="m", model_requested="m", status="failed"
        )
        for n in range(502)
    )
    assert len(client.get("/calls").json()["results"]) == 50
    assert len(client.get("/calls?page_size=3").json()["results"]) == 3
    assert len(client.get("/calls?page_size=500").json()["results"]) == 500
