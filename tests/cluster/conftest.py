"""One installation for all of these tests: starting it takes longer than most of them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from llm.simulator import SimulatorThread
from tests.cluster.held_upstream import HeldUpstream
from tests.cluster.installation import Installation, make_key
from tests.cluster.nginx_server import NginxServer, binary
from tests.support.database_servers import PostgresServer, RedisServer
from tests.support.ports import free_port
from tests.support.site_subprocess import SiteProcess

MINIMUM = {
    "ENVIRONMENT": "production",
    "HTTPS": "false",  # the nginx of these tests has no certificate
    "SECRET_KEY": "only-for-a-test-but-as-long-as-production-wants-it-0123456789",
    "TRUSTED_PROXIES": "127.0.0.1",
    "HELD_API_KEY": "sk-held-0123456789abcdef",
    "PRICES": "held/model=1/10",
    "SHUTDOWN_GRACE": "20",
}


@pytest.fixture(scope="session")
def _installation(_simulator: SimulatorThread) -> Iterator[Installation]:
    binary()  # before anything is started, because without it all of these tests are skipped
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="cluster-"))  # not below pytest's own, which only its owner may enter
        folder.chmod(0o755)
        stack.callback(shutil.rmtree, folder)
        postgres = PostgresServer(folder)
        stack.callback(postgres.close)
        postgres.start()
        redis = RedisServer(folder)
        stack.callback(redis.kill)
        redis.start()
        held_port = free_port()
        variables = {
            **MINIMUM,
            "DATABASE_URL": postgres.url,
            "REDIS_URL": redis.url,
            "PROVIDERS": f"held=http://127.0.0.1:{held_port}/v1",
        }
        sites = tuple(SiteProcess(folder, upstream=_simulator.base_url, **variables) for _ in range(2))
        nginx = NginxServer(folder, [site.port for site in sites])
        for server in (*sites, nginx):
            stack.callback(server.close)
        sites[0].manage("migrate", "-v0")
        with ThreadPoolExecutor() as beside:
            starts = [beside.submit(site.start) for site in sites]
            operator = make_key(sites[0], "operator", "--scopes", "admin")
            for start in starts:
                start.result()
        nginx.start()
        yield Installation(sites, nginx, postgres, redis, held_port, operator)


@pytest.fixture
def installation(_installation: Installation, simulator: SimulatorThread) -> Installation:
    """All of it, running, and an upstream that has seen nothing."""
    _installation.mend()
    return _installation


@pytest_asyncio.fixture
async def held(installation: Installation) -> AsyncIterator[HeldUpstream]:
    """The upstream of the models `held/…`."""
    async with HeldUpstream(installation.held_port) as upstream:
        yield upstream
