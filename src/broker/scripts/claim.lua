-- For the scripts that claim leases. Returns nothing when there is no such lease, or an earlier life of the same instance claims it late;
-- 'error' and an error reply; or the lease (generation, sid, own room, rooms, data, window, and 1 if this log has reached the position:
-- `epoch`, '' for none, and `seq`), nothing, and the rooms whose unlogged events are kept, see keep.lua. `expected`: another generation is not claimed, and 'superseded' is returned; nil: any is. The former
-- owner is notified. Claiming again is harmless; with `again` it changes nothing if this life has claimed it before. The caller has checked that the life has not ended.
-- `to_end`: it is claimed to be ended. From then on nobody claims it to go on with it.
local function lease_claim(prefix, pid, inbox, life, epoch, seq, expected, again, to_end)
    local key, of = prefix .. 'lease:' .. pid, prefix .. 'of:' .. life
    local wrong = spoiled(key, 'hash')
    if wrong then
        return 'error', wrong
    end
    local lease = redis.call('HMGET', key, 'generation', 'sid', 'own', 'rooms', 'data', 'window', 'owner', 'life', 'keep', 'watch', 'ended', 'taken')
    if not lease[1] then
        return
    end
    local generation, window, watch = tonumber(lease[1]), tonumber(lease[6]), lease[10] or ''
    if lease[11] then
        return expected and generation ~= expected and 'superseded' or nil
    end
    for i = 1, 8 do
        if not lease[i] or not generation or not window or window > 1e12 then
            return 'error', redis.error_reply('SPOILED ' .. key)
        end
    end
    if expected and generation ~= expected then
        return 'superseded'
    end
    if lease[12] and not to_end then
        return
    end
    local instance, number = string.match(life, '^(.*):(%d+)$')
    local was_instance, was_number = string.match(lease[8], '^(.*):(%d+)$')
    if instance == was_instance and tonumber(number) < tonumber(was_number) then
        return
    end
    local was_of = prefix .. 'of:' .. lease[8]
    wrong = spoiled(of, 'set') or spoiled(was_of, 'set')
    if wrong then
        return 'error', wrong
    end
    local reached = 1
    if epoch ~= '' then
        local state = redis.call('HMGET', prefix .. 'state', 'epoch', 'seq', 'end:' .. epoch)
        local top = tonumber(state[1] == epoch and state[2] or state[3])
        reached = top and seq <= top and 1 or 0
    end
    if again and lease[8] == life then
        return {lease[1], lease[2], lease[3], lease[4], lease[5], lease[6], reached}, nil, lease[9] or ''
    end
    generation = string.format('%.0f', generation + 1)
    local life_ms = string.format('%.0f', window * 2)
    -- A write that needs no memory comes first: when memory is full, Redis then refuses none of the others.
    -- The lease is written after the keys that it needs. The writes after it are attempted and may fail.
    redis.call('PEXPIRE', key, key_ms(watch, life_ms))
    if redis.call('SADD', of, 'l' .. pid) == 1 and redis.call('PTTL', of) == -1 then
        redis.call('PEXPIRE', of, 86400000) -- see lease_write
    end
    if lease[3] ~= '' then
        redis.call('SET', prefix .. 'owner:' .. lease[3], inbox, 'PX', life_ms)
    end
    local write = {'HSET', key, 'generation', generation, 'owner', inbox, 'life', life}
    if to_end then
        write[9], write[10] = 'taken', '1'
    end
    if watch ~= '' then
        watch_until(prefix, watch, pid, life_ms)
        write[#write + 1], write[#write + 2] = 'left', ''
    end
    redis.call(unpack(write))
    if was_of ~= of then
        redis.pcall('SREM', was_of, 'l' .. pid)
    end
    redis.pcall('PUBLISH', lease[7], 'claimed ' .. generation .. '\n' .. pid)
    return {generation, lease[2], lease[3], lease[4], lease[5], lease[6], reached}, nil, lease[9] or ''
end
