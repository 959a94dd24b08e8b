-- Every 0.8 s from every instance. KEYS: state, lives, recent, away, leases and presences of this life. ARGV: this life, how
-- long a life lasts without a pulse, how long after its last pulse those of a life that ended have left (ms), this instance's inbox,
-- number of the probe, the prefix of all keys. Returns 0 when others have taken this life for ended, 2 when there is more to do
-- than fits into one call, else 1.
-- 1. The heartbeat. 2. What a life that ended left behind: its leases last for their window only, those present are away. 3. Whoever
-- was away for too long has left. 4. The digest: each room that got entries lately is told its newest, so that a lost tail shows.
-- 5. The probe, which carries the counter: all up to it has been pushed before.
local call, format = redis.call, string.format
local state, lives, recent, away = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local prefix = ARGV[6]
local BATCH, PULSE_MS, LATE_MS, DIGEST_MS = 500, 800, 500, 700
local time = call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local now = format('%.0f', ms)
if not call('ZSCORE', lives, ARGV[1]) then
    return 0
end
-- A write that needs no memory comes first: when memory is full, Redis then refuses none of the others.
call('PEXPIRE', KEYS[5], 86400000)

-- When nobody's pulse came it was not they who were silent: Redis stood still, or took no writes. That time does not count.
local function prolong(key, by, most)
    local all = call('ZRANGE', key, 0, -1, 'WITHSCORES')
    for i = 1, #all, 2 do
        local score = tonumber(all[i + 1])
        call('ZADD', key, format('%.0f', math.max(score, math.min(score + by, ms + most))), all[i])
    end
end
local have = call('HMGET', state, 'epoch', 'seq', 'digest_ms', 'pulse_ms')
local pause = ms - tonumber(have[4] or now) - PULSE_MS
if pause > LATE_MS then
    prolong(lives, pause, tonumber(ARGV[2]))
    prolong(away, pause, tonumber(ARGV[3]))
end
call('HSET', state, 'pulse_ms', now)
call('ZADD', lives, format('%.0f', ms + tonumber(ARGV[2])), ARGV[1])

local function life_left(lease, window)
    local left = call('PTTL', lease)
    if left > window then
        call('PEXPIRE', lease, format('%.0f', window))
    end
end

local function reap(life, gone_ms)
    local of = prefix .. 'of:' .. life
    for _, name in ipairs(call('SPOP', of, BATCH)) do
        local rest = string.sub(name, 2)
        if string.sub(name, 1, 1) == 'l' then
            local key = prefix .. 'lease:' .. rest
            local lease = call('HMGET', key, 'life', 'window', 'own')
            if lease[1] == life then
                life_left(key, tonumber(lease[2]))
                if lease[3] ~= '' then
                    life_left(prefix .. 'owner:' .. lease[3], tonumber(lease[2]))
                end
            end
        else
            local len, tail = string.match(rest, '^(%d+) (.*)$')
            local room, sid = string.sub(tail, 1, len), string.sub(tail, len + 1)
            local was = call('HGET', prefix .. 'here:' .. room, sid)
            if was and string.sub(was, 1, #life + 1) == life .. ' ' then
                call('ZADD', away, format('%.0f', gone_ms), rest)
            end
        end
    end
    if call('EXISTS', of) == 1 then
        return false
    end
    call('ZREM', lives, life)
    return true
end

local more = false
local ended = call('ZRANGEBYSCORE', lives, '-inf', '(' .. now, 'WITHSCORES', 'LIMIT', 0, 2)
if ended[1] then
    local whole = reap(ended[1], tonumber(ended[2]) - tonumber(ARGV[2]) + tonumber(ARGV[3]))
    more = not whole or ended[3]
end

local left = call('ZRANGEBYSCORE', away, '-inf', now, 'LIMIT', 0, BATCH)
for _, name in ipairs(left) do
    local len, tail = string.match(name, '^(%d+) (.*)$')
    local room, sid = string.sub(tail, 1, len), string.sub(tail, len + 1)
    local here = prefix .. 'here:' .. room
    local was = call('HGET', here, sid)
    call('ZREM', away, name)
    if was then
        call('HDEL', here, sid)
        call('PUBLISH', prefix .. 'push:' .. room,
            '-' .. call('HLEN', here) .. ' ' .. #sid .. '\n' .. sid .. string.match(was, '^%S+ %d+ (.*)$'))
    end
end
more = more or #left == BATCH

local seq = have[2] or '0'
if ms - tonumber(have[3] or '0') >= DIGEST_MS then
    local tops = call('ZRANGE', recent, 0, BATCH - 1, 'WITHSCORES')
    for i = 1, #tops, 2 do
        local target, last = tops[i], format('%.0f', tonumber(tops[i + 1]))
        if string.byte(target) ~= 64 then
            call('PUBLISH', target, '^' .. have[1] .. ' ' .. last)
        else
            local inbox = call('GET', string.sub(target, 2))
            if inbox then
                call('PUBLISH', inbox, 'top ' .. last .. '\n' .. string.match(target, ':owner:(.*)$'))
            end
        end
    end
    if #tops > 0 then
        call('ZREMRANGEBYRANK', recent, 0, #tops / 2 - 1)
    end
    if #tops < 2 * BATCH then
        call('HSET', state, 'digest_ms', now)
    else
        more = true
    end
end
call('PUBLISH', ARGV[4], 'probe ' .. ARGV[5] .. ' ' .. seq .. '\n')
return more and 2 or 1
