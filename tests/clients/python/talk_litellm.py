"""Uses the service as a program that uses LiteLLM as a library does, and prints the results as JSON."""

import asyncio
import json
import os

import litellm
from pydantic import BaseModel

litellm.suppress_debug_info = True
WHERE = {"api_base": os.environ["BASE_URL"] + "/v1", "api_key": "sk-any"}
HELLO = [{"role": "user", "content": "Hello"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}]


class Trip(BaseModel):
    city: str
    days: int


def complete(model: str, messages: list = HELLO, **options):
    return litellm.completion(model=f"openai/{model}", messages=messages, **WHERE, **options)


def text(model: str, **options) -> str:
    return complete(model, **options).choices[0].message.content


def tools() -> list:
    called = complete("sim-tool", tools=TOOLS).choices[0].message
    told = {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "sunny"}
    arguments = json.loads(called.tool_calls[0].function.arguments)
    return [arguments, text("sim-tool", messages=[*HELLO, called.model_dump(), told], tools=TOOLS)]


def error(model: str, **options) -> list:
    try:
        complete(model, **options)
    except Exception as failed:
        return [[kind.__name__ for kind in type(failed).__mro__], failed.status_code]
    return []


def broken() -> list:
    written = ""
    try:
        for chunk in complete("sim-cut", stream=True):
            written += chunk.choices[0].delta.content or ""
    except Exception as failed:
        return [written, type(failed).__name__]
    return [written]


chunks = complete("sim-503>gpt-4o", stream=True)
asked = litellm.acompletion(model="openai/gpt-4o|gpt-4o-mini", messages=HELLO, **WHERE)
found = {
    "whole": text("sim-503>gpt-4o"),
    "stream": "".join(chunk.choices[0].delta.content or "" for chunk in chunks),
    "async": asyncio.run(asked).model,
    "tools": tools(),
    "structured": Trip.model_validate_json(text("structured", response_format=Trip)).model_dump(),
    "embeddings": len(litellm.embedding(model="openai/text-embedding-3-small", input=["a", "b"], **WHERE).data),
    "default_message": text("sim-500", extra_body={"x-default-message": "Later."}),
    "broken": broken(),
    "errors": {model: error(model) for model in ("sim-401", "sim-429", "sim-500", "sim-context")},
    "late": error("sim-slow", extra_headers={"x-timeout": "0.2"}),
}
print(json.dumps(found))
