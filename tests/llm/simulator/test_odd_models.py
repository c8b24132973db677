"""The built-in models that do what other servers do and OpenAI does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from llm.simulator import SIM_MODELS
from llm.simulator.script.odd_models import ODD_ANSWERS
from llm.simulator.twists import TWISTS
from tests.llm.simulator.chat_client import ask

Json = dict[str, Any]
USAGE = {"stream_options": {"include_usage": True}}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


async def stream_of(http: httpx2.AsyncClient, model: str, **fields: Any) -> str:
    answer = await ask(http, model, stream=True, **fields)
    assert answer.status_code == 200, answer.text
    return answer.text


def chunks_in(text: str) -> list[Json]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: {")]


def choices_in(text: str) -> list[Json]:
    return [choice for chunk in chunks_in(text) for choice in chunk["choices"]]


async def whole_choice(http: httpx2.AsyncClient, model: str) -> Json:
    choice: Json = (await ask(http, model)).json()["choices"][0]
    return choice


def reasons(text: str) -> set[str | None]:
    return {choice["finish_reason"] for choice in choices_in(text)}


async def test_a_stream_that_was_not_asked_for_and_one_that_does_not_come(http: httpx2.AsyncClient) -> None:
    whole = await ask(http, "sim-json-for-stream", stream=True)
    assert whole.headers["content-type"] == "application/json"
    assert whole.json()["object"] == "chat.completion"
    stream = await ask(http, "sim-events-for-json")
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.text.endswith("data: [DONE]\n\n")
    embedded = await http.post("/v1/embeddings", json={"model": "sim-events-for-json", "input": "hi"})
    assert embedded.json()["object"] == "list"  # this API has no streams


async def test_streams_under_another_content_type(http: httpx2.AsyncClient) -> None:
    for model, media_type in (("sim-events-as-json", "application/json"), ("sim-events-as-html", "text/html")):
        stream = await ask(http, model, stream=True)
        assert stream.headers["content-type"] == media_type
        assert stream.text.startswith("data: {")


@pytest.mark.parametrize("stream", [False, True])
async def test_gzip_comes_unasked(http: httpx2.AsyncClient, stream: bool) -> None:
    http.headers["accept-encoding"] = "identity"
    answer = await ask(http, "sim-gzip", stream=stream)
    assert answer.headers["content-encoding"] == "gzip"
    assert "simulated" in answer.text
    assert answer.text.endswith("[DONE]\n\n" if stream else "}")


async def test_nothings_between_events_and_no_blank_line_at_the_end(http: httpx2.AsyncClient) -> None:
    text = await stream_of(http, "sim-null-events")
    assert text.count("data: null\n\n") == text.count(": working\n\n") == text.count("data:\n\n") > 3
    text = await stream_of(http, "sim-no-blank-line")
    assert text.endswith("\n\ndata: [DONE]")


async def test_a_character_is_cut_in_two(http: httpx2.AsyncClient) -> None:
    text = await stream_of(http, "sim-pair-cut")
    assert '\\ud83d"' in text and '"\\ude00' in text
    said = "".join(choice["delta"].get("content") or "" for choice in choices_in(text))
    assert said.encode("utf-16", "surrogatepass").decode("utf-16") == "Hi 😀 there."


async def test_finish_reasons_that_are_missing_or_none(http: httpx2.AsyncClient) -> None:
    done_only = await stream_of(http, "sim-done-only")
    assert (reasons(done_only), done_only.endswith("data: [DONE]\n\n")) == ({None}, True)
    assert (await whole_choice(http, "sim-done-only"))["finish_reason"] is None
    assert reasons(await stream_of(http, "sim-null-reason")) == {"null", "stop"}
    goes_on = choices_in(await stream_of(http, "sim-goes-on"))
    assert [choice["finish_reason"] for choice in goes_on[-3:]] == ["stop", None, "stop"]
    assert goes_on[-2]["delta"] == {"content": " And more."}
    failed = await whole_choice(http, "sim-finish-error")
    assert (failed["finish_reason"], failed["error"]["code"]) == ("error", 502)
    assert reasons(await stream_of(http, "sim-finish-error")) == {None, "error"}


async def test_the_last_frame_repeats_the_message(http: httpx2.AsyncClient) -> None:
    *chunks, last = chunks_in(await stream_of(http, "sim-full-message"))
    said = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert last["object"] == "chat.completion"
    assert last["choices"][0]["message"]["content"] == said != ""


async def test_content_that_is_parts_thoughts_or_audio(http: httpx2.AsyncClient) -> None:
    parts = (await whole_choice(http, "sim-parts"))["message"]["content"]
    assert [part["type"] for part in parts] == ["thinking", "text"]
    deltas = [choice["delta"].get("content") for choice in choices_in(await stream_of(http, "sim-parts"))]
    assert isinstance(deltas[0], list) and isinstance(deltas[1], str)
    thoughts = await whole_choice(http, "sim-thinks-only")
    assert thoughts["message"]["content"] == "" and thoughts["message"]["reasoning_content"]
    assert not any(choice["delta"].get("content") for choice in choices_in(await stream_of(http, "sim-thinks-only")))
    audio = (await whole_choice(http, "sim-audio"))["message"]
    assert audio["content"] is None and audio["audio"]["transcript"]


async def test_a_tool_call_without_an_index(http: httpx2.AsyncClient) -> None:
    text = await stream_of(http, "sim-tool-no-index", tools=TOOLS)
    pieces = [piece for choice in choices_in(text) for piece in choice["delta"].get("tool_calls", ())]
    assert pieces and not any("index" in piece for piece in pieces)
    assert pieces[0]["function"]["name"] == "weather"


async def test_stream_options_are_refused_and_nothing_else(http: httpx2.AsyncClient) -> None:
    refused = await ask(http, "sim-no-stream-options", stream=True, **USAGE)
    assert refused.status_code == 422
    assert refused.json()["message"]["detail"][0]["loc"] == ["body", "stream_options"]
    assert (await ask(http, "sim-no-stream-options", stream=True)).status_code == 200


async def test_usage_in_other_words_and_places(http: httpx2.AsyncClient) -> None:
    async def usage(model: str) -> Json:
        stated: Json = (await ask(http, model)).json()["usage"]
        return stated

    assert set((await usage("sim-usage-zeros")).values()) == {0}
    negative = await usage("sim-usage-negative")
    assert (negative["completion_tokens"], negative["total_tokens"]) == (-1, negative["prompt_tokens"] - 1)
    beside = await usage("sim-usage-beside")
    assert beside["total_tokens"] == beside["prompt_tokens"] + beside["completion_tokens"] + 70
    assert (await usage("sim-usage-deepseek"))["prompt_cache_hit_tokens"] == 90
    in_choice = (await ask(http, "sim-usage-in-choice")).json()
    assert "usage" not in in_choice and in_choice["choices"][0]["usage"]["total_tokens"] > 0
    last = chunks_in(await stream_of(http, "sim-usage-in-choice", **USAGE))[-1]
    assert last["choices"][0]["usage"]["total_tokens"] > 0
    first, second = chunks_in(await stream_of(http, "sim-usage-halves", **USAGE))[-2:]
    assert (first["usage"]["completion_tokens"], second["usage"]["prompt_tokens"]) == (0, 0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "status", "words"),
    [
        ("sim-too-long", 400, "exceeds the available context size"),
        ("sim-not-chat", 404, "not a chat model"),
        ("sim-detail", 422, "Field required"),
        ("sim-object-error", 200, '"object":"error"'),
        ("sim-event-error", 200, "event: error\ndata: {"),
        ("sim-402", 402, "no credit left"),
        ("sim-501", 501, "does not support this"),
    ],
)
async def test_errors_of_another_shape(
    http: httpx2.AsyncClient, model: str, status: int, words: str, stream: bool
) -> None:
    answer = await ask(http, model, stream=stream)
    assert answer.status_code == status
    assert words in answer.text


@pytest.mark.parametrize("model", ODD_ANSWERS)
@pytest.mark.parametrize("stream", [False, True])
async def test_every_odd_answer_is_one_in_every_api(http: httpx2.AsyncClient, model: str, stream: bool) -> None:
    for path, asked in (("completions", "prompt"), ("responses", "input"), ("embeddings", "input")):
        body = {"model": model, asked: "hi", **({} if path == "embeddings" else {"stream": stream})}
        answer = await http.post(f"/v1/{path}", json=body)
        assert answer.status_code == 200, answer.text
        if answer.headers["content-type"] == "application/json" and model != "sim-events-as-json":
            assert answer.json()["object"] in ("text_completion", "response", "list")


def test_every_built_in_model_and_every_twist_is_in_the_docs() -> None:
    page = (Path(__file__).parents[3] / "docs" / "simulator.md").read_text()
    assert [name for name in (*SIM_MODELS, *TWISTS) if f"`{name}`" not in page] == []
    assert [model.summary for model in SIM_MODELS.values() if model.summary not in page] == []
