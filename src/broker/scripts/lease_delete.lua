-- KEYS: lease. ARGV: generation. Deletes it unless a higher one owns it.
local generation = redis.call('HGET', KEYS[1], 'generation')
if generation and tonumber(generation) <= tonumber(ARGV[1]) then
    return redis.call('DEL', KEYS[1])
end
return 0
