"""Structured outputs of the simulator: the JSON that it answers with fits the schema that was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import openai
import pytest
from pydantic import BaseModel, Field

from llm.simulator import Behaviour, SimulatorThread
from llm.simulator.generation.json_sample import fitting_json
from llm.simulator.openai_errors import Refusal
from tests.support.loopback import DIRECT


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread() as running:
        yield running


@pytest.fixture(scope="module")
def sdk(simulator: SimulatorThread) -> Iterator[openai.OpenAI]:
    http = openai.DefaultHttpxClient(**DIRECT)
    url = simulator.base_url
    with openai.OpenAI(base_url=url, api_key="any", max_retries=0, timeout=10, http_client=http) as client:
        yield client


class Leaf(BaseModel):
    kind: Literal["leaf"]
    colour: Literal["red", "green"]


class Branch(BaseModel):
    kind: Literal["branch"]
    left: Branch | Leaf
    right: Leaf | None


class Answer(BaseModel):
    tree: Branch
    names: Annotated[list[str], Field(min_length=2)]
    percent: Annotated[int, Field(ge=10, le=90, multiple_of=7)]
    ratio: Annotated[float, Field(gt=0, lt=1)]
    below: Annotated[int, Field(lt=-5)]
    either: int | str
    code: Annotated[str, Field(min_length=12, max_length=14)]
    nothing: None


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/Missing"},
        {"type": "object", "properties": {"self": {"$ref": "#"}}, "required": ["self"]},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "array", "minItems": 10**9},
        {"type": "string", "minLength": -1},
        {"type": "number", "minimum": float("inf"), "multipleOf": 1e-320},
        {"type": "number", "minimum": 2, "multipleOf": 0},
        {"type": "array", "minItems": 1000, "items": {"type": "array", "minItems": 1000}},
    ],
)
def test_a_schema_that_nothing_fits_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as caught:
        fitting_json(schema, param="text.format")
    assert (caught.value.status, caught.value.error["param"]) == (400, "text.format")


def test_a_schema_too_deep_to_follow_is_refused() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(5_000):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    with pytest.raises(Refusal):
        fitting_json(schema, param="tools")


def test_what_pydantic_asks_for_is_what_it_gets() -> None:
    answer = Answer.model_validate_json(fitting_json(Answer.model_json_schema(), param="text.format"))
    assert answer.tree.left == Leaf(kind="leaf", colour="red")
    assert len(answer.names) == 2


@pytest.mark.parametrize("schema", [None, [], "x", {"type": "object"}, {"type": "object", "properties": []}])
def test_what_describes_nothing_is_fitted_by_an_empty_object(schema: Any) -> None:
    assert fitting_json(schema, param="tools") == "{}"


def test_only_what_is_required_is_given() -> None:
    properties = {"a": {"type": ["null", "string"]}, "b": {"type": "string"}, "c": {"const": 7}}
    schema = {"type": "object", "properties": properties, "required": ["a", "c"]}
    assert json.loads(fitting_json(schema, param="tools")) == {"a": None, "c": 7}


def test_a_chat_completion_is_parsed_by_the_sdk(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.parse(model="m", messages=[{"role": "user", "content": "Hi"}], response_format=Leaf)
    assert answer.choices[0].message.parsed == Leaf(kind="leaf", colour="red")


def test_a_json_object_is_one_in_chat_and_in_a_response(sdk: openai.OpenAI) -> None:
    chat = sdk.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "Hi"}], response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(chat.choices[0].message.content or ""), dict)
    response = sdk.responses.create(model="m", input="Hi", text={"format": {"type": "json_object"}})
    assert isinstance(json.loads(response.output_text), dict)


def test_a_scripted_answer_stands_whatever_the_format(simulator: SimulatorThread, sdk: openai.OpenAI) -> None:
    simulator.script("scripted", Behaviour(answer="not JSON"))
    response = sdk.responses.create(model="scripted", input="Hi", text={"format": {"type": "json_object"}})
    assert response.output_text == "not JSON"


def test_chat_calls_the_tool_that_was_chosen(sdk: openai.OpenAI) -> None:
    tools: Any = [{"type": "function", "function": {"name": name}} for name in ("first", "second")]
    answer = sdk.chat.completions.create(
        model="sim-tool",
        messages=[{"role": "user", "content": "Hi"}],
        tools=tools,
        tool_choice={"type": "function", "function": {"name": "second"}},
    )
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "second"
