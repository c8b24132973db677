"""An upstream that does what a world says, in place of aiohttp and the network."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any, ClassVar, Self

from llm import errors
from llm.json_values import Json
from llm.upstream.attempt import Attempt
from llm.upstream.client import Upstream
from tests.llm.worlds.history import Seen, Sent, now
from tests.llm.worlds.world import NEVER, Behaviour, Fault, World

# What a whole answer says that it has used. No estimate comes to the same.
USAGE = {"prompt_tokens": 1_001, "completion_tokens": 1_002}


class ScriptedRequest:
    """Stands in for one HTTP request."""

    def __init__(self, attempt: Attempt, behaviour: Behaviour, serial: int, calls: list[Seen]) -> None:
        self._behaviour = behaviour
        self._calls = calls
        model = attempt.model.name
        self._pieces = [f"[{model}#{serial}:{piece}]" for piece in range(behaviour.pieces)]
        if behaviour.is_empty:
            self._pieces = []
        self._sent = Sent(model, attempt.race, now(), "".join(self._pieces))

    async def send(self, body: Json) -> Any:
        self._calls[int(body["messages"][0]["content"])].sent.append(self._sent)
        try:
            if not body.get("stream"):
                return ScriptedResponse(await self._whole(), self._sent)
            await asyncio.sleep(self._behaviour.before)
            if self._behaviour.said == 0:
                await self._fail(in_stream=False)
            return ScriptedResponse(self._chunks(), self._sent)
        except BaseException:
            self._sent.ended = now()
            raise

    async def _whole(self) -> Json:
        await asyncio.sleep(self._behaviour.whole_after)
        await self._fail(in_stream=False)
        self._sent.ended = now()
        message = {"role": "assistant", "content": self._sent.text}
        return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USAGE}

    async def _chunks(self) -> AsyncIterator[Json]:
        yield {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
        for piece in self._pieces[: self._behaviour.said]:
            await asyncio.sleep(self._behaviour.gap)
            yield {"choices": [{"index": 0, "delta": {"content": piece}}]}
        if self._behaviour.fault is None or self._behaviour.is_empty:
            yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        await self._fail(in_stream=True)

    async def _fail(self, *, in_stream: bool) -> None:
        if self._behaviour.is_empty:
            return
        match self._behaviour.fault:
            case Fault(kind="stalled"):
                await asyncio.sleep(NEVER)
            case Fault(kind="cut") if not in_stream:
                raise errors.UpstreamUnavailable("cut")
            case Fault(kind=type()) as fault:
                raise fault.error()


class ScriptedResponse:
    """As much of aiohttp's answer as the engine uses; its own `content`."""

    status = 200
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, said: Json | AsyncIterator[Json], sent: Sent) -> None:
        self._said: Json | AsyncIterator[Json] | None = said
        self._sent = sent
        self.content_type = "application/json" if isinstance(said, dict) else "text/event-stream"
        self.content = self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def read(self) -> bytes:
        assert self._said is None, "a whole answer comes with its first bytes"
        return b""

    async def readany(self) -> bytes:
        if self._said is None or isinstance(self._said, dict):
            said, self._said = self._said, None
            return b"" if said is None else json.dumps(said).encode()
        chunk = await anext(self._said, None)
        return b"" if chunk is None else b"data: %s\n\n" % json.dumps(chunk).encode()

    def exception(self) -> None:
        return None

    def at_eof(self) -> bool:
        return False

    def close(self) -> None:
        self._sent.ended = now() if self._sent.ended is None else self._sent.ended


class ScriptedUpstream(Upstream):
    """The engine's upstream, up to its seam with the HTTP client."""

    def __init__(self, world: World, calls: list[Seen]) -> None:
        super().__init__(world.config)
        self._world = world
        self._calls = calls
        self._serials: dict[str, int] = defaultdict(int)

    async def _send(self, attempt: Attempt, body: Json) -> Any:
        model = attempt.model.name
        serial = self._serials[model]
        self._serials[model] += 1
        behaviours = self._world.models[model]
        request = ScriptedRequest(attempt, behaviours[min(serial, len(behaviours) - 1)], serial, self._calls)
        return await request.send(body)
