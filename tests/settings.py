"""The service's own settings, in an environment that depends on nothing outside the repository."""

import os
import tempfile

os.environ.update(
    ENVIRONMENT="test",
    OPENAI_API_KEY="sk-test-0123456789abcdef",
    ALLOWED_HOSTS="localhost,127.0.0.1,testserver",
    SPOOL_DIR=tempfile.mkdtemp(prefix="spool-"),
    LOG_DIR=tempfile.mkdtemp(prefix="logs-"),
    TEST_DATABASE=os.environ.get("TEST_DATABASE", f"{tempfile.mkdtemp(prefix='db-')}/test.sqlite3"),
)
for name in ("ANTHROPIC_API_KEY", "PROVIDERS", "ROUTES", "PRICES", "FALLBACK_MODELS", "DEFAULT_MODEL"):
    os.environ.pop(name, None)

from orchestration_site.settings import *  # noqa: E402, F403
