"""The configuration of logging: which logger writes what, and where."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any

from orchestration_site.compat import skip_caller_lookup

# Loggers of the SDKs. Below WARNING they log URLs, headers and whole bodies, and so prompts and answers.
_SDK_LOGGERS = ("openai", "httpx2", "httpcore2", "httpx", "httpcore", "aiohttp")


class SdkDebugFilter(logging.Filter):
    """Drops what the SDKs log below WARNING.

    The level of their loggers is not enough: the environment variable OPENAI_LOG=debug changes it after us.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or record.name.partition(".")[0] not in _SDK_LOGGERS


def logging_config(*, level: str, log_dir: Path | None, retention_days: int) -> dict[str, Any]:
    """The dictConfig for Django's LOGGING: JSON lines on stderr and in `log_dir`/app.log.

    stdout is left to the output of commands. All loggers write by the handlers of the root logger, so that nothing is
    logged twice; uvicorn must be started with `log_config=None` for that. Raises ValueError on an unknown level.
    """
    skip_caller_lookup()
    level = level.upper()
    levels = logging.getLevelNamesMapping()
    if level not in levels:
        raise ValueError(f"LOG_LEVEL must be one of {', '.join(levels)}, not {level}")

    def at_least(floor: str) -> dict[str, Any]:
        return {"level": max(level, floor, key=levels.__getitem__), "handlers": [], "propagate": True}

    handlers: dict[str, Any] = {
        "console": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stderr",
            "formatter": "json",
            "filters": ["sdk_debug"],
        }
    }
    if log_dir is not None:
        with contextlib.suppress(OSError):  # the handler tries again with each line, and reports it in last_error
            log_dir.mkdir(parents=True, exist_ok=True)
        handlers["file"] = {
            "()": "orchestration_site.logs.midnight_file.MidnightFileHandler",
            "filename": str(log_dir / "app.log"),
            "retention_days": retention_days,
            "formatter": "json",
            "filters": ["sdk_debug"],
        }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "orchestration_site.logs.formatter.JsonFormatter"}},
        "filters": {"sdk_debug": {"()": "orchestration_site.logs.config.SdkDebugFilter"}},
        "handlers": handlers,
        "root": {"level": level, "handlers": list(handlers)},
        "loggers": {
            # At DEBUG, django.db.backends logs SQL with its values, and so prompts.
            "django": at_least("INFO"),
            "django.request": at_least("WARNING"),
            "django.server": at_least("WARNING"),
            "uvicorn": at_least("INFO"),
            "uvicorn.error": at_least("INFO"),
            # Off, because each call has its own llm_call line. Without a handler uvicorn does not even format the line.
            "uvicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
            **{name: at_least("WARNING") for name in _SDK_LOGGERS},
        },
    }
