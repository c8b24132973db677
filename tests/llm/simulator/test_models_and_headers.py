"""The list of models, and the headers that every answer has."""

from __future__ import annotations

import httpx2
import openai

from llm.simulator import SIM_MODELS
from tests.llm.simulator.chat_client import ask


async def test_the_models_that_misbehave_are_listed_and_any_name_exists(sdk: openai.AsyncOpenAI) -> None:
    names = {model.id async for model in sdk.models.list()}
    assert names >= {"gpt-4o", *SIM_MODELS}
    assert (await sdk.models.retrieve("vendor/any-model")).id == "vendor/any-model"


async def test_every_answer_has_its_own_request_id_and_a_processing_time(http: httpx2.AsyncClient) -> None:
    responses = [
        await ask(http),
        await ask(http, "sim-500"),
        await ask(http, stream=True),
        await http.get("/v1/models"),
    ]
    assert len({response.headers["x-request-id"] for response in responses}) == 4
    assert all(response.headers["openai-processing-ms"].isdigit() for response in responses)
