-- For the scripts that change the life of a lease whose end is asked for (its field `watch`). `ends:WATCH` has the pids of such leases, by
-- the time at which their life is over; the key of the lease lasts for `KEEP_MS` (BROKER_LAPSED_MS) more, so that lease_claim finds it.
local KEEP_MS = 3600000

local function watch_until(prefix, watch, pid, life_ms)
    local time, ends = redis.call('TIME'), prefix .. 'ends:' .. watch
    local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    -- When it fails, the next write or the pulse makes it good.
    redis.pcall('ZADD', ends, string.format('%.0f', ms + life_ms), pid)
    redis.pcall('PEXPIRE', ends, '2592000000')
end

-- How long the key of a lease lasts.
local function key_ms(watch, life_ms)
    return string.format('%.0f', life_ms + (watch ~= '' and KEEP_MS or 0))
end
