-- Claims a lease: of this pid, or, if it is '', one whose life is over, of those whose end is asked for under one name. KEYS: the lease, or
-- those leases by the end of their life; state, leases and presences of this life, lives. ARGV: this instance's inbox, its life, epoch ('' for
-- none) and seq of the client's position, pid, the prefix of all keys, the generation that it must have to be ended ('0': any, and the client goes on). Returns nothing when
-- there is no lease, 0 when it has another generation, else what claim.lua says, and the pid if none was given.
local inbox, life, pid, prefix = ARGV[1], ARGV[2], ARGV[5], ARGV[6]
local alive = redis.call('ZSCORE', KEYS[4], life) -- else no pulse would end what it holds

local function claim()
    if not alive then
        return redis.call('HGET', KEYS[1], 'generation') and redis.error_reply('LIFE has ended') or {}
    end
    local expected = ARGV[7] ~= '0' and tonumber(ARGV[7]) or nil
    local lease, wrong = lease_claim(prefix, pid, inbox, life, ARGV[3], tonumber(ARGV[4]), expected, false, expected ~= nil)
    if lease == 'superseded' then
        return 0
    end
    return wrong or lease or {}
end

-- A lease whose owner lives and has not left it is not over: Redis stood still, and the owner will write it again. It is looked at later.
local function claim_lapsed()
    local wrong = spoiled(KEYS[1], 'zset')
    if wrong then
        redis.call('DEL', KEYS[1]) -- the next write of each lease makes it anew
    end
    if wrong or not alive then
        return wrong or {}
    end
    local LATER_MS, BATCH = 5000, 100
    local time = redis.call('TIME')
    local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', ms), 'LIMIT', 0, BATCH)) do
        local key = prefix .. 'lease:' .. name
        local lease = spoiled(key, 'hash') and {} or redis.call('HMGET', key, 'life', 'left', 'ended')
        local stands = lease[1] and not lease[3]
        if stands and lease[2] ~= '1' and redis.call('ZSCORE', KEYS[4], lease[1]) then
            redis.call('ZADD', KEYS[1], string.format('%.0f', ms + LATER_MS), name)
        else
            local claimed = stands and lease_claim(prefix, name, inbox, life, '', 0, nil, false, true)
            if type(claimed) == 'table' then
                claimed[#claimed + 1] = name
                return claimed
            end
            redis.call('ZREM', KEYS[1], name)
        end
    end
    return {}
end

return pid == '' and claim_lapsed() or claim()
