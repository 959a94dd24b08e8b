-- Writes a lease. KEYS: lease, leases and presences of this life, lives, the key that names the owner of the own room (if there is
-- one). ARGV: generation, sid, rooms, data, this instance's inbox, its life, the own room ('' for none), window (ms), pid, the rooms whose
-- unlogged events are to be kept, for how long (ms), the name under which its end is asked for ('' for none). Returns 0 when a higher generation owns it. The lease lives for two windows from now.
local was = redis.call('HMGET', KEYS[1], 'generation', 'life', 'ended', 'watch')
if was[1] and (tonumber(was[1]) or 0) > tonumber(ARGV[1]) or was[3] then
    return 0
end
local instance, number = string.match(ARGV[6], '^(.*):(%d+)$')
local was_instance, was_number = string.match(was[2] or '', '^(.*):(%d+)$')
if instance == was_instance and tonumber(number) < tonumber(was_number) then
    return 0 -- a late call, from an earlier life of the same instance
end
if not redis.call('ZSCORE', KEYS[3], ARGV[6]) then
    return redis.error_reply('LIFE has ended') -- no pulse would end what it holds
end
local wrong = spoiled(KEYS[2], 'set')
if wrong then
    return wrong
end
local time = redis.call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local life_ms = string.format('%.0f', tonumber(ARGV[8]) * 2)
local prefix = string.sub(KEYS[1], 1, -7 - #ARGV[9])
local watch = ARGV[12] ~= '' and ARGV[12] or was[4] or ''
-- A write that needs no memory comes first: when memory is full, Redis then refuses none of the others.
-- The lease comes last: other keys that mention a missing lease do no harm.
redis.call('PEXPIRE', KEYS[1], key_ms(watch, life_ms))
if redis.call('SADD', KEYS[2], 'l' .. ARGV[9]) == 1 and redis.call('PTTL', KEYS[2]) == -1 then
    redis.call('PEXPIRE', KEYS[2], 86400000) -- the end of the key if no pulse comes any more
end
if KEYS[4] then
    redis.call('SET', KEYS[4], ARGV[5], 'PX', life_ms)
end
local fields = {'generation', ARGV[1], 'sid', ARGV[2], 'rooms', ARGV[3], 'data', ARGV[4], 'owner', ARGV[5], 'life', ARGV[6], 'own', ARGV[7],
    'window', ARGV[8], 'keep', ARGV[10], 'watch', watch, 'left', ''}
if watch ~= '' then
    watch_until(prefix, watch, ARGV[9], life_ms)
end
redis.call('HSET', KEYS[1], unpack(fields, 1, watch ~= '' and 22 or 18))
redis.pcall('PEXPIRE', KEYS[1], key_ms(watch, life_ms))
keep_rooms(prefix, ARGV[10], ms, tonumber(ARGV[11]))
return 1
