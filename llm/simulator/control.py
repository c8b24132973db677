"""The addresses at which a test or a person scripts the simulator and looks at what it has seen. They need no key."""

from __future__ import annotations

import json
from typing import Final

from llm.simulator.openai_errors import Refusal
from llm.simulator.script.behaviour import Behaviour
from llm.simulator.script.raw_steps import look_like_steps
from llm.simulator.script.state import SimulatorState
from llm.simulator.serving.exchange import Exchange

# The address of all scripts; below it, followed by a model's name, is the script of that model.
_SCRIPT: Final = "/_script"

# The address of the requests that were seen.
_REQUESTS: Final = "/_requests"


def is_control(path: str) -> bool:
    """Whether the path is one of these addresses."""
    return path in (_SCRIPT, _REQUESTS) or path.startswith(_SCRIPT + "/")


async def answer_control(exchange: Exchange, state: SimulatorState, body: bytes) -> None:
    """Answer a request for which `is_control` holds. Raises Refusal (400, 405)."""
    if exchange.path == _REQUESTS:
        await _requests(exchange, state)
    else:
        await _script(exchange, state, body)


async def _requests(exchange: Exchange, state: SimulatorState) -> None:
    if exchange.method == "GET":
        await exchange.send_json(200, {"requests": state.requests(), "open": state.open_requests})
    elif exchange.method == "DELETE":
        state.clear_requests()
        await exchange.send(204, b"", ())
    else:
        raise Refusal(405, "Use GET or DELETE.", allow="GET, DELETE")


async def _script(exchange: Exchange, state: SimulatorState, body: bytes) -> None:
    model = exchange.path.removeprefix(_SCRIPT).removeprefix("/") or None
    if exchange.method == "DELETE":
        state.clear_scripts(model)
        await exchange.send(204, b"", ())
    elif exchange.method == "PUT" and model is not None:
        behaviours = _parse(body)
        state.script(model, *behaviours)
        await exchange.send_json(200, {"model": model, "behaviours": [each.to_dict() for each in behaviours]})
    else:
        allowed = "PUT, DELETE" if model else "DELETE"
        raise Refusal(405, f"Use {allowed}.", allow=allowed)


def _parse(body: bytes) -> list[Behaviour]:
    try:
        payload = json.loads(body)
        if isinstance(payload, list) and look_like_steps(payload):
            return [Behaviour(steps=tuple(payload))]
        return [Behaviour.from_dict(each) for each in (payload if isinstance(payload, list) else [payload])]
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"Neither a behaviour, a list of them, nor raw steps: {error}") from None
