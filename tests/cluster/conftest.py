"""One installation for all tests in this folder, because starting it takes longer than most of them."""

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

# The settings of both processes.
MINIMUM = {
    "ENVIRONMENT": "production",
    "HTTPS": "false",  # the nginx of these tests has no certificate
    "SECRET_KEY": "only-for-a-test-but-as-long-as-production-wants-it-0123456789",
    "TRUSTED_PROXIES": "127.0.0.1",
    "HELD_API_KEY": "sk-held-0123456789abcdef",
    "PRICES": "held/model=1/10",
    # An answer of a model with a price would be read on after its caller has left, and here it has to be cut.
    "READ_ON_CALLS": "0",
    "SHUTDOWN_GRACE": "20",
}


@pytest.fixture(scope="session")
def _installation(_simulator: SimulatorThread) -> Iterator[Installation]:
    binary()  # without nginx all these tests are skipped, so it is looked for before anything is started
    with ExitStack() as stack:
        # The servers run as other users, so their folder cannot be inside pytest's own, which only the owner may enter.
        folder = Path(tempfile.mkdtemp(prefix="cluster-"))
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
        sites[0].migrate()
        with ThreadPoolExecutor() as beside:
            starts = [beside.submit(site.start) for site in sites]
            operator = make_key(sites[0], "operator", "--scopes", "admin")
            for start in starts:
                start.result()
        nginx.start()
        yield Installation(sites, nginx, postgres, redis, held_port, operator)


@pytest.fixture
def installation(_installation: Installation, simulator: SimulatorThread) -> Installation:
    """The whole installation, with every server running, and a simulator that has seen no request."""
    _installation.mend()
    return _installation


@pytest_asyncio.fixture
async def held(installation: Installation) -> AsyncIterator[HeldUpstream]:
    """The upstream that answers for the models `held/…`."""
    async with HeldUpstream(installation.held_port) as upstream:
        yield upstream
