"""GET /metrics: what Prometheus reads, of one process and of several."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest

from chat.observers.metrics import CallMetrics, _tokens
from chat.observers.model_labels import ModelLabels
from llm import LateEnd, Usage
from llm.simulator import Behaviour, SimulatorThread
from tests.support.loopback import loopback_get, loopback_post
from tests.support.outcomes import an_order, attempt_of, outcome_of
from tests.support.site_subprocess import SiteProcess


def value(text: str, name: str, **labels: str) -> float:
    """The sum of all samples of `name` that have these labels."""
    found = 0.0
    for line in text.splitlines():
        match = re.fullmatch(re.escape(name) + r"(?:\{(.*)\})? (\S+)", line)
        if match and labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"', match[1] or "")).items():
            found += float(match[2])
    return found


class Difference:
    """What has been counted since: the registry is the process's, and other tests count as well."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client
        self._before = self.text()

    def text(self) -> str:
        answer = self._client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        return answer.text

    def __call__(self, name: str, **labels: str) -> float:
        return value(self.text(), name, **labels) - value(self._before, name, **labels)


def test_a_call_and_each_of_its_attempts_are_counted(client: httpx2.Client, simulator: SimulatorThread) -> None:
    simulator.script("bad", Behaviour(status=500))
    since = Difference(client)
    answer = client.post("/chat", json={"prompt": "hi", "model": "bad>gpt-4o"}).json()
    assert since("llm_calls_total", door="chat", model="gpt-4o", status="succeeded") == 1
    assert since("llm_call_duration_seconds_count", door="chat", model="gpt-4o") == 1
    assert since("llm_attempts_total", status="succeeded", model="gpt-4o") == 1
    assert since("llm_attempts_total", status="failed", error="upstream_failed") == 1
    assert since("llm_tokens_total", model="gpt-4o", kind="prompt") == answer["usage"]["prompt_tokens"]
    assert since("llm_tokens_total", model="gpt-4o", kind="completion") == answer["usage"]["completion_tokens"]
    assert since("llm_cost_usd_total", model="gpt-4o") == pytest.approx(answer["cost_usd"])


USAGES = [
    Usage(prompt_tokens=100, completion_tokens=50),
    Usage(prompt_tokens=100, completion_tokens=50, cached_tokens=30, reasoning_tokens=20),
    Usage(
        prompt_tokens=100,
        completion_tokens=50,
        cached_tokens=30,
        cached_audio_tokens=10,
        cached_image_tokens=5,
        cache_write_tokens=20,
        audio_prompt_tokens=25,
        image_prompt_tokens=15,
        reasoning_tokens=9,
        audio_completion_tokens=11,
        image_completion_tokens=13,
    ),
    # What can't be: parts that are more than the whole, and a cached part that is more than its part.
    Usage(prompt_tokens=10, completion_tokens=5, cached_tokens=8, audio_prompt_tokens=9, reasoning_tokens=7),
    Usage(prompt_tokens=10, completion_tokens=5, audio_prompt_tokens=3, cached_audio_tokens=4),
]


@pytest.mark.parametrize("usage", USAGES)
def test_no_token_is_in_two_kinds_and_all_kinds_add_up(usage: Usage) -> None:
    kinds = list(_tokens(usage))
    counts = dict(kinds)
    assert len(counts) == len(kinds)
    assert all(count >= 0 for count in counts.values())
    assert sum(count for kind, count in kinds if kind.endswith("prompt")) == usage.prompt_tokens
    assert sum(counts.values()) == usage.total_tokens


def test_each_kind_of_token_has_its_own_name() -> None:
    assert dict(_tokens(USAGES[2])) == {
        "cached_prompt": 30,
        "cache_write_prompt": 20,
        "audio_prompt": 15,
        "image_prompt": 10,
        "prompt": 25,
        "reasoning": 9,
        "audio_completion": 11,
        "image_completion": 13,
        "completion": 17,
    }


def test_the_known_part_of_a_cost_its_marks_and_searches_are_counted(client: httpx2.Client) -> None:
    order = an_order()
    count = CallMetrics(ModelLabels(["gpt-4o"]))
    usage = Usage(prompt_tokens=3, completion_tokens=4, web_searches=2, file_searches=1)
    since = Difference(client)
    count(order, outcome_of(attempt_of(usage=usage, cost_usd=Decimal("0.5"))))
    assert since("llm_cost_incomplete_attempts_total", provider="bills") == 0
    assert since("llm_cost_estimated_calls_total") == since("llm_cost_incomplete_calls_total") == 0
    part = attempt_of(usage=usage, cost_usd=Decimal("0.25"), cost_incomplete=True)
    count(order, outcome_of(part, cost_estimated=True, cost_incomplete=True))
    # A provider may state what an attempt cost, and not what it used.
    count(order, outcome_of(attempt_of(cost_usd=Decimal("0.125"), cost_stated=True)))
    count(order, outcome_of(attempt_of(usage=usage)))
    assert since("llm_cost_usd_total", provider="bills", model="gpt-4o") == 0.875
    assert since("llm_cost_incomplete_attempts_total", provider="bills", model="gpt-4o") == 1
    assert since("llm_cost_unknown_attempts_total", provider="bills", model="gpt-4o") == 1
    assert since("llm_cost_estimated_calls_total", door="chat", model="gpt-4o") == 1
    assert since("llm_cost_incomplete_calls_total", door="chat", model="gpt-4o") == 1
    assert since("llm_searches_total", provider="bills", model="gpt-4o", kind="web") == 6
    assert since("llm_searches_total", provider="bills", model="gpt-4o", kind="file") == 3


def test_a_call_that_is_read_on_is_marked_once_when_its_cost_is_known(client: httpx2.Client) -> None:
    order, count = an_order(), CallMetrics(ModelLabels(["gpt-4o"]))
    since = Difference(client)
    count(order, outcome_of(attempt_of(read_on=True), reading_on=True, cost_estimated=True, cost_incomplete=True))
    assert since("llm_cost_estimated_calls_total") == since("llm_cost_incomplete_calls_total") == 0
    count.late_end(order, LateEnd(outcome_of(attempt_of(read_on=True), cost_estimated=True), None))
    assert since("llm_cost_estimated_calls_total", door="chat", model="gpt-4o") == 1
    assert since("llm_cost_incomplete_calls_total") == 0


def test_the_first_token_of_a_stream_is_timed(client: httpx2.Client) -> None:
    since = Difference(client)
    client.post("/chat/stream", json={"prompt": "hi", "model": "gpt-4o"})
    assert since("llm_time_to_first_token_seconds_count", door="stream", model="gpt-4o") == 1


def test_models_that_never_answered_share_one_label_so_that_callers_cannot_make_more(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    names = [f"made-up-{number}" for number in range(5)]
    for name in names:
        simulator.script(name, Behaviour(status=404))
    since = Difference(client)
    for name in names:
        client.post("/chat", json={"prompt": "hi", "model": name})
    assert since("llm_calls_total", model="other", status="failed") == 5
    assert "made-up" not in since.text()


def test_a_cached_answer_is_counted_as_such_and_has_no_attempt(client: httpx2.Client) -> None:
    order = {"prompt": "hi", "model": "gpt-4o", "cache_ttl": 60}
    client.post("/chat", json=order)
    since = Difference(client)
    assert client.post("/chat", json=order).headers["x-cached"] == "true"
    assert since("llm_cached_calls_total", model="gpt-4o") == 1
    assert since("llm_attempts_total") == 0


def test_an_open_breaker_shows_and_a_closed_one_shows_as_closed_again(
    start_site: Callable[..., httpx2.Client], simulator: SimulatorThread
) -> None:
    client = start_site(BREAKER_FAILURES=1, BREAKER_COOLDOWN=0.1, MAX_RETRIES=0)
    simulator.script("gpt-4o", Behaviour(status=500, times=1), Behaviour())
    client.post("/chat", json={"prompt": "hi", "model": "gpt-4o"})

    def state(model: str) -> float:
        # Other sites of this process may have left the breaker of another operation open.
        labels = {"model": model, "operation": "chat.completions"}
        return value(client.get("/metrics").text, "llm_circuit_breaker_state", **labels)

    assert eventually(lambda: state("gpt-4o") > 0)
    # Until the breaker has cooled down, the model is not asked.
    assert eventually(lambda: client.post("/chat", json={"prompt": "hi", "model": "gpt-4o"}).status_code == 200)
    assert eventually(lambda: state("gpt-4o") == 0)


def test_breakers_of_invented_models_share_one_label(
    start_site: Callable[..., httpx2.Client], simulator: SimulatorThread
) -> None:
    client = start_site(BREAKER_FAILURES=1, BREAKER_COOLDOWN=60, MAX_RETRIES=0)
    names = [f"invented-{number}" for number in range(5)]
    for name in names:
        simulator.script(name, Behaviour(status=500))
        client.post("/chat", json={"prompt": "hi", "model": name})
    assert eventually(
        lambda: value(client.get("/metrics").text, "llm_circuit_breaker_state", provider="openai", model="other") == 2
    )
    assert "invented" not in client.get("/metrics").text


def eventually(true: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up:
        if true():
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def workers(tmp_path: Path, simulator: SimulatorThread) -> Iterator[SiteProcess]:
    site = SiteProcess(tmp_path, upstream=simulator.base_url)
    site.migrate()
    yield site.start("--workers", "2")
    site.close()


@pytest.mark.slow
def test_whichever_worker_is_asked_answers_for_all_of_them(workers: SiteProcess) -> None:
    for _ in range(30):  # each on a connection of its own, so that both workers get some
        order = {"prompt": "hi", "model": "gpt-4o"}
        assert loopback_post(f"{workers.base_url}/chat", json=order).status_code == 200

    def metrics() -> str:
        return loopback_get(f"{workers.base_url}/metrics").text

    for _ in range(6):
        assert value(metrics(), "llm_calls_total", model="gpt-4o", status="succeeded") == 30
    # A worker writes down once a second what goes on in it, which may have been in the midst of a call.
    assert eventually(lambda: value(metrics(), "llm_open_calls") == 0)
    assert workers.terminate() == 0
