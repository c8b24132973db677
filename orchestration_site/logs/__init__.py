"""Logs: one JSON object a line, on the console and in `app.log`, which is renamed to `app-YYYY-MM-DD.log` at midnight.

A line belongs to the day of its own timestamp, in the time zone of the process (Django sets that to TIME_ZONE).
Prompts, answers and keys are never logged: what the SDKs log below WARNING is dropped, and what looks like a key is
redacted.
"""

from orchestration_site.logs.config import logging_config
from orchestration_site.logs.midnight_file import log_file_error

__all__ = ["log_file_error", "logging_config"]
