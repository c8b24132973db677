"""A full disk is an error that one can see, and not a dead service. On a file system of its own, which needs root."""

from __future__ import annotations

import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from django.utils import timezone

from chat.record.call_rows import CallRows
from chat.record.recorder import QUEUE_BYTES
from chat.record.spool import Spool
from llm.simulator import SimulatorThread
from tests.support.loopback import loopback_client
from tests.support.site_subprocess import SiteProcess

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"can't mount a small file system here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


@pytest.fixture
def site(small_disk: Path, tmp_path: Path, simulator: SimulatorThread) -> Iterator[SiteProcess]:
    site = SiteProcess(small_disk, upstream=simulator.base_url)
    site.output = tmp_path / "output.log"
    site.migrate()
    site.start()
    yield site
    site.close()


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


def test_a_full_disk_is_reported_calls_are_answered_and_their_rows_come_in_when_there_is_room(
    site: SiteProcess, small_disk: Path
) -> None:
    with loopback_client(base_url=site.base_url, timeout=30) as client:
        ids = [client.post("/chat", json={"prompt": "before"}).json()["request_id"]]
        ballast = fill(small_disk)
        for _ in range(3):
            answer = client.post("/chat", json={"prompt": "x" * 20_000})
            assert answer.status_code == 200
            ids.append(answer.json()["request_id"])
        ready = client.get("/health/ready")
        assert ready.status_code == 503
        assert "space" in ready.json()["checks"]["spool_disk"]
        assert client.get("/health").status_code == 200
        ballast.unlink()
        give_up = time.monotonic() + 20
        while client.get("/health/ready").status_code != 200:
            assert time.monotonic() < give_up, client.get("/health/ready").text
            time.sleep(0.2)
        ids.append(client.post("/chat", json={"prompt": "after"}).json()["request_id"])
        give_up = time.monotonic() + 20
        while {call["request_id"] for call in client.get("/calls").json()["results"]} != set(ids):
            assert time.monotonic() < give_up, "rows are missing"
            time.sleep(0.2)
    assert "disk_full" in site.output.read_text()


def test_calls_before_a_spool_line_that_is_bad_and_can_not_be_set_aside_are_kept(small_disk: Path) -> None:
    ids = [f"req_{number}" for number in range(5)]
    dying = Spool(small_disk)
    dying.append([CallRows(call={"request_id": each, "created_at": timezone.now()}, attempts=[]) for each in ids])
    dying.close()
    (file,) = small_disk.glob("*.spool")
    with file.open("ab") as torn:
        torn.write(b'1234abcd {"call": {"request_id": "req_cut_in_ha')
    ballast = fill(small_disk)
    written: list[str] = []

    def write(batch: Sequence[CallRows]) -> list[Exception | None]:
        written.extend(rows.request_id for rows in batch)
        return [None] * len(batch)

    spool = Spool(small_disk)
    spool.adopt()
    assert spool.depth == 6
    with pytest.raises(OSError, match="No space left"):
        spool.replay_chunk(write)
    assert spool.replay_chunk(write)
    assert written == ids
    with pytest.raises(OSError, match="No space left"):
        spool.replay_chunk(write)
    ballast.unlink()
    while spool.replay_chunk(write):
        pass
    assert written == ids
    assert not file.exists()
    assert spool.depth == 0
    assert "req_cut_in_ha" in (small_disk / "rejected.jsonl").read_text()


def test_no_call_is_taken_where_neither_database_nor_disk_takes_its_row_and_none_that_was_taken_is_lost(
    small_disk: Path, tmp_path: Path, simulator: SimulatorThread
) -> None:
    site = SiteProcess(tmp_path, upstream=simulator.base_url, SPOOL_DIR=str(small_disk / "spool"))
    site.migrate()
    site.start()
    blocker = sqlite3.connect(site.environment["DATABASE_URL"].removeprefix("sqlite:///"), isolation_level=None)
    ballast = fill(small_disk)
    answered: list[str] = []
    try:
        with loopback_client(base_url=site.base_url, timeout=30) as client:
            blocker.execute("begin immediate")
            while (answer := client.post("/chat", json={"prompt": "x" * 15_000_000})).status_code == 200:
                answered.append(answer.json()["request_id"])
                assert len(answered) * 15_000_000 < 2 * QUEUE_BYTES, "the recorder takes whatever comes"
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
            assert "record calls" in answer.json()["error"]["message"]
            assert client.get("/health/ready").json()["checks"]["recorder"]["waiting"] > 0
            blocker.execute("rollback")
            give_up = time.monotonic() + 60
            while client.get("/health/ready").status_code != 200:
                assert time.monotonic() < give_up, client.get("/health/ready").text
                time.sleep(0.2)
            answered.append(client.post("/chat", json={"prompt": "after"}).json()["request_id"])
    finally:
        blocker.close()
        ballast.unlink()
        site.close()
    with sqlite3.connect(site.environment["DATABASE_URL"].removeprefix("sqlite:///")) as database:
        kept = [row[0] for row in database.execute("select request_id from chat_callrecord")]
    assert sorted(kept) == sorted(answered)
