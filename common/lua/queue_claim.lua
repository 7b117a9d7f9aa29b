-- queue_claim: move up to `want` ids to the worker's own list. Queues take weighted turns (live 6, default 3, bulk 1 of ten; the turns of an empty
-- queue go to the others), integrations take turns within a queue, priorities rank within an integration. Costs a few calls for each integration that
-- gives something, however many ids it gives and however many wait.
-- ARGV: worker id, want. Returns the ids.
local QUEUES = { 'live', 'default', 'bulk' }
local TURNS = { 1, 2, 1, 1, 3, 1, 2, 1, 1, 2 }
local own = 'dm:w:' .. ARGV[1]
local want = tonumber(ARGV[2])
local ids = {}

-- Up to n ids of one integration, best priority first; and whether it has more.
local function take_from(lists, n)
    local left = n
    for p = 0, 2 do
        local some = left > 0 and redis.call('LPOP', lists .. p, left)
        if some then
            for i = 1, #some do
                ids[#ids + 1] = some[i]
            end
            left = left - #some
        end
    end
    return left == 0 and redis.call('EXISTS', lists .. '0', lists .. '1', lists .. '2') > 0
end

-- Up to n ids of one queue, the same number from each integration in turn. Returns how many it could not give.
local function take(queue, n)
    local base = 'dm:q:' .. queue .. ':'
    local upto = #ids + n
    while #ids < upto do
        local left = upto - #ids
        local ring = redis.call('LLEN', base .. 'ring')
        if ring == 0 then
            return left
        end
        local back = {}
        for _, integration in ipairs(redis.call('LPOP', base .. 'ring', math.min(ring, left))) do
            if take_from(base .. integration .. ':', math.max(1, math.floor(left / ring))) then
                back[#back + 1] = integration
            end
        end
        if #back > 0 then
            redis.call('RPUSH', base .. 'ring', unpack(back))
        end
    end
    return 0
end

-- Each queue's share of the turns; what one cannot use, the first that can gets.
local turn = tonumber(redis.call('GET', 'dm:turn') or '0')
local share = { 0, 0, 0 }
for i = 0, want - 1 do
    local q = TURNS[(turn + i) % #TURNS + 1]
    share[q] = share[q] + 1
end
local over = 0
for q = 1, #QUEUES do
    over = over + (share[q] > 0 and take(QUEUES[q], share[q]) or 0)
end
for q = 1, #QUEUES do
    if over > 0 then
        over = take(QUEUES[q], over)
    end
end

redis.call('DEL', own)
if #ids > 0 then
    redis.call('RPUSH', own, unpack(ids))
    redis.call('SET', 'dm:turn', (turn + #ids) % #TURNS)
end
if redis.call('EXISTS', 'dm:q:live:ring', 'dm:q:default:ring', 'dm:q:bulk:ring') == 0 then
    redis.call('DEL', 'dm:wake') -- nothing is left to wake anyone for
elseif redis.call('EXISTS', 'dm:wake') == 0 then
    redis.call('RPUSH', 'dm:wake', '1') -- pass the wake-up on
end
return ids
