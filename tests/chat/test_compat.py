"""The private and undocumented parts of REST framework that we use are still what they were."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
from django.http import HttpRequest
from django.test import RequestFactory
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chat.compat import forget_parser_context, forget_renderer_context, http_request_of


class View(APIView):
    """A view with REST framework's own way of finishing a response."""


@pytest.fixture
def _no_garbage_collector() -> Iterator[None]:
    """So that only what nothing refers to is freed."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def django_request() -> HttpRequest:
    return RequestFactory().post("/chat", {"prompt": "Hi"}, content_type="application/json")


def test_djangos_request_is_found_inside_one_of_rest_framework() -> None:
    inner = django_request()
    assert http_request_of(Request(inner)) is inner


def test_a_request_refers_to_itself_until_its_parser_context_is_forgotten(_no_garbage_collector: None) -> None:
    kept, freed = Request(django_request()), Request(django_request())
    forget_parser_context(freed)
    weak_kept, weak_freed = weakref.ref(kept), weakref.ref(freed)
    del kept, freed
    assert weak_kept() is not None, "this workaround is no longer needed"
    assert weak_freed() is None


def test_a_response_refers_to_itself_until_its_renderer_context_is_forgotten(_no_garbage_collector: None) -> None:
    def weak_response(*, forget: bool) -> weakref.ref[Response]:
        view = View()
        view.headers = {}
        view.args, view.kwargs = (), {}
        view.request = request = Request(RequestFactory().get("/chat"))
        response = view.finalize_response(request, Response({"asked": "/chat"})).render()
        if forget:
            forget_renderer_context(response)
        return weakref.ref(response)

    assert weak_response(forget=False)() is not None, "this workaround is no longer needed"
    assert weak_response(forget=True)() is None
