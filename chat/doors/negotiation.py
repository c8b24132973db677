"""What the headers `Accept` and `Content-Type` of a request mean to us."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rest_framework.exceptions import APIException, NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

# How much of a client's Content-Type an error repeats.
SHOWN_LETTERS = 100


class NotJson(APIException):
    """The Content-Type is something else than JSON. OpenAI refuses such bodies too.

    It is also what keeps a page of another origin from calling a service that needs no key: a browser lets any page
    send text and forms without asking us first, but not JSON.
    """

    status_code = 415

    def __init__(self, content_type: str) -> None:
        given = f"not '{content_type[:SHOWN_LETTERS]}'" if content_type else "and this request has no Content-Type"
        super().__init__(f"The body must be JSON, with the header Content-Type: application/json, {given}.")


class Negotiation(DefaultContentNegotiation):
    """Answers everybody, and reads JSON only.

    Nobody is refused for an `Accept`, as RFC 9110 (section 12.5.1) allows. Browsers, Java's clients and client
    libraries send one by default that has little to do with what they can read: OpenAI's own asks for JSON when it asks
    for a stream.
    """

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """What writes the answer: what `Accept` asks for if a view can write several things, else the first."""
        first, *others = renderers
        if others:
            try:
                chosen: tuple[BaseRenderer, str] = super().select_renderer(request, [first, *others], format_suffix)
                return chosen
            except NotAcceptable:
                pass
        return first, first.media_type

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        """What reads the body. Raises NotJson.

        Some clients send the header twice, and then the two values come as one with a comma between them.
        """
        content_type = str(request.content_type or "")
        kind = re.split("[;,]", content_type)[0].strip().lower()
        for parser in parsers:
            if parser.media_type == kind:
                return parser
        raise NotJson(content_type)
