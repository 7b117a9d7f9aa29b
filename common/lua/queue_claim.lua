-- queue_claim: move up to `want` ids to the worker's own list. Queues take weighted turns (live 6, default 3, bulk 1 of ten; the turn of an empty
-- queue goes to the first that has work), integrations take turns within a queue, priorities rank within an integration.
-- ARGV: worker id, want. Returns the ids, and after them a 0 when the generation is missing: the lists may lack what waits in rows.
local QUEUES = { 'live', 'default', 'bulk' }
local TURNS = { 1, 2, 1, 1, 3, 1, 2, 1, 1, 2 }
local own = 'dm:w:' .. ARGV[1]

local function take(queue)
    local base = 'dm:q:' .. queue .. ':'
    while true do
        local integration = redis.call('LPOP', base .. 'ring')
        if not integration then
            return nil
        end
        local lists, id, more = base .. integration .. ':', false, 0
        for p = 0, 2 do
            if not id then
                id = redis.call('LPOP', lists .. p)
            end
            more = more + redis.call('EXISTS', lists .. p)
        end
        if more > 0 then
            redis.call('RPUSH', base .. 'ring', integration)
        end
        if id then
            return id
        end
    end
end

local turn = tonumber(redis.call('GET', 'dm:turn') or '0')
local ids = {}
while #ids < tonumber(ARGV[2]) do
    local first = TURNS[turn % #TURNS + 1]
    local id = take(QUEUES[first])
    for q = 1, #QUEUES do
        if not id and q ~= first then
            id = take(QUEUES[q])
        end
    end
    if not id then
        break
    end
    turn = turn + 1
    ids[#ids + 1] = id
end

redis.call('DEL', own)
if #ids > 0 then
    redis.call('RPUSH', own, unpack(ids))
    redis.call('SET', 'dm:turn', turn % #TURNS)
end
local left = 0
for q = 1, #QUEUES do
    left = left + redis.call('EXISTS', 'dm:q:' .. QUEUES[q] .. ':ring')
end
if left == 0 then
    redis.call('DEL', 'dm:wake') -- nothing is left to wake anyone for
elseif redis.call('EXISTS', 'dm:wake') == 0 then
    redis.call('RPUSH', 'dm:wake', '1') -- pass the wake-up on
end
if redis.call('EXISTS', 'dm:gen') == 0 then
    ids[#ids + 1] = 0
end
return ids
