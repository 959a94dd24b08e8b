-- Subscriptions were confirmed. KEYS: state, then the metas of rooms. ARGV: the instance's inbox, the number of its feed, then the
-- rooms. Says through the inbox, so in the order of the pushes, what each room's newest entry is and how far the counter has come.
local seq = redis.call('HGET', KEYS[1], 'seq') or '0'
for i = 2, #KEYS do
    local last = redis.call('HGET', KEYS[i], 'last') or '0'
    redis.call('PUBLISH', ARGV[1], 'fence ' .. ARGV[2] .. ' ' .. last .. ' ' .. seq .. '\n' .. ARGV[i + 1])
end
return #KEYS - 1
