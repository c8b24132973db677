"""Java's own HTTP client calls the service as it comes. It offers HTTP/2 with each first request of a connection."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import httpx2

from chat.models import CallContent, CallRecord
from tests.support.database_servers import require

PROGRAM = Path(__file__).parent / "java" / "Talk.java"


def test_java_s_client_sends_bodies_of_any_size_and_is_answered_in_http_1(client: httpx2.Client) -> None:
    java = shutil.which("java")
    require(java and shutil.which("javac"), "Java 11 or later, with its compiler")
    assert java is not None
    done = subprocess.run(
        [java, "-XX:TieredStopAtLevel=1", str(PROGRAM), str(client.base_url).rstrip("/")],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        *["200 HTTP_1_1 /chat"] * 5,
        "200 HTTP_1_1 /v1/chat/completions",
        "200 HTTP_1_1 /chat/stream",
        "200 HTTP_1_1 /v1/models",
    ]
    sent = [len(content.messages[0]["content"]) for content in CallContent.objects.all() if content.messages]
    assert sorted(sent) == [2, 2, 2, 2, 2, 5_000_000, 5_000_000]
    assert CallRecord.objects.count() == 7
