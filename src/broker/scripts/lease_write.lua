-- KEYS: lease. ARGV: generation, sid, rooms, data, the owner's inbox, life in ms. Returns 0 when a higher generation owns it.
local generation = redis.call('HGET', KEYS[1], 'generation')
if generation and tonumber(generation) > tonumber(ARGV[1]) then
    return 0
end
redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'sid', ARGV[2], 'rooms', ARGV[3], 'data', ARGV[4], 'owner', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return 1
