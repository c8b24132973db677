"""The simulator as a raw ASGI application: OpenAI's APIs, and the addresses by which it is controlled."""

from __future__ import annotations

from typing import Any, Final

from llm.simulator.apis.addresses import APIS
from llm.simulator.apis.parameters import model_name, parse_object
from llm.simulator.billing.organization import answer_organization, is_organization
from llm.simulator.control import answer_control, is_control
from llm.simulator.openai_errors import Refusal
from llm.simulator.script.catalogue import SIM_MODELS
from llm.simulator.script.refusals import check_context_window, check_supported
from llm.simulator.script.seen_request import SeenRequest
from llm.simulator.script.state import SimulatorState
from llm.simulator.sender import AnswerSender
from llm.simulator.serving.exchange import AsgiScope, ClientGone, Exchange, Receive, Send

# The address that lists the models.
_MODELS: Final = "/v1/models"

# Models that are listed although every name works, because clients look for them.
_USUAL_MODELS: Final = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "text-embedding-3-small")

# When all models were created, in seconds since the epoch.
_CREATED: Final = 1_700_000_000

# A larger request body is not shown by `GET /_requests`.
_MAX_KEPT_BODY_BYTES: Final = 1024 * 1024


class SimulatorApp:
    """An ASGI application for HTTP. `state` has its scripts and the requests that it has seen.

    It must be served by `llm.simulator.serve` to be able to reset connections, for which ASGI has no message.
    """

    def __init__(self) -> None:
        self.state = SimulatorState()

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
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
        if exchange.method == "POST" and exchange.path in APIS:
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
        if is_organization(path):
            await answer_organization(exchange, self.state.ledger)
            return
        _require_bearer(exchange)
        if path in APIS:
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
        sender = AnswerSender(exchange, seen, turn, self.state.ledger)
        await sender.begin()
        if await sender.play_steps():
            return
        api = APIS[exchange.path]
        check_supported(payload, turn.behaviour, api.replaced_by)
        request = api.parse(payload)
        check_context_window(request.prompt_tokens, turn.behaviour.context_window, prompt_field=api.prompt_field)
        if await sender.fail_as_scripted():
            return
        await sender.answer(request)


def create_app() -> SimulatorApp:
    """A new simulator without scripts, which has seen no requests."""
    return SimulatorApp()


def _require_bearer(exchange: Exchange) -> None:
    if not exchange.has_bearer:
        message = "You didn't provide an API key. Send any, as: Authorization: Bearer YOUR_KEY."
        raise Refusal(401, message, code="invalid_api_key")


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "simulator"}


async def _refuse(exchange: Exchange, refusal: Refusal) -> None:
    headers = () if refusal.allow is None else (("allow", refusal.allow),)
    await exchange.send_json(refusal.status, refusal.body, headers)
