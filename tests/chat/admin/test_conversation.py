"""How messages and answers are shown."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.support.reading.admin_pages import LIST


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
