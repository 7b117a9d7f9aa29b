-- queue_lengths: how many ids the lists of some integrations hold. ARGV: queue, integration, queue, integration ... Returns a count for each pair.
local lens = {}
for i = 1, #ARGV, 2 do
    local lists = 'dm:q:' .. ARGV[i] .. ':' .. ARGV[i + 1] .. ':'
    local n = 0
    for p = 0, 2 do
        n = n + redis.call('LLEN', lists .. p)
    end
    lens[#lens + 1] = n
end
return lens
