-- queue_push: append job ids to their lists, keep each integration with work in its queue's ring, wake workers.
-- ARGV: five words an item: queue, integration, priority, id, front (0 or 1). Returns the number of items; OOM without room for them.
local WAKE_MAX = 64 -- tokens beyond this would only wake workers to an empty queue

-- Out of memory: the lists will lack these ids, so the generation goes, which sends workers to the rows, and one of them is woken. A script may do that once it
-- has written, and dropping a key is a write that is never refused. This SETRANGE changes nothing, but would be.
local refused = redis.pcall('SETRANGE', 'dm:gen', 0, '')
if type(refused) == 'table' and refused.err then
    redis.call('DEL', 'dm:gen')
    if redis.call('LLEN', 'dm:wake') < WAKE_MAX then
        redis.call('RPUSH', 'dm:wake', '1')
    end
    return refused
end

local n = 0
for i = 1, #ARGV, 5 do
    local base = 'dm:q:' .. ARGV[i] .. ':'
    local lists = base .. ARGV[i + 1] .. ':'
    local priority = ARGV[i + 2]
    local push = ARGV[i + 4] == '1' and 'LPUSH' or 'RPUSH'
    if redis.call(push, lists .. priority, ARGV[i + 3]) == 1 then
        local others = 0
        for p = 0, 2 do
            if tostring(p) ~= priority then
                others = others + redis.call('EXISTS', lists .. p)
            end
        end
        if others == 0 then
            redis.call('RPUSH', base .. 'ring', ARGV[i + 1])
        end
    end
    n = n + 1
end
local tokens = math.min(n, WAKE_MAX - redis.call('LLEN', 'dm:wake'))
for _ = 1, tokens do
    redis.call('RPUSH', 'dm:wake', '1')
end
return n
