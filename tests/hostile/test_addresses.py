"""Whatever a caller writes, the service calls only the configured host, at the path of the operation."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from llm import Provider
from llm.simulator import SimulatorThread
from tests.support.upstreams.written_upstream import Reply, WrittenUpstream
from tests.support.wire import DOORS, NATIVE, OPENAI, raw, request

StartSite = Callable[..., httpx2.Client]

PATHS = {
    "/v1/chat/completions": "/v1/chat/completions",
    "/v1/completions": "/v1/completions",
    "/v1/embeddings": "/v1/embeddings",
    "/v1/responses": "/v1/responses",
} | dict.fromkeys(NATIVE, "/v1/chat/completions")


class EvilHost:
    """A server that counts the connections to it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        self.thread = threading.Thread(target=self._accept)
        self.thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            with connection:
                if connection.recv(3) == b"end":
                    return
                self.connections += 1

    def close(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(b"end")
        self.thread.join()
        self.listener.close()


@pytest.fixture
def evil() -> Iterator[EvilHost]:
    host = EvilHost()
    yield host
    host.close()


def models(evil: EvilHost) -> list[str]:
    at = f"127.0.0.1:{evil.port}"
    return [
        f"http://{at}/v1",
        f"//{at}/gpt-4o",
        f"openai/http://{at}/",
        f"http:{at}",
        f"gpt-4o@{at}",
        f"user:pass@{at}/v1",
        "openai/../../v1/files",
        "../../../etc/passwd",
        "..%2f..%2ffiles",
        "gpt-4o/../../files",
        "%2e%2e/%2e%2e",
        "provider//x",
        "openai//gpt-4o",
        "/gpt-4o",
        "gpt-4o?x=1#y",
        "gpt-4o#@" + at,
        "gpt-4o\\..\\files",
        "file:///etc/passwd",
        "openai/spare/gpt-4o",
        f"{at}/gpt-4o",
        "spare\u2215gpt-4o",
        "ｓｐａｒｅ/gpt-4o",
    ]


def test_a_model_s_name_is_a_name_and_no_address(
    client: httpx2.Client, simulator: SimulatorThread, evil: EvilHost
) -> None:
    for door, body in DOORS.items():
        for model in models(evil):
            simulator.reset()
            answer = client.post(door, json={**body, "model": model})
            if answer.status_code == 400:  # what stands before a slash must be the name of a provider
                assert "/" in model and "There is no provider" in answer.text, (door, model, answer.text)
                assert simulator.requests() == []
                continue
            assert answer.status_code == 200, (door, model, answer.text)
            [seen] = simulator.requests()
            assert seen["path"] == PATHS[door]
            assert seen["model"] == model.removeprefix("openai/")
    assert evil.connections == 0


def test_fields_that_look_like_an_address_or_a_key_are_refused_or_mere_data(
    client: httpx2.Client, simulator: SimulatorThread, evil: EvilHost
) -> None:
    address = f"http://127.0.0.1:{evil.port}/v1"
    names = (
        *("base_url", "api_base", "base", "url", "api_key", "organization", "project", "provider", "proxy", "proxies"),
        *("extra_headers", "extra_body", "extra_query", "headers", "default_headers", "http_client", "path", "method"),
        *("custom_llm_provider", "webhook_url", "callback", "x-base-url", "deployment_id", "azure_endpoint"),
    )
    for door, body in DOORS.items():
        for name in names:
            simulator.reset()
            answer = client.post(door, json={**body, name: address})
            if door in NATIVE:
                assert answer.status_code == 400
                assert "Unknown field" in answer.json()["error"]["message"]
                assert simulator.requests() == []
                continue
            assert answer.status_code == 200, (door, name, answer.text)
            [seen] = simulator.requests()
            assert (seen["path"], seen["body"][name]) == (PATHS[door], address)
    assert evil.connections == 0


def test_images_and_files_of_a_message_are_not_fetched_by_us(client: httpx2.Client, evil: EvilHost) -> None:
    address = f"http://127.0.0.1:{evil.port}/cat.png"
    parts = [
        {"type": "text", "text": "hi"},
        {"type": "image_url", "image_url": {"url": address}},
        {"type": "file", "file": {"file_id": address, "file_data": address}},
        {"type": "input_audio", "input_audio": {"data": address, "format": "wav"}},
    ]
    messages = [{"role": "user", "content": parts}]
    for door in ("/chat", "/chat/stream", "/v1/chat/completions"):
        client.post(door, json={"model": "gpt-4o", "messages": messages})
    client.post("/v1/responses", json={"model": "gpt-4o", "input": [{"role": "user", "content": address}]})
    assert evil.connections == 0


def test_headers_that_name_a_host_or_a_provider_change_nothing(
    client: httpx2.Client, simulator: SimulatorThread, evil: EvilHost
) -> None:
    at = f"127.0.0.1:{evil.port}"
    lines = (
        *(f"X-Forwarded-Host: {at}", f"Forwarded: host={at}", f"X-Base-URL: http://{at}", f"Via: {at}"),
        *(f"OpenAI-Organization: {at}", f"X-Original-URL: http://{at}/", "X-Rewrite-URL: /admin/", "Api-Key: sk-other"),
        *("X-HTTP-Method-Override: DELETE", f"X-OpenAI-Base: http://{at}", f"Proxy: http://{at}"),
    )
    for door, body in DOORS.items():
        for line in lines:
            simulator.reset()
            [answer] = raw(client, request(door, json.dumps(body).encode(), line))
            assert answer.status == 200, (door, line)
            assert {seen["path"] for seen in simulator.requests()} == {PATHS[door]}
    assert evil.connections == 0


def test_a_request_line_with_a_whole_address_is_taken_for_its_path(
    client: httpx2.Client, simulator: SimulatorThread, evil: EvilHost
) -> None:
    body = b'{"prompt": "hi"}'
    [answer] = raw(client, request(f"http://127.0.0.1:{evil.port}/chat", body))
    assert answer.status == 200
    assert [seen["path"] for seen in simulator.requests()] == ["/v1/chat/completions"]
    for target in (f"127.0.0.1:{evil.port}", "*", "http://", f"//127.0.0.1:{evil.port}/chat", "\\chat", "/..//chat"):
        for method in ("POST", "CONNECT", "OPTIONS"):
            for answer in raw(client, request(target, body, method=method)):
                assert answer.status in (400, 404, 405), (method, target)
    assert len(simulator.requests()) == 1
    assert evil.connections == 0


def test_a_foreign_host_header_is_a_400_and_is_in_no_link(client: httpx2.Client, evil: EvilHost) -> None:
    for _ in range(3):
        client.post("/chat", json={"prompt": "hi"})
    for host in (
        f"evil.example:{evil.port}",
        "127.0.0.1@evil.example",
        "127.0.0.1:80:80",
        "evil.example#127.0.0.1",
        "a b",
        "",
    ):
        for path in ("/calls?page_size=1", "/v1/models", "/admin/login/", "/docs"):
            for answer in raw(client, request(path, b"", f"Host: {host}", method="GET")):
                if path.startswith(("/calls", "/admin")):  # these are the addresses that make links
                    assert answer.status == 400, (host, path)
                assert b"evil.example" not in answer.body
    [answer] = raw(
        client, request("/calls?page_size=1", b"", "Host: 127.0.0.1", "X-Forwarded-Host: evil.example", method="GET")
    )
    assert answer.status == 200
    assert answer.json()["next"].startswith("http://127.0.0.1/calls?")


def test_no_path_of_ours_leads_to_another_of_the_upstream_s(client: httpx2.Client, simulator: SimulatorThread) -> None:
    for path in (
        "/v1/files",
        "/v1/../v1/files",
        "/v1/chat/completions/../../files",
        "/v1/chat/completions/%2e%2e%2f%2e%2e%2ffiles",
        "/v1/chat/completions/..%2f..%2fmodels/messages",
        "/v1/models/..%2ffiles",
        "/v1/models/%2e%2e/files",
        "/v1//files",
        "/openai/v1/files",
        "/openai/deployments/gpt-4o/files",
        "/openai/deployments/..%2f..%2f/chat/completions/../../files",
        "//v1/../files/",
        "/v1/chat/completions;a=b",
        "/v1/chat/completions%00",
        "/v1/chat/completions%0d%0aX-A:%20b",
        "/V1/chat/completions",
        "/static/../v1/files",
        "/static/..%2f..%2fdb.sqlite3",
        "/static/%2e%2e/%2e%2e/.env",
        "/static//etc/passwd",
    ):
        for method in ("GET", "POST", "DELETE"):
            [answer] = raw(client, request(path, b"{}", method=method))
            assert answer.status in (400, 404, 405), (method, path)
            assert b"SECRET" not in answer.body
    assert simulator.requests() == []


def test_a_redirect_of_an_upstream_brings_our_key_to_no_other_host(start_site: StartSite, evil: EvilHost) -> None:
    target = f"http://127.0.0.1:{evil.port}/v1/chat/completions"

    def answer(*_: Any) -> Reply:
        return Reply({"error": {"message": "moved"}}, 307, headers={"Location": target})

    with WrittenUpstream(answer) as upstream:
        provider = Provider(name="openai", base_url=upstream.base_url, api_key="sk-secret-0123456789")
        client = start_site(PROVIDERS={"openai": provider}, MAX_RETRIES=0, BREAKER_FAILURES=1_000)
        for door in ("/chat", "/chat/stream", *OPENAI):
            answered = client.post(door, json=DOORS[door])
            assert answered.status_code in (400, 502), (door, answered.text)
    assert evil.connections == 0
