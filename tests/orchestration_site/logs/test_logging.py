"""Logs: whole lines, in the right day's file, without secrets, and never in the way of the service."""

import json
import logging
import logging.config
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from orchestration_site.logs.config import JsonFormatter, MidnightFileHandler, log_file_error, logging_config

ROOT = Path(__file__).resolve().parents[3]
BERLIN = ZoneInfo("Europe/Berlin")
MIDNIGHT = datetime(2025, 12, 22, tzinfo=BERLIN).timestamp()  # 23:00 UTC of the day before
HOUR = 3600.0
DAY = 24 * HOUR


_opened: list[logging.Handler] = []


@pytest.fixture(autouse=True)
def close_logs() -> Iterator[None]:
    yield
    while _opened:
        _opened.pop().close()


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


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


def make_record(event: object, /, created: float = MIDNIGHT, **extra: object) -> logging.LogRecord:
    values = {"name": "chat", "levelno": logging.INFO, "levelname": "INFO", "msg": event, "created": created}
    return logging.makeLogRecord(values | extra)


def one_line(event: object, /, created: float = MIDNIGHT, **extra: object) -> dict[str, object]:
    line = JsonFormatter().format(make_record(event, created, **extra))
    assert len(line.splitlines()) == 1
    assert line.isascii()
    parsed = json.loads(line)
    assert isinstance(parsed, dict)
    return parsed


def open_log(
    folder: Path, *, retention_days: int = 0, now: Callable[[], float] = lambda: MIDNIGHT
) -> MidnightFileHandler:
    handler = MidnightFileHandler(folder / "app.log", retention_days=retention_days, now=now)
    handler.setFormatter(JsonFormatter())
    _opened.append(handler)
    return handler


def write(handler: MidnightFileHandler, event: str, created: float) -> None:
    handler.handle(make_record(event, created))


def events(path: Path) -> list[str]:
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"app.log.lock"}


# The line


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_extra_that_cannot_be_printed_does_not_raise_and_leaves_the_other_fields() -> None:
    line = one_line("llm_call", model=Unprintable(), latency_ms=12)
    assert (line["model"], line["latency_ms"]) == ("[unprintable Unprintable]", 12)


def test_arguments_that_do_not_fit_the_message_do_not_raise() -> None:
    assert one_line("%d calls", args=("many",))["event"] == "%d calls"


def test_a_record_that_is_broken_altogether_is_still_a_line_that_says_so() -> None:
    line = one_line("llm_call", created="yesterday")  # type: ignore[arg-type]
    assert (line["event"], line["logger"]) == ("log_record_unprintable", "chat")


@pytest.mark.parametrize(
    "text", ["two\nlines", "\r\n", "\x00\x1b[31mred\x9b", "next\x85line\u2028paragraph\u2029", 'a "quoted" \\ back']
)
def test_no_character_breaks_the_line(text: str) -> None:
    line = one_line(text, detail=text, nested={text: [text]})
    assert (line["event"], line["detail"], line["nested"]) == (text, text, {text: [text]})


def test_lone_surrogates_become_the_replacement_character() -> None:
    line = one_line("bad \ud83d end", model="\udc00", **{"na\udfffme": 1})
    assert (line["event"], line["model"], line["na\ufffdme"]) == ("bad \ufffd end", "\ufffd", 1)
    assert one_line("good 😀")["event"] == "good 😀"


@pytest.mark.parametrize(
    "number", [float("nan"), float("inf"), Decimal("NaN"), Decimal("sNaN"), 10**30, pytest.param(10**5000, id="huge")]
)
def test_numbers_that_json_does_not_have_become_text(number: object) -> None:
    assert isinstance(one_line("llm_call", cost_usd=number)["cost_usd"], str)


def test_a_structure_that_holds_itself_ends() -> None:
    loop: dict[str, object] = {}
    loop["self"] = loop
    assert one_line("llm_call", attempts=loop, latency_ms=1)["latency_ms"] == 1


def test_an_extra_cannot_take_the_place_of_a_fixed_field() -> None:
    line = one_line("llm_call", level="none", timestamp="never", event="other", logger="x", exception="y")
    assert (line["event"], line["level"], line["logger"]) == ("llm_call", "info", "chat")
    assert (line["extra_event"], line["extra_level"], line["extra_exception"]) == ("other", "none", "y")


def test_a_call_is_logged_as_the_readme_shows_it() -> None:
    line = one_line(
        "llm_call",
        created=datetime(2024, 1, 15, 10, 30, 45, 123999, tzinfo=UTC).timestamp(),
        request_id="req_abc123",
        model="gpt-4-turbo",
        latency_ms=1234,
        cost_usd=Decimal("0.0045"),
        prompt_tokens=150,
        started=datetime(2024, 1, 15, tzinfo=UTC),
        where=Path("a/b"),
        none=None,
    )
    assert list(line.items()) == [
        ("timestamp", "2024-01-15T10:30:45.123Z"),
        ("level", "info"),
        ("event", "llm_call"),
        ("logger", "chat"),
        ("request_id", "req_abc123"),
        ("model", "gpt-4-turbo"),
        ("latency_ms", 1234),
        ("cost_usd", 0.0045),
        ("prompt_tokens", 150),
        ("started", "2024-01-15T00:00:00+00:00"),
        ("where", "a/b"),
        ("none", None),
    ]


def test_the_last_moment_of_a_day_is_not_rounded_into_the_next() -> None:
    assert one_line("x", created=MIDNIGHT - 0.0000005)["timestamp"] == "2025-12-21T22:59:59.999Z"


def test_an_exception_has_its_type_message_and_traceback() -> None:
    try:
        raise ValueError("bad\nvalue")
    except ValueError as error:
        line = one_line("failed", exc_info=(type(error), error, error.__traceback__))
    exception = line["exception"]
    assert isinstance(exception, dict)
    assert (exception["type"], exception["message"]) == ("ValueError", "bad\nvalue")
    assert exception["traceback"].startswith("Traceback") and "test_logging.py" in exception["traceback"]


def test_exc_info_without_an_exception_is_left_out() -> None:
    assert "exception" not in one_line("x", exc_info=(None, None, None))


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcDEF0123456789",
        "sk-ant-api03-x_y-z",
        "sk-1234",
        "gsk_abcdefghijklmnop1234",
        "AIzaSyA-1234567890abcdefgh",
        "Bearer abc.def~ghi+jkl/mno==",
        "bearer: s3cret",
        "BEARER%20s3cret",
    ],
)
@pytest.mark.parametrize("around", ["{}", "a\n{}\n", 'key="{}"', "é{} ", "\\{}\\", "?key=%3D{}&x", "{{'k': '{}'}}"])
def test_what_looks_like_a_key_is_redacted_wherever_it_stands(secret: str, around: str) -> None:
    text = around.format(secret)
    try:
        raise RuntimeError(text)
    except RuntimeError as error:
        line = one_line(text, headers={"Authorization": text}, exc_info=(type(error), error, error.__traceback__))
    dumped = json.dumps(line)
    for part in (secret, secret.rsplit(maxsplit=1)[-1], "s3cret", "abc.def"):
        assert part not in dumped
    assert line["event"] == around.format("[redacted]")


@pytest.mark.parametrize("text", ["task-1234", "disk-usage", "risk-assessment-2025", "gpt-4o", "the forbearer fell"])
def test_words_that_only_resemble_a_key_stay(text: str) -> None:
    assert one_line(text)["event"] == text


# The file


def test_a_full_disk_does_not_raise_is_told_once_and_shows_until_a_line_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "app.log").symlink_to("/dev/full")
    handler = open_log(tmp_path)
    for number in range(5):
        write(handler, f"lost {number}", MIDNIGHT)
    assert handler.last_error == "OSError: No space left on device"
    assert capsys.readouterr().err.count("--- Logging error ---") == 1

    (tmp_path / "app.log").unlink()
    write(handler, "space again", MIDNIGHT)
    assert handler.last_error is None
    assert events(tmp_path / "app.log") == ["space again"]


def test_a_full_disk_is_silent_on_stderr_when_logging_is_told_not_to_raise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    (tmp_path / "app.log").symlink_to("/dev/full")
    handler = open_log(tmp_path)
    write(handler, "lost", MIDNIGHT)
    assert handler.last_error
    assert capsys.readouterr().err == ""


def test_after_half_a_line_on_a_full_disk_the_next_line_is_whole(tmp_path: Path) -> None:
    script = f"""if True:
        import logging, resource
        from orchestration_site.logs.config import JsonFormatter, MidnightFileHandler
        logging.raiseExceptions = False
        handler = MidnightFileHandler({str(tmp_path / "app.log")!r})
        handler.setFormatter(JsonFormatter())
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (250, hard))  # a disk with room for two lines and a half
        for number in range(4):
            handler.handle(logging.makeLogRecord({{"msg": f"line {{number}}", "name": "x" * 20}}))
        assert handler.last_error == "OSError: File too large", handler.last_error
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        handler.handle(logging.makeLogRecord({{"msg": "space again"}}))
        assert handler.last_error is None
    """
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    first, *others, last = (tmp_path / "app.log").read_text().splitlines()
    assert json.loads(first)["event"] == "line 0"
    assert json.loads(last)["event"] == "space again"
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(others[-1])


def test_a_file_that_cannot_be_renamed_goes_on_and_says_so_and_is_renamed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = open_log(tmp_path)
    write(handler, "before", MIDNIGHT - HOUR)
    with monkeypatch.context() as patch:

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        patch.setattr(Path, "rename", refuse)
        write(handler, "after", MIDNIGHT + 1)
        assert handler.last_error == "PermissionError: Permission denied"
    assert events(tmp_path / "app.log") == ["before", "after"]

    write(handler, "later", MIDNIGHT + 2)
    assert handler.last_error is None
    assert events(tmp_path / "app-2025-12-21.log") == ["before", "after"]
    assert events(tmp_path / "app.log") == ["later"]


def test_without_a_lock_nothing_is_renamed_and_no_line_is_lost(tmp_path: Path) -> None:
    (tmp_path / "app.log.lock").mkdir()  # stands for a folder or a file system that gives no lock
    handler = open_log(tmp_path)
    write(handler, "before", MIDNIGHT - HOUR)
    write(handler, "after", MIDNIGHT + 1)
    assert handler.last_error is not None and "no lock" in handler.last_error
    assert events(tmp_path / "app.log") == ["before", "after"]
    assert names(tmp_path) == {"app.log"}


def test_a_service_that_was_down_at_midnight_renames_on_its_first_line(tmp_path: Path) -> None:
    handler = open_log(tmp_path)
    write(handler, "before", MIDNIGHT - HOUR)
    handler.close()
    restarted = open_log(tmp_path)
    write(restarted, "three days later", MIDNIGHT + 3 * DAY)
    assert events(tmp_path / "app-2025-12-21.log") == ["before"]
    assert events(tmp_path / "app.log") == ["three days later"]
    assert names(tmp_path) == {"app.log", "app-2025-12-21.log"}


def test_a_foreign_file_is_dated_by_its_last_change(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("not ours\n")
    os.utime(tmp_path / "app.log", (MIDNIGHT - HOUR, MIDNIGHT - HOUR))
    write(open_log(tmp_path), "after", MIDNIGHT)
    assert (tmp_path / "app-2025-12-21.log").read_text() == "not ours\n"
    assert events(tmp_path / "app.log") == ["after"]


def test_a_line_that_comes_late_goes_to_its_own_day(tmp_path: Path) -> None:
    handler = open_log(tmp_path)
    write(handler, "before", MIDNIGHT - 1)
    write(handler, "after", MIDNIGHT)
    write(handler, "late", MIDNIGHT - 0.001)
    write(handler, "after again", MIDNIGHT + 1)
    assert events(tmp_path / "app-2025-12-21.log") == ["before", "late"]
    assert events(tmp_path / "app.log") == ["after", "after again"]


def test_a_dated_file_that_is_there_already_is_kept_and_so_is_ours(tmp_path: Path) -> None:
    handler = open_log(tmp_path)
    write(handler, "ours", MIDNIGHT - 1)
    (tmp_path / "app-2025-12-21.log").write_text('{"event": "restored"}\n{"event": "no end of line"}')
    write(handler, "after", MIDNIGHT)
    assert sorted(events(tmp_path / "app-2025-12-21.log")) == ["no end of line", "ours", "restored"]
    assert events(tmp_path / "app.log") == ["after"]
    assert names(tmp_path) == {"app.log", "app-2025-12-21.log"}


def test_a_file_that_was_removed_or_moved_or_whose_folder_is_gone_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "logs" / "deep"
    handler = open_log(folder)
    write(handler, "one", MIDNIGHT)
    (folder / "app.log").rename(folder / "elsewhere.log")
    write(handler, "two", MIDNIGHT)
    assert events(folder / "app.log") == ["two"]
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    write(handler, "three", MIDNIGHT)
    assert events(folder / "app.log") == ["three"]


def test_midnight_is_local_also_on_the_days_of_23_and_25_hours(tmp_path: Path) -> None:
    spring, autumn = datetime(2025, 3, 30, tzinfo=BERLIN), datetime(2025, 10, 26, tzinfo=BERLIN)
    handler = open_log(tmp_path)
    for day, hours in ((spring, 23), (autumn, 25)):
        write(handler, "first", day.timestamp())
        write(handler, "last", day.timestamp() + hours * HOUR - 0.001)
        write(handler, "next day", day.timestamp() + hours * HOUR)
        assert events(tmp_path / f"app-{day:%Y-%m-%d}.log") == ["first", "last"]


def test_only_files_with_exactly_our_name_and_past_retention_are_removed(tmp_path: Path) -> None:
    kept = {
        "app-2025-12-15.log",  # seven days old
        "app-notes.log",
        "app-2025-12-01.log.gz",
        "app-2025-13-45.log",
        "app-2025-12-1.log",
        "my-app-2025-12-01.log",
        "app-2025-12-01-notes.log",
        "app-2025-12-01xlog",
        "app.log.2025-12-01",
        "app-٢٠٢٥-12-01.log",
    }
    for name in kept | {"app-2025-12-14.log", "app-2019-01-01.log"}:
        (tmp_path / name).write_text("x\n")
    (tmp_path / "app-2018-01-01.log").mkdir()
    (tmp_path / "app-2017-01-01.log").symlink_to("app-notes.log")
    write(open_log(tmp_path, retention_days=7), "today", MIDNIGHT)
    assert names(tmp_path) == kept | {"app.log", "app-2018-01-01.log", "app-2017-01-01.log"}


def test_retention_of_zero_keeps_all_and_a_negative_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app-2001-01-01.log").write_text("x\n")
    write(open_log(tmp_path, retention_days=0), "today", MIDNIGHT)
    assert (tmp_path / "app-2001-01-01.log").exists()
    with pytest.raises(ValueError, match="retention_days"):
        open_log(tmp_path, retention_days=-1)


def test_retention_works_on_in_a_service_that_never_restarts(tmp_path: Path) -> None:
    clock = [MIDNIGHT - HOUR]
    handler = open_log(tmp_path, retention_days=2, now=lambda: clock[0])
    for _ in range(6):
        write(handler, "line", clock[0])
        clock[0] += DAY
    assert names(tmp_path) == {"app.log", "app-2025-12-24.log", "app-2025-12-25.log"}


def test_a_rollover_by_hand_does_nothing_within_the_day(tmp_path: Path) -> None:
    handler = open_log(tmp_path, now=lambda: MIDNIGHT - 1)
    write(handler, "before", MIDNIGHT - HOUR)
    handler.doRollover()
    assert names(tmp_path) == {"app.log"}


@pytest.mark.parametrize("mode", ["shared", "skewed"])
def test_four_processes_lose_double_and_misplace_no_line_at_midnight(tmp_path: Path, mode: str) -> None:
    writer = Path(__file__).with_name("log_writer.py")
    flip = time.time() + 1.2
    workers = [
        subprocess.Popen(
            [sys.executable, writer, tmp_path, str(worker), "400", repr(MIDNIGHT), repr(flip), mode],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for worker in range(4)
    ]
    written = [int(worker.communicate(timeout=20)[0]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4
    assert min(written) > 700

    found: Counter[tuple[str, int]] = Counter()
    for name, after_midnight in (("app-2025-12-21.log", False), ("app.log", True)):
        for line in (tmp_path / name).read_text().splitlines():
            fields = json.loads(line)
            assert fields["after_midnight"] is after_midnight
            found[fields["worker"], fields["number"]] += 1
    assert found == Counter((str(worker), number) for worker in range(4) for number in range(written[worker]))
    assert names(tmp_path) == {"app.log", "app-2025-12-21.log"}


# The configuration


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

    logging.config.dictConfig(LOGGING_CONFIG)  # what uvicorn and Django set up before our own
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
    """Django's handlers without the filters that ask for settings."""
    return {name: {"class": "logging.StreamHandler"} for name in config["handlers"]}


@pytest.mark.usefixtures("restore_logging")
def test_a_strict_level_is_not_loosened_for_any_logger(tmp_path: Path) -> None:
    logging.config.dictConfig(logging_config(level="error", log_dir=tmp_path, retention_days=1))
    for name in ("chat", "django.request", "uvicorn.error", "openai"):
        logging.getLogger(name).warning("no")
        logging.getLogger(name).error("yes")
    assert events(tmp_path / "app.log") == ["yes"] * 4
