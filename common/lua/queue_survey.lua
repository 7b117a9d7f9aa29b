-- queue_survey: a look at one queue's lists that changes nothing, a stretch of its ring at a time, so that no look takes long.
-- ARGV: queue, place in the ring to begin at, how many integrations. Returns how many integrations have work, then for each of the stretch: integration, ids
-- in its lists, the first id of each of the three ('' = none). The ring turns meanwhile: one may be met twice, or not at all.
local base = 'dm:q:' .. ARGV[1] .. ':'
local from = tonumber(ARGV[2])
local found = { redis.call('LLEN', base .. 'ring') }
for _, integration in ipairs(redis.call('LRANGE', base .. 'ring', from, from + tonumber(ARGV[3]) - 1)) do
    local lists, n, heads = base .. integration .. ':', 0, {}
    for p = 0, 2 do
        n = n + redis.call('LLEN', lists .. p)
        heads[#heads + 1] = redis.call('LINDEX', lists .. p, 0) or ''
    end
    found[#found + 1] = integration
    found[#found + 1] = n
    for p = 1, 3 do
        found[#found + 1] = heads[p]
    end
end
return found
