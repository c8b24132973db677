"""What upstreams should not do, and do: the call has the right outcome all the same."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from llm import (
    AttemptStatus,
    CallStatus,
    InvalidRequest,
    InvalidUpstreamResponse,
    StreamInterrupted,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from llm.calls.call import QUEUE_BATCHES
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.conftest import MODES, Mode, RawUpstream, StartEngine


def event_stream(body: str, *, ends: bool = True) -> bytes:
    """A stream in one HTTP chunk; without its end the connection is lost after it."""
    data = body.encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + (f"{len(data):x}\r\n".encode() + data + b"\r\n" if data else b"") + (b"0\r\n\r\n" if ends else b"")


def chunk(index: int, text: str, finish_reason: str | None = None) -> str:
    delta = {"content": text} if text else {}
    return f"data: {json.dumps({'choices': [{'index': index, 'delta': delta, 'finish_reason': finish_reason}]})}\n\n"


@pytest.mark.parametrize("route", ["m", "m|m"])
@pytest.mark.parametrize("end", ["", "data: [DONE]\n\n"])
async def test_a_stream_with_a_finish_reason_is_whole_with_or_without_done(
    start_engine: StartEngine, raw_upstream: RawUpstream, route: str, end: str
) -> None:
    url = await raw_upstream(event_stream(chunk(0, "Hi") + chunk(0, "", "stop") + end))
    outcome = await (await start_engine(url)).ask(route, stream=route == "m")
    assert (outcome.status, outcome.content) == (CallStatus.SUCCEEDED, "Hi")


@pytest.mark.parametrize(("end", "error"), [("", StreamInterrupted), ("data: [DONE]\n\n", InvalidUpstreamResponse)])
async def test_a_stream_of_nothing_but_done_is_a_failure(
    start_engine: StartEngine, raw_upstream: RawUpstream, end: str, error: type[UpstreamError]
) -> None:
    outcome = await (await start_engine(await raw_upstream(event_stream(end)))).ask("m", stream=True)
    assert type(outcome.error) is error


@pytest.mark.parametrize("route", ["m", "m|m"])
async def test_a_connection_lost_after_the_finish_reason_takes_nothing_from_the_answer(
    start_engine: StartEngine, raw_upstream: RawUpstream, route: str
) -> None:
    """A stall at the same place is a success already: nothing but the usage is owed."""
    url = await raw_upstream(event_stream(chunk(0, "Hi") + chunk(0, "", "stop"), ends=False))
    outcome = await (await start_engine(url)).ask(route, stream=route == "m")
    assert (outcome.status, outcome.content) == (CallStatus.SUCCEEDED, "Hi")


async def test_a_connection_lost_after_done_takes_nothing_from_the_answer(
    start_engine: StartEngine, raw_upstream: RawUpstream
) -> None:
    url = await raw_upstream(event_stream(chunk(0, "Hi") + chunk(0, "", "stop") + "data: [DONE]\n\n", ends=False))
    outcome = await (await start_engine(url)).ask("m", stream=True)
    assert (outcome.status, outcome.content) == (CallStatus.SUCCEEDED, "Hi")


USAGE = 'data: {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}\n\n'


@pytest.mark.parametrize("route", ["m", "m|m"])
@pytest.mark.parametrize(("end", "idle_timeout", "after_usage"), [("", 0.2, 60), (USAGE, 60, 0.2)])
async def test_a_stream_that_stalls_after_its_finish_reason_is_whole(
    start_engine: StartEngine,
    raw_upstream: RawUpstream,
    monkeypatch: pytest.MonkeyPatch,
    route: str,
    end: str,
    idle_timeout: float,
    after_usage: float,
) -> None:
    """The wait is short only once the usage has come, because some servers go on after a finish reason."""
    monkeypatch.setattr("llm.upstream.stream.AFTER_USAGE_SECONDS", after_usage)

    async def stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(event_stream(chunk(0, "Hi") + chunk(0, "", "stop") + end, ends=False))
        await reader.read()

    asker = await start_engine(await raw_upstream(stalls), stream_idle_timeout=idle_timeout)
    outcome = await asyncio.wait_for(asker.ask(route, stream=route == "m"), 5)
    assert (outcome.status, outcome.content) == (CallStatus.SUCCEEDED, "Hi")


async def test_a_whole_stream_that_does_not_end_is_taken_before_the_deadline_of_a_race(
    start_engine: StartEngine, raw_upstream: RawUpstream
) -> None:
    async def stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(event_stream(chunk(0, "Hi") + chunk(0, "", "stop"), ends=False))
        await reader.read()

    outcome = await (await start_engine(await raw_upstream(stalls))).ask("m|m", timeout=0.5)
    assert (outcome.status, outcome.content) == (CallStatus.SUCCEEDED, "Hi")


async def test_the_usage_of_an_answer_that_is_whole_shortly_before_the_deadline_is_still_read(
    start_engine: StartEngine, raw_upstream: RawUpstream
) -> None:
    async def is_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.45)
        writer.write(event_stream(chunk(0, "Hi") + chunk(0, "", "stop"), ends=False))
        await asyncio.sleep(0.01)
        usage = USAGE.encode()
        writer.write(f"{len(usage):x}\r\n".encode() + usage + b"\r\n0\r\n\r\n")
        await reader.read()

    outcome = await (await start_engine(await raw_upstream(is_late))).ask("m|m", timeout=0.5)
    winner = next(attempt for attempt in outcome.attempts if attempt.status is AttemptStatus.SUCCEEDED)
    assert winner.usage is not None
    assert (winner.usage.prompt_tokens, winner.usage.completion_tokens, winner.usage.estimated) == (10, 5, False)


async def test_a_second_choice_that_begins_after_the_first_has_ended_needs_a_finish_reason_of_its_own(
    start_engine: StartEngine, raw_upstream: RawUpstream
) -> None:
    url = await raw_upstream(event_stream(chunk(0, "Hi") + chunk(0, "", "stop") + chunk(1, "Hel")))
    outcome = await (await start_engine(url)).ask("m", {"n": 2}, stream=True)
    assert type(outcome.error) is StreamInterrupted


async def test_a_finish_reason_of_one_choice_does_not_end_the_others(
    start_engine: StartEngine, raw_upstream: RawUpstream
) -> None:
    url = await raw_upstream(event_stream(chunk(0, "Hi") + chunk(1, "Hel") + chunk(0, "", "stop")))
    outcome = await (await start_engine(url)).ask("m", {"n": 2}, stream=True)
    assert type(outcome.error) is StreamInterrupted


async def test_a_whole_answer_without_a_finish_reason_is_an_answer(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    simulator.script("m", Behaviour(end_after=2))
    outcome = await (await start_engine()).ask("m")
    assert (outcome.status, outcome.content, outcome.finish_reason) == (CallStatus.SUCCEEDED, "This is", "")


@pytest.mark.parametrize("reason", ["length", "content_filter"])
@pytest.mark.parametrize("mode", MODES)
async def test_an_empty_answer_that_has_a_reason_to_be_empty_is_an_answer(
    simulator: SimulatorThread, start_engine: StartEngine, mode: Mode, reason: str
) -> None:
    simulator.script("m", Behaviour(empty=True, finish_reason=reason))
    outcome = await (await start_engine()).ask("m|m" if mode == "raced" else "m", stream=mode == "streamed")
    assert (outcome.status, outcome.content, outcome.finish_reason) == (CallStatus.SUCCEEDED, "", reason)


@pytest.mark.parametrize("mode", MODES)
async def test_a_tool_call_is_an_answer(simulator: SimulatorThread, start_engine: StartEngine, mode: Mode) -> None:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
    outcome = await (await start_engine()).ask(
        "sim-tool|sim-tool" if mode == "raced" else "sim-tool", {"tools": tools}, stream=mode == "streamed"
    )
    assert (outcome.status, outcome.finish_reason) == (CallStatus.SUCCEEDED, "tool_calls")


NESTED = "[" * 100_000
ABSURD = [
    pytest.param(Behaviour(raw_body=NESTED), False, id="JSON nested too deep"),
    pytest.param(
        Behaviour(raw_body=f"data: {NESTED}\n\n", content_type="text/event-stream"), True, id="a chunk nested too deep"
    ),
    pytest.param(Behaviour(status=400, error={"code": ["a", "list"]}), False, id="a code that is a list"),
    pytest.param(Behaviour(error_after=0, error={"code": {"an": "object"}}), True, id="a code that is an object"),
    pytest.param(Behaviour(error_after=0, error={"code": "²"}), False, id="a code of digits that are no number"),
]


@pytest.mark.parametrize(("behaviour", "stream"), ABSURD)
async def test_whatever_an_upstream_sends_the_call_has_an_outcome(
    simulator: SimulatorThread, start_engine: StartEngine, behaviour: Behaviour, stream: bool
) -> None:
    simulator.script("m", behaviour)
    asker = await start_engine()
    call = asker.start("m", stream=stream)
    await asyncio.wait([call.task], timeout=5)
    call.task.exception()  # retrieved, so that asyncio does not log it
    assert [outcome.status for outcome in asker.outcomes] == [CallStatus.FAILED]


async def test_a_whole_stream_that_its_reader_has_not_taken_in_time_is_no_success(
    start_engine: StartEngine, raw_upstream: RawUpstream
) -> None:
    """A caller must not be told that it has all of an answer, if the end of it never went out."""
    pieces = [*(chunk(0, f" word{number}") for number in range(QUEUE_BATCHES)), chunk(0, "", "stop")]

    async def one_by_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, piece in enumerate(pieces):
            writer.write(
                event_stream(piece, ends=False) if number == 0 else b"%x\r\n%s\r\n" % (len(piece), piece.encode())
            )
            await writer.drain()
            await asyncio.sleep(0.02)
        await reader.read()

    asker = await start_engine(await raw_upstream(one_by_one))
    call = asker.start("m", stream=True, timeout=0.6)
    outcome = await call.settled()
    assert (outcome.status, type(outcome.error)) == (CallStatus.FAILED, UpstreamTimeout)
    call.cancel()
    await call.task


BAD_CHUNK = b"HTTP/1.1 %s\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n5\r\ndata:\r\n"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", ["200 OK", "500 Failed"])
async def test_http_that_is_broken_in_mid_answer_is_told_at_once(
    start_engine: StartEngine, raw_upstream: RawUpstream, stream: bool, status: str
) -> None:
    async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(BAD_CHUNK % (status.encode(), b"text/event-stream" if stream else b"application/json"))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"no length\r\n")
        await reader.read()

    asker = await start_engine(await raw_upstream(breaks))
    outcome = await asyncio.wait_for(asker.ask("m>spare/ok", stream=stream), 5)
    assert outcome.status is CallStatus.SUCCEEDED
    assert type(outcome.attempts[0].error) in (UpstreamUnavailable, StreamInterrupted)


@pytest.mark.parametrize("end", ["", "data: [DONE]\n\n"])
async def test_a_whole_stream_whose_http_answer_stays_open_is_a_success_within_any_timeout(
    start_engine: StartEngine, raw_upstream: RawUpstream, end: str
) -> None:
    async def leaves_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(event_stream(chunk(0, "Hi") + chunk(0, "", "stop") + end, ends=False))
        await reader.read()

    asker = await start_engine(await raw_upstream(leaves_open))
    outcome = await asker.ask("m", stream=True, timeout=0.2)
    assert (outcome.status, outcome.content, outcome.finish_reason) == (CallStatus.SUCCEEDED, "Hi", "stop")


ENDLESS: dict[str, Any] = {}
ENDLESS["again"] = ENDLESS


@pytest.mark.parametrize(
    "body",
    [{"stop": {"a", "set"}}, {"metadata": ENDLESS}],
    ids=["a set", "what has no end"],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_body_that_no_upstream_can_be_sent_is_an_invalid_request(
    start_engine: StartEngine, body: dict[str, Any], stream: bool
) -> None:
    asker = await start_engine()
    call = asker.start("m", body, stream=stream)
    await asyncio.wait([call.task], timeout=5)
    call.task.exception()
    assert [type(outcome.error) for outcome in asker.outcomes] == [InvalidRequest]


async def test_stream_in_the_body_of_a_whole_answer_is_the_engines_to_set(start_engine: StartEngine) -> None:
    outcome = await (await start_engine()).ask("m", {"stream": True})
    assert outcome.status is CallStatus.SUCCEEDED
