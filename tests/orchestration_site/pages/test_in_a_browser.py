"""The pages in a real browser: what their content security policy forbids, the console says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import httpx2
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize(
    ("page", "drawn"),
    [
        ("/docs", 'data-path="/chat/fallback"'),
        ("/redoc", "A fallback chain that always answers"),
        ("/admin/login/", 'id="id_username"'),
    ],
)
def test_a_page_is_drawn_and_nothing_on_it_is_blocked(
    client: httpx2.Client, tmp_path: Path, page: str, drawn: str
) -> None:
    assert CHROMIUM is not None
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-gpu")
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--no-first-run", *quiet, f"--user-data-dir={tmp_path / 'profile'}"),
        *("--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom", str(client.base_url.join(page))),
    ]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert drawn in shown.stdout
    console = [line for line in shown.stderr.splitlines() if "CONSOLE" in line]
    assert [line for line in console if "favicon.ico" not in line] == []
