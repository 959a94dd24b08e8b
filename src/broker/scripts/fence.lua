-- A subscription was confirmed. KEYS: state, meta of the room. ARGV: the instance's inbox, the number of its feed and the room.
-- Says through the inbox, so in the order of the pushes, what the room's newest entry is and how far the counter has come.
local last = redis.call('HGET', KEYS[2], 'last') or '0'
local seq = redis.call('HGET', KEYS[1], 'seq') or '0'
return redis.call('PUBLISH', ARGV[1], 'fence ' .. last .. ' ' .. seq .. '\n' .. ARGV[2])
