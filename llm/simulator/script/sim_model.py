"""What a built-in model is."""

from __future__ import annotations

from dataclasses import dataclass

from llm.simulator.script.behaviour import Behaviour


@dataclass(frozen=True, slots=True)
class SimModel:
    """A built-in model: what it does, as a text for people and as a behaviour."""

    summary: str
    behaviour: Behaviour
