"""The service's own settings, in an environment that depends on nothing outside the repository.

Tests may run in several processes at once (pytest-xdist): each has its own folders, database and Redis database.
"""

import os
import tempfile

# Kept here, because the folder is removed when this object goes.
_folder = tempfile.TemporaryDirectory(prefix="tests-")

os.environ.update(
    ENVIRONMENT="test",
    OPENAI_API_KEY="sk-test-0123456789abcdef",
    ALLOWED_HOSTS="localhost,127.0.0.1,testserver",
    SPOOL_DIR=f"{_folder.name}/spool",
    LOG_DIR=f"{_folder.name}/logs",
    # No test has to wait long for what its service still reads on when the test is over.
    SHUTDOWN_GRACE="2",
    TEST_DATABASE=f"{_folder.name}/test.sqlite3",
)
for name in (
    "ANTHROPIC_API_KEY",
    "OPENAI_ADMIN_KEY",
    "PROVIDERS",
    "ROUTES",
    "PRICES",
    "FALLBACK_MODELS",
    "DEFAULT_MODEL",
):
    os.environ.pop(name, None)
if os.environ.get("REDIS_URL"):
    # The number of this process, from a name like "gw3"; Redis has 16 databases.
    number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    os.environ["REDIS_URL"] = os.environ["REDIS_URL"].rpartition("/")[0] + f"/{number}"

from orchestration_site.settings import *  # noqa: E402, F403
from orchestration_site.settings import DATABASES, INSTALLED_APPS, ON_SQLITE  # noqa: E402

INSTALLED_APPS = ["tests.support.quick_flush", *INSTALLED_APPS]
if ON_SQLITE:
    # What a power cut would take is lost with the tests anyway. Tests that kill a service have it in a process of its
    # own, with the service's own settings.
    _pragmas = DATABASES["default"]["OPTIONS"]["init_command"]
    DATABASES["default"]["OPTIONS"]["init_command"] = _pragmas.replace("synchronous=FULL", "synchronous=OFF")
