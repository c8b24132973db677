"""The Lua scripts that count limits in Redis.

Redis runs a script as one step, so nothing comes between a check and what follows from it. All times are read from the
clock of Redis, so that the clocks of the workers need not agree.

The entries of a limit are a sorted set. Its members are `admission:amount`, and their scores are the times at which the
entries end, in milliseconds. Their total is stored beside the set, so that it need not be added up each time.
"""

# Functions that the scripts below share. Amounts are written as whole numbers, because Lua would write large ones with
# an exponent.
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

# Takes the amounts of all meters, or of none.
# KEYS: the entries, the total and the counter of each meter.
# ARGV: the id of the admission; then for each meter its limit, its amount, how long that counts (ms), what was read
# from the history for its counter, and how long the counter is kept (ms). What was read is a number, or `none` (the
# meter has no counter), `unread` or `unreadable`. Returns the index of the refusing meter, or 0, and then five numbers
# for each meter: see Reading. Returns only {-index} if the counter of that meter must be read from the history first.
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

# Replaces what was taken by what was used.
# KEYS: the entries, the total and the counter of each meter.
# ARGV: the id of the admission; then for each meter the amount that was taken, the amount that was used, how long an
# entry counts (ms), and `lease` or `window`.
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

# Lets the leases of one admission count for their whole time again. A lease that has ended stays ended.
# KEYS: the entries and the total of each lease.
# ARGV: the id of the admission; then for each lease its amount and how long it counts (ms).
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
