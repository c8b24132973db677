"""A site that lets nobody in without a key."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest

StartSite = Callable[..., httpx2.Client]


@pytest.fixture
def client(start_site: StartSite) -> httpx2.Client:
    return start_site(API_KEYS_REQUIRED=True, ROUTES={"fast": "gpt-4o|gpt-4o-mini", "slow": "gpt-4o>o3"})
