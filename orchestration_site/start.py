"""The first steps of each start: reading the settings, and trying the folders. What is wrong is told in one line."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

# uvicorn's exit code of a worker that could not start. The process above several workers does not start it again.
STARTUP_FAILURE = 3


def read_settings_or_exit(code: int = 1) -> None:
    """Read Django's settings. If they can't be read, end the process with one line that says why.

    Without this, Django would show a traceback, or start a command again and again, as runserver does.
    """
    try:
        _ = settings.INSTALLED_APPS
    except ImproperlyConfigured as error:
        print(f"The settings can't be used. {' '.join(str(error).split())}", file=sys.stderr, flush=True)  # noqa: T201
        sys.exit(code)


def try_folders() -> None:
    """Raise ImproperlyConfigured if nothing can be written into SPOOL_DIR or LOG_DIR.

    This is not a system check, because commands such as `api_key` run those too, and need neither folder.
    """
    for name, folder in (("SPOOL_DIR", settings.SPOOL_DIR), ("LOG_DIR", settings.LOG_DIR)):
        if problem := problem_of_folder(folder):
            raise ImproperlyConfigured(
                f"{name} is {folder}, where no file can be written: {problem}. Name a folder that belongs to the user "
                "of the service."
            )


def problem_of_folder(folder: Path) -> str:
    """Make the folder if it is not there, and write a file into it. Returns why that fails, or nothing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"a call")
            file.flush()
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def state_of_folder(folder: Path) -> str:
    """Whether files can be written into the folder: `ok`, or why not. It writes nothing, so anybody may ask."""
    if not folder.is_dir():
        return "the folder is not there"
    return "ok" if os.access(folder, os.W_OK | os.X_OK) else "the folder can't be written to"
