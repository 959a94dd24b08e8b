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
local metas, touched, slot_of = {}, {}, {}
-- '%.0f' takes five times as long; where a long has 32 bits '%d' says something else.
local whole = format('%d', 2 ^ 40) == '1099511627776' and '%d' or '%.0f'

local function slot_read(name)
    local at = tonumber(name)
    local slot = {target = ARGV[5 * at], log = KEYS[2 + 2 * at], key = KEYS[3 + 2 * at], entries = ARGV[5 * at + 1],
        bytes = ARGV[5 * at + 2], age = ARGV[5 * at + 3], meta_age = ARGV[5 * at + 4]}
    slot.owned = string.byte(slot.target) == 64
    slot_of[name] = slot
    return slot
end

-- A meta that is gone: the log, if it is still there, says the same.
local function meta_of_log(meta, log)
    local newest, oldest = call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1], call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
    if newest then
        meta.last = string.match(newest[1], '^%d+')
        meta.sum = tonumber(string.match(newest[2][2], ' (%d+)$')) + #newest[2][4] + #newest[2][6]
        meta.from, meta.from_ms = tonumber(string.match(oldest[2][2], ' (%d+)$')), tonumber(string.match(oldest[1], '%-(%d+)$'))
    end
end

local function meta_read(key, log)
    local got = call('HMGET', key, 'last', 'sum', 'from', 'from_ms', 'until_ms')
    local meta = {last = got[1] or '0', sum = tonumber(got[2] or '0'), from = tonumber(got[3] or '0'),
        from_ms = tonumber(got[4] or ms_text), until_ms = tonumber(got[5] or '0')}
    if meta.until_ms < ms then
        meta.from, meta.from_ms, meta.moved = meta.sum, ms, true -- the log has run out
    end
    if not got[1] then
        meta_of_log(meta, log)
    end
    metas[key] = meta
    return meta
end

local lengths = {}
local function length(text)
    local bytes = #text
    local name = lengths[bytes] or format(whole, bytes)
    lengths[bytes] = name
    return name
end

-- Entries in a row for one room are pushed in one message, a few at once: a longer text costs Lua more than another PUBLISH.
-- (Not those of a room that are not in a row: pushes come in the order of their seq.)
local ROW_PIECES_MAX = 60
local head = epoch .. ' ' .. ms_text .. '\n'
local row, row_len, row_slot = {head}, 1, nil

local function row_push()
    local text = table.concat(row, '', 1, row_len)
    row_len = 1
    if not row_slot.owned then
        call('PUBLISH', row_slot.target, text)
        return
    end
    local inbox = call('GET', string.sub(row_slot.target, 2))
    if inbox then
        local room = string.match(row_slot.target, ':owner:(.*)$')
        call('PUBLISH', inbox, 'entry ' .. #room .. '\n' .. room .. text)
    end
end

local function push(slot, seq_text, prev, audience, body)
    if row_len > 1 and (row_slot.target ~= slot.target or row_len > ROW_PIECES_MAX) then
        row_push()
    end
    row[row_len + 1] = seq_text .. ' ' .. prev .. ' ' .. length(audience) .. ' ' .. length(body) .. '\n'
    row[row_len + 2], row[row_len + 3] = audience, body
    row_len, row_slot = row_len + 3, slot
end

for at = 5 + 5 * slots, #ARGV, 4 do
    local slot, named, audience, body = slot_of[ARGV[at]] or slot_read(ARGV[at]), ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    if slot.entries == '0' then
        push(slot, '0', '0', audience, body)
    elseif slot.owned and call('EXISTS', string.sub(slot.target, 2)) == 0 then
        -- Nobody has that socket any more.
    elseif named == '0' or call('SET', KEYS[tonumber(named)], '1', 'NX', 'PX', slot.age) then
        local meta = metas[slot.key] or meta_read(slot.key, slot.log)
        seq = seq + 1
        local text = format(whole, seq)
        call('XADD', slot.log, text .. '-' .. ms_text, 'p', meta.last .. ' ' .. format(whole, meta.sum), 'a', audience, 'b', body)
        push(slot, text, meta.last, audience, body)
        meta.last = text
        meta.sum = meta.sum + #audience + #body
        touched[slot.key] = slot
    end
end
if row_len > 1 then
    row_push()
end
call('HSET', state, 'seq', format(whole, seq))

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

local tops = {}
for key, slot in pairs(touched) do
    local meta, log, age = metas[key], slot.log, tonumber(slot.age)
    local keep, bytes_max = tonumber(slot.entries), tonumber(slot.bytes)
    if meta.sum - meta.from > bytes_max * 17 / 16 or ms - meta.from_ms > age * 17 / 16 or
        call('XLEN', log) > keep * 17 / 16 + 16 then
        trim(log, meta, keep, bytes_max, age)
    end
    call('HSET', key, 'last', meta.last, 'sum', format(whole, meta.sum))
    if meta.moved then
        call('HSET', key, 'from', format('%.0f', meta.from), 'from_ms', format('%.0f', meta.from_ms))
    end
    if meta.until_ms - ms < age * 9 / 8 or call('PTTL', log) == -1 then -- the latter: a log that had vanished
        -- Meta outlives the log: a trimmed room and a quiet one can be told apart.
        call('HSET', key, 'until_ms', format('%.0f', ms + age * 5 / 4), 'age', slot.age)
        call('PEXPIRE', log, format('%.0f', age * 5 / 4))
        call('PEXPIRE', key, slot.meta_age)
    end
    tops[#tops + 1] = meta.last
    tops[#tops + 1] = slot.target
end
if tops[1] then
    call('ZADD', recent, unpack(tops))
end
return {1, number}
