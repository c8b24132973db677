"""The settings as a new process reads them from its environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHOW = """
import json
from orchestration_site import settings
print(json.dumps({name: str(value) for name, value in vars(settings).items() if name.isupper()}))
"""


def load_settings(**variables: str) -> dict[str, str]:
    """All settings as texts, with these environment variables and no others."""
    environment = {"PATH": os.environ["PATH"], "ENVIRONMENT": "test", **variables}
    shown = subprocess.run(
        [sys.executable, "-c", SHOW], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    values: dict[str, str] = json.loads(shown.stdout)
    return values
