-- queue_drop: drop lists in one step, so that no push can come between a list and its place in the ring.
-- ARGV: queue, integration; or queue: the lists of up to 500 integrations of its ring, to be called again while it returns more than 0; or nothing: every
-- list, ring and wake-up token.
if #ARGV == 2 then
    local base = 'dm:q:' .. ARGV[1] .. ':'
    for p = 0, 2 do
        redis.call('UNLINK', base .. ARGV[2] .. ':' .. p)
    end
    redis.call('LREM', base .. 'ring', 0, ARGV[2])
    return 1
end
if #ARGV == 1 then
    local base = 'dm:q:' .. ARGV[1] .. ':'
    for _, integration in ipairs(redis.call('LPOP', base .. 'ring', 500) or {}) do
        for p = 0, 2 do
            redis.call('UNLINK', base .. integration .. ':' .. p)
        end
    end
    return redis.call('LLEN', base .. 'ring')
end
local cursor = '0'
repeat
    local found = redis.call('SCAN', cursor, 'MATCH', 'dm:q:*', 'COUNT', 1000)
    cursor = found[1]
    for i = 1, #found[2] do
        redis.call('UNLINK', found[2][i])
    end
until cursor == '0'
redis.call('UNLINK', 'dm:wake')
return 1
