"""The simulator as a raw ASGI application: OpenAI's doors, and its own for control."""

from __future__ import annotations

from typing import Any, Final

from llm.simulator.answering import Answering
from llm.simulator.apis.doors import DOORS
from llm.simulator.catalogue import SIM_MODELS
from llm.simulator.control import answer_control, is_control
from llm.simulator.exchange import ClientGone, Exchange, Receive, Scope, Send
from llm.simulator.openai_errors import Refusal
from llm.simulator.request import check_context_window, check_supported, model_name, parse_object
from llm.simulator.state import SeenRequest, SimulatorState

_MODELS: Final = "/v1/models"
_USUAL_MODELS: Final = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "text-embedding-3-small")
_CREATED: Final = 1_700_000_000
_MAX_KEPT_BODY_BYTES: Final = 1024 * 1024


class SimulatorApp:
    """An ASGI application for HTTP; `state` has its scripts and what it has seen.

    Served by `llm.simulator.serve` it can reset connections too, for which ASGI has no message.
    """

    def __init__(self) -> None:
        self.state = SimulatorState()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the simulator speaks HTTP only, not {scope['type']}")
        exchange = Exchange(scope, receive, send)
        try:
            body = await exchange.read_body()
        except ClientGone:
            return
        except Refusal as refusal:
            await _refuse(exchange, refusal)
            return
        await exchange.run(self._answer(exchange, body))

    async def _answer(self, exchange: Exchange, body: bytes) -> None:
        if exchange.method == "POST" and exchange.path in DOORS:
            with self.state.recording(exchange.path) as seen:
                try:
                    await self._answer_model_request(exchange, body, seen)
                except Refusal as refusal:
                    await _refuse(exchange, refusal)
            return
        try:
            await self._answer_plain_request(exchange, body)
        except Refusal as refusal:
            await _refuse(exchange, refusal)

    async def _answer_plain_request(self, exchange: Exchange, body: bytes) -> None:
        path = exchange.path
        if is_control(path):
            await answer_control(exchange, self.state, body)
            return
        _require_bearer(exchange)
        if path in DOORS:
            raise Refusal(405, f"Not allowed to {exchange.method} on {path}.", allow="POST")
        if path != _MODELS and not path.startswith(_MODELS + "/"):
            raise Refusal(404, f"Invalid URL ({exchange.method} {path})", code="unknown_url")
        if exchange.method != "GET":
            raise Refusal(405, f"Not allowed to {exchange.method} on {path}.", allow="GET")
        if path == _MODELS:
            names = dict.fromkeys((*_USUAL_MODELS, *SIM_MODELS, *self.state.scripted_models()))
            await exchange.send_json(200, {"object": "list", "data": [_model(name) for name in names]})
        else:
            await exchange.send_json(200, _model(path.removeprefix(_MODELS + "/")))

    async def _answer_model_request(self, exchange: Exchange, body: bytes, seen: SeenRequest) -> None:
        _require_bearer(exchange)
        payload = parse_object(body)
        if len(body) <= _MAX_KEPT_BODY_BYTES:
            seen.body = payload
        seen.model = model_name(payload)
        seen.stream = payload.get("stream") is True
        turn = self.state.take_turn(seen.model)
        answering = Answering(exchange, seen, turn)
        await answering.begin()
        door = DOORS[exchange.path]
        check_supported(payload, turn.behaviour, door.replaced_by)
        asked = door.read(payload)
        check_context_window(asked.prompt_tokens, turn.behaviour.context_window, prompt_field=door.prompt_field)
        if await answering.fail_as_scripted():
            return
        if asked.stream is not None:
            await answering.stream(asked.stream(turn.behaviour))
        else:
            await answering.whole(asked.whole(turn.behaviour))


def create_app() -> SimulatorApp:
    """A new simulator with no scripts, that has seen nothing."""
    return SimulatorApp()


def _require_bearer(exchange: Exchange) -> None:
    if not exchange.has_bearer:
        message = "You didn't provide an API key. Send any, as: Authorization: Bearer YOUR_KEY."
        raise Refusal(401, message, code="invalid_api_key")


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "simulator"}


async def _refuse(exchange: Exchange, refusal: Refusal) -> None:
    headers = () if refusal.allow is None else (("allow", refusal.allow),)
    await exchange.send_json(refusal.status, {"error": refusal.error}, headers)
