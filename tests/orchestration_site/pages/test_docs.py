"""GET /docs, /redoc and /schema"""

from __future__ import annotations

from io import StringIO
from typing import Any

import httpx2
import pytest
import yaml
from django.core.management import call_command
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

DOORS = ("/chat", "/chat/parallel", "/chat/fallback", "/chat/stream")


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    generated: dict[str, Any] = SchemaGenerator().get_schema(public=True)
    return generated


def resolve(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """The part itself, or the part to which its `$ref` refers."""
    while "$ref" in part:
        *_, kind, name = part["$ref"].split("/")
        part = schema["components"][kind][name]
    return part


def body_schema(schema: dict[str, Any], described: dict[str, Any]) -> dict[str, Any]:
    return resolve(schema, described["content"]["application/json"]["schema"])


def test_the_schema_is_generated_without_a_warning_and_is_valid() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=StringIO(), stderr=StringIO())


def test_the_schema_that_is_served_is_valid(client: httpx2.Client) -> None:
    served = client.get("/schema")
    assert served.status_code == 200
    validate_schema(yaml.safe_load(served.text))
    as_json = client.get("/schema", headers={"Accept": "application/vnd.oai.openapi+json"})
    assert as_json.json()["paths"].keys() == yaml.safe_load(served.text)["paths"].keys()


def test_the_documentation_needs_no_other_host(client: httpx2.Client) -> None:
    for path in ("/docs", "/redoc"):
        page = client.get(path)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        with_its_script = page.text + client.get("/docs?script=").text if path == "/docs" else page.text
        assert "/schema" in with_its_script
        assert "/static/drf_spectacular_sidecar/" in page.text
        assert '<script src="http' not in page.text
    for script in ("swagger-ui-dist/swagger-ui-bundle.js", "redoc/bundles/redoc.standalone.js"):
        assert client.get(f"/static/drf_spectacular_sidecar/{script}").status_code == 200


def test_the_documentation_loads_no_font_from_google(client: httpx2.Client) -> None:
    assert "googleapis" not in client.get("/redoc").text


def test_every_address_of_the_api_is_in_it(schema: dict[str, Any]) -> None:
    assert {*DOORS, "/calls", "/calls/{request_id}", "/stats", "/health", "/health/ready"} <= set(schema["paths"])
    assert all(set(schema["paths"][door]) == {"post"} for door in DOORS)
    assert "get" in schema["paths"]["/calls"]
    assert not any(path.startswith(("/admin", "/schema", "/docs")) for path in schema["paths"])


@pytest.mark.parametrize("door", DOORS)
def test_a_door_has_its_fields_its_answer_and_its_errors(schema: dict[str, Any], door: str) -> None:
    operation = schema["paths"][door]["post"]
    assert operation["summary"]
    fields = body_schema(schema, operation["requestBody"])["properties"]
    assert {
        "prompt",
        "messages",
        "temperature",
        "max_tokens",
        "timeout",
        "metadata",
        "default_message",
        "model",
    } <= set(fields)
    statuses = (
        {"200", "400", "413"} if door == "/chat/fallback" else {"200", "400", "404", "413", "429", "502", "503", "504"}
    )
    assert statuses <= set(operation["responses"])
    for status in statuses - {"200"}:
        error = body_schema(schema, operation["responses"][status])
        assert set(resolve(schema, error["properties"]["error"])["properties"]) == {
            "code",
            "message",
            "request_id",
            "details",
        }


def test_what_a_door_answers_is_what_its_schema_says(client: httpx2.Client, schema: dict[str, Any]) -> None:
    described = body_schema(schema, schema["paths"]["/chat"]["post"]["responses"]["200"])["properties"]
    answer = client.post("/chat", json={"prompt": "a"}).json()
    assert set(answer) == set(described)
    assert set(answer["usage"]) == set(resolve(schema, described["usage"])["properties"])
    assert set(answer["attempts"][0]) == set(resolve(schema, described["attempts"]["items"])["properties"])

    described = body_schema(schema, schema["paths"]["/calls"]["get"]["responses"]["200"])["properties"]
    page = client.get("/calls").json()
    assert set(page) == set(described)
    assert set(page["results"][0]) == set(resolve(schema, described["results"]["items"])["properties"])

    described = body_schema(schema, schema["paths"]["/calls/{request_id}"]["get"]["responses"]["200"])["properties"]
    detail = client.get(f"/calls/{answer['request_id']}").json()
    assert set(detail) == set(described)
    assert set(detail["attempts"][0]) == set(resolve(schema, described["attempts"]["items"])["properties"])


def test_a_stream_is_described_as_events(schema: dict[str, Any]) -> None:
    operation = schema["paths"]["/chat/stream"]["post"]
    assert "text/event-stream" in operation["responses"]["200"]["content"]
    assert "[DONE]" in operation["description"]


def test_the_history_describes_its_filters(schema: dict[str, Any]) -> None:
    names = {parameter["name"] for parameter in schema["paths"]["/calls"]["get"]["parameters"]}
    assert {"status", "model", "door", "since", "until", "metadata", "cursor", "page_size"} <= names


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_a_page_answers_to_get_alone_and_shows_no_traceback(client: httpx2.Client, page: str) -> None:
    assert client.get(page).status_code == 200
    for method in ("OPTIONS", "POST", "DELETE"):
        answer = client.request(method, page)
        assert answer.status_code == 405
        assert "Traceback" not in answer.text
