"""The header Idempotency-Key, at every door."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from django.db import connection
from django.utils import timezone

from chat.models import CallRecord, IdempotencyKey
from llm.simulator import Behaviour, SimulatorThread
from tests.support.database_servers import PostgresServer
from tests.support.loopback import async_loopback_client
from tests.support.site_subprocess import SiteProcess
from tests.support.waiting import eventually

StartSite = Callable[..., httpx2.Client]

MESSAGES = {"messages": [{"role": "user", "content": "Hello"}]}
DOORS = {
    "chat": ("/chat", {"prompt": "Hello"}),
    "parallel": ("/chat/parallel", {"prompt": "Hello"}),
    "fallback": ("/chat/fallback", {"prompt": "Hello"}),
    "stream": ("/chat/stream", {"prompt": "Hello"}),
    "typed stream": ("/chat/stream", {"prompt": "Hello", "events": "json"}),
    "v1 chat": ("/v1/chat/completions", {"model": "gpt-4o", **MESSAGES}),
    "v1 chat stream": ("/v1/chat/completions", {"model": "gpt-4o", "stream": True, **MESSAGES}),
    "v1 embeddings": ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "Hello"}),
}
every_door = pytest.mark.parametrize(("path", "body"), DOORS.values(), ids=DOORS.keys())
some_doors = pytest.mark.parametrize(
    ("path", "body"), [DOORS[name] for name in ("chat", "typed stream", "v1 chat", "v1 chat stream")]
)


def post(client: httpx2.Client, path: str, body: Any, key: str = "key-1", **headers: str) -> httpx2.Response:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(path, json=body, headers={"Idempotency-Key": key, **headers})


def message_of(response: httpx2.Response) -> str:
    return str(response.json()["error"]["message"])


@contextmanager
def locked_database() -> Iterator[None]:
    """While this runs, nobody else can write to the database."""
    blocker = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, timeout=10)
    try:
        blocker.execute("begin immediate")
        yield
    finally:
        blocker.close()


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # not below pytest's own, which only its owner may enter
    folder.chmod(0o755)
    server = PostgresServer(folder)
    server.start()
    yield server
    server.close()
    shutil.rmtree(folder)


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest) -> Callable[[], str]:
    """A function that gives the URL of a PostgreSQL server. The server starts with the first call of it."""
    return lambda: str(request.getfixturevalue("postgres").url)


needs_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="it locks SQLite's file")


@pytest.mark.parametrize("key", ["", "two words", "k" * 256, b"\xc3\xa9"], ids=repr)
@some_doors
def test_a_key_that_can_be_none_is_a_400_that_names_the_header_and_asks_no_model(
    client: httpx2.Client, simulator: SimulatorThread, path: str, body: Any, key: Any
) -> None:
    response = client.post(path, json=body, headers={"Idempotency-Key": key})
    assert response.status_code == 400, response.text
    assert "Idempotency-Key" in message_of(response)
    if path.startswith("/v1"):
        assert response.json()["error"]["param"] == "Idempotency-Key"
    assert simulator.requests() == []


@every_door
def test_a_repeated_key_gets_the_saved_answer_byte_for_byte_and_no_model_is_asked_again(
    client: httpx2.Client, simulator: SimulatorThread, path: str, body: Any
) -> None:
    first = post(client, path, body, "k" * 255)
    asked = len(simulator.requests())
    second = post(client, path, body, "k" * 255)
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.content == first.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert {name: second.headers.get(name) for name in first.headers if name.startswith("x-")} == {
        **{name: value for name, value in first.headers.items() if name.startswith("x-")},
        "x-request-id": second.headers["x-request-id"],
    }
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert len(simulator.requests()) == asked
    assert CallRecord.objects.count() == 1


@some_doors
def test_a_key_that_comes_with_another_body_is_a_422(
    client: httpx2.Client, simulator: SimulatorThread, path: str, body: Any
) -> None:
    post(client, path, body)
    response = post(client, path, body | {"temperature": 0.1})
    assert response.status_code == 422
    assert "different" in message_of(response)
    assert response.json()["error"]["code"] == "idempotency_key_reused"
    assert len(simulator.requests()) == 1


def test_a_key_that_comes_to_another_address_or_with_another_route_is_a_422(client: httpx2.Client) -> None:
    path, body = DOORS["v1 chat"]
    post(client, "/chat", {"prompt": "a"}, "native")
    assert post(client, "/chat/stream", {"prompt": "a"}, "native").status_code == 422
    assert post(client, path, body).status_code == 200
    assert post(client, path, body, x_route="gpt-4o-mini").status_code == 422
    assert post(client, path, body, x_timeout="9").status_code == 200


def test_the_order_of_the_fields_makes_no_other_body(client: httpx2.Client) -> None:
    post(client, "/chat", {"prompt": "a", "model": "gpt-4o"})
    response = post(client, "/chat", {"model": "gpt-4o", "prompt": "a"})
    assert response.headers["idempotent-replayed"] == "true"


@contextmanager
def running(client: httpx2.Client, path: str, body: Any, key: str = "key-1", **headers: str) -> Iterator[socket.socket]:
    """A request that has been sent. At the end of the block its caller goes away."""
    address = urlsplit(str(client.base_url))
    sent = json.dumps(body).encode()
    lines = {"Host": "localhost", "Content-Type": "application/json", "Idempotency-Key": key, **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    with socket.create_connection((str(address.hostname), address.port or 80), timeout=10) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\n{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent)
        yield connection


@some_doors
def test_while_the_first_request_runs_the_second_is_a_409_that_says_when_to_come_back(
    client: httpx2.Client, simulator: SimulatorThread, path: str, body: Any
) -> None:
    simulator.script("gpt-4o", Behaviour(latency_s=60))
    with running(client, path, body):
        eventually(simulator.requests)
        response = post(client, path, body)
    assert response.status_code == 409
    assert response.headers["retry-after"] == "1"
    assert response.json()["error"]["code"] == "idempotency_key_in_use"
    assert len(simulator.requests()) == 1


@some_doors
def test_a_caller_who_left_leaves_the_key_free_if_nothing_is_read_on(
    start_site: StartSite, simulator: SimulatorThread, path: str, body: Any
) -> None:
    client = start_site(READ_ON_SECONDS=0.0)
    simulator.script("gpt-4o", Behaviour(latency_s=60, times=1))
    with running(client, path, body):
        eventually(simulator.requests)
    eventually(lambda: post(client, path, body).status_code == 200)
    eventually(lambda: [seen["ended"] for seen in simulator.requests()] == ["disconnected", "complete"])


@some_doors
def test_a_request_that_failed_leaves_the_key_free_and_its_error_is_not_saved(
    client: httpx2.Client, simulator: SimulatorThread, path: str, body: Any
) -> None:
    simulator.script("gpt-4o", Behaviour(status=401, times=1))
    assert post(client, path, body).status_code in (401, 502)
    assert IdempotencyKey.objects.count() == 0
    assert post(client, path, body).status_code == 200
    assert CallRecord.objects.count() == 2


def test_a_request_that_is_not_valid_takes_no_key(client: httpx2.Client) -> None:
    assert post(client, "/chat", {"prompt": ""}).status_code == 400
    assert post(client, "/chat", {"prompt": "a", "model": "a||b"}).status_code == 400
    assert IdempotencyKey.objects.count() == 0


def test_a_request_id_that_is_used_again_with_the_key_does_not_open_a_key_whose_request_runs(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    client = start_site(READ_ON_SECONDS=0.0)
    simulator.script("gpt-4o", Behaviour(status=401, times=1), Behaviour(latency_s=60))
    assert post(client, "/chat", {"prompt": "a"}, x_request_id="again-and-again").status_code == 502
    with running(client, "/chat", {"prompt": "a"}, x_request_id="again-and-again"):
        eventually(lambda: len(simulator.requests()) == 2)
        for _ in range(3):  # before it has a row, and after
            assert post(client, "/chat", {"prompt": "a"}, x_request_id="again-and-again").status_code == 409
            time.sleep(0.7)
    assert len(simulator.requests()) == 2
    simulator.script("gpt-4o")
    eventually(lambda: post(client, "/chat", {"prompt": "a"}, x_request_id="again-and-again").status_code == 200)


@pytest.mark.parametrize("events", ["text", "json"])
def test_a_stream_that_broke_is_not_saved(client: httpx2.Client, simulator: SimulatorThread, events: str) -> None:
    simulator.script("gpt-4o", Behaviour(cut_after=2, times=1))
    body = {"prompt": "a", "events": events}
    broken = post(client, "/chat/stream", body)
    assert "event: error" in broken.text
    whole = post(client, "/chat/stream", body)
    assert "event: error" not in whole.text
    assert "idempotent-replayed" not in whole.headers
    assert post(client, "/chat/stream", body).content == whole.content


@pytest.mark.parametrize(("path", "body"), [DOORS["stream"], DOORS["typed stream"], DOORS["v1 chat stream"]])
def test_a_stream_with_a_key_comes_as_it_is_made(
    client: httpx2.Client, simulator: SimulatorThread, path: str, body: Any
) -> None:
    simulator.script("gpt-4o", Behaviour(answer="one two three four five six", tokens_per_second=10))
    came: list[float] = []
    with client.stream("POST", path, json=body, headers={"Idempotency-Key": "a"}) as response:
        text = b""
        for piece in response.iter_raw():
            came.append(time.monotonic())
            text += piece
    assert came[-1] - came[0] > 0.3
    assert len(came) >= 5
    assert post(client, path, body, "a").content == text


@pytest.mark.parametrize("times", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_big_answer_with_any_character_is_repeated_as_it_was(
    client: httpx2.Client, simulator: SimulatorThread, times: int
) -> None:
    simulator.script("gpt-4o", Behaviour(answer="\x00 \U0001f600 \u2028 \r\n " * times))
    for path, body in (DOORS["chat"], DOORS["stream"], DOORS["v1 chat"]):
        first = post(client, path, body, f"big{path}")
        assert len(first.content) > 10 * times
        again = post(client, path, body, f"big{path}")
        assert again.headers["idempotent-replayed"] == "true"
        assert again.content == first.content


def test_keys_of_another_api_key_are_apart(client: httpx2.Client, simulator: SimulatorThread) -> None:
    post(client, "/chat", {"prompt": "a"})
    IdempotencyKey.objects.update(api_key="somebody")
    assert "idempotent-replayed" not in post(client, "/chat", {"prompt": "another"}).headers
    assert len(simulator.requests()) == 2


def test_a_key_is_free_for_any_request_after_24_hours(client: httpx2.Client) -> None:
    post(client, "/chat", {"prompt": "a"})
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=23, minutes=59))
    assert post(client, "/chat", {"prompt": "b"}).status_code == 422
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24, minutes=1))
    answer = post(client, "/chat", {"prompt": "b"})
    assert answer.status_code == 200
    assert "idempotent-replayed" not in answer.headers
    assert post(client, "/chat", {"prompt": "b"}).content == answer.content


def test_a_key_whose_request_has_left_no_row_is_free_after_a_moment(client: httpx2.Client) -> None:
    post(client, "/chat", {"prompt": "a"})
    CallRecord.objects.all().delete()
    IdempotencyKey.objects.update(answered=False, created_at=timezone.now() - timedelta(seconds=10))
    assert post(client, "/chat", {"prompt": "a"}).status_code == 409
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(seconds=30))
    assert post(client, "/chat", {"prompt": "a"}).status_code == 200


def test_a_call_that_was_answered_from_the_cache_is_repeated_as_well(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    body = {"prompt": "a", "cache_ttl": 60}
    client.post("/chat", json=body)
    first, again = post(client, "/chat", body), post(client, "/chat", body)
    assert first.headers["x-cached"] == again.headers["x-cached"] == "true"
    assert first.content == again.content
    assert CallRecord.objects.count() == 2


@pytest.mark.slow
@needs_sqlite
@pytest.mark.parametrize(("path", "body"), [DOORS["chat"], DOORS["v1 chat stream"]])
def test_without_the_database_a_key_is_a_503_and_no_model_is_asked(
    client: httpx2.Client, simulator: SimulatorThread, path: str, body: Any
) -> None:
    with locked_database():
        response = post(client, path, body)
    assert response.status_code == 503, response.text
    assert response.json()["error"]["code"] == "unavailable"
    assert simulator.requests() == []


@pytest.mark.slow
@needs_sqlite
@pytest.mark.parametrize(("path", "body"), [DOORS["chat"], DOORS["stream"]])
def test_a_database_that_is_lost_while_the_model_answers_costs_the_caller_no_answer(
    client: httpx2.Client, simulator: SimulatorThread, path: str, body: Any
) -> None:
    simulator.script("gpt-4o", Behaviour(latency_s=0.3))
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(post, client, path, body)
        eventually(simulator.requests)
        with locked_database():
            response = answer.result()
    assert response.status_code == 200
    if path == "/chat/stream":
        assert response.text.endswith("data: [DONE]\n\n")
    # Otherwise the next test would find this call's row, out of the spool.
    eventually(CallRecord.objects.exists, within=10)


def sites(folder: Path, simulator: SimulatorThread, count: int, **variables: str) -> list[SiteProcess]:
    made = [SiteProcess(folder, upstream=simulator.base_url, **variables) for _ in range(count)]
    made[0].migrate()
    return made


async def rush(urls: list[str], keys: list[str]) -> list[httpx2.Response]:
    """Send one request with each of the keys at the same time, each over a connection of its own."""

    async def one(number: int, key: str) -> httpx2.Response:
        url = urls[number % len(urls)]
        async with async_loopback_client(base_url=url, timeout=30) as client:
            return await client.post("/chat", json={"prompt": "a"}, headers={"Idempotency-Key": key})

    return await asyncio.gather(*(one(number, key) for number, key in enumerate(keys)))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["two workers", "two processes on PostgreSQL"])
async def test_of_50_requests_at_once_with_one_key_exactly_one_asks_the_model(
    tmp_path: Path, simulator: SimulatorThread, postgres_url: Callable[[], str], how: str
) -> None:
    simulator.script("gpt-4o", Behaviour(latency_s=0.5))
    if how == "two workers":
        started = [sites(tmp_path, simulator, 1)[0].start("--workers", "2")]
    else:
        started = [site.start() for site in sites(tmp_path, simulator, 2, DATABASE_URL=postgres_url())]
    try:
        urls = [site.base_url for site in started]
        answers = await rush(urls, ["one"] * 50)
        assert len(simulator.requests()) == 1
        assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 49}
        (first,) = [answer for answer in answers if answer.status_code == 200]
        later = await rush(urls, ["one"] * 50)
        assert {answer.content for answer in later} == {first.content}
        assert len(simulator.requests()) == 1
    finally:
        for site in started:
            site.close()


@pytest.mark.slow
async def test_long_calls_with_keys_hold_no_connection_to_the_database(
    tmp_path: Path, simulator: SimulatorThread, postgres_url: Callable[[], str]
) -> None:
    simulator.script("gpt-4o", Behaviour(latency_s=6))  # longer than one waits for a connection
    (site,) = sites(tmp_path, simulator, 1, DATABASE_URL=postgres_url(), DATABASE_POOL="4")
    site.start()
    try:
        answers = await rush([site.base_url], [f"key-{number}" for number in range(20)])
        assert Counter(answer.status_code for answer in answers) == {200: 20}
    finally:
        site.close()


@pytest.mark.slow
async def test_a_killed_process_leaves_the_key_free_and_until_then_it_is_taken(
    tmp_path: Path, simulator: SimulatorThread
) -> None:
    simulator.script("gpt-4o", Behaviour(latency_s=60, times=1))
    (site,) = sites(tmp_path, simulator, 1)
    site.start()
    try:
        async with async_loopback_client(timeout=30) as client:
            lost = asyncio.create_task(rush([site.base_url], ["a"]))
            await asyncio.sleep(2)  # long enough for a row
            site.kill()
            with pytest.raises(httpx2.HTTPError):
                await lost
            site.start()
            seen: list[int] = []
            give_up = time.monotonic() + 40
            while 200 not in seen:
                assert time.monotonic() < give_up, Counter(seen)
                headers = {"Idempotency-Key": "a"}
                answer = await client.post(f"{site.base_url}/chat", json={"prompt": "a"}, headers=headers)
                seen.append(answer.status_code)
                await asyncio.sleep(0.3)
        assert set(seen) == {409, 200}
        assert len(simulator.requests()) == 2
    finally:
        site.close()


@pytest.mark.slow
async def test_postgresql_that_goes_and_comes_back_makes_503s_and_then_answers(
    tmp_path: Path, simulator: SimulatorThread, postgres: PostgresServer
) -> None:
    (site,) = sites(tmp_path, simulator, 1, DATABASE_URL=postgres.url)
    site.start()
    try:
        assert {answer.status_code for answer in await rush([site.base_url], list("abcdef"))} == {200}
        await asyncio.to_thread(postgres.kill)
        away = await rush([site.base_url], list("ghi"))
        assert {(answer.status_code, answer.json()["error"]["code"]) for answer in away} == {(503, "unavailable")}
        assert len(simulator.requests()) == 6
        await asyncio.to_thread(postgres.start)
        back = await rush([site.base_url], list("abcdefghijkl"))
        assert Counter(answer.status_code for answer in back) == {200: 12}
        assert len(simulator.requests()) == 12
    finally:
        site.close()
