-- Answers a confirmed subscription. KEYS: state, then the metas of rooms. ARGV: the instance's inbox, the number of its feed, the
-- epoch, then the rooms. Sends through the inbox, and so in the order of the pushes, each room's newest entry and the counter. If a
-- meta is gone, its log says the same, if that is still there. A room keeps its meta while a socket is in it: without the meta, a
-- quiet room could not be told from a room that has lost its keys.
local META_MS, META_LEFT_MS = 172800000, 129600000
local have = redis.call('HMGET', state, 'epoch', 'seq')
local wrong = epoch_error(have, ARGV[3])
if wrong then
    return wrong
end
local prefix = string.sub(state, 1, -6) -- without `state`
local lasts = {}
for i = 2, #KEYS do
    local got, last = redis.pcall('HGET', KEYS[i], 'last'), 0 -- in a room with a spoiled meta nothing is logged
    if not got then
        local newest = redis.pcall('XREVRANGE', prefix .. 'log:' .. ARGV[i + 2], '+', '-', 'COUNT', 1)
        last = newest[1] and tonumber(string.match(newest[1][1], '^%d+')) or 0
    else
        last = whole_of(got) or 0
    end
    if last > tonumber(have[2]) then
        return epoch_end(last)
    end
    lasts[i] = last
end
for i = 2, #KEYS do
    local left = redis.call('PTTL', KEYS[i])
    if left ~= -2 and left < META_LEFT_MS then
        redis.call('PEXPIRE', KEYS[i], META_MS)
    end
    redis.call('PUBLISH', ARGV[1], 'fence ' .. ARGV[2] .. ' ' .. string.format('%.0f', lasts[i]) .. ' ' .. have[2] .. '\n' .. ARGV[i + 2])
end
return #KEYS - 1
