-- Subscriptions were confirmed. KEYS: state, then the metas of rooms. ARGV: the instance's inbox, the number of its feed, the epoch,
-- then the rooms. Says through the inbox, so in the order of the pushes, what each room's newest entry is and how far the counter
-- has come.
local have = redis.call('HMGET', state, 'epoch', 'seq')
local wrong = epoch_error(have, ARGV[3])
if wrong then
    return wrong
end
local lasts = {}
for i = 2, #KEYS do
    local last = redis.pcall('HGET', KEYS[i], 'last')
    last = whole_of(last) or 0 -- in a room with a spoiled meta nothing is logged
    if last > tonumber(have[2]) then
        return epoch_end(last)
    end
    lasts[i] = last
end
for i = 2, #KEYS do
    redis.call('PUBLISH', ARGV[1], 'fence ' .. ARGV[2] .. ' ' .. string.format('%.0f', lasts[i]) .. ' ' .. have[2] .. '\n' .. ARGV[i + 2])
end
return #KEYS - 1
