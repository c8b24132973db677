"""Where a text has characters that a database or a protocol can't hold, callers are answered and no row is lost."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from chat.models import CallRecord
from llm.simulator import Behaviour, SimulatorThread
from tests.support.wire import DOORS, NATIVE, raw, request

CONTROLS = "".join(map(chr, (*range(32), *range(0x7F, 0xA0))))
ODD = "\ufeff\ufffe\uffff\u2028\u2029\u202e\u200b\u0000\U0010ffff\ue000\U000e0001e\u0301"
QUERIES = (
    "\x00",
    "a\x00b",
    "\ud800",
    "\udfff",
    "\uffff",
    "\U0010ffff",
    "\x1b[2J",
    "\r\n",
    "\u202e",
    "é" * 150,
    "%",
    "\\",
)


# This names the parameter twice, and has one more without a name.
AGAIN = "{name}=a&{name}={value}&{value}"


def encoded(text: str) -> str:
    """Encode the text for an address. Half of a surrogate pair becomes bytes that are not UTF-8."""
    return quote(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("path", DOORS)
def test_every_character_reaches_the_upstream_and_its_row_is_there(
    client: httpx2.Client, simulator: SimulatorThread, path: str
) -> None:
    text = CONTROLS + ODD
    body = json.loads(json.dumps(DOORS[path]).replace('"hi"', json.dumps(text)))
    field = "user"
    answer = client.post(path, json={**body, "metadata": {text[:60]: text}, field: text})
    assert answer.status_code == 200, answer.text
    [seen, *_] = simulator.requests()
    assert json.dumps(text) in json.dumps(seen["body"])
    call = client.get(f"/calls/{answer.headers['x-request-id']}").json()
    assert json.dumps(text.replace("\x00", "\ufffd")) in json.dumps(call["messages"])
    assert call["metadata"] == {text[:60].replace("\x00", "\ufffd"): text.replace("\x00", "\ufffd")}
    assert call["parameters"][field] == text.replace("\x00", "\ufffd")
    listed = client.get("/calls", params={"metadata": f"{text[1:60]}:x"})
    assert listed.status_code == 200


def test_a_model_s_answer_with_every_character_is_on_record(client: httpx2.Client, simulator: SimulatorThread) -> None:
    text = "a" + CONTROLS + ODD + "z"
    simulator.script("gpt-4o", Behaviour(answer=text))
    for path in (*NATIVE, "/v1/chat/completions", "/v1/responses", "/v1/completions"):
        answer = client.post(path, json={**DOORS[path], "model": "gpt-4o"})
        assert answer.status_code == 200
        kept = client.get(f"/calls/{answer.headers['x-request-id']}").json()["content"]
        assert kept == text.replace("\x00", "\ufffd"), path


def test_names_of_models_with_any_character_are_refused_or_on_record(client: httpx2.Client) -> None:
    for path, body in DOORS.items():
        for letter in (*CONTROLS, *ODD):
            answer = client.post(path, json={**body, "model": f"m{letter}n"})
            assert answer.status_code in (200, 400), (path, letter)
            if answer.status_code == 200:
                assert CallRecord.objects.get(request_id=answer.headers["x-request-id"]).model_used == f"m{letter}n"


@pytest.mark.parametrize("written", QUERIES)
@pytest.mark.parametrize("query", ["{name}={value}", pytest.param(AGAIN, marks=pytest.mark.slow)])
def test_a_query_with_any_character_is_answered_or_refused(client: httpx2.Client, query: str, written: str) -> None:
    client.post("/v1/chat/completions", json={**DOORS["/v1/chat/completions"], "store": True})
    value = encoded(written)
    names: dict[str, tuple[str, ...]] = {
        "/calls": (
            "status",
            "model",
            "door",
            "since",
            "until",
            "metadata",
            "page_size",
            "cursor",
            value,
            "metadata[a]",
        ),
        "/stats": ("since", "until", "model", "door", "status", "api_key", "group_by", value),
        "/v1/chat/completions": ("after", "limit", "order", "model", "metadata[a]", "metadata", value),
        "/v1/chat/completions/x/messages": ("after", "limit", "order"),
        "/v1/models": ("a", value),
        # Making the schema takes 0.1 s, so all that it reads is in one query. `format` chooses the renderer.
        "/schema": ("format", f"lang={value}&version={value}&{value}"),
        "/docs": ("lang", value),
        "/health": (value,),
        "/metrics": ("name[]", value),
    }
    for path, parameters in names.items():
        for name in parameters:
            answer = client.get(f"{path}?{query.format(name=name, value=value)}")
            assert answer.status_code in (200, 400, 404), (path, name, answer.text[:300])
    for key in (
        f"metadata[{value}]=x",
        f"metadata={value}:x",
        f"metadata=x:{value}",
        "metadata=" + quote('{"a":"\\u0000"}'),
    ):
        for path in ("/calls", "/v1/chat/completions"):
            assert client.get(f"{path}?{key}").status_code in (200, 400), (path, key)


@pytest.mark.parametrize("written", [*QUERIES, "a/b", "..", "{}", "a" * 5_000])
def test_an_id_with_any_character_is_one_that_is_not_there(client: httpx2.Client, written: str) -> None:
    value = encoded(written)
    for path, methods in (
        ("/calls/{}", ("GET",)),
        ("/v1/chat/completions/{}", ("GET", "POST", "DELETE")),
        ("/v1/chat/completions/{}/messages", ("GET",)),
        ("/v1/models/{}", ("GET",)),
        ("/{}", ("GET", "POST")),
        ("/v1/{}", ("GET", "POST")),
        ("/static/{}", ("GET",)),
    ):
        for method in methods:
            sent = request(path.format(value), b'{"metadata": {}}', method=method)
            [answer] = raw(client, sent)
            assert answer.status in (400, 404, 405), (method, path, answer.status)
            assert answer.header("content-type") == "application/json", path
            assert answer.json()["error"]["message"]


@pytest.mark.parametrize("value", ["\x00", "a\x00b", CONTROLS, ODD, "é" * 512])
def test_metadata_of_a_stored_completion_takes_any_character(client: httpx2.Client, value: str) -> None:
    body: dict[str, Any] = {**DOORS["/v1/chat/completions"], "store": True}
    made = client.post("/v1/chat/completions", json=body).json()["id"]
    kept = value.replace("\x00", "\ufffd")
    answer = client.post(f"/v1/chat/completions/{made}", json={"metadata": {"key": value}})
    assert answer.status_code == 200, answer.text
    assert client.get(f"/v1/chat/completions/{made}").json()["metadata"] == {"key": kept}
    assert client.post(f"/v1/chat/completions/{made}", json={"metadata": {value[:64]: "a"}}).status_code == 200
