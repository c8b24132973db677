"""The gateways that are compared: how each is installed, started and asked, and what it has saved when it answers.

Each is set up as its own documentation recommends for production, with one worker, no cache, and no check of the
callers' keys. Versions are pinned, so that a repeated run compares the same versions.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.servers.history import History, postgres_history, sqlite_history
from bench.servers.server import Request, Server

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "bench" / ".peers"
WORK = ROOT / "bench" / ".work"

LITELLM = "1.108.7"
PORTKEY = "1.15.2"
# The version in Portkey's own lock file. With a later one, each stream through Portkey is answered with status 500
# (issue 1389 of Portkey).
HONO_NODE_SERVER = "1.13.5"

PORTS = {"ours": 9301, "portkey": 9302, "litellm": 9303}
PROMPT = "Tell me in a few words what a gateway is for."


@dataclass(frozen=True)
class Running:
    """A contestant that is ready to answer. `server` and `history` are None if it has none."""

    port: int
    start_s: float
    server: Server | None
    history: History | None = None


@dataclass(frozen=True, eq=False)
class Contestant:
    name: str
    saves: str
    path: str
    stream_path: str
    # Starts the contestant, for an upstream on the given port.
    run: Callable[[Contestant, int], Iterator[Running]]
    headers: Mapping[str, str] = field(default_factory=dict)
    version: Callable[[], str] = lambda: ""

    def request(self, *, upstream_port: int, prompt: str = PROMPT, stream: bool = False) -> Request:
        path = self.stream_path if stream else self.path
        if path.startswith("/v1"):
            body: dict[str, object] = {"model": "gpt-4o", "messages": [{"role": "user", "content": prompt}]}
            body |= {"stream": True} if stream else {}
        else:
            body = {"model": "gpt-4o", "prompt": prompt}
        headers = {"content-type": "application/json", "authorization": "Bearer sk-bench"}
        headers |= {name: value.format(port=upstream_port) for name, value in self.headers.items()}
        return Request(path, headers, json.dumps(body).encode())

    @contextmanager
    def running(self, upstream_port: int) -> Iterator[Running]:
        yield from self.run(self, upstream_port)


def started(
    contestant: Contestant, server: Server, upstream_port: int, history: History | None = None
) -> Iterator[Running]:
    try:
        start_s = server.start(contestant.request(upstream_port=upstream_port))
        yield Running(server.port, start_s, server, history)
    finally:
        server.stop()


def run_nothing(contestant: Contestant, upstream_port: int) -> Iterator[Running]:
    yield Running(upstream_port, 0.0, None)


def our_server(history: History, upstream_port: int, *, workers: int = 1, cores: str = "0") -> Server:
    """Set up our service as in production, except that callers need no key.

    Logging has its defaults: each call is a line of JSON, on the console and in the log file. Both go into files here.
    """
    environment = {
        "ENVIRONMENT": "production",
        "HTTPS": "false",
        "SECRET_KEY": "benchmark-" * 6,
        "ALLOWED_HOSTS": "127.0.0.1",
        "API_KEYS_REQUIRED": "false",
        "OPENAI_API_KEY": "sk-bench",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
        "DATABASE_URL": history.url,
        "SPOOL_DIR": str(history.folder / "spool"),
        "LOG_DIR": str(history.folder / "logs"),
        # These are empty here, even if a .env file sets them.
        **dict.fromkeys(("REDIS_URL", "OTEL_EXPORTER_OTLP_ENDPOINT", "RATE_LIMIT", "REDACT_PATTERNS"), ""),
        "CACHE_TTL": "0",
    }
    port = PORTS["ours"]
    command = [sys.executable, "manage.py", "serve", "--port", str(port), "--workers", str(workers)]
    return Server(command, environment, ROOT, history.folder / "output.log", port, cores)


def manage(history: History, *arguments: str) -> None:
    """Run a management command on this history. If it fails, raises RuntimeError with what it printed."""
    command = [sys.executable, "manage.py", *arguments]
    variables = {"PATH": os.environ["PATH"], **our_server(history, 9).environment}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"manage.py {' '.join(arguments)}: {done.stdout}{done.stderr}")


def run_ours_on_sqlite(contestant: Contestant, upstream_port: int) -> Iterator[Running]:
    with sqlite_history(WORK) as history:
        manage(history, "migrate", "--verbosity", "0")
        yield from started(contestant, our_server(history, upstream_port), upstream_port, history)


def run_ours_on_postgres(contestant: Contestant, upstream_port: int) -> Iterator[Running]:
    with postgres_history() as history:
        manage(history, "migrate", "--verbosity", "0")
        yield from started(contestant, our_server(history, upstream_port), upstream_port, history)


def install_tools() -> None:
    """Install wrk, and npm for Portkey, from Debian's packages.

    Only root can do that. For another user, raises SystemExit, whose text says what to do.
    """
    missing = [package for tool, package in (("wrk", "wrk"), ("npm", "npm")) if shutil.which(tool) is None]
    if not missing:
        return
    command = ["apt-get", "install", "-y", "-qq", *missing]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SystemExit(f"Missing: {', '.join(missing)}. On Debian: sudo {' '.join(command)}")
    subprocess.run(command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, check=True)


def install_portkey() -> None:
    folder = PEERS / "portkey"
    folder.mkdir(parents=True, exist_ok=True)
    package = {
        "private": True,
        "dependencies": {"@portkey-ai/gateway": PORTKEY},
        "overrides": {"@hono/node-server": HONO_NODE_SERVER},
    }
    (folder / "package.json").write_text(json.dumps(package))
    subprocess.run(["npm", "install", "--silent", "--no-fund", "--no-audit"], cwd=folder, check=True)


def run_portkey(contestant: Contestant, upstream_port: int) -> Iterator[Running]:
    port = PORTS["portkey"]
    script = PEERS / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    # Without TRUSTED_CUSTOM_HOSTS, Portkey refuses an upstream on the loopback address.
    environment = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}
    command = ["node", str(script), "--headless", f"--port={port}"]
    yield from started(contestant, Server(command, environment, WORK, WORK / "portkey.log", port), upstream_port)


def install_litellm() -> None:
    folder = PEERS / "litellm"
    if not (folder / "bin/python").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, f"litellm[proxy]=={LITELLM}"], check=True)


def run_litellm(contestant: Contestant, upstream_port: int) -> Iterator[Running]:
    port = PORTS["litellm"]
    parameters = {"model": "openai/gpt-4o", "api_base": f"http://127.0.0.1:{upstream_port}/v1", "api_key": "sk-bench"}
    config = WORK / "litellm.json"  # LiteLLM reads YAML, and JSON is valid YAML
    config.write_text(json.dumps({"model_list": [{"model_name": "gpt-4o", "litellm_params": parameters}]}))
    environment = {
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "AIOHTTP_CONNECTOR_LIMIT": "4000",  # by default it has at most 500 open requests to an upstream
        "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": "4000",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # otherwise it would download its prices at start
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    command = [str(PEERS / "litellm/bin/litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--num_workers", "1", "--telemetry", "False"]
    yield from started(contestant, Server(command, environment, WORK, WORK / "litellm.log", port), upstream_port)


def our_version() -> str:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return f"commit {commit.stdout.strip()}" if commit.returncode == 0 else ""


EVERYTHING = "every call before its answer ends, synced to disk: figures, prompt, answer, and each attempt"
OPENAI_DOOR = "/v1/chat/completions"

NO_GATEWAY = Contestant("no gateway", "nothing", OPENAI_DOOR, OPENAI_DOOR, run_nothing)
OURS = (
    Contestant("ours, `/chat`, SQLite", EVERYTHING, "/chat", "/chat/stream", run_ours_on_sqlite, version=our_version),
    Contestant("ours, `/v1`, SQLite", EVERYTHING, OPENAI_DOOR, OPENAI_DOOR, run_ours_on_sqlite, version=our_version),
)
OURS_ON_POSTGRES = (
    Contestant(
        "ours, `/chat`, PostgreSQL", EVERYTHING, "/chat", "/chat/stream", run_ours_on_postgres, version=our_version
    ),
    Contestant(
        "ours, `/v1`, PostgreSQL", EVERYTHING, OPENAI_DOOR, OPENAI_DOOR, run_ours_on_postgres, version=our_version
    ),
)
PORTKEY_GATEWAY = Contestant(
    "Portkey",
    "nothing",
    OPENAI_DOOR,
    OPENAI_DOOR,
    run_portkey,
    {"x-portkey-provider": "openai", "x-portkey-custom-host": "http://127.0.0.1:{port}/v1"},
    lambda: f"@portkey-ai/gateway {PORTKEY} on Node {node_version()}, @hono/node-server {HONO_NODE_SERVER}",
)
LITELLM_PROXY = Contestant(
    "LiteLLM",
    "nothing: no database is configured, spend is summed up in memory",
    OPENAI_DOOR,
    OPENAI_DOOR,
    run_litellm,
    version=lambda: f"litellm[proxy] {LITELLM} on Python {sys.version.split()[0]}",
)


def node_version() -> str:
    return subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
