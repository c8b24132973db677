"""The values that a route is made of: the route itself, its stages, the models of a stage, and what is asked of one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelRef:
    """One model of one provider. `provider` is the name under which the provider is configured."""

    provider: str
    name: str


@dataclass(frozen=True, slots=True)
class ModelOperation:
    """One of OpenAI's APIs at one model. A model may be well at one of them and have no other."""

    provider: str
    name: str
    operation: str


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
