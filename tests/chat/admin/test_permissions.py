"""Who may see what in the admin of the call history, and that nobody may change it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from chat.models import CallRecord
from tests.support.reading.admin_pages import LIST, listed, staff


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
    call(
        pk=1,
        body={
            "content": "the secret",
            "messages": [{"role": "user", "content": "a secret?"}],
            "answer": {"a": "secret"},
        },
    )
    reader = staff(Client(), "view_callrecord")
    assert b"secret" not in reader.get(f"{LIST}1/change/").content
    assert b"secret" not in reader.get(LIST).content
    assert listed(reader, "?q=secret") == []
    User.objects.all().delete()
    assert b"the secret" in staff(Client(), "view_callrecord", "view_callcontent").get(LIST).content
