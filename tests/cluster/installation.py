"""The service as it runs in production: two processes behind nginx, with one PostgreSQL and one Redis."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx2

from tests.cluster.nginx_server import NginxServer
from tests.support.database_servers import PostgresServer, RedisServer
from tests.support.loopback import async_loopback_client
from tests.support.site_subprocess import SiteProcess

# How long to wait for something that must happen at some time. No test asserts how long it took, because other tests
# may run at the same time.
PATIENCE_SECONDS = 60.0


def make_key(site: SiteProcess, name: str, *options: str) -> dict[str, str]:
    """Make a new API key, and return the headers that send it."""
    return {"Authorization": f"Bearer {site.manage('api_key', 'create', name, *options).strip()}"}


@dataclass(frozen=True, slots=True)
class Installation:
    """The servers of the installation, and what tests do with them."""

    sites: tuple[SiteProcess, ...]
    nginx: NginxServer
    postgres: PostgresServer
    redis: RedisServer
    # The port of the models `held/…`. A HeldUpstream answers there if the test starts one.
    held_port: int
    # The headers that send a key which may do everything.
    operator: dict[str, str]

    def make_key(self, name: str, *limits: str) -> dict[str, str]:
        """Make a new API key with these limits, and return the headers that send it."""
        return make_key(self.sites[0], name, *limits)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.postgres.query(query)

    def count(self, query: str) -> int:
        return int(self.rows(query)[0][0])

    def spent(self, api_key: str) -> Decimal:
        return Decimal(
            self.rows(f"select coalesce(sum(cost_usd), 0) from chat_callrecord where api_key = '{api_key}'")[0][0]
        )

    def client(self) -> httpx2.AsyncClient:
        """A client of nginx. It opens a new connection for each call, as many small clients would."""
        once = httpx2.Limits(max_keepalive_connections=0)
        return async_loopback_client(base_url=self.nginx.base_url, timeout=PATIENCE_SECONDS, limits=once)

    def mend(self) -> None:
        """Start what is not running, and let nginx send calls to every process.

        A failed test may have left it otherwise.
        """
        for site in self.sites:
            if site.process is None or site.process.poll() is not None:
                site.start()
        self.nginx.drain()


async def burst(
    installation: Installation, calls: int, headers: dict[str, str], order: dict[str, Any]
) -> list[httpx2.Response]:
    """Send so many calls to /chat at once, and return their answers."""
    async with installation.client() as client:
        return await asyncio.gather(*(client.post("/chat", json=order, headers=headers) for _ in range(calls)))


def statuses(answers: list[httpx2.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


async def eventually(
    holds: Callable[[], Any], why: Callable[[], object] = str, within: float = PATIENCE_SECONDS
) -> Any:
    """Wait until `holds` returns something true, and return that."""
    give_up = time.monotonic() + within
    while not (found := await asyncio.to_thread(holds)):
        assert time.monotonic() < give_up, why()
        await asyncio.sleep(0.05)
    return found
