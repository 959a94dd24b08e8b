-- Ends or leaves a lease whose client is gone. KEYS: lease, leases and presences of this life, the key that names the owner of the own
-- room (if there is one). ARGV: generation, pid, '1' to delete the lease; of one whose end is asked for, the end is remembered for two
-- windows. Otherwise it lives for its window from now, for the next claim. Returns 0 when a higher generation owns it.
local lease = redis.call('HMGET', KEYS[1], 'generation', 'window', 'watch', 'life')
if lease[1] and (tonumber(lease[1]) or 0) > tonumber(ARGV[1]) then
    return 0 -- the set belongs to another generation by now, perhaps of this instance
end
local wrong = spoiled(KEYS[2], 'set')
if wrong then
    return wrong
end
local result, prefix, watch = 0, string.sub(KEYS[1], 1, -7 - #ARGV[2]), lease[3] or ''
if lease[1] then
    local keys = {KEYS[1], KEYS[3]} -- the set of the life is not part of the lease
    if ARGV[3] == '1' and watch ~= '' and tonumber(lease[2]) then
        redis.call('PEXPIRE', KEYS[1], string.format('%.0f', tonumber(lease[2]) * 2))
        redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'ended', '1')
        redis.pcall('HDEL', KEYS[1], 'sid', 'rooms', 'data', 'owner', 'life', 'own', 'keep', 'left', 'taken')
        redis.pcall('ZREM', prefix .. 'ends:' .. watch, ARGV[2])
        if keys[2] then
            redis.pcall('DEL', keys[2])
        end
    elseif ARGV[3] == '1' or not tonumber(lease[2]) then
        redis.call('DEL', unpack(keys))
    else
        redis.call('PEXPIRE', keys[1], key_ms(watch, lease[2]))
        if watch ~= '' then
            watch_until(prefix, watch, ARGV[2], lease[2])
            redis.call('HSET', keys[1], 'left', '1')
        end
        if keys[2] then
            redis.pcall('PEXPIRE', keys[2], lease[2])
        end
    end
    result = 1
end
redis.pcall('SREM', KEYS[2], 'l' .. ARGV[2])
local of = prefix .. 'of:' .. (lease[4] or '')
if lease[4] and of ~= KEYS[2] then
    redis.pcall('SREM', of, 'l' .. ARGV[2]) -- a failover has lost who owns it
end
return result
