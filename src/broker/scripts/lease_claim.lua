-- Claims a lease. KEYS: lease, state, leases and presences of this life, lives. ARGV: this instance's inbox, its life, epoch ('' for
-- none) and seq of the client's position, pid, the prefix of all keys. Returns nothing when there is no lease. Otherwise: generation,
-- sid, own room, rooms, data, window, and 1 if this log has reached the position. The former owner is notified. Claiming again is
-- harmless.
local lease = redis.call('HMGET', KEYS[1], 'generation', 'sid', 'own', 'rooms', 'data', 'window', 'owner', 'life')
if not lease[1] then
    return {}
end
local generation, window = tonumber(lease[1]), tonumber(lease[6])
for i = 1, 8 do
    if not lease[i] or not generation or not window or window > 1e12 then
        return redis.error_reply('SPOILED ' .. KEYS[1])
    end
end
if not redis.call('ZSCORE', KEYS[4], ARGV[2]) then
    return redis.error_reply('LIFE has ended') -- no pulse would end what it holds
end
local instance, number = string.match(ARGV[2], '^(.*):(%d+)$')
local was_instance, was_number = string.match(lease[8], '^(.*):(%d+)$')
if instance == was_instance and tonumber(number) < tonumber(was_number) then
    return {} -- a late call, from an earlier life of the same instance
end
local was_of = ARGV[6] .. 'of:' .. lease[8]
local wrong = spoiled(KEYS[3], 'set') or spoiled(was_of, 'set')
if wrong then
    return wrong
end
local reached = 1
if ARGV[3] ~= '' then
    local state = redis.call('HMGET', KEYS[2], 'epoch', 'seq', 'end:' .. ARGV[3])
    local top = tonumber(state[1] == ARGV[3] and state[2] or state[3])
    reached = top and tonumber(ARGV[4]) <= top and 1 or 0
end
generation = string.format('%.0f', generation + 1)
local life_ms = string.format('%.0f', window * 2)
-- A write that needs no memory comes first: when memory is full, Redis then refuses none of the others.
-- The lease is written after the keys that it needs. The writes after it are attempted and may fail.
redis.call('PEXPIRE', KEYS[1], life_ms)
if redis.call('SADD', KEYS[3], 'l' .. ARGV[5]) == 1 and redis.call('PTTL', KEYS[3]) == -1 then
    redis.call('PEXPIRE', KEYS[3], 86400000) -- see lease_write
end
if lease[3] ~= '' then
    redis.call('SET', ARGV[6] .. 'owner:' .. lease[3], ARGV[1], 'PX', life_ms)
end
redis.call('HSET', KEYS[1], 'generation', generation, 'owner', ARGV[1], 'life', ARGV[2])
if was_of ~= KEYS[3] then
    redis.pcall('SREM', was_of, 'l' .. ARGV[5])
end
redis.pcall('PUBLISH', lease[7], 'claimed ' .. generation .. '\n' .. ARGV[5])
return {generation, lease[2], lease[3], lease[4], lease[5], lease[6], reached}
