"""The limiter. It makes the same promises in memory and on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from access.callers import Caller
from access.limit_rules import Limits, Rate, parse_rate
from access.limits import limiter as limiter_module
from access.limits import meters as meters_module
from access.limits.limiter import Limiter, open_limiter
from access.limits.memory_store import MemoryLimitStore
from access.limits.meters import Estimate, Kind, Lifetime, Unit, meters_of
from access.limits.rate_limited import RateLimited

NOTHING = Estimate()


class History:
    """Stands for the history of calls: what has been spent, and how often that was read."""

    def __init__(self) -> None:
        self.usd: Decimal | None = Decimal(0)
        self.reads = 0
        # How long the history of a key takes to read, by the name of the key.
        self.seconds: dict[str, float] = {}

    async def __call__(self, name: str, since: datetime) -> Decimal | None:
        self.reads += 1
        await asyncio.sleep(self.seconds.get(name, 0.01))
        return self.usd


@pytest.fixture
def history() -> History:
    return History()


@pytest.fixture(params=["memory", "redis"])
async def limiter(
    request: pytest.FixtureRequest, history: History, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Limiter]:
    # On a busy machine Redis may take longer than a second, and then calls would be counted in memory.
    monkeypatch.setattr(limiter_module, "REDIS_TIMEOUT_SECONDS", 30.0)
    url = request.getfixturevalue("redis_server").url if request.param == "redis" else ""
    async with open_limiter(url, history) as limiter:
        yield limiter
        if url:
            assert limiter.redis_state == "ok"


def caller(**limits: Any) -> Caller:
    return Caller(name="app", address=None, limits=Limits(**limits))


async def burst(limiter: Limiter, who: Caller, estimate: Estimate = NOTHING, calls: int = 100) -> list[Any]:
    """What each of the calls got: an admission, or the error that refused it."""
    return await asyncio.gather(*(limiter.admit(who, estimate) for _ in range(calls)), return_exceptions=True)


def admitted(results: list[Any]) -> list[Any]:
    assert all(isinstance(result, limiter_module.Admission | RateLimited) for result in results), results
    return [result for result in results if not isinstance(result, RateLimited)]


async def test_of_a_burst_exactly_the_limit_is_let_through(limiter: Limiter) -> None:
    results = await burst(limiter, caller(requests=Rate(10, 60)))
    assert len(admitted(results)) == 10
    refused = next(result for result in results if isinstance(result, RateLimited))
    assert str(refused.detail) == "The limit of the API key 'app' is 10 requests a minute. Try again in 60 s."
    assert 55 < (refused.wait or 0) <= 60
    assert refused.headers["RateLimit-Remaining"] == "0"
    assert len(admitted(await burst(limiter, replace(caller(requests=Rate(10, 60)), name="another")))) == 10


async def test_requests_come_back_when_their_window_is_over_and_not_before(limiter: Limiter) -> None:
    who = caller(requests=Rate(2, 1))
    await limiter.admit(who, NOTHING)
    await asyncio.sleep(0.5)
    await limiter.admit(who, NOTHING)
    with pytest.raises(RateLimited) as refused:
        await limiter.admit(who, NOTHING)
    assert 0 < (refused.value.wait or 0) <= 0.5
    await asyncio.sleep((refused.value.wait or 0) + 0.02)
    await limiter.admit(who, NOTHING)
    with pytest.raises(RateLimited):
        await limiter.admit(who, NOTHING)


async def test_a_refusal_takes_nothing_of_any_limit(limiter: Limiter) -> None:
    who = caller(requests=Rate(3, 60), max_concurrent=1)
    first = await limiter.admit(who, NOTHING)
    assert not admitted(await burst(limiter, who, calls=20))
    await first.settle(tokens=None, cost_usd=None)
    second = await limiter.admit(who, NOTHING)
    assert second.headers["RateLimit-Remaining"] == "1"


async def test_calls_at_a_time_are_free_again_when_they_end(limiter: Limiter) -> None:
    who = caller(max_concurrent=5)
    running = admitted(await burst(limiter, who))
    assert len(running) == 5
    await running[0].release()
    await running[0].release()
    assert len(admitted(await burst(limiter, who))) == 1
    async with running[1]:
        pass
    with pytest.raises(RuntimeError):
        async with running[2]:
            raise RuntimeError
    assert len(admitted(await burst(limiter, who))) == 2


async def test_tokens_are_taken_in_advance_and_settled_for_what_was_used(limiter: Limiter) -> None:
    who, estimate = caller(tokens_per_minute=1000), Estimate(tokens=300)
    running = admitted(await burst(limiter, who, estimate))
    assert len(running) == 3
    await running[0].settle(tokens=100, cost_usd=None)
    assert len(admitted(await burst(limiter, who, estimate))) == 1
    await running[1].settle(tokens=900, cost_usd=None)
    with pytest.raises(RateLimited) as refused:
        await limiter.admit(who, Estimate(tokens=1))
    assert "1,000 tokens a minute" in str(refused.value.detail)
    assert refused.value.headers["x-ratelimit-remaining-tokens"] == "0"
    await running[2].release()


async def test_what_never_fits_is_told_so(limiter: Limiter) -> None:
    with pytest.raises(RateLimited) as refused:
        await limiter.admit(caller(tokens_per_minute=1000), Estimate(tokens=1001))
    assert refused.value.wait is None
    assert "may use 1,001 tokens" in str(refused.value.detail)


async def test_a_call_that_no_longer_runs_takes_no_place_but_holds_its_money_until_its_cost_is_known(
    limiter: Limiter,
) -> None:
    who = caller(max_concurrent=1, usd_per_day=Decimal(2))
    dear = Estimate(cost_usd=Decimal("1.5"))
    first = await limiter.admit(who, dear)
    await first.free_place()
    second = await limiter.admit(who, Estimate(cost_usd=Decimal("0.1")))
    await second.release()
    with pytest.raises(RateLimited):
        await limiter.admit(who, dear)
    await first.settle(tokens=0, cost_usd=Decimal("0.3"))
    await (await limiter.admit(who, dear)).release()
    with pytest.raises(RateLimited):
        await limiter.admit(who, Estimate(cost_usd=Decimal("1.8")))


async def test_a_burst_does_not_overrun_a_budget(limiter: Limiter, history: History) -> None:
    history.usd = Decimal("0.55")
    who, estimate = caller(usd_per_day=Decimal(1), usd_per_month=Decimal(50)), Estimate(cost_usd=Decimal("0.1"))
    running = admitted(await burst(limiter, who, estimate))
    assert len(running) == 4
    assert history.reads == 2  # one for the day and one for the month, for all calls together
    for admission in running:
        await admission.settle(tokens=1, cost_usd=Decimal("0.05"))
    assert len(admitted(await burst(limiter, who, estimate))) == 2  # 0.75 spent


async def test_a_budget_that_is_spent_says_when_it_begins_anew(limiter: Limiter, history: History) -> None:
    history.usd = Decimal(2)
    with pytest.raises(RateLimited) as refused:
        await limiter.admit(caller(usd_per_day=Decimal(2)), Estimate(cost_usd=Decimal("0.001")))
    now = datetime.now(UTC)
    left = 86400 - (now.hour * 3600 + now.minute * 60 + now.second)
    assert abs((refused.value.wait or 0) - left) < 5
    assert "$2 a day of UTC" in str(refused.value.detail)


async def test_a_budget_that_calls_under_way_may_use_up_is_worth_another_try_soon(limiter: Limiter) -> None:
    who = caller(usd_per_month=Decimal(1))
    running = await limiter.admit(who, Estimate(cost_usd=Decimal(1)))
    with pytest.raises(RateLimited) as refused:
        await limiter.admit(who, Estimate(cost_usd=Decimal("0.1")))
    assert refused.value.wait == 1.0
    await running.release()
    await limiter.admit(who, Estimate(cost_usd=Decimal("0.1")))


async def test_a_history_that_cannot_be_read_refuses_nobody(limiter: Limiter, history: History) -> None:
    history.usd = None
    await limiter.admit(caller(usd_per_day=Decimal(1)), Estimate(cost_usd=Decimal("0.1")))
    history.usd = Decimal(1)  # as soon as it can be read, it is read again
    with pytest.raises(RateLimited):
        await limiter.admit(caller(usd_per_day=Decimal(1)), Estimate(cost_usd=Decimal("0.1")))


async def test_what_a_dead_process_held_comes_back_and_what_runs_stays(
    limiter: Limiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meters_module, "LEASE_SECONDS", 1)
    monkeypatch.setattr(limiter_module, "RENEW_SECONDS", 0.2)
    who = caller(max_concurrent=2, usd_per_day=Decimal(2))
    dead, alive = [await limiter.admit(who, Estimate(cost_usd=Decimal(1))) for _ in range(2)]
    dead.end_renewal()
    renewing = asyncio.create_task(limiter.run())
    await asyncio.sleep(1.5)
    assert len(admitted(await burst(limiter, who, Estimate(cost_usd=Decimal(1)), calls=10))) == 1
    await alive.release()
    renewing.cancel()
    await asyncio.wait([renewing])


async def test_the_last_of_many_small_prices_is_counted_exactly(limiter: Limiter) -> None:
    who = caller(usd_per_day=Decimal("0.000003"))
    for _ in range(3):
        admission = await limiter.admit(who, Estimate(cost_usd=Decimal("0.000001")))
        await admission.settle(tokens=1, cost_usd=Decimal("0.000001"))
    with pytest.raises(RateLimited):
        await limiter.admit(who, Estimate(cost_usd=Decimal("0.000000001")))


async def test_without_redis_each_worker_counts_by_itself_until_it_is_back(redis_server: Any, history: History) -> None:
    who = caller(requests=Rate(5, 60))
    async with open_limiter(redis_server.url, history) as limiter:
        assert len(admitted(await burst(limiter, who, calls=3))) == 3
        held = await limiter.admit(caller(max_concurrent=3), NOTHING)
        redis_server.kill()
        assert len(admitted(await burst(limiter, who))) == 5
        assert limiter.redis_state == "away"
        await held.release()
        redis_server.start()
        await asyncio.sleep(limiter_module.AWAY_SECONDS + 0.1)
        assert len(admitted(await burst(limiter, who))) == 5
        assert limiter.redis_state == "ok"


async def test_memory_forgets_callers_that_are_gone(history: History) -> None:
    now = 0.0
    limiter = Limiter(history, memory=MemoryLimitStore(lambda: now))
    for number in range(100):
        await limiter.admit(replace(caller(requests=Rate(5, 60)), name=f"k{number}"), NOTHING)
    now = 61.0
    await limiter.memory.renew([])
    assert not limiter.memory._entries


def test_ipv6_clients_are_counted_by_their_network() -> None:
    ids = [Caller(name="", address=a).id for a in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")]
    assert ids[0] == ids[1] != ids[2]
    assert Caller(name="", address="10.0.0.1").id == "address:10.0.0.1"


def test_a_month_ends_with_its_last_day() -> None:
    meters = meters_of(Limits(usd_per_month=Decimal(1)), NOTHING, datetime(2028, 2, 29, 12, tzinfo=UTC))
    assert meters[0].until == datetime(2028, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_limit_says_what_it_counts_and_for_how_long(kind: Kind) -> None:
    assert isinstance(kind.unit, Unit)
    assert isinstance(kind.lifetime, Lifetime)
    assert Kind(str(kind)) is kind


@pytest.mark.parametrize("written", ["60", "60/", "/min", "0/min", "-1/min", "60/fortnight", "1.5/s", "many"])
def test_a_rate_that_cannot_be_read_is_an_error_that_says_how(written: str) -> None:
    with pytest.raises(ValueError, match="like 60/min"):
        parse_rate(written)


def test_rates_are_read() -> None:
    assert parse_rate("60/min") == Rate(60, 60)
    assert parse_rate(" 5 / s ") == Rate(5, 1)
    assert parse_rate("1000/day") == Rate(1000, 86400)
    assert parse_rate("") is parse_rate("none") is None


async def test_a_key_whose_history_takes_long_to_read_keeps_no_other_waiting(
    limiter: Limiter, history: History
) -> None:
    history.seconds["app"] = 60
    long = caller(usd_per_day=Decimal(1))
    waiting = [asyncio.create_task(limiter.admit(long, Estimate(1, Decimal("0.1")))) for _ in range(3)]
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        await limiter.admit(replace(long, name="another"), Estimate(1, Decimal("0.1")))
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
