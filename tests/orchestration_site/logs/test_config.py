"""The configuration of logging: which logger writes what, and where."""

from __future__ import annotations

import json
import logging
import logging.config
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration_site.logs import log_file_error, logging_config
from tests.support.reading.log_lines import events


@pytest.fixture
def restore_logging() -> Iterator[None]:
    names = ("", *logging_config(level="INFO", log_dir=None, retention_days=1)["loggers"])
    loggers = [logging.getLogger(name) for name in names]
    before = [(one, one.handlers[:], one.level, one.propagate) for one in loggers]
    yield
    for one, handlers, level, propagate in before:
        for handler in one.handlers:
            if handler not in handlers:
                handler.close()
        one.handlers[:], one.propagate = handlers, propagate
        one.setLevel(level)


def test_a_level_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="LOG_LEVEL must be one of"):
        logging_config(level="LOUD", log_dir=None, retention_days=1)


@pytest.mark.usefixtures("restore_logging")
def test_a_folder_that_cannot_be_made_does_not_stop_the_service(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file in the way")
    logging.config.dictConfig(logging_config(level="INFO", log_dir=tmp_path / "logs", retention_days=1))
    assert log_file_error() is None
    logging.getLogger("chat").info("llm_call")
    assert log_file_error() == "FileExistsError: File exists"


@pytest.mark.usefixtures("restore_logging")
def test_what_the_sdks_log_at_debug_is_never_written_even_if_openai_log_sets_their_level(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logging.config.dictConfig(logging_config(level="DEBUG", log_dir=tmp_path, retention_days=1))
    for name in ("openai", "httpx2", "httpcore2.http11"):
        logging.getLogger(name).setLevel(logging.DEBUG)
        logging.getLogger(name).debug("Request options: my prompt")
        logging.getLogger(name).warning("retrying")
        logging.getLogger(name).setLevel(logging.NOTSET)
    logging.getLogger("django.db.backends").debug("INSERT my prompt")
    assert events(tmp_path / "app.log") == ["retrying"] * 3
    assert "my prompt" not in capfd.readouterr().err


@pytest.mark.usefixtures("restore_logging")
def test_every_logger_is_written_once_to_console_and_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from django.utils.log import DEFAULT_LOGGING
    from uvicorn.config import LOGGING_CONFIG

    logging.config.dictConfig(LOGGING_CONFIG)  # uvicorn and Django set up theirs before ours
    logging.config.dictConfig({**DEFAULT_LOGGING, "filters": {}, "handlers": _plain_handlers(DEFAULT_LOGGING)})
    logging.config.dictConfig(logging_config(level="INFO", log_dir=tmp_path / "new" / "logs", retention_days=1))
    expected = ["chat", "django", "django.request", "django.server", "uvicorn", "uvicorn.error", "openai"]
    for name in (*expected, "uvicorn.access"):
        logging.getLogger(name).info("info of %s", name)
        logging.getLogger(name).warning("warning of %s", name)
    lines = events(tmp_path / "new" / "logs" / "app.log")
    assert [line for line in lines if "warning" in line] == [f"warning of {name}" for name in expected]
    assert [line for line in lines if "info" in line] == [
        f"info of {name}" for name in ("chat", "django", "uvicorn", "uvicorn.error")
    ]
    captured = capfd.readouterr()
    assert captured.out == ""
    assert [json.loads(line)["event"] for line in captured.err.splitlines()] == lines
    assert not logging.getLogger("uvicorn.access").hasHandlers()


def _plain_handlers(config: dict[str, dict[str, dict[str, object]]]) -> dict[str, object]:
    """Django's handlers, without their filters, which read settings."""
    return {name: {"class": "logging.StreamHandler"} for name in config["handlers"]}


@pytest.mark.usefixtures("restore_logging")
def test_a_strict_level_is_not_loosened_for_any_logger(tmp_path: Path) -> None:
    logging.config.dictConfig(logging_config(level="error", log_dir=tmp_path, retention_days=1))
    for name in ("chat", "django.request", "uvicorn.error", "openai"):
        logging.getLogger(name).warning("no")
        logging.getLogger(name).error("yes")
    assert events(tmp_path / "app.log") == ["yes"] * 4
