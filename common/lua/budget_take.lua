-- budget_take - takes tokens out of a vendor's allowance, or says when to ask again.
--
-- KEYS: 1 hash: used, limit (learned), shut_until (ms), strikes; 2 list: "ms:n" for each time tokens were spent, oldest first
-- ARGV: 1 window ms, 2 limit of the class (0 = none), 3 highest limit, 4 tokens wanted, 5 bulk (1 or 0)
-- Reply: {granted, wait ms, limit, strikes}
--
-- A token is back when more than one window has gone by since it was spent, so that no window, wherever it begins,
-- holds more than the limit. Costs one step for each entry that has expired.

local function whole(i, low, high)
    local n = tonumber(ARGV[i])
    if not n or n ~= math.floor(n) or n < low or n > high then
        return nil
    end
    return n
end

local window, base, highest = whole(1, 1, 86400000), whole(2, 0, 1000000), whole(3, 0, 1000000)
local want, bulk = whole(4, 1, 1000000), whole(5, 0, 1)
if #KEYS ~= 2 or not (window and base and highest and want and bulk) then
    return redis.error_reply('ERR budget_take: bad arguments')
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kept = redis.call('HMGET', KEYS[1], 'used', 'limit', 'shut_until', 'strikes')
local used, shut_until, strikes = tonumber(kept[1]) or 0, tonumber(kept[3]) or 0, tonumber(kept[4]) or 0
local limit = base
if base > 0 then
    highest = math.max(highest, base)
    limit = math.min(tonumber(kept[2]) or base, highest)
end

-- A class is never shut for more than a day: more than that is a clock that went back.
if shut_until > now and shut_until - now <= 86400000 then
    return { 0, shut_until - now, limit, strikes }
end
if base == 0 then
    return { want, 0, 0, strikes }
end

local function spent_at(entry)
    local ms, n = string.match(entry, '^(%d+):(%d+)$')
    return tonumber(ms) or 0, tonumber(n) or 0
end

local newest = redis.call('LINDEX', KEYS[2], -1)
if not newest then
    used = 0
elseif not kept[1] then
    redis.call('DEL', KEYS[2])
    used = 0
elseif spent_at(newest) > now then
    -- the clock went back: as if all that is out had been spent just now
    redis.call('DEL', KEYS[2])
    if used > 0 then
        redis.call('RPUSH', KEYS[2], string.format('%.0f:%.0f', now, used))
    end
end
while true do
    local oldest = redis.call('LINDEX', KEYS[2], 0)
    if not oldest then
        break
    end
    local ms, n = spent_at(oldest)
    if now - ms <= window then
        break
    end
    redis.call('LPOP', KEYS[2])
    used = math.max(0, used - n)
end

local reserve = 0
if bulk == 1 and limit > 1 then
    reserve = math.max(1, math.floor(limit / 5))
end
local free = limit - used - reserve
local granted = math.max(0, math.min(want, free))
local wait = 0
if granted > 0 then
    used = used + granted
    redis.call('RPUSH', KEYS[2], string.format('%.0f:%.0f', now, granted))
else
    -- until so many have come back that one is free; each entry brings one at least
    local missing = 1 - free
    wait = window + 1
    for _, entry in ipairs(redis.call('LRANGE', KEYS[2], 0, missing - 1)) do
        local ms, n = spent_at(entry)
        missing = missing - n
        wait = ms + window + 1 - now
        if missing <= 0 then
            break
        end
    end
    wait = math.max(1, math.min(wait, window + 1))
end

redis.call('HSET', KEYS[1], 'used', string.format('%.0f', used))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', window * 1000)) -- what was learned outlives a quiet night
redis.call('PEXPIRE', KEYS[2], string.format('%.0f', window * 3))
return { granted, wait, limit, strikes }
