"""What the simulator has answered, added up by day and model. Safe to use from any thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from llm.simulator.generation.tokens import TokenCounts

# The two kinds of usage that OpenAI reports at addresses of their own, as far as the simulator has them.
Kind = Literal["completions", "embeddings"]

# How many lines are kept. Anybody may ask for any model, so there must be a limit.
MAX_LINES: Final = 10_000

# The model of what is answered when there are so many lines already.
OTHER: Final = "other"

DAY_S: Final = 86_400


@dataclass(slots=True)
class Line:
    """What the requests of one day for one model come to, in tokens. As everywhere, `cached` is a part of `prompt`."""

    requests: int = 0
    prompt: int = 0
    cached: int = 0
    completion: int = 0


class Ledger:
    """The lines by day, kind and model. A day is named by its first second since the epoch, in UTC."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[tuple[int, Kind, str], Line] = {}

    def add(self, kind: Kind, model: str, tokens: TokenCounts, factor: float = 1.0) -> None:
        """Add one answer of now. With a `factor` other than 1, the ledger has so many times the tokens."""
        day = int(time.time()) // DAY_S * DAY_S
        with self._lock:
            key = (day, kind, model)
            if key not in self._lines and len(self._lines) >= MAX_LINES:
                key = (day, kind, OTHER)
            line = self._lines.setdefault(key, Line())
            line.requests += 1
            line.prompt += round(tokens.prompt * factor)
            line.cached += round(tokens.cached * factor)
            line.completion += round(tokens.completion * factor)

    def lines(self, day: int) -> Iterator[tuple[Kind, str, Line]]:
        """The lines of a day: the kind of usage, the model by the name that requests gave it, and the sums."""
        with self._lock:
            found = [(kind, model, line) for (of, kind, model), line in self._lines.items() if of == day]
        yield from found

    def clear(self) -> None:
        """Forget all lines."""
        with self._lock:
            self._lines.clear()
