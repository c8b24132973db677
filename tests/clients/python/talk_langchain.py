"""Uses the service as a LangChain program does, and prints the results as JSON."""

import asyncio
import json
import os

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

BASE_URL = os.environ["BASE_URL"] + "/v1"


class Trip(BaseModel):
    city: str
    days: int


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def chat(model: str, **options) -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=BASE_URL, api_key="sk-any", **options)


def tools() -> list:
    model, asked = chat("sim-tool").bind_tools([weather]), HumanMessage("Hello")
    called = model.invoke([asked])
    told = model.invoke([asked, called, weather.invoke(called.tool_calls[0])])
    return [called.tool_calls[0]["args"], told.content]


def error(model: str, **options) -> list:
    try:
        chat(model, **options).invoke("Hello")
    except Exception as failed:
        return [[kind.__name__ for kind in type(failed).__mro__], failed.status_code]
    return []


def broken() -> list:
    text = ""
    try:
        for chunk in chat("sim-cut").stream("Hello"):
            text += chunk.content
    except Exception as failed:
        return [text, failed.code]
    return [text]


embeddings = OpenAIEmbeddings(
    model="text-embedding-3-small", base_url=BASE_URL, api_key="sk-any", check_embedding_ctx_length=False
)
found = {
    "whole": chat("sim-503>gpt-4o").invoke("Hello").content,
    "stream": "".join(chunk.content for chunk in chat("sim-503>gpt-4o").stream("Hello")),
    "async": asyncio.run(chat("gpt-4o|gpt-4o-mini").ainvoke("Hello")).response_metadata["model_name"],
    "tools": tools(),
    "structured": chat("structured").with_structured_output(Trip).invoke("Hello").model_dump(),
    "embeddings": len(embeddings.embed_documents(["a", "b"])),
    "default_message": chat("sim-500", extra_body={"x-default-message": "Later."}).invoke("Hello").content,
    "broken": broken(),
    "errors": {model: error(model) for model in ("sim-401", "sim-429", "sim-500", "sim-context")},
    "late": error("sim-slow", default_headers={"x-timeout": "0.2"}),
}
print(json.dumps(found))
