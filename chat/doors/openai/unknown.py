"""The answer at addresses of OpenAI's API that this service does not have."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from chat.doors.openai.base import OpenAIView


@extend_schema(exclude=True)
class UnknownView(OpenAIView):
    async def get(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound(f"There is no {request.method} {request.path} here. See /docs for what there is.")

    post = put = patch = delete = get
