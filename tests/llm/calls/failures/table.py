"""The failure table: how upstreams fail, and what the engine must say and do then."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import pytest

from llm import (
    ContextWindowExceeded,
    InvalidRequest,
    InvalidUpstreamResponse,
    ModelNotFound,
    NotSupported,
    StreamInterrupted,
    UnsupportedParameter,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamQuotaExceeded,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from llm.simulator import Behaviour
from tests.llm.conftest import MODES, Answer, Mode

Kind = type[UpstreamError]

LEAK = "the key was sk-proj-Abc123456789"
CLOCKS = {"connect_timeout": 0.3, "first_token_timeout": 0.3, "stream_idle_timeout": 0.3, "attempt_timeout": 0.7}
HTML = "<html><body><h1>It works!</h1></body></html>"


def says(status: int, retry_after: str | None = None, **error: Any) -> Behaviour:
    """An upstream that answers with a status, and with an error object that quotes a key."""
    return Behaviour(status=status, retry_after=retry_after, error={"message": f"No: {LEAK}.", **error})


def names(**error: Any) -> Behaviour:
    """An upstream that answers 200, and with an error object in place of an answer."""
    return Behaviour(error_after=0, error={"message": f"No: {LEAK}.", **error})


def words(status: int, message: str) -> Behaviour:
    """An upstream that answers with a status, and says what it means only in words."""
    return Behaviour(status=status, error={"message": message})


def sends(body: str, content_type: str = "application/json", status: int = 200) -> Behaviour:
    return Behaviour(raw_body=body, content_type=content_type, status=status)


OF_VLLM = "This model's maximum context length is 2048 tokens. However, you requested 3031 tokens"
OF_XAI = "This model's maximum prompt length is 2048 but the request contains 3031 tokens."
OF_TGI = "`inputs` must have less than 2048 tokens. Given: 3031"
OF_LLAMA = "input (3031 tokens) is too large to process. increase the physical batch size"
OF_A_MINUTE = "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 40000"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def dribbles_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x-more: 1\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


RATE_LIMITED_BY_MS = (
    b"HTTP/1.1 429 Too Many Requests\r\nretry-after-ms: 20\r\nretry-after: 7\r\n"
    b"content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
)


@dataclass(frozen=True)
class Row:
    """A line of the table. Where a stream's error differs from a whole answer's, both stand there, whole first."""

    says: str
    upstream: Behaviour | Answer | str
    error: Kind | tuple[Kind, Kind]
    next_stage: bool
    retry: bool
    breaker: bool
    http_status: int | tuple[int | None, int | None] | None = None
    retry_after: float | None = None
    body: dict[str, Any] = field(default_factory=dict)
    not_whole: bool = False

    def expected(self, mode: Mode, value: Any) -> Any:
        return value[mode != "whole"] if isinstance(value, tuple) else value


YES, NO = True, False
BAD = (InvalidRequest, NO, NO, NO)
NOW = formatdate(usegmt=True)
TABLE = [
    #   upstream says          how it is said                         our error            next retry breaker  status
    Row("connection refused", "refused", UpstreamUnavailable, YES, YES, YES),
    Row("reset", resets, UpstreamUnavailable, YES, YES, YES),
    Row("reset by the simulator", Behaviour(cut_after=0), UpstreamUnavailable, YES, YES, YES),
    Row("closed with no answer", b"", UpstreamUnavailable, YES, YES, YES),
    Row("no HTTP", b"220 smtp.example.com ESMTP\r\n", UpstreamUnavailable, YES, YES, YES),
    Row("DNS", "http://nonexistent.invalid/v1", UpstreamUnavailable, YES, YES, YES),
    Row("no connection in time", "full", UpstreamTimeout, YES, YES, YES),
    Row("no answer in time", never_answers, UpstreamTimeout, YES, YES, YES),
    Row("slow headers", Behaviour(latency_s=9), UpstreamTimeout, YES, YES, YES),
    Row("headers that never end", dribbles_headers, UpstreamTimeout, YES, YES, YES),
    Row("slow first token", Behaviour(first_token_s=9), UpstreamTimeout, YES, YES, YES, (None, 200)),
    Row("stall before a token", Behaviour(stall_after=0), UpstreamTimeout, YES, YES, YES, (None, 200)),
    Row("500", says(500), UpstreamFailed, YES, YES, YES, 500),
    Row("502", says(502), UpstreamFailed, YES, YES, YES, 502),
    Row("502 with HTML", Behaviour(status=502, raw_body=HTML), UpstreamFailed, YES, YES, YES, 502),
    Row("503", says(503), UpstreamFailed, YES, YES, YES, 503),
    Row("504", says(504), UpstreamFailed, YES, YES, YES, 504),
    Row("529", says(529, type="overloaded_error"), UpstreamFailed, YES, YES, YES, 529),
    Row("408", says(408), UpstreamFailed, YES, YES, YES, 408),
    Row("409", says(409), UpstreamFailed, YES, YES, YES, 409),
    Row("429", says(429), UpstreamRateLimited, YES, YES, YES, 429),
    Row("429, Retry-After in s", says(429, "0.02"), UpstreamRateLimited, YES, YES, YES, 429, 0.02),
    Row("429, Retry-After a date", says(429, NOW), UpstreamRateLimited, YES, YES, YES, 429, 0.0),
    Row("429, retry-after-ms", RATE_LIMITED_BY_MS, UpstreamRateLimited, YES, YES, YES, 429, 0.02),
    Row("429 insufficient_quota", says(429, code="insufficient_quota"), UpstreamQuotaExceeded, YES, NO, YES, 429),
    Row("401", says(401, code="invalid_api_key"), UpstreamAuthFailed, YES, NO, YES, 401),
    Row("403", says(403), UpstreamAuthFailed, YES, NO, YES, 403),
    Row("404", says(404, code="model_not_found"), ModelNotFound, YES, NO, NO, 404),
    Row("404 of a proxy", Behaviour(status=404, raw_body=HTML), ModelNotFound, YES, NO, NO, 404),
    Row("context length", says(400, code="context_length_exceeded"), ContextWindowExceeded, YES, NO, NO, 400),
    Row("too long in words", words(400, OF_VLLM), ContextWindowExceeded, YES, NO, NO, 400),
    Row("413 too long in words", words(413, OF_XAI), ContextWindowExceeded, YES, NO, NO, 413),
    Row("422 too long in words", words(422, OF_TGI), ContextWindowExceeded, YES, NO, NO, 422),
    Row("500 too long in words", words(500, OF_LLAMA), ContextWindowExceeded, YES, NO, NO, 500),
    Row("413 tokens a minute", words(413, OF_A_MINUTE), UpstreamRateLimited, YES, YES, YES, 413),
    Row("400 a name too long", words(400, "messages.0.name: string too long"), InvalidRequest, NO, NO, NO, 400),
    Row("501", says(501), NotSupported, YES, NO, NO, 501),
    Row("405", says(405), NotSupported, YES, NO, NO, 405),
    Row("404 no such address", sends('{"detail": "Not Found"}', status=404), NotSupported, YES, NO, NO, 404),
    Row("400 no tools", words(400, "m does not support tools"), NotSupported, YES, NO, NO, 400),
    Row("500 no images", words(500, "image input is not supported"), NotSupported, YES, NO, NO, 500),
    Row("404 no chat model", words(404, "This is not a chat model"), NotSupported, YES, NO, NO, 404),
    Row("400 unsupported tools", Behaviour(refuse=("tools",)), NotSupported, YES, NO, NO, 400, body={"tools": [TOOL]}),
    Row("422 FastAPI", sends('{"detail": [{"loc": ["body", "n"], "msg": "no"}]}', status=422), *BAD, 422),
    Row("400 RFC 7807", sends('{"title": "Bad", "detail": "no", "status": 400}', status=400), *BAD, 400),
    Row("400 only words", sends('{"error": "no"}', status=400), *BAD, 400),
    Row("400", says(400), InvalidRequest, NO, NO, NO, 400),
    Row("400 unsupported", Behaviour(refuse=("n",)), UnsupportedParameter, NO, NO, NO, 400, body={"n": 2}),
    Row("413", says(413), InvalidRequest, NO, NO, NO, 413),
    Row("422", says(422), InvalidRequest, NO, NO, NO, 422),
    Row("200 with HTML", sends(HTML, "text/html; charset=utf-8"), InvalidUpstreamResponse, YES, YES, YES, 200),
    Row("half a JSON", sends('{"choices": [{"in'), InvalidUpstreamResponse, YES, YES, YES, 200),
    Row("JSON of another kind", sends("[1, 2]"), InvalidUpstreamResponse, YES, YES, YES, 200),
    Row("no choices", sends('{"choices": []}'), InvalidUpstreamResponse, YES, YES, YES, 200),
    Row("choices that are null", sends('{"choices": null}'), InvalidUpstreamResponse, YES, YES, YES, 200),
    Row("200 server_error", names(code="server_error"), UpstreamFailed, YES, YES, YES, 200),
    Row("200 rate limit", names(code="rate_limit_exceeded"), UpstreamRateLimited, YES, YES, YES, 200),
    Row("200 quota", names(code="insufficient_quota"), UpstreamQuotaExceeded, YES, NO, YES, 200),
    Row("200 wrong key", names(code="invalid_api_key"), UpstreamAuthFailed, YES, NO, YES, 200),
    Row("200 no such model", names(code="model_not_found"), ModelNotFound, YES, NO, NO, 200),
    Row("200 context", names(code="context_length_exceeded"), ContextWindowExceeded, YES, NO, NO, 200),
    Row("200 too long", names(message=OF_VLLM), ContextWindowExceeded, YES, NO, NO, 200),
    Row("200 no tools", names(message="m does not support tools"), NotSupported, YES, NO, NO, 200),
    Row("200 vLLM 501", names(type="NotImplementedError", code=501), NotSupported, YES, NO, NO, 200),
    Row("200 object error", sends('{"object": "error", "message": "no", "code": 400}'), *BAD, 200),
    Row("200 FastAPI", sends('{"detail": [{"loc": ["body", "n"], "msg": "no"}]}'), *BAD, 200),
    Row("200 message", sends('{"message": "no", "status": 400}'), *BAD, 200),
    Row("200 bad request", names(type="invalid_request_error"), InvalidRequest, NO, NO, NO, 200),
    Row("200 vLLM 400", names(type="BadRequestError", code=400), InvalidRequest, NO, NO, NO, 200),
    Row("200 vLLM 404", names(type="NotFoundError", code=404), ModelNotFound, YES, NO, NO, 200),
    Row("200 vLLM 429", names(type="?", code=429), UpstreamRateLimited, YES, YES, YES, 200),
    Row("200 vLLM 500", names(type="InternalServerError", code=500), UpstreamFailed, YES, YES, YES, 200),
    Row("200 vLLM 503 in quotes", names(code="503"), UpstreamFailed, YES, YES, YES, 200),
    Row("200 error, only words", sends('{"error": "out of memory"}'), UpstreamFailed, YES, YES, YES, 200),
    Row("cut", Behaviour(cut_after=2), (UpstreamUnavailable, StreamInterrupted), YES, YES, YES, 200),
    Row("stall", Behaviour(stall_after=2), (UpstreamTimeout, StreamInterrupted), YES, YES, YES, 200),
    Row("broken chunk", Behaviour(malformed_after=2), (InvalidUpstreamResponse, StreamInterrupted), YES, YES, YES, 200),
    Row(
        "broken chunk before the first token",
        Behaviour(malformed_after=0),
        (InvalidUpstreamResponse, StreamInterrupted),
        *(YES, YES, YES, 200),
    ),
    Row("finish reason error", Behaviour(finish_reason="error", answer="This is"), UpstreamFailed, YES, YES, YES, 200),
    Row("no finish reason", Behaviour(end_after=2), StreamInterrupted, YES, YES, YES, 200, not_whole=True),
    Row("ends before a token", Behaviour(end_after=0), StreamInterrupted, YES, YES, YES, 200, not_whole=True),
    Row(
        "an error object in mid-stream",
        Behaviour(error_after=2, error={"message": LEAK, "code": 429}),
        *(UpstreamRateLimited, YES, YES, YES, 200),
    ),
]
AFTER_FIRST_TOKEN = (
    "finish reason error",
    "cut",
    "stall",
    "broken chunk",
    "no finish reason",
    "an error object in mid-stream",
)


def cells(only: tuple[str, ...] = (), modes: list[Mode] = MODES) -> list[Any]:
    """Every row in every mode in which it can happen; a stream that has begun has a table of its own."""
    return [
        pytest.param(row, mode, id=f"{row.says}-{mode}")
        for row in TABLE
        for mode in modes
        if not (row.not_whole and mode == "whole")
        and (row.says in only if only else not (mode == "streamed" and row.says in AFTER_FIRST_TOKEN))
    ]
