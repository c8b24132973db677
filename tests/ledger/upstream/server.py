"""The server: it reads a request, plans its answer, does the work step by step, and bills it.

- A request that is refused costs nothing.
- A whole answer is billed in full from the moment at which the work begins, whoever still listens.
- A stream is billed for its prompt, and for what was made until the provider noticed that the connection was gone.
- What the provider breaks itself is billed like the rest. That is an assumption: OpenAI does not say.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from aiohttp import web

from tests.ledger.upstream.lines import Ledger, Line
from tests.ledger.upstream.plans import Fate, Plan, plan_of
from tests.ledger.upstream.prices import PRICES, Tokens
from tests.ledger.upstream.prompt_cache import PromptCache
from tests.ledger.upstream.prompts import Prompt, read_chat, read_response, read_texts
from tests.ledger.upstream.protocol.chat import ChatAnswer
from tests.ledger.upstream.protocol.responses import ResponseAnswer
from tests.ledger.upstream.protocol.spoken import speak
from tests.ledger.upstream.protocol.steps import Step, do, do_for, totals
from tests.ledger.upstream.protocol.texts import CompletionAnswer, embeddings

Answer = ChatAnswer | CompletionAnswer | ResponseAnswer
Planned = Callable[[str, dict[str, Any], Random], Plan]

# What the driver writes into each prompt, so that its calls can be told apart.
MARK = re.compile(rb"\[(ledger-\d+-\d+)\]")

# The largest request, which is a long prompt.
MAX_BYTES = 20 * 2**20

REFUSALS = {
    400: ("invalid_request_error", "Invalid service_tier argument for this model."),
    429: ("rate_limit_exceeded", "Rate limit reached for requests."),
    500: ("server_error", "The server had an error while processing your request."),
    503: ("server_error", "The engine is currently overloaded, please try again later."),
}


class LedgerUpstream:
    """`async with LedgerUpstream(seed).serve() as base_url`. All chance comes from the seed.

    `planned` makes the plan of a request. A test may have its own.
    """

    def __init__(self, seed: int, planned: Planned = plan_of) -> None:
        self.ledger = Ledger()
        self._seed = seed
        self._planned = planned
        self._cache = PromptCache()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        app = web.Application(client_max_size=MAX_BYTES)
        app.router.add_post("/v1/{operation:.+}", self._answer)
        # A handler is cancelled when its caller closes the connection: that is how a provider learns of it.
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            port = runner.addresses[0][1]
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        body: dict[str, Any] = json.loads(data)
        operation, model = request.match_info["operation"], body["model"]
        found = MARK.search(data)
        mark = found[1].decode() if found else ""
        nth = self.ledger.nth(mark, model)
        random = Random(f"{self._seed} {mark} {model} {nth}")
        line = self.ledger.add(
            operation=operation,
            model=model,
            mark=mark,
            upstream_request_id=f"req_{mark}_{model}_{nth}",
            streamed=bool(body.get("stream")),
        )
        plan = self._planned(model, body, random)
        if model not in PRICES or plan.refusal:
            return _refuse(line, plan.refusal or 404)
        line.tier = plan.tier
        self.ledger.open += 1
        try:
            prompt = _read(operation, model, body)
            line.tokens = self._read_prompt(model, prompt, plan, random)
            if operation == "embeddings":
                given = body["input"]
                answer = embeddings(model, 1 if isinstance(given, str) else len(given), line.tokens)
                return await _send_whole(request, line, plan, answer, plan.seconds_to_first_token)
            spoken = _prepare(operation, model, body, plan, random, line)
            if line.streamed:
                return await _stream(request, line, plan, spoken, told=_wants_usage(operation, body))
            steps = list(spoken.steps())
            line.tokens, line.searches = totals(line.tokens, steps)
            seconds = plan.seconds_to_first_token + sum(step.seconds for step in steps)
            return await _send_whole(request, line, plan, spoken.whole(line.tokens), seconds)
        finally:
            self.ledger.open -= 1

    def _read_prompt(self, model: str, prompt: Prompt, plan: Plan, random: Random) -> Tokens:
        now = asyncio.get_running_loop().time()
        cached, written = self._cache.read(
            model, prompt, now=now, ready=now + plan.seconds_to_first_token, random=random
        )
        return Tokens(prompt=len(prompt.tokens), cached=cached, written=written, audio_in=prompt.audio)


def _read(operation: str, model: str, body: dict[str, Any]) -> Prompt:
    match operation:
        case "chat/completions":
            return read_chat(model, body)
        case "responses":
            return read_response(model, body)
        case "completions":
            return read_texts(model, body["prompt"])
        case _:
            return read_texts(model, body["input"])


def _prepare(operation: str, model: str, body: dict[str, Any], plan: Plan, random: Random, line: Line) -> Answer:
    functions = [
        tool["function"]["name"] if "function" in tool else tool["name"]
        for tool in body.get("tools") or ()
        if tool["type"] == "function"
    ]
    spoken = speak(model, plan, random, functions=functions, aloud="audio" in (body.get("modalities") or ()))
    answer_id = f"{line.mark}-{line.number}"
    if operation == "responses":
        return ResponseAnswer(f"resp_{answer_id}", model, plan, spoken)
    kind = ChatAnswer if operation == "chat/completions" else CompletionAnswer
    return kind(answer_id, model, plan, spoken, include_usage=_wants_usage(operation, body))


def _wants_usage(operation: str, body: dict[str, Any]) -> bool:
    """Whether a stream tells its usage: a response does so always."""
    return operation == "responses" or bool((body.get("stream_options") or {}).get("include_usage"))


def _refuse(line: Line, status: int) -> web.Response:
    line.refusal = status
    code, message = REFUSALS.get(status, ("model_not_found", "The model does not exist."))
    error = {"message": message, "type": code, "param": None, "code": code}
    return web.json_response({"error": error}, status=status, headers={"x-request-id": line.upstream_request_id})


async def _send_whole(
    request: web.Request, line: Line, plan: Plan, answer: dict[str, Any], seconds: float
) -> web.StreamResponse:
    await asyncio.sleep(seconds)
    data = json.dumps(answer, ensure_ascii=False).encode()
    response = web.StreamResponse(
        headers={"Content-Type": "application/json", "x-request-id": line.upstream_request_id}
    )
    response.content_length = len(data)
    await response.prepare(request)
    if plan.fate is Fate.BREAKS:
        line.broken = True
        await response.write(data[: int(len(data) * plan.breaks_at)])
        _abort(request)
        return response
    await response.write(data)
    await response.write_eof()
    line.told = line.began = True
    return response


async def _stream(request: web.Request, line: Line, plan: Plan, answer: Answer, *, told: bool) -> web.StreamResponse:
    steps = list(answer.steps())
    stop = len(steps) if plan.fate is Fate.ANSWERED else int(len(steps) * plan.breaks_at)
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "x-request-id": line.upstream_request_id}
    )
    await asyncio.sleep(plan.seconds_to_first_token)
    try:
        await response.prepare(request)
        await _work(response, line, plan, steps, stop)
        if plan.fate is Fate.BREAKS:
            line.broken = True
            _abort(request)
        elif plan.fate is Fate.STREAM_ERROR:
            line.broken = True
            await response.write(answer.error())
        else:
            for data in answer.end(line.tokens):
                await response.write(data)
            await response.write_eof()
            line.told = told
    except ConnectionError:
        pass  # the caller has gone, and what was made is billed
    return response


async def _work(response: web.StreamResponse, line: Line, plan: Plan, steps: list[Step], stop: int) -> None:
    """Do the steps up to `stop`. If the caller has gone, go on until that is noticed."""
    now = asyncio.get_running_loop().time
    for index, step in enumerate(steps[:stop]):
        done, begun = index, now()
        try:
            if step.seconds:
                await asyncio.sleep(step.seconds)
            do(line, step)
            done, begun = index + 1, now()
            if step.data:
                await response.write(step.data)
                line.began = line.began or bool(step.text)
        except (asyncio.CancelledError, ConnectionError):
            worked = min(now() - begun, step.seconds) if done == index else 0.0
            do_for(line, steps[done:stop], worked + plan.noticed_after)
            raise


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
