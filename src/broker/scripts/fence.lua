-- Subscriptions were confirmed. KEYS: state, then the metas of rooms. ARGV: the instance's inbox, the number of its feed, then the
-- rooms. Says through the inbox, so in the order of the pushes, what each room's newest entry is and how far the counter has come.
-- A meta that is gone says nothing: its log, if that is still there, says the same. A room that somebody is in keeps its meta: without it,
-- a quiet room could not be told from one whose keys have been lost.
local META_MS, META_LEFT_MS = 172800000, 129600000
local seq = redis.call('HGET', KEYS[1], 'seq') or '0'
local prefix = string.sub(KEYS[1], 1, -6) -- without `state`
for i = 2, #KEYS do
    local room, last = ARGV[i + 1], redis.call('HGET', KEYS[i], 'last')
    if not last then
        local newest = redis.call('XREVRANGE', prefix .. 'log:' .. room, '+', '-', 'COUNT', 1)[1]
        last = newest and string.match(newest[1], '^%d+') or '0'
    elseif redis.call('PTTL', KEYS[i]) < META_LEFT_MS then
        redis.call('PEXPIRE', KEYS[i], META_MS)
    end
    redis.call('PUBLISH', ARGV[1], 'fence ' .. ARGV[2] .. ' ' .. last .. ' ' .. seq .. '\n' .. room)
end
return #KEYS - 1
