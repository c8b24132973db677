"""The scripts that the simulator was given, and the requests that it has seen. Safe to use from any thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from llm.simulator.billing.ledger import Ledger
from llm.simulator.script.behaviour import Behaviour
from llm.simulator.script.catalogue import built_in_behaviour
from llm.simulator.script.seen_request import SeenRequest

# How many of the newest requests are kept.
MAX_SEEN: Final = 1_000


@dataclass(frozen=True, slots=True)
class Turn:
    """What one request gets: a behaviour, and a factor that its waits are multiplied by."""

    behaviour: Behaviour
    slowness: float = 1.0


class SimulatorState:
    """The script of each model, and the newest `MAX_SEEN` requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scripts: dict[str, tuple[Behaviour, ...]] = {}
        # By model: which behaviour of its script comes next, and how many requests that behaviour has served.
        self._places: dict[str, tuple[int, int]] = {}
        self._seen: deque[SeenRequest] = deque(maxlen=MAX_SEEN)
        self._open = 0
        # What was answered, for the addresses that an administrator asks.
        self.ledger = Ledger()

    def script(self, model: str, *behaviours: Behaviour) -> None:
        """Let `model` behave in these ways, one after the other, each for as many requests as its `times` says.

        After the last one, the model behaves as it would without a script. This replaces the model's script; without
        any behaviours, it removes it.
        """
        with self._lock:
            self._places.pop(model, None)
            self._scripts.pop(model, None)
            if behaviours:
                self._scripts[model] = behaviours

    def clear_scripts(self, model: str | None = None) -> None:
        """Forget the script of one model, or all scripts."""
        with self._lock:
            if model is None:
                self._scripts.clear()
                self._places.clear()
            else:
                self._scripts.pop(model, None)
                self._places.pop(model, None)

    def scripted_models(self) -> tuple[str, ...]:
        """The names of the models that have a script."""
        with self._lock:
            return tuple(self._scripts)

    def take_turn(self, model: str) -> Turn:
        """The behaviour for the model's next request. Counts the request."""
        with self._lock:
            script = self._scripts.get(model)
            if script is None:
                return Turn(built_in_behaviour(model))
            step, served = self._places.get(model, (0, 0))
            if step == len(script):
                return Turn(built_in_behaviour(model))
            behaviour = script[step]
            served += 1
            used_up = behaviour.times is not None and served >= behaviour.times
            self._places[model] = (step + 1, 0) if used_up else (step, served)
        if behaviour.tail_share and served % round(1 / behaviour.tail_share) == 0:
            return Turn(behaviour, behaviour.tail_factor)
        return Turn(behaviour)

    @contextlib.contextmanager
    def recording(self, path: str) -> Iterator[SeenRequest]:
        """Note a request, which is open as long as the block runs. A cancellation means that the client has left."""
        seen = SeenRequest(path)
        with self._lock:
            self._seen.append(seen)
            self._open += 1
        try:
            yield seen
        except asyncio.CancelledError:
            seen.disconnected()
            raise
        finally:
            seen.complete()
            with self._lock:
                self._open -= 1

    def requests(self) -> list[dict[str, Any]]:
        """The requests that were seen, oldest first."""
        with self._lock:
            return [seen.to_dict() for seen in self._seen]

    @property
    def open_requests(self) -> int:
        """How many requests are being answered now, those included that are no longer kept."""
        return self._open

    def clear_requests(self) -> None:
        """Forget the requests that were seen. Those in progress go on, and still count as open."""
        with self._lock:
            self._seen.clear()

    def reset(self) -> None:
        """Forget all scripts and requests, and all that was billed."""
        self.clear_scripts()
        self.clear_requests()
        self.ledger.clear()
