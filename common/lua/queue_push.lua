-- queue_push: append job ids to their lists, keep each integration with work in its queue's ring, wake workers. Neighbours that go to the same end of the
-- same list go there in one call.
-- ARGV: five words an item: queue, integration, priority, id, front (0 or 1). Returns the number of items; OOM without room for them.
local WAKE_MAX = 64 -- tokens beyond this would only wake workers to an empty queue
local CALL_MAX = 1000 -- what unpack() may put on Lua's stack, with room to spare

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

local function push(queue, integration, priority, front, ids)
    local base = 'dm:q:' .. queue .. ':'
    local lists = base .. integration .. ':'
    if redis.call(front == '1' and 'LPUSH' or 'RPUSH', lists .. priority, unpack(ids)) > #ids then
        return
    end
    local others = 0 -- this list was empty: if they all were, the integration is not in the ring
    for p = 0, 2 do
        if tostring(p) ~= priority then
            others = others + redis.call('EXISTS', lists .. p)
        end
    end
    if others == 0 then
        redis.call('RPUSH', base .. 'ring', integration)
    end
end

local i, n = 1, #ARGV / 5
while i <= #ARGV do
    local queue, integration, priority, front = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 4]
    local ids = {}
    while ARGV[i] == queue and ARGV[i + 1] == integration and ARGV[i + 2] == priority and ARGV[i + 4] == front and #ids < CALL_MAX do
        table.insert(ids, front == '1' and 1 or #ids + 1, ARGV[i + 3]) -- LPUSH turns them round again
        i = i + 5
    end
    push(queue, integration, priority, front, ids)
end
local tokens = math.min(n, WAKE_MAX - redis.call('LLEN', 'dm:wake'))
for _ = 1, tokens do
    redis.call('RPUSH', 'dm:wake', '1')
end
return n
