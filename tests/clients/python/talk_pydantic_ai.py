"""Uses the service as a Pydantic AI program does, and prints the results as JSON."""

import asyncio
import json
import os

from pydantic import BaseModel
from pydantic_ai import Agent, Embedder, NativeOutput
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

PROVIDER = OpenAIProvider(base_url=os.environ["BASE_URL"] + "/v1", api_key="sk-any")


class Trip(BaseModel):
    city: str
    days: int


def agent(model: str, **options) -> Agent:
    return Agent(OpenAIChatModel(model, provider=PROVIDER), **options)


async def stream(model: str) -> str:
    text = ""
    async with agent(model).run_stream("Hello") as result:
        async for piece in result.stream_text(delta=True, debounce_by=None):
            text += piece
    return text


async def tools() -> list:
    called = []
    asking = agent("sim-tool")

    @asking.tool_plain
    def weather(city: str) -> str:
        called.append({"city": city})
        return "sunny"

    told = (await asking.run("Hello")).output
    return [called[0], told]


async def error(model: str, **options) -> list:
    try:
        await agent(model, **options).run("Hello")
    except Exception as failed:
        return [[kind.__name__ for kind in type(failed).__mro__], failed.status_code]
    return []


async def broken() -> list:
    text = ""
    try:
        async with agent("sim-cut").run_stream("Hello") as result:
            async for piece in result.stream_text(delta=True, debounce_by=None):
                text += piece
    except Exception as failed:
        return [text, failed.body["code"]]
    return [text]


async def main() -> None:
    later = {"extra_body": {"x-default-message": "Later."}}
    embedder = Embedder(OpenAIEmbeddingModel("text-embedding-3-small", provider=PROVIDER))
    found = {
        "whole": (await agent("sim-503>gpt-4o").run("Hello")).output,
        "stream": await stream("sim-503>gpt-4o"),
        "async": (await agent("gpt-4o|gpt-4o-mini").run("Hello")).response.model_name,
        "tools": await tools(),
        "structured": (await agent("structured", output_type=NativeOutput(Trip)).run("Hello")).output.model_dump(),
        "embeddings": len((await embedder.embed_documents(["a", "b"])).embeddings),
        "default_message": (await agent("sim-500", model_settings=later).run("Hello")).output,
        "broken": await broken(),
        "errors": {model: await error(model) for model in ("sim-401", "sim-429", "sim-500", "sim-context")},
        "late": await error("sim-slow", model_settings={"extra_headers": {"x-timeout": "0.2"}}),
    }
    print(json.dumps(found))


asyncio.run(main())
