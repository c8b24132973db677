"""Limits in Redis, for all workers together. Each step is one script, so it is atomic; the clock is Redis's own.

An entry is a member `admission:amount` of a sorted set whose scores are the moments at which entries end (ms); the sum
stands beside it. The braces keep all keys of one caller on one node of a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from access.limits.meters import Meter, Reading, Verdict
from access.limits.stores import COUNTER_SECONDS, Held

PREAMBLE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function whole(number) return string.format('%.0f', number) end
local function amount_of(member) return tonumber(string.match(member, ':(%d+)$')) end
local function prune(entries, total)
    local ended = redis.call('ZRANGEBYSCORE', entries, '-inf', now)
    if #ended == 0 then return end
    local sum = 0
    for _, member in ipairs(ended) do sum = sum + amount_of(member) end
    redis.call('ZREMRANGEBYSCORE', entries, '-inf', now)
    if redis.call('ZCARD', entries) == 0 then redis.call('DEL', total) else redis.call('DECRBY', total, whole(sum)) end
end
local function add(entries, total, admission, amount, ends_at, hold_ms)
    redis.call('ZADD', entries, whole(ends_at), admission .. ':' .. whole(amount))
    redis.call('INCRBY', total, whole(amount))
    redis.call('PEXPIRE', entries, hold_ms)
    redis.call('PEXPIRE', total, hold_ms)
end
"""

ADMIT = (
    PREAMBLE
    + """
local admission, meters = ARGV[1], (#ARGV - 1) / 5
local answer, refused_by = {0}, 0
for i = 1, meters do
    local entries, total, counter = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
    local limit, amount, hold_ms = tonumber(ARGV[5 * i - 3]), tonumber(ARGV[5 * i - 2]), tonumber(ARGV[5 * i - 1])
    local read, counter_ms = ARGV[5 * i], ARGV[5 * i + 1]
    prune(entries, total)
    local held = tonumber(redis.call('GET', total) or '0')
    local used = held
    if read ~= 'none' then
        local spent = redis.call('GET', counter)
        if not spent then
            if read == 'unread' then return {-i} end
            if read == 'unreadable' then
                spent = '0'
            else
                redis.call('SET', counter, read, 'PX', counter_ms)
                spent = read
            end
        end
        used = used + tonumber(spent)
    end
    local first = redis.call('ZRANGE', entries, 0, 0, 'WITHSCORES')
    local last = redis.call('ZRANGE', entries, -1, -1, 'WITHSCORES')
    local excess, wait = used + amount - limit, 0
    if excess > 0 then
        if refused_by == 0 then refused_by = i end
        local members = redis.call('ZRANGE', entries, 0, 999, 'WITHSCORES')
        for m = 1, #members, 2 do
            excess = excess - amount_of(members[m])
            wait = tonumber(members[m + 1]) - now
            if excess <= 0 then break end
        end
    end
    for _, number in ipairs({used, held, (first[2] or now) - now, (last[2] or now) - now, wait}) do
        answer[#answer + 1] = number
    end
end
answer[1] = refused_by
if refused_by == 0 then
    for i = 1, meters do
        local hold_ms = tonumber(ARGV[5 * i - 1])
        add(KEYS[3 * i - 2], KEYS[3 * i - 1], admission, tonumber(ARGV[5 * i - 2]), now + hold_ms, hold_ms)
    end
end
return answer
"""
)
"""KEYS: entries, total, counter of each meter. ARGV: the admission; limit, amount, hold, what was read, its life."""

SETTLE = (
    PREAMBLE
    + """
local admission, meters = ARGV[1], (#ARGV - 1) / 4
for i = 1, meters do
    local entries, total, counter = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
    local taken, used, hold_ms = tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i])
    prune(entries, total)
    local member = admission .. ':' .. whole(taken)
    local ends_at = redis.call('ZSCORE', entries, member)
    if ends_at then
        redis.call('ZREM', entries, member)
        redis.call('DECRBY', total, whole(taken))
    end
    if ARGV[4 * i + 1] == 'lease' then
        if used > 0 and redis.call('EXISTS', counter) == 1 then redis.call('INCRBY', counter, whole(used)) end
    elseif ends_at and used > 0 then
        local life = math.max(redis.call('PTTL', entries), tonumber(ends_at) - now)
        add(entries, total, admission, used, tonumber(ends_at), life)
    elseif not ends_at and used > taken then
        add(entries, total, admission, used - taken, now + hold_ms, hold_ms)
    end
end
"""
)
"""KEYS as above. ARGV: the admission; taken, used, hold, and `lease` or `window` of each meter."""

RENEW = (
    PREAMBLE
    + """
local admission = ARGV[1]
for i = 1, (#ARGV - 1) / 2 do
    local entries, total = KEYS[2 * i - 1], KEYS[2 * i]
    local hold_ms = tonumber(ARGV[2 * i + 1])
    redis.call('ZADD', entries, 'XX', whole(now + hold_ms), admission .. ':' .. ARGV[2 * i])
    redis.call('PEXPIRE', entries, hold_ms)
    redis.call('PEXPIRE', total, hold_ms)
end
"""
)
"""KEYS: entries and total of each lease. ARGV: the admission; amount and hold of each."""


class RedisStore:
    """`redis` is the owner's to close. Raises what redis-py raises."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._admit = redis.register_script(ADMIT)
        self._settle = redis.register_script(SETTLE)
        self._renew = redis.register_script(RENEW)

    async def admit(
        self, subject: str, admission: str, meters: Sequence[Meter], spent: Mapping[str, int | None]
    ) -> Verdict:
        arguments: list[Any] = [admission]
        for meter in meters:
            read = _read(meter, spent)
            arguments += [meter.limit, meter.amount, meter.hold_seconds * 1000, read, COUNTER_SECONDS * 1000]
        answer = await self._admit(keys=_keys(subject, meters), args=arguments)
        if answer[0] < 0:
            return Verdict(unread=-answer[0] - 1)
        readings = []
        for index in range(len(meters)):
            used, held, first, last, wait = answer[1 + 5 * index : 6 + 5 * index]
            readings.append(Reading(used, held, first / 1000, last / 1000, wait / 1000))
        return Verdict(tuple(readings), refused_by=answer[0] - 1 if answer[0] else None)

    async def settle(self, subject: str, admission: str, meters: Sequence[Meter], used: Sequence[int]) -> None:
        arguments: list[Any] = [admission]
        for meter, amount in zip(meters, used, strict=True):
            kind = "lease" if meter.is_lease else "window"
            arguments += [meter.amount, amount, meter.hold_seconds * 1000, kind]
        await self._settle(keys=_keys(subject, meters), args=arguments)

    async def renew(self, held: Sequence[Held]) -> None:
        for one in held:
            keys = [key for meter in one.meters for key in _keys(one.subject, [meter])[:2]]
            arguments: list[Any] = [one.admission]
            for meter in one.meters:
                arguments += [meter.amount, meter.hold_seconds * 1000]
            await self._renew(keys=keys, args=arguments)


def _keys(subject: str, meters: Sequence[Meter]) -> list[str]:
    start = f"access:{{{subject}}}:"
    keys = []
    for meter in meters:
        keys += [f"{start}{meter.name}", f"{start}{meter.name}:total", f"{start}spent:{meter.counter}"]
    return keys


def _read(meter: Meter, spent: Mapping[str, int | None]) -> str:
    """What the script is told of a counter."""
    if not meter.counter:
        return "none"
    if meter.counter not in spent:
        return "unread"
    read = spent[meter.counter]
    return "unreadable" if read is None else str(read)
