"""`/v1/models`: the models that the settings name, and the routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from chat.doors.openai.base import ERRORS, OpenAIView
from chat.doors.serving import parts_of
from llm import Engine

# OpenAI's clients expect the time at which a model was created. The settings know none, so all have this one.
CREATED = 1_700_000_000


class ModelsView(OpenAIView):
    @extend_schema(
        operation_id="v1_models_list", summary="Configured models and routes", responses={200: OpenApiTypes.OBJECT}
    )
    async def get(self, request: Request) -> Response:
        data = [_model(name, owner) for name, owner in models_to_list(parts_of(request).engine).items()]
        return Response({"object": "list", "data": data})


class ModelView(OpenAIView):
    @extend_schema(
        operation_id="v1_models_retrieve",
        summary="A configured model or route",
        responses={200: OpenApiTypes.OBJECT, 404: ERRORS[404]},
    )
    async def get(self, request: Request, model: str) -> Response:
        owner = models_to_list(parts_of(request).engine).get(model)
        if owner is None:
            raise NotFound(f"The model '{model}' is not configured here.", code="model_not_found")
        return Response(_model(model, owner))


def models_to_list(engine: Engine) -> dict[str, str]:
    """The names of models and routes, each with its owner: a provider, or `route` for a route."""
    return {**dict.fromkeys(engine.config.routes, "route"), **dict(_models(engine))}


def _models(engine: Engine) -> Iterator[tuple[str, str]]:
    for written in (settings.DEFAULT_MODEL, *settings.FALLBACK_MODELS, *engine.config.routes.values()):
        for stage in engine.route(written).stages:
            for model in stage.models:
                default = model.provider == engine.config.default_provider
                name = model.name if default else f"{model.provider}/{model.name}"
                yield name, engine.config.providers[model.provider].name


def _model(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": owner}
