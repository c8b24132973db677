"""What `manage.py serve` does before it serves: the database, SIGTERM at any time, the path of a proxy."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm.simulator import SimulatorThread
from tests.support.database_servers import PostgresServer
from tests.support.loopback import loopback_get, loopback_post
from tests.support.ports import free_port
from tests.support.site_subprocess import ROOT, SiteProcess
from tests.support.waiting import eventually


@pytest.fixture
def site(tmp_path: Path, simulator: SimulatorThread) -> Iterator[SiteProcess]:
    site = SiteProcess(tmp_path, upstream=simulator.base_url)
    yield site
    site.close()


def serve(site: SiteProcess, *before: str, **variables: str) -> subprocess.Popen[str]:
    command = [*before, sys.executable, "manage.py", "serve", "--port", str(site.port)]
    environment = {**site.environment, **variables}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_a_database_whose_migrations_are_missing_is_refused_with_what_to_do(site: SiteProcess) -> None:
    process = serve(site)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    (line,) = said.splitlines()
    assert line.startswith("CommandError: The database lacks ")
    assert line.endswith("run manage.py migrate.")


@pytest.mark.slow
def test_a_database_that_is_not_there_yet_is_waited_for(
    site: SiteProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    postgres = PostgresServer(tmp_path_factory.mktemp("postgres"))
    site.environment["DATABASE_URL"] = postgres.url.replace("service@", "service:a'b%22c@")
    postgres.start()
    site.migrate()
    postgres.stop()
    process = serve(site)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(f"Waiting for the database at 127.0.0.1:{postgres.port}, which is not there yet")
        postgres.start()
        eventually(lambda: is_up(site), within=60)
    finally:
        process.kill()
        said, _ = process.communicate()
        postgres.stop()
    assert "Waiting for the database" not in said


@pytest.mark.slow
def test_a_database_that_refuses_the_service_is_not_waited_for(
    site: SiteProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    postgres = PostgresServer(tmp_path_factory.mktemp("postgres"))
    postgres.start()
    try:
        url = postgres.url.replace("//service@", "//service:secret@").removesuffix("postgres") + "nothing"
        process = serve(site, DATABASE_URL=url)
        said, _ = process.communicate(timeout=60)
        in_the_clear = serve(site, DATABASE_URL=f"{postgres.url}?sslmode=require")
        said_of_encryption, _ = in_the_clear.communicate(timeout=60)
    finally:
        postgres.stop()
    assert in_the_clear.returncode == 1
    assert "server does not support SSL, but SSL was required" in said_of_encryption
    assert len(said_of_encryption.splitlines()) == 1
    assert process.returncode == 1
    assert "refuses the service" in said
    assert '"nothing" does not exist' in said
    assert "secret" not in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("seconds", [0.3, pytest.param(1.0, marks=pytest.mark.slow)])
def test_sigterm_in_the_first_second_ends_it(site: SiteProcess, seconds: float) -> None:
    process = serve(site, DATABASE_URL=f"postgres://u:p@127.0.0.1:{free_port()}/db")
    time.sleep(seconds)
    process.terminate()
    said, _ = process.communicate(timeout=30)
    assert process.returncode in (0, -signal.SIGTERM)  # Python itself has not started yet on a busy machine
    assert "Traceback" not in said


@pytest.mark.slow
def test_sigterm_ends_the_first_process_of_a_container_while_it_waits(site: SiteProcess) -> None:
    unshare = shutil.which("unshare")
    alone = [unshare or "", "--pid", "--fork", "--kill-child"]
    if not unshare or subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        pytest.skip("a PID namespace can't be made here")
    process = serve(site, *alone, DATABASE_URL=f"postgres://u:p@127.0.0.1:{free_port()}/db")
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Waiting for the database at 127.0.0.1:")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def test_behind_a_path_pages_styles_schema_and_links_begin_with_it(site: SiteProcess) -> None:
    site.migrate()
    site.start("--root-path", "/llm")

    def get(path: str) -> str:
        answer = loopback_get(site.base_url + path, timeout=30)
        assert answer.status_code == 200, path
        return answer.text

    # A proxy may take the path away, or leave it.
    for before in ("", "/llm"):
        assert loopback_get(f"{site.base_url}{before}/").headers["location"] == "/llm/docs"
        assert '"/llm/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui.css"' in get(f"{before}/docs")
        assert 'url: "/llm/schema"' in get(f"{before}/docs?script=")
        assert 'spec-url="/llm/schema"' in get(f"{before}/redoc")
        assert "\nservers:\n- url: /llm\n" in get(f"{before}/schema")
        assert '"/llm/static/admin/css/base.css"' in get(f"{before}/admin/login/")
        assert ".swagger-ui" in get(f"{before}/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui.css")
        assert loopback_get(f"{site.base_url}{before}/admin/").headers["location"].startswith("/llm/admin/login/")
        for _ in range(2):
            order = {"prompt": "hi", "model": "gpt-4o"}
            assert loopback_post(f"{site.base_url}{before}/chat", json=order, timeout=30).status_code == 200
        assert '"next":"http://127.0.0.1' in get(f"{before}/calls?page_size=1").replace(" ", "")
        assert "/llm/calls?" in get(f"{before}/calls?page_size=1")


def is_up(site: SiteProcess) -> bool:
    try:
        return loopback_get(f"{site.base_url}/health", timeout=1).status_code == 200
    except OSError:
        return False
    except Exception as error:
        assert "connect" in str(error).lower() or "timed out" in str(error).lower(), error
        return False
