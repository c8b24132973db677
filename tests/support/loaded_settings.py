"""The settings as a new process reads them from its environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What the settings import takes a second, so it is imported once, and each environment has a fork of that process.
SHOW = """
import json, os, sys
import django.conf, environ, llm
for variables in json.load(sys.stdin):
    if os.fork() == 0:
        os.environ.update(variables)
        from orchestration_site import settings
        print(json.dumps({name: str(value) for name, value in vars(settings).items() if name.isupper()}))
        break
    assert os.wait()[1] == 0
"""


def load_settings(*environments: dict[str, str]) -> list[dict[str, str]]:
    """All settings as texts, for each of these environments, to which only PATH and ENVIRONMENT=test are added."""
    shown = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "ENVIRONMENT": "test"},
        input=json.dumps(environments),
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in shown.stdout.splitlines()]
