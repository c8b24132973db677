"""The log file: every line is in the file of its day, and the file never stops the service."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from orchestration_site.logs.formatter import JsonFormatter
from orchestration_site.logs.midnight_file import MidnightFileHandler
from tests.support.reading.log_lines import BERLIN, MIDNIGHT, events, make_record

ROOT = Path(__file__).resolve().parents[3]
HOUR = 3600.0
DAY = 24 * HOUR

_opened: list[logging.Handler] = []


@pytest.fixture(autouse=True)
def close_logs() -> Iterator[None]:
    yield
    while _opened:
        _opened.pop().close()


def open_log(
    folder: Path, *, retention_days: int = 0, now: Callable[[], float] = lambda: MIDNIGHT
) -> MidnightFileHandler:
    handler = MidnightFileHandler(folder / "app.log", retention_days=retention_days, now=now)
    handler.setFormatter(JsonFormatter())
    _opened.append(handler)
    return handler


def write(handler: MidnightFileHandler, event: str, created: float) -> None:
    handler.handle(make_record(event, created))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"app.log.lock"}


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
        from orchestration_site.logs.formatter import JsonFormatter
        from orchestration_site.logs.midnight_file import MidnightFileHandler
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
    (tmp_path / "app.log.lock").mkdir()  # stands for a file system that refuses the lock
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
    workers = [
        subprocess.Popen(
            [sys.executable, writer, tmp_path, str(worker), "400", repr(MIDNIGHT), mode],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for worker in range(4)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    flip = time.time() + 1
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(f"{flip}\n")
        worker.stdin.flush()
    written = [int(worker.communicate(timeout=60)[0]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4
    assert min(written) > 450  # so each has written before midnight too

    found: Counter[tuple[str, int]] = Counter()
    for name, after_midnight in (("app-2025-12-21.log", False), ("app.log", True)):
        for line in (tmp_path / name).read_text().splitlines():
            fields = json.loads(line)
            assert fields["after_midnight"] is after_midnight
            found[fields["worker"], fields["number"]] += 1
    assert found == Counter((str(worker), number) for worker in range(4) for number in range(written[worker]))
    assert names(tmp_path) == {"app.log", "app-2025-12-21.log"}
