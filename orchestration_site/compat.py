"""Private and undocumented parts of libraries that this package uses, each in a function of its own.

A library may change them in any release. tests/orchestration_site/test_compat.py fails when one does.
Checked with uvicorn 0.54.0, Django 5.2.19, drf-spectacular 0.30.0, python-dotenv 1.2.4 and Python 3.11.

The libraries themselves are not imported here, because the settings import this file before Django is set up.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from httptools import HttpRequestParser
    from rest_framework.request import Request
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from llm import Json

# --- Python's logging ------------------------------------------------------------------------------------------------


def skip_caller_lookup() -> None:
    """Let log records not say which line of code, thread and process they come from.

    No log line of ours shows that, and finding it out takes longer than writing the line. `_srcfile` is private, but
    Python's logging HOWTO names it ("Optimization").
    """
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


# --- python-dotenv ---------------------------------------------------------------------------------------------------


def env_file_lines(file: IO[str]) -> Iterator[tuple[int, str | None, str | None, bool]]:
    """What is in a `.env` file: for each statement its line, name and value, and whether it can't be read.

    python-dotenv's documented functions only log a warning for what can't be read. `dotenv.parser` is not documented.
    """
    from dotenv.parser import parse_stream

    for found in parse_stream(file):
        # The text of a statement begins with the empty lines before it.
        text = found.original.string
        empty_lines = text[: len(text) - len(text.lstrip())].replace("\r\n", "\n").replace("\r", "\n").count("\n")
        yield found.original.line + empty_lines, found.key, found.value, found.error


# --- Django ----------------------------------------------------------------------------------------------------------


def keep_no_statements() -> None:
    """Let database connections not keep their latest SQL statements, as they do where DEBUG is on.

    Django keeps 9,000 of them and forgets them when a request begins. Our tasks have connections in which no request
    ever begins, and a statement may contain a prompt. `queries_limit` is not documented.
    """
    from django.db.backends.base.base import BaseDatabaseWrapper

    BaseDatabaseWrapper.queries_limit = 0


# --- drf-spectacular -------------------------------------------------------------------------------------------------


def map_serializer_without_extensions(auto_schema: Any, serializer: Any, direction: Any) -> Json:
    """The schema of a serializer as drf-spectacular writes it where no extension changes it.

    An extension that only adds to that schema has no public way to ask for it.
    """
    described: Json = auto_schema._map_serializer(serializer, direction, bypass_extensions=True)
    return described


class NoVersionParameter:
    """For SpectacularAPIView: `?version=` is not read. Without this, its text comes back in a header, line ends too."""

    def _get_version_parameter(self, request: Request) -> None:
        return None


# --- uvicorn ---------------------------------------------------------------------------------------------------------
# HttpToolsProtocol is one connection of a client. uvicorn documents neither the class nor its fields. `cycle` is the
# latest request together with its answer, `pipeline` the requests that wait for the answer before theirs, and `flow`
# says whether uvicorn reads from the connection at present.


def is_answering(connection: HttpToolsProtocol) -> bool:
    """Whether the latest request has been given to the application, and its answer is not complete."""
    return connection.cycle is not None and not connection.cycle.response_complete


def has_begun_to_answer(connection: HttpToolsProtocol) -> bool:
    """Whether a part of an answer that is not complete has been sent, or must be sent before anything else."""
    return bool(connection.pipeline) or (is_answering(connection) and connection.cycle.response_started)


def has_requests_waiting(connection: HttpToolsProtocol) -> bool:
    """Whether the client has sent another request before the answer to the one before it was complete."""
    return bool(connection.pipeline)


def is_reading_paused(connection: HttpToolsProtocol) -> bool:
    """Whether uvicorn does not read from the connection, because the application is behind with what has come."""
    return connection.flow.read_paused


def close_after_answer(connection: HttpToolsProtocol) -> None:
    """Read nothing more, and close the connection once the latest request is answered."""
    connection.cycle.keep_alive = False
    connection.flow.pause_reading()


def scope_of_latest_request(connection: HttpToolsProtocol) -> Mapping[str, Any]:
    """The ASGI scope of the request that has begun to arrive last."""
    return connection.scope


def headers_of_latest_request(connection: HttpToolsProtocol) -> list[tuple[bytes, bytes]]:
    """The headers of the request that has begun to arrive last, in their order. The names are in lower case."""
    return connection.headers


def target_of_latest_request(connection: HttpToolsProtocol) -> bytes:
    """What the request line of the request that has begun to arrive last asks for, as it was sent."""
    return connection.url


def read_requests_with(connection: HttpToolsProtocol, parser: HttpRequestParser) -> None:
    """Let the connection read its requests with this parser instead of the plain one that uvicorn has made.

    Like uvicorn's own it must not fail when more comes after a request that wants the connection to be closed, because
    that request must still get its answer.
    """
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    connection.parser = parser


def will_change_protocol(connection: HttpToolsProtocol) -> bool:
    """Whether uvicorn accepts the offer of the latest request, which is for a WebSocket, and can serve it."""
    return connection._should_upgrade()


def lifespan_state(connection: HttpToolsProtocol) -> Mapping[str, Any]:
    """What the application's lifespan has put into its state."""
    return connection.app_state
