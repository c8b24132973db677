"""manage.py reconcile against the simulator: calls go through the service, and both books are compared."""

from __future__ import annotations

import datetime as dt
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from typing import Any

import httpx2
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from chat.models import Attempt
from llm import Provider
from llm.simulator import Behaviour, SimulatorThread
from stats.models import Reconciliation
from tests.support.history import make_call
from tests.support.ports import free_port

ADMIN_KEY = "sk-admin-0123456789abcdef"


@dataclass(frozen=True)
class Answer:
    """What the command has said, and its exit code."""

    text: str
    errors: str
    code: int

    def line(self, name: str) -> list[str]:
        """The columns of the sum of all days for a model, after its name."""
        found = re.search(rf"(?m)^all days +{re.escape(name)}  +(.*)$", self.text)
        assert found, self.text
        return re.split(r"  +", found[1])


@pytest.fixture
def reconcile(settings: Any, transactional_db: None) -> Callable[..., Answer]:
    settings.OPENAI_ADMIN_KEY = ADMIN_KEY

    def run(*arguments: str) -> Answer:
        output, errors, code = StringIO(), StringIO(), 0
        tomorrow = f"--until={timezone.now().date() + dt.timedelta(days=1)}"
        wanted = arguments or ("--since=1d", tomorrow)
        try:
            call_command("reconcile", *wanted, stdout=output, stderr=errors)
        except SystemExit as exit_:
            code = int(str(exit_.code))
        except CommandError as error:
            errors.write(str(error))
            code = error.returncode
        answer = Answer(output.getvalue(), errors.getvalue(), code)
        assert ADMIN_KEY not in answer.text + answer.errors
        return answer

    return run


def ask_all_apis(client: httpx2.Client) -> None:
    for path, body in (
        ("/chat", {"prompt": "Hello, world!", "model": "gpt-4o"}),
        ("/chat/stream", {"prompt": "Hello, world!", "model": "gpt-4o-mini"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "model": "gpt-4o"}),
        ("/v1/responses", {"input": "Hello", "model": "gpt-4.1"}),
        ("/v1/completions", {"prompt": ["Hello", "and hello again"], "model": "gpt-4.1-mini"}),
        ("/v1/embeddings", {"input": "Hello, world! " * 20, "model": "text-embedding-3-small"}),
    ):
        assert client.post(path, json=body).status_code == 200


# --- Books that agree, and books that don't --------------------------------------------------------------------------


def test_books_of_every_api_agree_to_the_last_token(
    client: httpx2.Client, simulator: SimulatorThread, reconcile: Callable[..., Answer]
) -> None:
    simulator.script("gpt-4o", Behaviour(cached_tokens=100, reasoning_tokens=50))
    ask_all_apis(client)
    answer = reconcile()
    assert (answer.code, answer.errors) == (0, "")
    assert answer.text.endswith("The drift of +0.00 % is not more than 1 %.\n")
    for model in ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "text-embedding-3-small", "total"):
        ours, theirs, drift, ratio, *counts = answer.line(model)
        assert (ours, drift.lstrip("+"), ratio) == (theirs, "0.000000", "+0.00 %")
        for count in counts:
            assert len(set(count.split("/"))) == 1, answer.text
    assert answer.line("total")[4] == "6/6"


def test_more_days_than_a_page_has_are_read_to_the_last_page(
    client: httpx2.Client, reconcile: Callable[..., Answer]
) -> None:
    ask_all_apis(client)  # today, which is on the third page
    answer = reconcile("--since=80d", f"--until={timezone.now().date() + dt.timedelta(days=1)}")
    assert answer.code == 0
    assert answer.line("total")[4] == "6/6"


def test_a_row_that_is_missing_is_shown_as_drift_and_the_exit_code_is_1(
    client: httpx2.Client, reconcile: Callable[..., Answer]
) -> None:
    ask_all_apis(client)
    lost = Attempt.objects.filter(model="gpt-4.1").get()
    lost.delete()
    answer = reconcile()
    assert answer.code == 1
    ours, theirs, drift, ratio, requests, *_ = answer.line("gpt-4.1")
    assert (ours, theirs, drift) == ("0.000000", f"{lost.cost_usd:.6f}", f"-{lost.cost_usd:.6f}")
    assert (ratio, requests) == ("-100.00 %", "0/1")
    assert re.fullmatch(r"The drift of -\d+\.\d\d % is more than 1 %\.\n", answer.errors)


def test_a_bill_that_is_wrong_is_shown_as_drift_and_may_be_tolerated(
    client: httpx2.Client, simulator: SimulatorThread, reconcile: Callable[..., Answer]
) -> None:
    simulator.script("gpt-4o", Behaviour(billed_factor=2))
    client.post("/chat", json={"prompt": "Hello, world!", "model": "gpt-4o"})
    assert reconcile().code == 1
    tomorrow = f"--until={timezone.now().date() + dt.timedelta(days=1)}"
    answer = reconcile("--since=1d", tomorrow, "--tolerance=50.5")
    assert (answer.code, answer.line("gpt-4o")[3]) == (0, "-50.00 %")


def test_an_estimate_and_an_unknown_price_are_told(
    reconcile: Callable[..., Answer], simulator: SimulatorThread, settings: Any
) -> None:
    settings.PROVIDERS = {"openai": Provider(name="openai", base_url=simulator.base_url)}
    used = {"prompt_tokens": 1, "completion_tokens": 1}
    make_call(
        {**used, "cost_usd": "0.75"},
        {**used, "cost_usd": "0.25", "usage_estimated": True},
        {**used, "cost_usd": None},
        {**used, "provider": "another", "cost_usd": "99"},
        {"status": "skipped"},
        created_at=timezone.now(),
    )
    answer = reconcile()
    assert "Of ours, 0.250000 USD (25.00%) are estimated." in answer.text
    assert "1 of our requests have used something of which no price is known." in answer.text
    assert answer.line("total")[:5] == ["1.000000", "0.000000", "+1.000000", "+100.00 %", "3/0"]


def test_a_day_is_one_of_utc_and_until_is_left_out(
    reconcile: Callable[..., Answer], simulator: SimulatorThread, settings: Any
) -> None:
    settings.PROVIDERS = {"openai": Provider(name="openai", base_url=simulator.base_url)}
    midnight = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
    for moment, cost in (
        (midnight, 2),
        (midnight - dt.timedelta(microseconds=1), 4),
        (midnight + dt.timedelta(days=1), 8),
    ):
        make_call({"prompt_tokens": 1, "cost_usd": cost}, created_at=moment)
    answer = reconcile("--since=2026-11-20T13:00", "--until=2026-11-21T12:00")
    assert answer.line("total")[0] == "2.000000"
    assert "from 2026-11-20 to 2026-11-20" in answer.text


def test_the_model_that_answered_counts_and_dated_names_are_one_line(
    reconcile: Callable[..., Answer], simulator: SimulatorThread, settings: Any
) -> None:
    settings.PROVIDERS = {"openai": Provider(name="openai", base_url=simulator.base_url)}
    for model, answered in (("gpt-4o", ""), ("gpt-4o", "gpt-4o-2024-08-06"), ("alias", "gpt-4o-2024-11-20")):
        make_call(
            {"prompt_tokens": 1, "cost_usd": 1, "model": model, "answered_model": answered}, created_at=timezone.now()
        )
    assert reconcile().line("gpt-4o")[0] == "3.000000"


# --- What can't be compared ------------------------------------------------------------------------------------------


def one_line(answer: Answer) -> str:
    assert (answer.code, answer.text) == (2, "")
    assert "\n" not in answer.errors
    assert not Reconciliation.objects.exists()
    return answer.errors


def test_a_key_that_is_refused_is_told_in_one_line(
    client: httpx2.Client, settings: Any, reconcile: Callable[..., Answer]
) -> None:
    settings.OPENAI_ADMIN_KEY = "sk-wrong-0123456789"
    told = one_line(reconcile())
    assert "refused the key in OPENAI_ADMIN_KEY (401)" in told
    assert "sk-wrong" not in told


@pytest.mark.parametrize(
    ("key", "base_url", "told"),
    [("", "http://127.0.0.1:1/v1", "OPENAI_ADMIN_KEY is not set"), (ADMIN_KEY, "", "manage.py simulator")],
)
def test_what_is_not_configured_is_told(
    settings: Any, reconcile: Callable[..., Answer], key: str, base_url: str, told: str
) -> None:
    settings.OPENAI_ADMIN_KEY = key
    settings.PROVIDERS = {"openai": Provider(name="openai", base_url=base_url)}
    assert told in one_line(reconcile())


def test_days_without_any_books_are_no_success(client: httpx2.Client, reconcile: Callable[..., Answer]) -> None:
    """A drift of zero over nothing would look like books that agree."""
    ask_all_apis(client)  # today, and today is left out unless --until says otherwise
    answer = reconcile("--since=2d")
    assert (answer.code, answer.text) == (2, "")
    assert answer.errors.startswith("Nothing was used from") and "--until" in answer.errors
    assert not Reconciliation.objects.exists()


def test_no_network_is_told_in_one_line(settings: Any, reconcile: Callable[..., Answer]) -> None:
    settings.PROVIDERS = {"openai": Provider(name="openai", base_url=f"http://user:secret@127.0.0.1:{free_port()}/v1")}
    told = one_line(reconcile())
    assert re.fullmatch(r"127\.0\.0\.1:\d+ can't be asked: ConnectError\.", told)


@contextmanager
def upstream(status: int, body: bytes, headers: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """A server that answers every GET in one way. Yields its address, and the keys that it was sent."""
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.append(self.headers.get("Authorization", ""))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", keys
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def page(*results: Any, **more: Any) -> bytes:
    bucket = {"object": "bucket", "start_time": 1795824000, "end_time": 1795910400, "results": list(results)}
    return json.dumps({"object": "page", "data": [bucket], "has_more": False, "next_page": None} | more).encode()


def cost(**values: Any) -> dict[str, Any]:
    return {"object": "organization.costs.result", "amount": {"value": 1, "currency": "usd"}, "line_item": "x"} | values


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (403, b'{"error": {"message": "Missing scopes: api.usage.read"}}', "refused the key in OPENAI_ADMIN_KEY (403)"),
        (429, b"{}", "was asked too often (429)"),
        (500, b"oops", "answered /v1/organization/costs with status 500"),
        (200, b"<html>", "something that is no JSON object"),
        (200, b"[]", "something that is no JSON object"),
        (200, b'{"data": 7}', "it has no list 'data' of buckets"),
        (200, b'{"data": [{"start_time": 0}]}', "has no list 'results'"),
        (200, b'{"data": [{"start_time": "soon", "results": [{}]}]}', "is no time in seconds, but 'soon'"),
        (200, page(cost(amount={"value": 1, "currency": "eur"})), "not in USD, but in 'eur'"),
        (200, page(cost(amount={"value": "much", "currency": "usd"})), "is no number, but 'much'"),
        (200, page(cost(amount={"value": float("nan"), "currency": "usd"})), "is no number, but 'nan'"),
        (200, page(cost(amount={"value": 1e300, "currency": "usd"})), "is no number, but '1e+300'"),
        (200, page(cost(amount=None)), "not in USD, but in 'None'"),
        (200, page(has_more=True), "there are more pages, and does not say which"),
        (200, page(has_more=True, next_page="again"), "has more than 3 pages"),
    ],
)
def test_an_answer_that_is_no_bill_is_told_in_one_line(
    settings: Any,
    reconcile: Callable[..., Answer],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: bytes,
    told: str,
) -> None:
    monkeypatch.setattr("stats.reconciliation.openai_api.MAX_PAGES", 3)
    with upstream(status, body, {}) as (base_url, _):
        settings.PROVIDERS = {"openai": Provider(name="openai", base_url=base_url)}
        assert told in one_line(reconcile())


def test_the_key_does_not_follow_a_redirect(settings: Any, reconcile: Callable[..., Answer]) -> None:
    with upstream(200, page(), {}) as (elsewhere, keys), upstream(302, b"", {"Location": elsewhere}) as (base_url, _):
        settings.PROVIDERS = {"openai": Provider(name="openai", base_url=base_url)}
        assert "with status 302" in one_line(reconcile())
        assert keys == []


@pytest.mark.parametrize("tolerance", ["-1", "much", "nan", "inf"])
def test_a_tolerance_that_is_none_is_refused(reconcile: Callable[..., Answer], tolerance: str) -> None:
    assert "is no number of per cent" in reconcile("--since=1d", f"--tolerance={tolerance}").errors


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--until=2026-11-01",), "--since is needed"),
        (("--since=2026-11-02", "--until=2026-11-02T23:00"), "There is no whole day"),
        (("--since=soon",), "'soon' is no moment"),
    ],
)
def test_days_that_are_none_are_refused(
    reconcile: Callable[..., Answer], arguments: tuple[str, ...], told: str
) -> None:
    answer = reconcile(*arguments)
    assert told in answer.errors
    assert answer.code


# --- The metric ------------------------------------------------------------------------------------------------------


def test_the_last_result_is_kept_and_a_running_service_has_it_as_a_metric(
    start_site: Callable[..., httpx2.Client],
    simulator: SimulatorThread,
    reconcile: Callable[..., Answer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stats.reconciliation.metrics.REFRESH_SECONDS", 0.05)
    client = start_site()
    simulator.script("gpt-4o", Behaviour(billed_factor=2, times=1), Behaviour(billed_factor=0))
    for expected in (-0.5, 0.0):
        client.post("/chat", json={"prompt": "Hello, world!", "model": "gpt-4o"})
        reconcile()
        kept = Reconciliation.objects.get()
        assert (kept.provider, kept.drift_ratio) == ("openai", pytest.approx(expected))
        give_up = time.monotonic() + 20
        while f'llm_reconcile_drift_ratio{{provider="openai"}} {expected}\n' not in (
            text := client.get("/metrics").text
        ):
            assert time.monotonic() < give_up, text
            time.sleep(0.05)
