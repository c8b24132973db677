"""OpenAI's own SDK as a client of the service, and upstreams whose answers a test writes itself."""

from __future__ import annotations

import httpx2
import openai
import pytest

from tests.support.openai_sdk import sdk_of
from tests.support.upstreams.written_upstream import written_site

__all__ = ["sdk", "written_site"]


@pytest.fixture
def sdk(client: httpx2.Client) -> openai.OpenAI:
    return sdk_of(client)
