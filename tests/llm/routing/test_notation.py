"""The route notation, and everything that it refuses."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from llm.errors import RouteError
from llm.routing.notation import parse_route

ROUTES = {
    "fast": "gpt-4o|gpt-4o-mini",
    "careful": "gpt-4o>anthropic/claude",
    "nested": "fast>careful",
    "ouroboros": "gpt-4o>ouroboros",
    "ping": "pong",
    "pong": "x>ping",
    "nothing": "",
    "gpt-shadowed": "gpt-4o",
}


def stages(written: str, routes: Mapping[str, str] = ROUTES) -> list[list[str]]:
    route = parse_route(written, providers=["openai", "anthropic"], default_provider="openai", routes=routes)
    assert route.written == written
    assert route.first == route.stages[0].models[0]
    return [[f"{model.provider}:{model.name}" for model in stage.models] for stage in route.stages]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("gpt-4o", [["openai:gpt-4o"]]),
        ("a|b", [["openai:a", "openai:b"]]),
        ("a>b", [["openai:a"], ["openai:b"]]),
        ("a|b>c", [["openai:a", "openai:b"], ["openai:c"]]),
        ("a>b|c>d", [["openai:a"], ["openai:b", "openai:c"], ["openai:d"]]),
        (" a | b > c ", [["openai:a", "openai:b"], ["openai:c"]]),
        ("a|a", [["openai:a", "openai:a"]]),
        ("openai/a", [["openai:a"]]),
        ("anthropic/claude|a", [["anthropic:claude", "openai:a"]]),
        ("openai/meta/llama", [["openai:meta/llama"]]),
        ("anthropic/meta/llama", [["anthropic:meta/llama"]]),
        ("ft:gpt-4o:org::id", [["openai:ft:gpt-4o:org::id"]]),
        ("fast", [["openai:gpt-4o", "openai:gpt-4o-mini"]]),
        ("fast|x", [["openai:gpt-4o", "openai:gpt-4o-mini", "openai:x"]]),
        ("x>fast", [["openai:x"], ["openai:gpt-4o", "openai:gpt-4o-mini"]]),
        ("careful>x", [["openai:gpt-4o"], ["anthropic:claude"], ["openai:x"]]),
        ("nested", [["openai:gpt-4o", "openai:gpt-4o-mini"], ["openai:gpt-4o"], ["anthropic:claude"]]),
        ("fast>fast", [["openai:gpt-4o", "openai:gpt-4o-mini"]] * 2),
        ("gpt-shadowed", [["openai:gpt-4o"]]),
        ("openai/fast", [["openai:fast"]]),
    ],
)
def test_a_route_is_read(written: str, expected: list[list[str]]) -> None:
    assert stages(written) == expected


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "The route is empty."),
        ("   ", "The route is empty."),
        ("|", "A model is missing in the route '|'."),
        (">", "A model is missing in the route '>'."),
        ("a|", "A model is missing in the route 'a|'."),
        ("|a", "A model is missing"),
        ("a>", "A model is missing"),
        (">a", "A model is missing"),
        ("a||b", "A model is missing"),
        ("a>>b", "A model is missing"),
        ("a| >b", "A model is missing"),
        ("meta/llama", "There is no provider 'meta'. Known are openai, anthropic."),
        ("gpt-4o>meta/llama", "written openai/meta/llama."),
        ("OpenAI/gpt-4o", "There is no provider 'OpenAI'."),
        ("/a", "There is no provider ''."),
        ("anthropic/", "A model is missing behind 'anthropic/'."),
        ("a b", "no spaces"),
        ("a\tb", "no spaces"),
        ("a\u00a0b", "no spaces"),
        ("a\x00", "printable"),
        ("a\u202eb", "printable"),
        ("a\ud800", "printable"),
        ("x" * 201, "1 to 200"),
        ("ouroboros", "The route 'ouroboros' contains itself."),
        ("x>ping", "contains itself"),
        ("careful|x", "The route 'careful' has fallbacks, so it can't be one side of a race."),
        ("|".join("a" * 17), "at most 16 models"),
        (">".join("a" * 17), "at most 16 models"),
        (">".join(["fast"] * 9), "at most 16 models"),
        ("a>nothing", "empty"),
    ],
)
def test_a_route_that_cannot_be_read_says_why(written: str, why: str) -> None:
    with pytest.raises(RouteError) as raised:
        stages(written)
    assert why in raised.value.message
    assert len(raised.value.message) < 300


def test_sixteen_models_are_not_too_many() -> None:
    assert sum(map(len, stages("|".join("a" * 8) + ">" + ">".join("b" * 8)))) == 16


def test_a_name_of_200_characters_is_not_too_long() -> None:
    assert stages("x" * 200) == [["openai:" + "x" * 200]]


def test_the_reason_does_not_quote_a_whole_page_of_it() -> None:
    with pytest.raises(RouteError) as raised:
        stages("a>" * 50_000)
    assert len(raised.value.message) < 1_000
