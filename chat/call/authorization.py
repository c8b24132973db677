"""Which models a caller may call. It may call a route if it may call every model in that route."""

from __future__ import annotations

from fnmatch import fnmatchcase

from rest_framework.exceptions import PermissionDenied

from access.callers import Caller, Scope
from llm import Engine, ModelRef, Route


def authorize(engine: Engine, caller: Caller, route: Route) -> None:
    """Raises PermissionDenied, which names the scope or the model that is refused."""
    caller.require(Scope.CHAT)
    if not caller.models:
        return
    for stage in route.stages:
        for model in stage.models:
            if not _may_call(engine, caller, model):
                raise PermissionDenied(f"The API key '{caller.name}' may not call the model '{model.name}'.")


def _may_call(engine: Engine, caller: Caller, model: ModelRef) -> bool:
    """Whether one of the key's entries allows the model: a pattern of names, or a route that has the model in it."""
    names = [f"{model.provider}/{model.name}"]
    if model.provider == engine.config.default_provider:
        names.append(model.name)
    for allowed in caller.models:
        if any(fnmatchcase(name, allowed) for name in names):
            return True
        if allowed in engine.config.routes and any(model in stage.models for stage in engine.route(allowed).stages):
            return True
    return False
