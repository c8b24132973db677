"""The settings and `.env.example`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import environ

from tests.support.loaded_settings import load_settings

ROOT = Path(__file__).resolve().parents[2]


def example() -> dict[str, str]:
    before = dict(os.environ)
    try:
        for name in re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE):
            os.environ.pop(name, None)
        environ.Env.read_env(ROOT / ".env.example")
        named = re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
        return {name: os.environ[name] for name in named}
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_env_example_shows_the_defaults() -> None:
    shown = {name: value for name, value in example().items() if name != "ENVIRONMENT"}
    shown["DATABASE_URL"] = f"sqlite:///{ROOT / 'db.sqlite3'}"
    shown["SPOOL_DIR"] = str(ROOT / "spool")
    shown["LOG_DIR"] = str(ROOT / "logs")
    as_shown, default = load_settings(shown, {})
    assert as_shown == default


def test_env_example_names_every_setting_that_is_read() -> None:
    read = set()
    for file in ("settings.py", "setting_values.py"):
        read |= set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (ROOT / "orchestration_site" / file).read_text()))
    assert read - {"TEST_DATABASE"} <= set(example())


def test_an_empty_variable_counts_as_not_set() -> None:
    empty, default = load_settings({"SECRET_KEY": "", "MAX_RETRIES": ""}, {})
    assert empty == default


KEPT_STATEMENTS = """
import django; django.setup()
from concurrent.futures import ThreadPoolExecutor
from django.db import connection
print(ThreadPoolExecutor().submit(lambda: connection.queries_log.maxlen).result())
"""


def test_in_development_a_task_keeps_no_statements_in_memory_which_hold_prompts() -> None:
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "orchestration_site.settings", "DEBUG": "true"}
    shown = subprocess.run(
        [sys.executable, "-c", KEPT_STATEMENTS], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "0"
