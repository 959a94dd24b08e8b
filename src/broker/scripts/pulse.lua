-- Runs every 0.8 s from every instance. KEYS: state, lives, recent, away, leases and presences of this life, rooms, sizes, rooms with
-- members present. ARGV: this life, how long a life lasts without a pulse, how long after its last pulse the members of an ended life
-- have left (ms), this instance's inbox, number of the probe, the prefix of all keys, the epoch. Returns 0 if others have ended this life,
-- 2 if there is more to do than fits into one call, else 1. If keys of another type were made anew, an array has this number and the keys.
-- 1. The heartbeat. 2. Lives that ended: their leases last for their window only, their members are away. 3. Members that were away
-- for too long have left. 4. Members present under an unknown life are away. 5. Logs and rooms that ended no longer count. 6. The
-- digest: each room with recent entries is sent its newest seq, so that a lost tail shows. 7. The probe, which carries the counter:
-- everything up to it has been pushed before.
-- Work for a single room, lease or member that fails is left out: nothing ends the script once it has begun to write.
local call, try, format = redis.call, redis.pcall, string.format
local lives, recent, away, of, rooms, sizes, heres = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local prefix, life_ms, gone_ms = ARGV[6], tonumber(ARGV[2]), tonumber(ARGV[3])
local BATCH, PULSE_MS, LATE_MS, DIGEST_MS, LOOK_MS, COUNT_MS, MONTH = 500, 800, 500, 700, 5000, 60000, '2592000000'
local time = call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local now = format('%.0f', ms)
local have = call('HMGET', state, 'epoch', 'seq', 'digest_ms', 'pulse_ms', 'count_ms', 'look_room', 'look_cursor')
local wrong = epoch_error(have, ARGV[7])
if wrong then
    return wrong
end
if not call('ZSCORE', lives, ARGV[1]) then
    return 0
end
local answer = {1}
for _, key in ipairs({recent, away, of, rooms, sizes, heres}) do
    if spoiled(key, key == of and 'set' or 'zset') then
        answer[#answer + 1] = key
    end
end
for i = 2, #answer do
    call('DEL', answer[i])
end
-- Writes that need no memory come first: when memory is full, Redis then refuses none of the others.
call('PEXPIRE', of, 86400000)
for _, key in ipairs({lives, recent, away, rooms, sizes, heres}) do
    call('PEXPIRE', key, MONTH) -- as long as any life exists
end

-- A time without any pulse does not count: Redis stood still or refused writes then.
local function prolong(key, by, most)
    local all = call('ZRANGE', key, 0, -1, 'WITHSCORES')
    for i = 1, #all, 2 do
        local score = tonumber(all[i + 1])
        call('ZADD', key, format('%.0f', math.max(score, math.min(score + by, ms + most))), all[i])
    end
end
local pause = ms - (whole_of(have[4]) or ms) - PULSE_MS
if pause > LATE_MS then
    prolong(lives, pause, life_ms)
    prolong(away, pause, gone_ms)
end
call('HSET', state, 'pulse_ms', now)
call('ZADD', lives, format('%.0f', ms + life_ms), ARGV[1])

local function life_left(key, window)
    if tonumber(try('PTTL', key)) > window then
        try('PEXPIRE', key, format('%.0f', window))
    end
end

local function lease_left(pid, life)
    local lease = try('HMGET', prefix .. 'lease:' .. pid, 'life', 'window', 'own', 'watch')
    local window = not lease.err and lease[1] == life and tonumber(lease[2])
    if window then
        life_left(prefix .. 'lease:' .. pid, tonumber(key_ms(lease[4] or '', window)))
        if lease[4] then
            watch_until(prefix, lease[4], pid, window)
        end
        if lease[3] and lease[3] ~= '' then
            life_left(prefix .. 'owner:' .. lease[3], window)
        end
    end
end

-- `<bytes of room> <room><sid>`
local function name_split(name)
    local len, tail = string.match(name, '^(%d+) (.*)$')
    if len then
        return string.sub(tail, 1, len), string.sub(tail, len + 1)
    end
end

local function here_left(name, life, at)
    local room, sid = name_split(name)
    local was = room and try('HGET', prefix .. 'here:' .. room, sid)
    if type(was) == 'string' and string.sub(was, 1, #life + 1) == life .. ' ' then
        call('ZADD', away, format('%.0f', at), name)
    end
end

-- A name leaves the set when its work is done, so that none is forgotten.
local function reap(life, at)
    local key = prefix .. 'of:' .. life
    local names = try('SRANDMEMBER', key, BATCH)
    if names.err then
        answer[#answer + 1] = key
        call('DEL', key)
        names = {}
    end
    for _, name in ipairs(names) do
        local rest = string.sub(name, 2)
        if string.sub(name, 1, 1) == 'l' then
            lease_left(rest, life)
        else
            here_left(rest, life, at)
        end
        call('SREM', key, name)
    end
    if #names == BATCH then
        return false
    end
    call('ZREM', lives, life)
    return true
end

local more = false
local ended = call('ZRANGEBYSCORE', lives, '-inf', '(' .. now, 'WITHSCORES', 'LIMIT', 0, 2)
if ended[1] then
    local whole = reap(ended[1], tonumber(ended[2]) - life_ms + gone_ms)
    more = not whole or ended[3]
end

local left = call('ZRANGEBYSCORE', away, '-inf', now, 'LIMIT', 0, BATCH)
for _, name in ipairs(left) do
    local room, sid = name_split(name)
    local here = room and prefix .. 'here:' .. room
    local was = here and try('HGET', here, sid)
    if type(was) == 'string' then
        call('HDEL', here, sid)
        local data = string.match(was, '^%S+ %d+ (.*)$') or ''
        local count = call('HLEN', here)
        try('PUBLISH', prefix .. 'push:' .. room, '-' .. count .. ' ' .. #sid .. notice_keep(prefix, room, '-', count, sid, data, ms) .. '\n' ..
            sid .. data)
    end
    call('ZREM', away, name)
end
more = more or #left == BATCH

-- Room by room, for members whose life has lost its set.
local known = {}
local function look(room, cursor)
    local here = prefix .. 'here:' .. room
    local got = try('HSCAN', here, cursor, 'COUNT', BATCH)
    if got.err then
        answer[#answer + 1] = here
        call('DEL', here)
        got = {'0', {}}
    end
    for i = 1, #got[2], 2 do
        local life = string.match(got[2][i + 1], '^(%S+) ') or ''
        if known[life] == nil then
            known[life] = call('ZSCORE', lives, life) and true or false
        end
        if not known[life] then
            call('ZADD', away, 'NX', format('%.0f', ms + gone_ms), #room .. ' ' .. room .. got[2][i])
        end
    end
    if cursor == '0' and call('PEXPIRE', here, 86400000) == 0 then
        call('ZREM', heres, room)
    elseif got[1] == '0' then
        call('ZADD', heres, now, room)
    end
    return got[1], #got[2] / 2
end

local room, cursor, looked = have[6] or '', have[7] or '0', 0
for _ = 1, 10 do
    if room == '' then
        local due = call('ZRANGEBYSCORE', heres, '-inf', format('%.0f', ms - LOOK_MS), 'LIMIT', 0, 1)
        room, cursor = due[1] or '', '0'
    end
    if room == '' or looked >= BATCH then
        break
    end
    local count
    cursor, count = look(room, cursor)
    looked = looked + count
    room = cursor ~= '0' and room or ''
end
if room ~= (have[6] or '') or cursor ~= (have[7] or '0') then
    call('HSET', state, 'look_room', room, 'look_cursor', cursor)
end

-- The log ends before the meta does.
local over = call('ZRANGEBYSCORE', rooms, '-inf', now, 'LIMIT', 0, BATCH)
for _, name in ipairs(over) do
    local meta = prefix .. 'room:' .. name
    local sized = call('ZSCORE', sizes, name) -- until the log has ended
    local size = tonumber(sized or 0)
    local until_ms = try('HGET', meta, 'until_ms')
    local stays = type(until_ms) == 'string' and whole_of(until_ms) or 0
    if sized and call('PTTL', meta) == -2 and call('PTTL', prefix .. 'log:' .. name) == -2 then
        room_lost(name, have[1], tonumber(have[2]), ms, sized)
        until_ms = now
    end
    if stays > ms then
        call('ZADD', rooms, until_ms, name)
    else
        if size > 0 then
            call('HINCRBY', state, 'bytes', format('%.0f', -size))
        end
        call('ZREM', sizes, name)
        if type(until_ms) == 'string' then
            call('HSET', meta, 'size', '0')
        end
        local rest = call('PTTL', meta)
        if rest > 0 then
            call('ZADD', rooms, format('%.0f', ms + rest), name)
        else
            call('ZREM', rooms, name)
        end
    end
end
more = more or #over == BATCH

-- The sum corrects what others lost or changed.
if ms - (whole_of(have[5]) or 0) >= COUNT_MS and call('ZCARD', sizes) <= 10 * BATCH then
    local all, sum = call('ZRANGE', sizes, 0, -1, 'WITHSCORES'), 0
    for i = 2, #all, 2 do
        sum = sum + tonumber(all[i])
    end
    call('HSET', state, 'count_ms', now, 'bytes', format('%.0f', sum))
end

if ms - (whole_of(have[3]) or 0) >= DIGEST_MS then
    local tops = call('ZRANGE', recent, 0, BATCH - 1, 'WITHSCORES')
    for i = 1, #tops, 2 do
        local target, last = tops[i], format('%.0f', tonumber(tops[i + 1]))
        if string.byte(target) ~= 64 then
            call('PUBLISH', target, '^' .. have[1] .. ' ' .. last)
        else
            local inbox = try('GET', string.sub(target, 2))
            local own = string.match(target, ':owner:(.*)$')
            if type(inbox) == 'string' and own then
                call('PUBLISH', inbox, 'top ' .. last .. '\n' .. own)
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
call('PUBLISH', ARGV[4], 'probe ' .. ARGV[5] .. ' ' .. have[2] .. '\n')
answer[1] = more and 2 or 1
return answer[2] and answer or answer[1]
