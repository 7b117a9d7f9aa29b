-- queue_depths: how many ids a queue's lists hold, for as many of its integrations as asked for: those whose turn is next.
-- ARGV: queue, integrations at most. Returns how many integrations have work, then integration, count, integration, count ...
local base = 'dm:q:' .. ARGV[1] .. ':'
local found = { redis.call('LLEN', base .. 'ring') }
for _, integration in ipairs(redis.call('LRANGE', base .. 'ring', 0, tonumber(ARGV[2]) - 1)) do
    local n = 0
    for p = 0, 2 do
        n = n + redis.call('LLEN', base .. integration .. ':' .. p)
    end
    found[#found + 1] = integration
    found[#found + 1] = n
end
return found
