-- queue_claim: move up to `want` ids to the worker's own list, in the order in which they are to start. Queues take weighted turns (live 6, default 3, bulk 1 of ten; the turns of an empty
-- queue go to the others), integrations take turns within a queue, priorities rank within an integration. Costs a few calls for each integration that
-- gives something, however many ids it gives and however many wait.
-- ARGV: worker id, want. Returns the ids, and after them a 0 when the generation is missing: the lists may lack what waits in rows.
local QUEUES = { 'live', 'default', 'bulk' }
local TURNS = { 1, 2, 1, 1, 3, 1, 2, 1, 1, 2 }
local own = 'dm:w:' .. ARGV[1]
local want = tonumber(ARGV[2])

-- Up to n ids of one integration, best priority first; and whether it has more.
local function take_from(lists, n)
    local ids = {}
    for p = 0, 2 do
        local some = #ids < n and redis.call('LPOP', lists .. p, n - #ids)
        if some then
            for i = 1, #some do
                ids[#ids + 1] = some[i]
            end
        end
    end
    return ids, #ids == n and redis.call('EXISTS', lists .. '0', lists .. '1', lists .. '2') > 0
end

-- Up to n ids of one queue, its integrations in turn. They are popped some of each at once, and then dealt out one by one.
local function take(queue, n)
    local base = 'dm:q:' .. queue .. ':'
    local ids = {}
    while #ids < n do
        local left = n - #ids
        local ring = redis.call('LLEN', base .. 'ring')
        if ring == 0 then
            break
        end
        local hands, back, longest = {}, {}, 0
        for _, integration in ipairs(redis.call('LPOP', base .. 'ring', math.min(ring, left))) do
            local hand, more = take_from(base .. integration .. ':', math.max(1, math.floor(left / ring)))
            hands[#hands + 1] = hand
            longest = math.max(longest, #hand)
            if more then
                back[#back + 1] = integration
            end
        end
        if #back > 0 then
            redis.call('RPUSH', base .. 'ring', unpack(back))
        end
        for k = 1, longest do
            for h = 1, #hands do
                ids[#ids + 1] = hands[h][k] -- nil adds nothing
            end
        end
    end
    return ids
end

-- Each queue's share of the turns; what one cannot use, the first that can gets.
local turn = tonumber(redis.call('GET', 'dm:turn') or '0')
local share = { 0, 0, 0 }
for i = 0, want - 1 do
    local q = TURNS[(turn + i) % #TURNS + 1]
    share[q] = share[q] + 1
end
local took, over = { {}, {}, {} }, want
for q = 1, #QUEUES do
    took[q] = share[q] > 0 and take(QUEUES[q], share[q]) or {}
    over = over - #took[q]
end
for q = 1, #QUEUES do
    for _, id in ipairs(over > 0 and take(QUEUES[q], over) or {}) do
        table.insert(took[q], id)
        over = over - 1
    end
end

-- Dealt out in the order of the turns.
local ids, at = {}, { 1, 1, 1 }
for i = 0, want - over - 1 do
    local q = TURNS[(turn + i) % #TURNS + 1]
    if not took[q][at[q]] then
        q = took[1][at[1]] and 1 or took[2][at[2]] and 2 or 3
    end
    ids[#ids + 1] = took[q][at[q]]
    at[q] = at[q] + 1
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
if redis.call('EXISTS', 'dm:gen') == 0 then
    ids[#ids + 1] = 0
end
return ids
