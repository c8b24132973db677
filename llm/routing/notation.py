"""Reading a route as it is written: `a|b` is a race, `a>b` is a fallback, and a name from the settings is a route.

gpt-4o|gpt-4o-mini>gpt-6-luna      race the first two; if both fail, ask the third
anthropic/claude-sonnet-4-5>fast   ask a model of another provider, then follow the route that is named `fast`
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from llm.errors import RouteError
from llm.routing.route import ModelRef, Route, Stage

# How many models one route may name, those of the named routes in it included. Each of them may become a paid request.
MAX_MODELS_IN_ROUTE = 16

# The longest name of a model that is accepted, in characters.
MAX_NAME_LENGTH = 200


def parse_route(
    written: str, *, providers: Collection[str], default_provider: str, routes: Mapping[str, str] | None = None
) -> Route:
    """Read a route. Raises RouteError with the reason if it can't be read.

    The part of a name before its first slash is a provider, which must be configured: a prompt that was meant for one
    provider must not be sent to another. A model of the default provider with a slash in its name is written with the
    provider, like `openai/meta-llama/Llama-3`.
    """
    stages = _parse_stages(written, providers, default_provider, routes or {}, inside=())
    if sum(len(stage.models) for stage in stages) > MAX_MODELS_IN_ROUTE:
        raise RouteError(f"A route may name at most {MAX_MODELS_IN_ROUTE} models.")
    return Route(written=written, stages=tuple(stages))


def _parse_stages(
    written: str, providers: Collection[str], default_provider: str, routes: Mapping[str, str], inside: tuple[str, ...]
) -> list[Stage]:
    stages: list[Stage] = []
    for text in written.split(">"):
        models: list[ModelRef] = []
        names = [name.strip() for name in text.split("|")]
        for name in names:
            if name not in routes:
                models.append(_parse_model(name, written, providers, default_provider))
                continue
            if name in inside:
                raise RouteError(f"The route '{name}' contains itself.")
            named = _parse_stages(routes[name], providers, default_provider, routes, (*inside, name))
            if len(names) == 1:
                stages.extend(named)
            elif len(named) == 1:
                models.extend(named[0].models)
            else:
                raise RouteError(f"The route '{name}' has fallbacks, so it can't be one side of a race.")
        if models:
            stages.append(Stage(tuple(models)))
    return stages


def _parse_model(name: str, written: str, providers: Collection[str], default_provider: str) -> ModelRef:
    if not name:
        raise RouteError(
            f"A model is missing in the route '{written[:100]}'." if written.strip() else "The route is empty."
        )
    if len(name) > MAX_NAME_LENGTH or not name.isprintable() or any(c.isspace() for c in name):
        raise RouteError(f"A model's name has 1 to {MAX_NAME_LENGTH} printable characters and no spaces.")
    prefix, slash, rest = name.partition("/")
    if not slash:
        return ModelRef(provider=default_provider, name=name)
    if prefix not in providers:
        raise RouteError(
            f"There is no provider '{prefix[:60]}'. Known are {', '.join(list(providers)[:10])}. A model of "
            f"{default_provider} that has a slash in its name is written {default_provider}/{name[:60]}."
        )
    if not rest:
        raise RouteError(f"A model is missing behind '{prefix}/'.")
    return ModelRef(provider=prefix, name=rest)
