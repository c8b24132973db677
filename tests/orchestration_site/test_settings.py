"""The settings and `.env.example`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from orchestration_site.setting_values import network
from orchestration_site.setting_values.env_file import read_env_file
from tests.support.loaded_settings import load_settings

ROOT = Path(__file__).resolve().parents[2]


def example() -> dict[str, str]:
    return read_env_file(ROOT / ".env.example")


def test_env_example_shows_the_defaults() -> None:
    shown = {name: value for name, value in example().items() if name != "ENVIRONMENT"}
    as_shown, default = load_settings(shown, {})
    assert as_shown == default


def test_env_example_names_every_setting_that_is_read() -> None:
    # TEST_DATABASE is for tests, and keys and price lists of providers have the names of the providers.
    assert asked_for() - {"TEST_DATABASE"} == set(example()) - set(network.VARIABLES)


def asked_for() -> set[str]:
    from orchestration_site.settings import env

    of_providers = ("_API_KEY", "_PRICES")
    return {name for name in env.asked if not name.endswith(of_providers)} | {"OPENAI_API_KEY", "ANTHROPIC_API_KEY"}


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
