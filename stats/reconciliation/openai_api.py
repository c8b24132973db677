"""Asks OpenAI for an organization's costs and usage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx2

from stats.reconciliation.books import Books, Days, ReconcileError, no_books
from stats.reconciliation.openai_pages import add_page

# The addresses that are asked, below the base address, and by what each groups its results.
ADDRESSES = {
    "organization/costs": "line_item",
    "organization/usage/completions": "model",
    "organization/usage/embeddings": "model",
}

# How many days a page may have at most, at the addresses for usage. Those for costs take more.
DAYS_IN_A_PAGE = 31

# How many pages of an address are read at most: more than a century. It ends the work if pages refer to each other.
MAX_PAGES = 1_200

TIMEOUT_SECONDS = 60.0


def read_theirs(days: Days, *, base_url: str, admin_key: str, projects: Sequence[str] = ()) -> Books:
    """OpenAI's books. With `projects`, only those of projects with these ids.

    The key goes to `base_url` alone: redirects are not followed. Raises ReconcileError.
    """
    books = no_books()
    headers = {"Authorization": f"Bearer {admin_key}", "User-Agent": "llm-orchestration"}
    with httpx2.Client(headers=headers, timeout=TIMEOUT_SECONDS, follow_redirects=False) as client:
        for address, group in ADDRESSES.items():
            for page in _pages(client, f"{base_url.rstrip('/')}/{address}", days, group, projects):
                add_page(books, page)
    return books


def _pages(client: httpx2.Client, url: str, days: Days, group: str, projects: Sequence[str]) -> Iterator[Any]:
    asked: dict[str, Any] = {
        "start_time": int(days.begin.timestamp()),
        "end_time": int(days.end.timestamp()),
        "bucket_width": "1d",
        "group_by": [group],
        "limit": DAYS_IN_A_PAGE,
    }
    if projects:
        asked["project_ids"] = list(projects)
    for _ in range(MAX_PAGES):
        page = _get(client, url, asked)
        yield page
        if not page.get("has_more"):
            return
        if not isinstance(page.get("next_page"), str):
            raise ReconcileError(f"{_host(url)} says that there are more pages, and does not say which.")
        asked["page"] = page["next_page"]
    raise ReconcileError(f"{_host(url)} has more than {MAX_PAGES} pages.")


def _get(client: httpx2.Client, url: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The JSON object at an address. An error says nothing of what was answered, which may repeat the key."""
    host = _host(url)
    try:
        response = client.get(url, params=asked)
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeEncodeError) as error:
        raise ReconcileError(f"{host} can't be asked: {type(error).__name__}.") from None
    if response.status_code in (401, 403):
        raise ReconcileError(
            f"{host} refused the key in OPENAI_ADMIN_KEY ({response.status_code}). It must be an admin key "
            "(sk-admin-…), which an owner of the organization makes, and which may read usage."
        )
    if response.status_code == 429:
        raise ReconcileError(f"{host} was asked too often (429). Try again in a minute.")
    if response.status_code != 200:
        raise ReconcileError(f"{host} answered {urlsplit(url).path} with status {response.status_code}.")
    try:
        page = response.json()
    except ValueError:
        page = None
    if not isinstance(page, dict):
        raise ReconcileError(f"{host} answered {urlsplit(url).path} with something that is no JSON object.")
    return page


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
