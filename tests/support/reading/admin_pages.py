"""Reading the admin's pages of the call history, and what the database did for them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape

from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

LIST = "/admin/chat/callrecord/"
SUMMARY = "/admin/chat/callrecord/figures/"
NOON = datetime(2026, 5, 10, 12, tzinfo=UTC)
EVIL = "<script>alert('owned')</script>"


def listed(client: Client, query: str = "") -> list[str]:
    """The request ids on the page, from top to bottom."""
    response = client.get(f"{LIST}{query}")
    assert response.status_code == 200
    return re.findall(r'class="request-id" title="([^"]*)"', response.content.decode())


def link(client: Client, query: str, text: str) -> str | None:
    """The address behind the link with this text, on the list with this query."""
    page = client.get(f"{LIST}{query}").content.decode()
    found = re.search(rf'<a href="([^"]*)"[^>]*>{re.escape(text)}</a>', page)
    return unescape(found[1]) if found else None


def plans(queries: CaptureQueriesContext) -> list[str]:
    """The steps that SQLite plans for each query that reads calls."""
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
    """The client, logged in as a member of staff with these permissions and no others."""
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client
