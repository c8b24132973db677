"""The simulator's odd models behind the whole service: a good answer is taken however it comes, and asked for once."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest

from llm.simulator import SimulatorThread
from llm.simulator.script.odd_models import ODD_ANSWERS
from tests.support.upstreams.wire_asking import CHAT, TEXT_DOORS, ask, native_stream, openai_stream, record_of

# Models whose usage is missing or can't be right, so that it is estimated.
ESTIMATED = {"sim-usage-zeros", "sim-usage-negative"}


@pytest.mark.parametrize("model", ODD_ANSWERS)
def test_an_odd_answer_is_taken_at_every_door_and_asked_for_once(
    client: httpx2.Client, simulator: SimulatorThread, model: str
) -> None:
    for path, stream in TEXT_DOORS:
        fields = {"stream": True} if stream and path.startswith("/v1") else {}
        answer = ask(client, path, model, **fields)
        assert answer.status_code == 200, (path, answer.text)
        if stream:
            assert '"error":{' not in answer.text and "event: error" not in answer.text, (path, answer.text)
        call = record_of(client, answer)
        assert call["status"] == "succeeded", (path, call)
        assert call["completion_tokens"] > 0
        # Some streams have no usage, because nobody asked for it. Either the caller did not ask for a stream, or the
        # model refuses the field that asks for usage.
        unasked = model == ("sim-no-stream-options" if stream else "sim-events-for-json") and path != "/v1/responses"
        assert call["usage_estimated"] is (model in ESTIMATED or unasked), path
    # The engine learns once that a field is refused, which takes one more request. It learns it for the model, or for
    # each of two APIs.
    more = (1, 2) if model == "sim-no-stream-options" else (0,)
    assert len(simulator.requests()) - len(TEXT_DOORS) in more


@pytest.mark.parametrize("model", sorted(ODD_ANSWERS.keys() - {"sim-audio", "sim-tool-no-index"}))
def test_the_text_of_an_odd_answer_is_the_same_in_a_race_and_in_a_stream(client: httpx2.Client, model: str) -> None:
    raced = ask(client, "/chat/parallel", f"{model}|sim-slow").json()["content"]
    streamed = ask(client, "/chat/stream", model)
    passed_on = ask(client, CHAT, model, stream=True)
    assert raced and raced == native_stream(streamed).text == openai_stream(passed_on).text
    assert record_of(client, streamed)["content"] == record_of(client, passed_on)["content"] == raced


@pytest.mark.parametrize("model", ["sim-thinks-only", "sim-finish-error", "sim-too-long", "sim-not-chat", "sim-501"])
def test_a_fault_that_another_model_has_not_goes_on(
    start_site: Callable[..., httpx2.Client], simulator: SimulatorThread, model: str
) -> None:
    client = start_site(MAX_RETRIES=0)
    answer = ask(client, "/chat/fallback", f"{model}>gpt-4o")
    assert answer.json()["model_used"] == "gpt-4o", answer.text
    assert [request["model"] for request in simulator.requests()] == [model, "gpt-4o"]
