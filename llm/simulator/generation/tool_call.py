"""The function call that a simulated model makes when it is scripted to make one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from llm.simulator.generation.json_sample import fitting_json


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the simulated model makes; `arguments` is JSON text."""

    name: str
    arguments: str


def call_of(functions: Iterable[Mapping[str, Any]], wanted: object) -> ToolCall | None:
    """A call of the function named `wanted`, or of the first function, with arguments that fit. None if there is none.

    Raises Refusal (400) if no arguments fit.
    """
    for function in functions:
        name = str(function.get("name"))
        if wanted is None or name == wanted:
            return ToolCall(name, fitting_json(function.get("parameters"), param="tools"))
    return None
