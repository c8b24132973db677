"""Shows what hedging gains and costs: without a hedge, with a hedge at the 95th percentile, and with a full race.

    make bench-hedging

It prints a Markdown table. Both models answer in 50 ms, but every twentieth answer takes ten times as long. The
upstream is the simulator, in a process of its own. Compare the rows and not the milliseconds, because machines differ.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from multiprocessing import Process
from pathlib import Path

import httpx2

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from llm import CallOutcome, CallRequest, Engine, EngineConfig, Provider
from llm.simulator import Behaviour, run

PORT = 9101
CALLS = 3_000
CONCURRENCY = 10
USUAL = Behaviour(answer="A short answer.", latency_s=0.05, tail_share=0.05, tail_factor=10.0)
BODY = {"messages": [{"role": "user", "content": "Hello"}]}


def percentile(values: list[int], share: float) -> int:
    return sorted(values)[math.ceil(share * len(values)) - 1]


async def measure(engine: Engine, route: str, hedge_after: float) -> tuple[list[int], float]:
    """Return the latencies in ms, and the number of upstream requests per call."""
    latencies: list[int] = []
    attempts = 0
    places = asyncio.Semaphore(CONCURRENCY)

    async def on_end(outcome: CallOutcome) -> None:
        nonlocal attempts
        latencies.append(outcome.latency_ms)
        attempts += len(outcome.attempts)

    async def one() -> None:
        async with places:
            request = CallRequest(engine.route(route), BODY, hedge_after=hedge_after)
            await engine.start(request, on_end).settled()

    await asyncio.gather(*(one() for _ in range(CALLS)))
    return latencies, attempts / CALLS


async def main() -> None:
    base_url = f"http://127.0.0.1:{PORT}"
    async with httpx2.AsyncClient(base_url=base_url, trust_env=False) as control:
        give_up = time.monotonic() + 10
        while time.monotonic() < give_up:
            try:
                for model in ("a", "b"):
                    (await control.put(f"/_script/{model}", json=USUAL.to_dict())).raise_for_status()
                break
            except httpx2.ConnectError:
                await asyncio.sleep(0.1)
    config = EngineConfig(providers={"openai": Provider("simulator", f"{base_url}/v1", "none")})
    async with Engine(config) as engine:
        await measure(engine, "a", 0)  # afterwards all connections are open and the caches are warm
        alone, alone_calls = await measure(engine, "a", 0)
        # This is the time that is enough for 95 % of the answers. The 94th percentile is used, because the 95th may
        # already belong to the slow answers.
        hedge_after = percentile(alone, 0.94) / 1000
        hedged, hedged_calls = await measure(engine, "a|b", hedge_after)
        raced, raced_calls = await measure(engine, "a|b", 0)
    print(f"{CALLS} calls each, {CONCURRENCY} at a time; `hedge_after` was {hedge_after * 1000:.0f} ms\n")
    print("| | p50 | p95 | p99 | upstream requests per call |")
    print("|---|---|---|---|---|")
    for name, latencies, calls in (
        ("no hedge", alone, alone_calls),
        ("`hedge_after` at p95", hedged, hedged_calls),
        ("full race", raced, raced_calls),
    ):
        p50, p95, p99 = (percentile(latencies, share) for share in (0.5, 0.95, 0.99))
        print(f"| {name} | {p50} ms | {p95} ms | {p99} ms | {calls:.2f} |")


if __name__ == "__main__":
    server = Process(target=run, kwargs={"host": "127.0.0.1", "port": PORT}, daemon=True)
    server.start()
    try:
        asyncio.run(main())
    finally:
        server.terminate()
        server.join()
