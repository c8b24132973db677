"""The private parts of libraries that `compat` uses: each test fails when a library changes its part."""

from __future__ import annotations

import asyncio
import io
import logging
from typing import Any

import pytest
from django.db import connection as database
from django.db.backends.base.base import BaseDatabaseWrapper
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.views import SpectacularAPIView
from httptools import HttpRequestParser
from rest_framework import serializers
from rest_framework.test import APIRequestFactory
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from chat.doors.native.serializers import StrictSerializer
from orchestration_site import compat
from orchestration_site.grace_period import GracePeriod
from orchestration_site.http.protocol.slow_clients import TimedProtocol
from orchestration_site.pages.health import HealthView
from orchestration_site.pages.schema_view import SchemaView

REQUEST = b"POST /chat HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na"


def test_python_dotenv_says_which_lines_it_cannot_read() -> None:
    file = io.StringIO("\n# comment\nA=b\r\n\r\nnonsense: c\nD\n")
    assert [found for found in compat.env_file_lines(file) if found[1] or found[3]] == [
        (3, "A", "b", False),
        (5, None, None, True),
        (6, "D", None, False),
    ]


def test_a_log_record_does_not_look_up_its_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing"):
        monkeypatch.setattr(logging, name, getattr(logging, name))
    records: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    logger = logging.Logger("test")
    logger.addHandler(Keep())
    monkeypatch.setattr(logging, "_srcfile", "another")
    logger.warning("before")
    compat.skip_caller_lookup()
    logger.warning("after")
    assert records[0].filename != "(unknown file)"
    assert (records[1].filename, records[1].thread, records[1].process) == ("(unknown file)", None, None)


def test_a_database_connection_keeps_as_many_statements_as_the_class_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(BaseDatabaseWrapper.queries_limit, int)
    monkeypatch.setattr(BaseDatabaseWrapper, "queries_limit", BaseDatabaseWrapper.queries_limit)
    compat.keep_no_statements()
    assert database.copy().queries_log.maxlen == 0


def test_drf_spectacular_maps_a_serializer_without_its_extensions() -> None:
    class Body(StrictSerializer):
        name = serializers.CharField()

    auto_schema = AutoSchema()
    auto_schema.view = HealthView(request=None, format_kwarg=None)
    described = compat.map_serializer_without_extensions(auto_schema, Body(), "response")
    assert list(described["properties"]) == ["name"]
    assert "additionalProperties" not in described


def test_drf_spectacular_asks_the_method_that_we_replace_for_a_version() -> None:
    assert callable(SpectacularAPIView._get_version_parameter)
    answer = SchemaView.as_view()(APIRequestFactory().get("/schema?version=evil"))
    assert "evil" not in str(answer.headers)
    plain = SpectacularAPIView.as_view()(APIRequestFactory().get("/schema?version=evil"))
    assert "evil" in str(plain.headers)  # else the library no longer writes it there, and our class is not needed


# uvicorn


class Transport(asyncio.Transport):
    """Notes what is written, and whether reading is paused."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closing = False
        self.reading = True

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


@pytest.fixture
async def connection() -> HttpToolsProtocol:
    """A connection whose requests are never answered, unless the test does it."""

    async def never_answers(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    config = Config(never_answers, log_config=None)
    protocol = HttpToolsProtocol(config=config, server_state=ServerState(), app_state={"a": 1})
    protocol.connection_made(Transport())
    return protocol


async def start_answer(connection: HttpToolsProtocol) -> None:
    await connection.cycle.send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})


async def end_answer(connection: HttpToolsProtocol) -> None:
    await connection.cycle.send({"type": "http.response.body", "body": b"a", "more_body": False})


async def test_uvicorn_says_how_far_an_answer_is(connection: HttpToolsProtocol) -> None:
    assert not compat.is_answering(connection)
    assert not compat.has_begun_to_answer(connection)
    connection.data_received(REQUEST)
    assert compat.is_answering(connection)
    assert not compat.has_begun_to_answer(connection)
    await start_answer(connection)
    assert compat.has_begun_to_answer(connection)
    await end_answer(connection)
    assert not compat.is_answering(connection)
    assert not compat.has_begun_to_answer(connection)


async def test_uvicorn_queues_a_request_that_comes_before_the_answer_to_the_one_before(
    connection: HttpToolsProtocol,
) -> None:
    connection.data_received(REQUEST)
    assert not compat.has_requests_waiting(connection)
    assert not compat.is_reading_paused(connection)
    connection.data_received(REQUEST)
    assert compat.has_requests_waiting(connection)
    assert compat.has_begun_to_answer(connection)
    assert compat.is_reading_paused(connection)


async def test_uvicorn_closes_after_an_answer_when_it_is_told_to(connection: HttpToolsProtocol) -> None:
    connection.data_received(REQUEST)
    compat.close_after_answer(connection)
    transport = connection.transport
    assert isinstance(transport, Transport)
    assert not transport.reading
    assert not transport.closing
    await start_answer(connection)
    await end_answer(connection)
    assert transport.closing


async def test_uvicorn_shows_the_scope_of_a_request_with_the_state_of_the_application(
    connection: HttpToolsProtocol,
) -> None:
    connection.data_received(REQUEST)
    scope = compat.scope_of_latest_request(connection)
    assert (scope["path"], scope["state"]) == ("/chat", {"a": 1})


async def test_uvicorn_shows_the_target_and_the_headers_of_a_request(connection: HttpToolsProtocol) -> None:
    connection.data_received(b"GET /a%20b?c=d HTTP/1.1\r\nHost: a\r\nX-A:  b\r\nX-A: c\r\n\r\n")
    assert compat.target_of_latest_request(connection) == b"/a%20b?c=d"
    assert compat.headers_of_latest_request(connection) == [(b"host", b"a"), (b"x-a", b"b"), (b"x-a", b"c")]


async def test_uvicorn_reads_with_the_parser_that_it_is_given_and_drops_what_comes_after_a_close(
    connection: HttpToolsProtocol,
) -> None:
    class Counting(HttpRequestParser):
        fed = 0

        def feed_data(self, data: Any) -> None:
            self.fed += 1
            super().feed_data(data)

    parser = Counting(connection)
    compat.read_requests_with(connection, parser)
    connection.data_received(REQUEST.replace(b"Host: a", b"Host: a\r\nConnection: close"))
    connection.data_received(REQUEST)
    assert parser.fed == 2
    assert not compat.has_requests_waiting(connection)
    assert not connection.transport.is_closing()


async def test_uvicorn_loses_the_body_of_a_request_that_offers_http_2(connection: HttpToolsProtocol) -> None:
    """If this fails, uvicorn does by itself what `http.protocol.upgrade_offers` is for."""
    connection.data_received(REQUEST.replace(b"Host: a", b"Host: a\r\nConnection: Upgrade\r\nUpgrade: h2c"))
    assert not compat.will_change_protocol(connection)
    assert connection.cycle.body == b""


async def test_uvicorn_has_the_methods_that_our_protocol_replaces_and_none_of_its_fields(
    connection: HttpToolsProtocol,
) -> None:
    replaced = {
        *("connection_made", "connection_lost", "data_received", "send_400_response"),
        *("on_message_begin", "on_header", "on_headers_complete", "on_body", "on_message_complete"),
    }
    of_uvicorn = {*dir(HttpToolsProtocol), *vars(connection)}
    assert replaced <= of_uvicorn
    ours = TimedProtocol(config=connection.config, server_state=ServerState(), app_state={})
    fields = vars(ours).keys() - vars(connection).keys()
    methods = {name for name in vars(TimedProtocol) if not name.startswith("__")}
    assert fields
    assert {*fields, *methods} & of_uvicorn == replaced


async def test_uvicorn_shuts_each_connection_down_when_it_stops_which_begins_the_grace_period() -> None:
    grace = GracePeriod(5.0)
    state = {"grace": grace}
    ours = TimedProtocol(config=Config(app=object()), server_state=ServerState(), app_state=state)
    assert compat.lifespan_state(ours) is state
    ours.connection_made(Transport())
    ours.shutdown()
    await asyncio.sleep(0.05)
    assert grace.seconds_left() <= 4.95, "the grace begins only when somebody asks"
    ours.connection_lost(None)
