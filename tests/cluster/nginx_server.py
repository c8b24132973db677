"""Runs nginx with deploy/nginx.conf of this repository. Only its addresses and ports are changed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import httpx2

from tests.support.database_servers import require
from tests.support.loopback import loopback_get
from tests.support.ports import free_port
from tests.support.site_subprocess import ROOT

SHIPPED = ROOT / "deploy" / "nginx.conf"
# The nginx.conf of Debian and of the nginx image includes the shipped file in a block like this.
AROUND_IT = """\
{user}
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 1024; }}
http {{
    log_format machines "$upstream_addr";
    access_log {folder}/access.log machines;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def binary() -> str:
    """The path of nginx. Debian installs it in a folder that is only on the PATH of root."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    require(found, "nginx")
    assert found is not None
    return found


def fitted(shipped: str, *, port: int, services: Sequence[int], drained: Collection[int] = ()) -> str:
    """The shipped file, changed for services on these ports.

    Those in `drained` are marked as an operator would do it.
    """
    text, listens = re.subn(r"(?m)^(\s*)listen 8080;", rf"\1listen 127.0.0.1:{port};", shipped)
    line = re.compile(r"(?m)^\s*server service:8000(.*?);.*$")
    lines = [f"    server 127.0.0.1:{each}\\1{' down' * (each in drained)};" for each in services]
    text, servers = line.subn("\n".join(lines), text)
    assert (listens, servers) == (1, 1), "deploy/nginx.conf is not as this test knows it"
    return text


class NginxServer:
    """Runs in `folder`, on a free port of the loopback address."""

    def __init__(self, folder: Path, services: Sequence[int]) -> None:
        self._binary = binary()
        self._folder = folder
        self._services = services
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(AROUND_IT.format(folder=folder, user=user))
        self._write(())

    def start(self) -> NginxServer:
        self.check()
        with (self._folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen([*self._command(), "-g", "daemon off;"], stdout=output, stderr=output)
        give_up = time.monotonic() + 20
        while time.monotonic() < give_up:
            try:
                loopback_get(f"{self.base_url}/metrics", timeout=5)
                return self
            except httpx2.HTTPError:
                time.sleep(0.05)
        raise AssertionError((self._folder / "output.log").read_text())

    def check(self) -> str:
        """Return what `nginx -t` says. Fails if nginx does not accept the file, or warns about it."""
        done = subprocess.run([*self._command(), "-t"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "[warn]" not in done.stderr, done.stderr
        return done.stderr

    def drain(self, *ports: int) -> None:
        """Mark the services on these ports as `down`, and all others as up.

        Reload nginx, and wait until none of its workers uses the old file any more.
        """
        assert self._process is not None
        old = self._workers()
        self._write(ports)
        self._process.send_signal(signal.SIGHUP)
        give_up = time.monotonic() + 60
        while old & self._workers() or not self._workers():
            assert time.monotonic() < give_up, "nginx did not reload"
            time.sleep(0.05)

    def calls_by_machine(self) -> Counter[str]:
        """How many requests were sent to each address."""
        return Counter((self._folder / "access.log").read_text().splitlines())

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def _command(self) -> list[str]:
        return [self._binary, "-p", str(self._folder), "-c", str(self._folder / "nginx.conf")]

    def _write(self, drained: Collection[int]) -> None:
        text = fitted(SHIPPED.read_text(), port=self.port, services=self._services, drained=drained)
        (self._folder / "site.conf").write_text(text)

    def _workers(self) -> set[str]:
        assert self._process is not None
        pid = self._process.pid
        return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
