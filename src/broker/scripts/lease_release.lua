-- Ends or leaves a lease whose client is gone. KEYS: lease, leases and presences of this life, the key that names the owner of the own
-- room (if there is one). ARGV: generation, pid, '1' to delete the lease. Otherwise it lives for its window from now, for the next
-- claim. Returns 0 when a higher generation owns it.
local lease = redis.call('HMGET', KEYS[1], 'generation', 'window')
if lease[1] and (tonumber(lease[1]) or 0) > tonumber(ARGV[1]) then
    return 0 -- the set belongs to another generation by now, perhaps of this instance
end
local wrong = spoiled(KEYS[2], 'set')
if wrong then
    return wrong
end
local result = 0
if lease[1] then
    local keys = {KEYS[1], KEYS[3]} -- the set of the life is not part of the lease
    if ARGV[3] == '1' or not tonumber(lease[2]) then
        redis.call('DEL', unpack(keys))
    else
        redis.call('PEXPIRE', keys[1], lease[2])
        if keys[2] then
            redis.pcall('PEXPIRE', keys[2], lease[2])
        end
    end
    result = 1
end
redis.pcall('SREM', KEYS[2], 'l' .. ARGV[2])
return result
