-- budget_learn - what a vendor's answer says about an allowance.
--
-- KEYS: 1 the hash of budget_take (both scripts own it together)
-- ARGV: 1 window ms, 2 limit of the class (0 = none), 3 highest limit, 4 calls remaining by the answer's headers (-1 = not said),
--       5 ms to wait by a 429 (-1 = it was none, 0 = it did not say how long)
-- Reply: {limit, strikes}

local function whole(i, low, high)
    local n = tonumber(ARGV[i])
    if not n or n ~= math.floor(n) or n < low or n > high then
        return nil
    end
    return n
end

local window, base, highest = whole(1, 1, 86400000), whole(2, 0, 1000000), whole(3, 0, 1000000)
local remaining, retry = whole(4, -1, 1000000), whole(5, -1, 86400000)
if #KEYS ~= 1 or not (window and base and highest and remaining and retry) then
    return redis.error_reply('ERR budget_learn: bad arguments')
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kept = redis.call('HMGET', KEYS[1], 'limit', 'shut_until', 'strikes')
local shut_until, strikes = tonumber(kept[2]) or 0, tonumber(kept[3]) or 0
if shut_until - now > 86400000 then
    shut_until = 0 -- a clock that went back
end
local limit = base
if base > 0 then
    highest = math.max(highest, base)
    limit = math.min(tonumber(kept[1]) or base, highest)
end
local keep = window * 1000

if retry >= 0 then
    -- Calls that were under way when the class was shut bring the same news again: one blow, one strike.
    if shut_until <= now then
        strikes = strikes + 1
        if base > 0 then
            local lowest = math.ceil(base / 2)
            limit = math.max(lowest, math.min(limit, math.floor(limit * 0.9)))
        end
    end
    local wait = retry
    if wait == 0 then
        wait = math.min(60000, 1000 * 2 ^ math.min(math.max(strikes, 1) - 1, 6))
    end
    shut_until = math.max(shut_until, now + wait)
    keep = math.max(keep, shut_until - now + window)
else
    if shut_until <= now then
        strikes = 0
    end
    -- This call and those that remain fit in the vendor's present window: that many it allows at least. Our own count
    -- of other calls proves nothing here, as the vendor's window may have begun after them.
    if base > 0 and remaining + 1 > limit then
        limit = math.min(highest, remaining + 1)
    end
end

redis.call('HSET', KEYS[1], 'shut_until', string.format('%.0f', shut_until), 'strikes', string.format('%.0f', strikes))
if base > 0 and limit ~= base then
    redis.call('HSET', KEYS[1], 'limit', string.format('%.0f', limit))
else
    redis.call('HDEL', KEYS[1], 'limit')
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', keep))
return { limit, strikes }
