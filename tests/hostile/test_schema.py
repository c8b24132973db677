"""To requests that fit the schema and to others, the service answers as the schema says, and it never fails.

Schemathesis reads the schema and makes requests from it. First they have every boundary of every field ("coverage").
Then they are random, right and wrong. Then they use the answers to others. `HOSTILE_EXAMPLES=500` makes more of them.

It runs as a command, because its plugin for pytest does not work with this version of pytest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from access.keys.key_lifecycle import create_key
from access.models import ApiKey

pytestmark = pytest.mark.slow

EXAMPLES = os.environ.get("HOSTILE_EXAMPLES", "8")
BODIES = ("ChatRequest", "ChatStreamRequest", "ParallelRequest", "FallbackRequest")
LEFT_OUT = (
    # A request that fits the schema may still be refused, because of a model that a route can't name or a message that
    # a model can't read.
    "positive_data_acceptance",
    # Schemathesis expects that nothing is left after a deletion. But the row of a deleted completion stays, and so does
    # GET /calls/{request_id}.
    "use_after_free",
)


def test_every_operation_answers_as_the_schema_says(start_site: Callable[..., httpx2.Client], tmp_path: Path) -> None:
    client = start_site(API_KEYS_REQUIRED=True, MAX_RETRIES=0, STORED_COMPLETIONS="all")
    client.headers["Authorization"] = f"Bearer {create_key(key=ApiKey(name='root', scopes=['admin']))}"
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(told_what_it_cannot_know(client)))
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", os.devnull, "run", str(file)]
    command += ["--url", str(client.base_url), "--no-color", "--max-examples", EXAMPLES, "--generation-deterministic"]
    command += ["--header", f"Authorization: {client.headers['authorization']}", "--request-timeout", "30"]
    command += ["--continue-on-failure", "--exclude-checks", ",".join(LEFT_OUT), "--warnings", "off"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    print(done.stdout[-2000:])
    assert done.returncode == 0, done.stdout + done.stderr


def told_what_it_cannot_know(client: httpx2.Client) -> dict[str, Any]:
    """Add to the schema what OpenAPI can't express well, and the ids of calls that exist."""
    schema: dict[str, Any] = client.get("/schema", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    for name in BODIES:
        # Without this, hardly any random body would pass the first check. It does not stand in the schema itself,
        # because it would spoil the clients that people generate from it.
        schema["components"]["schemas"][name]["oneOf"] = [{"required": ["prompt"]}, {"required": ["messages"]}]
    for operations in schema["paths"].values():
        for operation in operations.values():
            for answer in operation["responses"].values():
                # Schemathesis takes the schema of a stream, which is a text, for the schema of each event.
                answer["content"].get("text/event-stream", {}).pop("schema", None)
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    parameter["example"] = an_id(client, parameter["name"])
                elif parameter["in"] == "header" and parameter["schema"]["type"] == "number":
                    # Schemathesis takes every number in a header for a text that is not a number.
                    parameter["schema"] = {"type": "string", "pattern": "^[0-9.eE+-]{1,32}$"}
    return schema


def an_id(client: httpx2.Client, parameter: str) -> str:
    if parameter == "model":
        return "gpt-4o"
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "a"}], "store": True}
    answer = client.post("/v1/chat/completions", json=body)
    found: str = answer.headers["x-request-id"] if parameter == "request_id" else answer.json()["id"]
    return found
