"""What the simulator was told to do, and what it has seen. Safe to use from any thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from llm.simulator.behaviour import Behaviour
from llm.simulator.catalogue import built_in_behaviour

MAX_SEEN: Final = 1_000
"""So many of the newest requests are kept."""


@dataclass(slots=True)
class SeenRequest:
    """A request under `/v1` that can name a model. It never holds a header, so no key."""

    path: str
    model: str | None = None
    stream: bool = False
    body: Mapping[str, Any] | None = None
    started_at: float = field(default_factory=time.time)
    ended: Literal["complete", "disconnected", "open"] = "open"
    chunks_sent: int = 0
    disconnected_after_ms: float | None = None
    _clock: float = field(default_factory=time.perf_counter)

    def complete(self) -> None:
        """The simulator has done all that its script says, be it a reset."""
        if self.ended == "open":
            self.ended = "complete"

    def disconnected(self) -> None:
        """The client went first. Nothing changes if the request is complete already."""
        if self.ended == "open":
            self.ended = "disconnected"
            self.disconnected_after_ms = round((time.perf_counter() - self._clock) * 1000, 3)

    def to_dict(self) -> dict[str, Any]:
        """As `GET /_requests` shows it; `started_at` is in seconds since the epoch."""
        return {
            "model": self.model,
            "stream": self.stream,
            "path": self.path,
            "started_at": self.started_at,
            "ended": self.ended,
            "chunks_sent": self.chunks_sent,
            "disconnected_after_ms": self.disconnected_after_ms,
            "body": self.body,
        }


@dataclass(frozen=True, slots=True)
class Turn:
    """What one request gets: a behaviour, and by what factor its waits are longer."""

    behaviour: Behaviour
    slowness: float = 1.0


class SimulatorState:
    """The scripts by model, and the newest `MAX_SEEN` requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scripts: dict[str, tuple[Behaviour, ...]] = {}
        self._places: dict[str, tuple[int, int]] = {}
        self._seen: deque[SeenRequest] = deque(maxlen=MAX_SEEN)
        self._open = 0

    def script(self, model: str, *behaviours: Behaviour) -> None:
        """Let `model` behave so, one after the other by their `times`, and after the last as it would with no script.

        Replaces the model's script; with no behaviours it has none.
        """
        with self._lock:
            self._places.pop(model, None)
            self._scripts.pop(model, None)
            if behaviours:
                self._scripts[model] = behaviours

    def clear_scripts(self, model: str | None = None) -> None:
        """Forget the script of one model, or of all."""
        with self._lock:
            if model is None:
                self._scripts.clear()
                self._places.clear()
            else:
                self._scripts.pop(model, None)
                self._places.pop(model, None)

    def scripted_models(self) -> tuple[str, ...]:
        """The names that have a script."""
        with self._lock:
            return tuple(self._scripts)

    def take_turn(self, model: str) -> Turn:
        """The behaviour for the model's next request; counts it."""
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
        """Keep a record of a request, open for the length of the block; cancellation means that the client went."""
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
        """The requests seen, oldest first."""
        with self._lock:
            return [seen.to_dict() for seen in self._seen]

    @property
    def open_requests(self) -> int:
        """How many requests are being answered now, also such as are no longer kept."""
        return self._open

    def clear_requests(self) -> None:
        """Forget the requests seen. Those in progress go on, and still count as open."""
        with self._lock:
            self._seen.clear()

    def reset(self) -> None:
        """Forget scripts and requests."""
        self.clear_scripts()
        self.clear_requests()
