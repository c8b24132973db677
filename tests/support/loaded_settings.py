"""The settings as a new process reads them from its environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# What the settings import takes a second, so it is imported once, and each environment has a fork of that process.
SHOW = """
import json, os, sys
import django.conf, environ, llm, redis.asyncio
from orchestration_site.http import proxies
from orchestration_site.http.browsers import cors
from orchestration_site.setting_values import database_url, notations
for variables in json.load(sys.stdin):
    if os.fork() == 0:
        os.environ.update(variables)
        from orchestration_site import settings
        print(json.dumps({name: str(value) for name, value in vars(settings).items() if name.isupper()}))
        break
    assert os.wait()[1] == 0
"""


# The same for settings that can't be read: what the error says, or an empty text.
REFUSE = """
import json, os, sys
import django.conf, environ, llm, redis.asyncio
from orchestration_site.http import proxies
from orchestration_site.http.browsers import cors
from orchestration_site.setting_values import database_url, notations
from django.core.exceptions import ImproperlyConfigured
for variables in json.load(sys.stdin):
    if os.fork() == 0:
        os.environ.update(variables)
        try:
            from orchestration_site import settings
        except ImproperlyConfigured as error:
            print(json.dumps(str(error)))
        else:
            print(json.dumps(""))
        break
    assert os.wait()[1] == 0
"""


def refusals(*environments: dict[str, str]) -> list[str]:
    """Why each of these environments is refused; empty for one with which the settings can be read."""
    said: list[str] = _run(REFUSE, environments)
    return said


def load_settings(*environments: dict[str, str]) -> list[dict[str, str]]:
    """All settings as texts, for each of these environments, to which only PATH and ENVIRONMENT=test are added."""
    return _run(SHOW, environments)


def _run(script: str, environments: tuple[dict[str, str], ...]) -> list[Any]:
    shown = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "ENVIRONMENT": "test"},
        input=json.dumps(environments),
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in shown.stdout.splitlines()]
