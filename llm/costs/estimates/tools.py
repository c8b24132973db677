"""How many tokens the tools and the schema of an answer add to a prompt.

OpenAI shows a model its functions as declarations, not as JSON. The frame of each part was found by experiment.
Source: OpenAI Cookbook, "How to count tokens with tiktoken", section 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm.costs.estimates.prompt import Prompt
from llm.costs.tokens import COUNTED_BYTES, vocabulary_of
from llm.json_values import write_json

# Tokens that begin each function, by vocabulary.
TOKENS_PER_FUNCTION = {"cl100k_base": 10, "o200k_base": 7}

# Tokens that begin the properties of an object, and each property.
TOKENS_PER_PROPERTIES = 3
TOKENS_PER_PROPERTY = 3

# Tokens of each value of an enumeration, and what the list of them saves.
TOKENS_PER_VALUE = 3
TOKENS_PER_VALUES = -3

# Tokens that end the list of functions.
TOKENS_OF_LIST = 12

# Tokens that frame the schema of an answer, which is shown as JSON.
TOKENS_PER_SCHEMA = 10

# Tokens of a tool that the provider runs itself, such as a search. What they are is not published.
TOKENS_PER_OWN_TOOL = 100

# Bytes of a token of JSON, for schemas that are too long to be read.
JSON_BYTES_PER_TOKEN = 4


def add_tools(prompt: Prompt, model: str, body: Mapping[str, Any]) -> None:
    """Count the tools of a body, in the words of chat completions, of responses, or of the old `functions`."""
    listed = [tool for name in ("tools", "functions") for tool in _objects(body.get(name))]
    if not listed:
        return
    if (size := _size(listed)) > COUNTED_BYTES:
        prompt.frame += size // JSON_BYTES_PER_TOKEN
        return
    functions = [function for tool in listed if (function := _function_in(tool))]
    for function in functions:
        _add_function(prompt, function, TOKENS_PER_FUNCTION[vocabulary_of(model)])
    prompt.frame += TOKENS_OF_LIST * bool(functions) + TOKENS_PER_OWN_TOOL * (len(listed) - len(functions))


def add_schema(prompt: Prompt, answer_format: object) -> None:
    """Count the schema that an answer must have: a `response_format`, or the `text.format` of a response."""
    if not isinstance(answer_format, Mapping) or answer_format.get("type") != "json_schema":
        return
    described = answer_format.get("json_schema") or answer_format
    if not isinstance(described, Mapping):
        return
    prompt.frame += TOKENS_PER_SCHEMA
    prompt.add_text(f"{described.get('name') or ''} {described.get('description') or ''}".strip())
    prompt.add_text(write_json(described.get("schema") or {}).decode())


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _size(value: object) -> int:
    try:
        return len(write_json(value))
    except (ValueError, TypeError, RecursionError):
        return 0


def _function_in(tool: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The function of a tool; None if it is one that the provider runs."""
    inner = tool.get("function")
    if isinstance(inner, Mapping):
        return inner
    is_function = tool.get("type") in (None, "function", "custom")
    return tool if is_function and isinstance(tool.get("name"), str) else None


def _add_function(prompt: Prompt, function: Mapping[str, Any], begin: int) -> None:
    prompt.frame += begin
    prompt.add_text(f"{function.get('name')}:{_description(function)}")
    _add_properties(prompt, function.get("parameters"))
    if isinstance(function.get("format"), Mapping):  # the grammar of a custom tool
        prompt.add_text(str(function["format"].get("definition") or ""))


def _add_properties(prompt: Prompt, schema: object) -> None:
    """Count the properties of a schema, and of the schemas in it."""
    if not isinstance(schema, Mapping):
        return
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and properties:
        prompt.frame += TOKENS_PER_PROPERTIES
        for name, value in properties.items():
            _add_property(prompt, str(name), value if isinstance(value, Mapping) else {})
    for name in ("items", "additionalProperties"):
        _add_properties(prompt, schema.get(name))
    for name in ("anyOf", "oneOf", "allOf"):
        for each in _objects(schema.get(name)):
            _add_properties(prompt, each)
    for name in ("$defs", "definitions"):
        defined = schema.get(name)
        for each in defined.values() if isinstance(defined, Mapping) else ():
            _add_properties(prompt, each)


def _add_property(prompt: Prompt, name: str, value: Mapping[str, Any]) -> None:
    prompt.frame += TOKENS_PER_PROPERTY
    values = value.get("enum")
    if isinstance(values, list) and values:
        prompt.frame += TOKENS_PER_VALUES + TOKENS_PER_VALUE * len(values)
        for each in values:
            prompt.add_text(str(each))
    kind = value.get("type")
    prompt.add_text(f"{name}:{kind if isinstance(kind, str) else ''}:{_description(value)}")
    _add_properties(prompt, value)


def _description(described: Mapping[str, Any]) -> str:
    return str(described.get("description") or "").removesuffix(".")
