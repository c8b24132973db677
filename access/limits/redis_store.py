"""Limits in Redis, where they are counted for all workers together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from access.limits.limit_store import COUNTER_SECONDS, Held, Reading, Verdict
from access.limits.meters import Meter
from access.limits.redis_scripts import ADMIT, RENEW, SETTLE


class RedisLimitStore:
    """A LimitStore in Redis. Whoever made `redis` closes it. Every method raises the errors of redis-py."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._admit = redis.register_script(ADMIT)
        self._settle = redis.register_script(SETTLE)
        self._renew = redis.register_script(RENEW)

    async def admit(
        self, caller_id: str, admission_id: str, meters: Sequence[Meter], spent: Mapping[str, int | None]
    ) -> Verdict:
        arguments: list[Any] = [admission_id]
        for meter in meters:
            read = _read(meter, spent)
            arguments += [meter.limit, meter.amount, meter.hold_seconds * 1000, read, COUNTER_SECONDS * 1000]
        answer = await self._admit(keys=_keys(caller_id, meters), args=arguments)
        if answer[0] < 0:
            return Verdict(unread=-answer[0] - 1)
        readings = []
        for index in range(len(meters)):
            used, held, first, last, wait = answer[1 + 5 * index : 6 + 5 * index]
            readings.append(Reading(used, held, first / 1000, last / 1000, wait / 1000))
        return Verdict(tuple(readings), refused_by=answer[0] - 1 if answer[0] else None)

    async def settle(self, caller_id: str, admission_id: str, meters: Sequence[Meter], used: Sequence[int]) -> None:
        arguments: list[Any] = [admission_id]
        for meter, amount in zip(meters, used, strict=True):
            arguments += [meter.amount, amount, meter.hold_seconds * 1000, meter.kind.lifetime.value]
        await self._settle(keys=_keys(caller_id, meters), args=arguments)

    async def renew(self, held: Sequence[Held]) -> None:
        for one in held:
            keys = [key for meter in one.meters for key in _keys(one.caller_id, [meter])[:2]]
            arguments: list[Any] = [one.admission_id]
            for meter in one.meters:
                arguments += [meter.amount, meter.hold_seconds * 1000]
            await self._renew(keys=keys, args=arguments)


def _keys(caller_id: str, meters: Sequence[Meter]) -> list[str]:
    # In a cluster, Redis places a key by the text between the braces. So all keys of a caller are on one node, as a
    # script requires.
    start = f"access:{{{caller_id}}}:"
    keys = []
    for meter in meters:
        keys += [f"{start}{meter.name}", f"{start}{meter.name}:total", f"{start}spent:{meter.counter}"]
    return keys


def _read(meter: Meter, spent: Mapping[str, int | None]) -> str:
    """What the script ADMIT is told about the counter of a meter."""
    if not meter.counter:
        return "none"
    if meter.counter not in spent:
        return "unread"
    read = spent[meter.counter]
    return "unreadable" if read is None else str(read)
