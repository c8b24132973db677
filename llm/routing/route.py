"""The values that a route is made of: the route itself, its stages, and the models that each stage races."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelRef:
    """One model of one provider. `provider` is the name under which the provider is configured."""

    provider: str
    name: str


@dataclass(frozen=True, slots=True)
class Stage:
    """The models that race each other. A stage of one model is no race."""

    models: tuple[ModelRef, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """The stages in the order in which they are tried. `written` is the text that the route was read from."""

    written: str
    stages: tuple[Stage, ...]

    @property
    def first(self) -> ModelRef:
        return self.stages[0].models[0]
