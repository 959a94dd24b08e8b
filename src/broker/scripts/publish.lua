-- Accepts a batch. KEYS: state, publisher, recent, then log and meta of each slot, then the keys of named messages. ARGV: epoch,
-- number of the call, '1' to rebase, how many slots; five per slot: where its entries are pushed (a channel, or '@' and the key
-- that names the inbox of the room's owner), entries, bytes and age (ms) that its log keeps (0 entries: not logged), life of its
-- meta (ms); four per entry: slot (from 1), index of its name's key (0: unnamed), audience, body.
-- Exactly the publisher's last + 1 is accepted, so that a repeated call does nothing and a skipped one is seen.
-- A slot is a room under one retention. Meta: `last`, the room's newest seq; `sum`, bytes ever logged; `from`, that sum before the
-- oldest entry that is kept, and `from_ms`, its time; `age` (ms) of what may be read; `until_ms`, when the log ends. A stream's id is <seq>-<ms>; its field p is
-- the room's entry before and the sum before this one.
local call, format = redis.call, string.format
local state, publisher, recent = KEYS[1], KEYS[2], KEYS[3]
local number, slots = tonumber(ARGV[2]), tonumber(ARGV[4])
local have = call('HMGET', state, 'epoch', 'seq')
if have[1] ~= ARGV[1] then
    return redis.error_reply('EPOCH is ' .. (have[1] or 'gone'))
end
local last = tonumber(call('GET', publisher) or '0')
if last ~= number - 1 and not (ARGV[3] == '1' and last < number) then
    return {0, last}
end
call('SET', publisher, ARGV[2], 'PX', 3600000)
local time = call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ms_text = format('%.0f', ms)
local seq, epoch = tonumber(have[2]), ARGV[1]
local metas, touched = {}, {}

local function push(target, text)
    if string.byte(target) ~= 64 then
        call('PUBLISH', target, text)
        return true
    end
    local inbox = call('GET', string.sub(target, 2))
    if inbox then
        local room = string.match(target, ':owner:(.*)$')
        call('PUBLISH', inbox, 'entry ' .. #room .. '\n' .. room .. text)
    end
    return inbox
end

local function meta_of(key)
    local meta = metas[key]
    if not meta then
        local got = call('HMGET', key, 'last', 'sum', 'from', 'from_ms', 'until_ms')
        meta = {last = got[1] or '0', sum = tonumber(got[2] or '0'), from = tonumber(got[3] or '0'),
            from_ms = tonumber(got[4] or ms_text), until_ms = tonumber(got[5] or '0')}
        if meta.until_ms < ms then
            meta.from, meta.from_ms, meta.moved = meta.sum, ms, true -- the log has run out
        end
        metas[key] = meta
    end
    return meta
end

local at = 5 + 5 * slots
while at <= #ARGV do
    local slot, named, audience, body = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3]
    local base = 5 * slot
    local target = ARGV[base]
    at = at + 4
    if ARGV[base + 1] == '0' then
        push(target, epoch .. ' 0 0 0 ' .. #audience .. '\n' .. audience .. body)
    elseif string.byte(target) == 64 and call('EXISTS', string.sub(target, 2)) == 0 then
        -- Nobody has that socket any more.
    elseif named == 0 or call('SET', KEYS[named], '1', 'NX', 'PX', ARGV[base + 3]) then
        local key = KEYS[3 + 2 * slot]
        local meta = meta_of(key)
        seq = seq + 1
        local text = format('%.0f', seq)
        call('XADD', KEYS[2 + 2 * slot], text .. '-' .. ms_text, 'p', meta.last .. ' ' .. format('%.0f', meta.sum), 'a', audience,
            'b', body)
        push(target, epoch .. ' ' .. text .. ' ' .. meta.last .. ' ' .. ms_text .. ' ' .. #audience .. '\n' .. audience .. body)
        meta.last = text
        meta.sum = meta.sum + #audience + #body
        touched[key] = slot
    end
end
call('HSET', state, 'seq', format('%.0f', seq))

-- In lumps, so that not every publish pays for it. The newest entry always stays.
local function trim(log, meta, keep, bytes_max, age)
    call('XTRIM', log, 'MAXLEN', '=', format('%.0f', keep))
    local newest = tonumber(meta.last)
    local first = oldest_wanted(log, newest, function(entry)
        return entry.seq == newest or (meta.sum - entry.sum <= bytes_max and ms - entry.ms <= age)
    end)
    call('XTRIM', log, 'MINID', '=', first.id)
    meta.from, meta.from_ms, meta.moved = first.sum, first.ms, true
end

for key, slot in pairs(touched) do
    local log, meta, base = KEYS[2 + 2 * slot], metas[key], 5 * slot
    local keep, bytes_max, age = tonumber(ARGV[base + 1]), tonumber(ARGV[base + 2]), tonumber(ARGV[base + 3])
    if meta.sum - meta.from > bytes_max * 17 / 16 or ms - meta.from_ms > age * 17 / 16 or
        call('XLEN', log) > keep * 17 / 16 + 16 then
        trim(log, meta, keep, bytes_max, age)
    end
    call('HSET', key, 'last', meta.last, 'sum', format('%.0f', meta.sum))
    if meta.moved then
        call('HSET', key, 'from', format('%.0f', meta.from), 'from_ms', format('%.0f', meta.from_ms))
    end
    if meta.until_ms - ms < age * 9 / 8 then
        -- Meta outlives the log: a trimmed room and a quiet one can be told apart.
        call('HSET', key, 'until_ms', format('%.0f', ms + age * 5 / 4), 'age', ARGV[base + 3])
        call('PEXPIRE', log, format('%.0f', age * 5 / 4))
        call('PEXPIRE', key, ARGV[base + 4])
    end
    call('ZADD', recent, meta.last, ARGV[base])
end
return {1, number}
