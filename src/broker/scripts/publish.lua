-- Accepts a batch of messages. KEYS: state, publisher, recent, rooms, sizes, then log, meta and names of each slot. ARGV: epoch, number
-- of the call, '1' to rebase, number of slots, number of rooms there may be, bytes that all logs may hold, memory that Redis has left
-- ('0': enough, '1': little, '2': only what is kept back for everything but logging). Five per slot: where its entries are pushed (a
-- channel, or '@' and the key that names the inbox of the room's owner); entries, bytes and age (ms) that its log keeps (0 entries: not
-- logged); life of its meta (ms). An unlogged entry is kept for a while if a polling session may be in the room (keep.lua). Four per entry: slot (from 1), name behind three hexadecimal digits of a digest of the body ('':
-- none), audience, body.
-- Returns 1, the number, and for each refused entry its place (from 1), the reason ('bytes', 'rooms', 'taken', 'spoiled', or 'wait':
-- to be sent again) and the key that is spoiled. Or 0 and the same of the last call. Exactly the publisher's last number + 1 is
-- accepted, so a repeated call does nothing and a skipped one shows.
--
-- Redis takes nothing back when a script fails. So the script first reads everything, which shows keys of a wrong type and a counter
-- that is behind. The first write takes memory, so a Redis without any refuses it, and moves only the counter. (Where nothing is logged,
-- nothing needs memory.) From then on nothing ends the script: each entry is logged or refused by itself. The number of the call is
-- written last: it says that the work is done.
--
-- A slot is a room under one retention. Meta: `last`, the room's newest seq; `sum`, bytes ever logged; `from`, that sum before the oldest
-- kept entry, and `from_ms`, its time; `age` (ms), how old readable entries may be; `until_ms`, when the log ends; `size`, its share of
-- `sizes`; `lone`: what may take the short way; `lost`, the `last` at which the room began anew. A stream's id is <seq>-<ms>; its field p
-- is the room's entry before and the sum before this one. `names`: names of messages, by time. `rooms`: rooms with a meta, by the time to
-- check whether they have ended. `sizes`: approximate bytes in each log; the state's `bytes` is their sum.
local call, try, format = redis.call, redis.pcall, string.format
local SEQ_MAX = 4503599627370496
local publisher, recent, rooms, sizes = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local number, slots = tonumber(ARGV[2]), tonumber(ARGV[4])
local KEYS_BEFORE, ARGS_BEFORE, SIZE_STEP, NAMES_MIN = 5, 7, 4096, 1000
local ENTRY_BYTES, NAME_BYTES = 64, 128 -- what an entry and a name count in addition to their bytes
local have = call('HMGET', state, 'epoch', 'seq', 'bytes')
local wrong = epoch_error(have, ARGV[1])
if wrong then
    return wrong
end
local called = called_append({0}, call('GET', publisher))
if called[2] ~= number - 1 and not (ARGV[3] == '1' and called[2] < number) then
    return called
end
local time = call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ms_text = format('%.0f', ms)
local seq, epoch, stored = tonumber(have[2]), ARGV[1], whole_of(have[3]) or 0
local prefix = string.sub(state, 1, -6) -- without `state`
local metas, slot_at, touched, answer, refused = {}, {}, {}, {1, number}, {ARGV[2]}
-- '%.0f' takes five times as long, and '%d' is wrong where a long has 32 bits.
local whole = format('%d', 2 ^ 40) == '1099511627776' and '%d' or '%.0f'

-- The short way: one entry without a name, to be logged in a room whose log goes on as it is. False: the long way below takes it. That
-- one trims the log and counts what it holds, and says in `lone` how many entries and bytes may take the short way before its next turn,
-- and for how many entries kept that holds.
local LONE_ENTRIES, LONE_BYTES = 64, 4096
local function lone()
    local meta = try('HMGET', KEYS[7], 'last', 'sum', 'from', 'from_ms', 'until_ms', 'lone')
    local entries, bytes, keep = string.match(meta[6] or '', '^(%d+) (%d+) (%d+)$')
    local last, sum, from, from_ms = whole_of(meta[1]), whole_of(meta[2]), whole_of(meta[3]), whole_of(meta[4])
    local ends, added, age = whole_of(meta[5]), #ARGV[15] + #ARGV[16], tonumber(ARGV[11])
    if keep ~= ARGV[9] or entries == '0' or not (last and sum and from and from_ms and ends) then
        return false
    end
    local bytes_left = tonumber(bytes) - added - ENTRY_BYTES
    if bytes_left < 0 or stored + LONE_BYTES > tonumber(ARGV[6]) or last > seq or ends - ms < age * 9 / 8
        or ms - from_ms > age * 17 / 16 or sum + added - from > tonumber(ARGV[10]) * 17 / 16 then
        return false
    end
    local text = format(whole, seq + 1)
    call('HSET', state, 'seq', text)
    local id = try('XADD', KEYS[6], 'NOMKSTREAM', text .. '-' .. ms_text, 'p', meta[1] .. ' ' .. meta[2], 'a', ARGV[15], 'b', ARGV[16])
    if type(id) ~= 'string' then
        return false -- the log is spoiled or has vanished; below, `seq` is what it was
    end
    try('PUBLISH', ARGV[8], epoch .. ' ' .. ms_text .. '\n' .. text .. ' ' .. meta[1] .. ' ' .. #ARGV[15] .. ' ' .. #ARGV[16] .. '\n' ..
        ARGV[15] .. ARGV[16])
    try('HSET', KEYS[7], 'last', text, 'sum', format(whole, sum + added), 'lone', (entries - 1) .. ' ' .. bytes_left .. ' ' .. keep)
    try('ZADD', recent, text, ARGV[8])
    try('SET', publisher, ARGV[2], 'PX', 3600000)
    return true
end
if #ARGV == 16 and ARGV[7] == '0' and ARGV[9] ~= '0' and ARGV[14] == '' and string.byte(ARGV[8]) ~= 64 and lone() then
    return answer
end

-- A new room may exceed the bound of rooms.
local room_count
local function room_new(meta)
    room_count = room_count or try('ZCARD', rooms)
    if type(room_count) == 'number' and room_count >= tonumber(ARGV[5]) then
        meta.refused = 'rooms'
    elseif stored >= tonumber(ARGV[6]) then
        meta.refused = 'bytes'
    end
end

-- Reads the log of a room whose meta is gone.
local function meta_of_log(meta, key, log)
    local newest = try('XREVRANGE', log, '+', '-', 'COUNT', 1)
    local room = string.sub(key, #prefix + 6)
    meta.size = tonumber(try('ZSCORE', sizes, room) or 0) or 0
    if newest.err then
        meta.refused, meta.spoiled = 'spoiled', log
    elseif newest[1] then
        local entry, oldest = entry_about(newest[1]), entry_about(call('XRANGE', log, '-', '+', 'COUNT', 1)[1])
        meta.last = format(whole, entry.seq)
        meta.sum = entry.ours and entry.sum + #newest[1][2][4] + #newest[1][2][6] or 0
        meta.from, meta.from_ms = oldest.ours and oldest.sum or meta.sum, oldest.ms
        meta.moved, meta.until_ms = true, ms -- the log has not ended
    elseif room_is_listed(room) then
        meta.last, meta.lost = format(whole, seq), room
    else
        room_new(meta)
    end
end

local function meta_read(key, log)
    local got = try('HMGET', key, 'last', 'sum', 'from', 'from_ms', 'until_ms', 'size')
    local meta = {last = '0', sum = 0, from = 0, from_ms = ms, until_ms = 0, size = 0, added = 0, held = 0}
    metas[key] = meta
    if got.err then
        meta.refused, meta.spoiled = 'spoiled', key
    elseif got[1] then
        meta.last, meta.size = whole_of(got[1]) and not string.find(got[1], '%D') and got[1] or '0', whole_of(got[6]) or 0
        meta.sum, meta.from, meta.from_ms = whole_of(got[2]) or 0, whole_of(got[3]) or 0, whole_of(got[4]) or ms
        meta.until_ms = whole_of(got[5]) or 0
    else
        meta_of_log(meta, key, log)
    end
    if meta.until_ms < ms then
        meta.from, meta.from_ms, meta.moved = meta.sum, ms, true -- the log has ended
    else
        meta.held = math.max(meta.size, meta.sum - meta.from)
    end
    return meta
end

local function slot_read(at)
    local arg, key = ARGS_BEFORE + 1 + 5 * (at - 1), KEYS_BEFORE + 1 + 3 * (at - 1)
    local slot = {target = ARGV[arg], entries = ARGV[arg + 1], bytes = ARGV[arg + 2], age = ARGV[arg + 3], meta_age = ARGV[arg + 4],
        log = KEYS[key], key = KEYS[key + 1], names = KEYS[key + 2], named = 0}
    if string.byte(slot.target) == 64 then
        slot.inbox = try('GET', string.sub(slot.target, 2))
        slot.owned, slot.gone = true, type(slot.inbox) ~= 'string' -- no instance holds that socket any more
    end
    if slot.entries ~= '0' and not slot.gone then
        slot.meta = metas[slot.key] or meta_read(slot.key, slot.log)
    end
    slot_at[format('%d', at)] = slot
    return slot
end

local behind = 0
for at = 1, slots do
    local meta = slot_read(at).meta
    behind = math.max(behind, meta and tonumber(meta.last) or 0)
end
if behind > seq then
    return epoch_end(behind)
end

local first = ARGS_BEFORE + 1 + 5 * slots
local roomy -- all of this call fits, so no bound needs checking
-- A room that fills the service's bytes gets no more; a small room has its share.
local share
local function room_is_full(meta, bytes)
    if ARGV[7] == '0' and stored + bytes <= tonumber(ARGV[6]) then
        return false
    end
    local logs = share or try('ZCARD', sizes)
    share = share or math.max(65536, tonumber(ARGV[6]) / math.max(1, type(logs) == 'number' and logs or 1))
    return meta.held + bytes > share
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
        try('PUBLISH', row_slot.target, text)
    elseif not row_slot.gone then
        local room = string.match(row_slot.target, ':owner:(.*)$')
        try('PUBLISH', row_slot.inbox, 'entry ' .. #room .. '\n' .. room .. text)
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

-- Whether a message of this name is new, a repetition, or another message than the one that took the name. A name's score is its
-- time in ms, and in the lowest twelve bits a digest of the message's body. `ZADD NX` takes one command; an old name is one again.
local DIGESTS = 4096
local function name_look(slot, tagged)
    local name, score = string.sub(tagged, 4), format('%.0f', ms * DIGESTS + (tonumber(string.sub(tagged, 1, 3), 16) or 0))
    local added = try('ZADD', slot.names, 'NX', score, name)
    if type(added) == 'table' then
        slot.meta.refused, slot.meta.spoiled = 'spoiled', slot.names
        return 'spoiled'
    end
    if added == 1 then
        slot.named = slot.named + 1
        return 'new'
    end
    local was = tonumber(try('ZSCORE', slot.names, name)) or tonumber(score)
    if ms - math.floor(was / DIGESTS) > tonumber(slot.age) then
        try('ZADD', slot.names, score, name)
        return 'new'
    end
    return was % DIGESTS == tonumber(score) % DIGESTS and 'same' or 'taken'
end

local function refuse(place, why, key)
    answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = place, why, key or ''
    refused[#refused + 1], refused[#refused + 2] = place, why
end

local function log_entry(place, slot, name, audience, body)
    local meta, bytes = slot.meta, #audience + #body
    local weight = bytes + ENTRY_BYTES + (name == '' and 0 or NAME_BYTES)
    local why = meta.refused or not roomy and room_is_full(meta, weight) and 'bytes'
    why = why or ARGV[7] == '2' and 'wait' -- not final: the entry is sent again
    if why then
        refuse(place, why, meta.spoiled)
        return
    end
    local found = name == '' and 'new' or name_look(slot, name)
    if found ~= 'new' then
        if found ~= 'same' then
            refuse(place, found, meta.spoiled)
        end
        return
    end
    seq = seq + 1
    local text = format(whole, seq)
    local id = try('XADD', slot.log, text .. '-' .. ms_text, 'p', meta.last .. ' ' .. format(whole, meta.sum), 'a', audience, 'b', body)
    if type(id) == 'table' and id.err then
        meta.refused, meta.spoiled = 'spoiled', slot.log
        local newest = try('XREVRANGE', slot.log, '+', '-', 'COUNT', 1)
        local top = newest[1] and entry_about(newest[1]).seq or 0
        behind = top < SEQ_MAX and math.max(behind, top) or behind
        if name ~= '' then
            try('ZREM', slot.names, string.sub(name, 4))
        end
        refuse(place, 'spoiled', slot.log)
        return
    end
    push(slot, text, meta.last, audience, body)
    meta.last = text
    meta.sum, meta.added, stored = meta.sum + bytes, meta.added + 1, stored + weight
    meta.held = meta.held + weight
    touched[slot.key] = slot
end

-- An unlogged event of a room in `keeps` is kept, behind the logged ones before it: a stream `kept:ROOM` of ids `<number>-<ms>`, whose
-- field s is the counter, the bytes kept before it, and the number of the room's kept event before. Returns its number, '0' if it is not kept.
local KEPT_MS, KEPT_BYTES, KEPT_ENTRIES = 60000, 262144, 1000
local function keeps(slot)
    local until_ms = ARGV[7] == '0' and try('ZSCORE', prefix .. 'keeps', string.sub(slot.key, #prefix + 6))
    if type(until_ms) ~= 'string' or tonumber(until_ms) < ms then
        return false
    end
    slot.kept, slot.kept_sum, slot.kept_last = prefix .. 'kept:' .. string.sub(slot.key, #prefix + 6), 0, '0'
    local newest = try('XREVRANGE', slot.kept, '+', '-', 'COUNT', 1)
    local sum = string.match(newest[1] and newest[1][2][2] or '', '^%d+ (%d+) %d+$')
    if sum and #newest[1][2] == 6 then
        slot.kept_sum = tonumber(sum) + #newest[1][2][4] + #newest[1][2][6] + ENTRY_BYTES
        slot.kept_last = string.match(newest[1][1], '^%d+')
    end
    return true
end

local function keep(slot, audience, body)
    if slot.keeps == nil then
        slot.keeps = keeps(slot)
    end
    local at = slot.keeps and try('HINCRBY', state, 'kept', 1)
    if type(at) ~= 'number' then
        return '0'
    end
    local text = format(whole, at)
    local id = try('XADD', slot.kept, text .. '-' .. ms_text, 's', format(whole, seq) .. ' ' .. format(whole, slot.kept_sum) .. ' ' ..
        slot.kept_last, 'a', audience, 'b', body)
    if type(id) == 'table' and id.err then
        slot.keeps = false
        return '0'
    end
    slot.kept_sum = slot.kept_sum + #audience + #body + ENTRY_BYTES
    slot.kept_added, slot.kept_last = true, text
    return text
end

local function kept_trim(slot)
    try('PEXPIRE', slot.kept, format('%.0f', KEPT_MS))
    try('XTRIM', slot.kept, 'MAXLEN', '=', format('%.0f', KEPT_ENTRIES))
    for _ = 1, KEPT_ENTRIES do
        local first = try('XRANGE', slot.kept, '-', '+', 'COUNT', 1)[1]
        local at, at_ms = string.match(first and first[1] or '', '^(%d+)%-(%d+)$')
        local before = tonumber(string.match(first and first[2][2] or '', '^%d+ (%d+)') or nil) or 0
        if not at or slot.kept_sum - before <= KEPT_BYTES and ms - tonumber(at_ms) <= KEPT_MS then
            break
        end
        try('XTRIM', slot.kept, 'MINID', '=', format(whole, tonumber(at) + 1))
    end
end

local logged, coming = 0, 0
for at = first, #ARGV, 4 do
    local meta = slot_at[ARGV[at]].meta
    if meta then
        logged = logged + (not meta.refused and ARGV[7] ~= '2' and 1 or 0)
        coming = coming + #ARGV[at + 2] + #ARGV[at + 3] + ENTRY_BYTES + (ARGV[at + 1] == '' and 0 or NAME_BYTES)
    end
end
roomy = ARGV[7] == '0' and stored + coming <= tonumber(ARGV[6])
local reserved = seq + logged
if logged > 0 then
    call('HSET', state, 'seq', format(whole, reserved))
else
    call('PEXPIRE', publisher, '3600000') -- needs none; but a Redis that takes no writes says so
end
for _, meta in pairs(logged > 0 and metas or {}) do
    if meta.lost then
        room_lost(meta.lost, epoch, seq, ms, format('%.0f', meta.size))
    end
end
for at = first, #ARGV, 4 do
    local slot = slot_at[ARGV[at]]
    if slot.entries == '0' then
        push(slot, '0', keep(slot, ARGV[at + 2], ARGV[at + 3]), ARGV[at + 2], ARGV[at + 3])
    elseif slot.meta then
        log_entry((at - first) / 4 + 1, slot, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
    end
end
if row_len > 1 then
    row_push()
end

-- Trims in lumps, so that not every publish pays for it. The newest entry always stays.
local function trim(log, meta, keep, bytes_max, age)
    call('XTRIM', log, 'MAXLEN', '=', format('%.0f', keep))
    local newest = tonumber(meta.last)
    local oldest = oldest_wanted(log, newest, function(entry)
        return entry.seq == newest or (meta.sum - entry.sum <= bytes_max and ms - entry.ms <= age)
    end)
    call('XTRIM', log, 'MINID', '=', oldest.id)
    meta.from, meta.from_ms, meta.moved = oldest.sum, oldest.ms, true
end

-- A set of the whole service lives as long as its last member.
local function last_for(key, life)
    local left = try('PTTL', key)
    if type(left) == 'number' and left < tonumber(life) then
        try('PEXPIRE', key, life)
    end
end

-- The keys of the whole service: one call each for all rooms.
local size_change, size_pairs = 0, {}
local function size_tell(meta, room, entries, names)
    local size = math.max(0, meta.sum - meta.from) + ENTRY_BYTES * entries + NAME_BYTES * names
    local change = size - meta.size
    if meta.size > 0 and math.abs(change) < math.max(SIZE_STEP, meta.size / 8) then
        return
    end
    size_change = size_change + change
    size_pairs[#size_pairs + 1], size_pairs[#size_pairs + 2] = format('%.0f', size), room
    meta.size, meta.counted = size, true
end

-- As many as leave a log of this length below the one at which it is trimmed.
local function short_way(length_now, keep)
    local entries = math.max(0, math.min(LONE_ENTRIES, math.floor(keep * 17 / 16 + 16) - length_now))
    return format('%.0f %.0f %.0f', entries, LONE_BYTES, keep)
end

local tops, ends_last = {}, nil
for key, slot in pairs(touched) do
    local meta, log, age = metas[key], slot.log, tonumber(slot.age)
    local keep, bytes_max, room = tonumber(slot.entries), tonumber(slot.bytes), string.sub(key, #prefix + 6)
    local length_now = tonumber(try('XLEN', log)) or 0
    local left = length_now
    if meta.sum - meta.from > bytes_max * 17 / 16 or ms - meta.from_ms > age * 17 / 16 or length_now > keep * 17 / 16 + 16 then
        pcall(trim, log, meta, keep, bytes_max, age) -- or by the next publish
        left = tonumber(try('XLEN', log)) or 0
    end
    size_tell(meta, room, left, tonumber(try('ZCARD', slot.names)) or 0)
    local about = {'HSET', key, 'last', meta.last, 'sum', format(whole, meta.sum), 'lone', short_way(left, keep)}
    local ends = meta.until_ms - ms < age * 9 / 8
    if meta.moved then
        about[9], about[10], about[11], about[12] = 'from', format('%.0f', meta.from), 'from_ms', format('%.0f', meta.from_ms)
    end
    if meta.counted then
        local at = #about
        about[at + 1], about[at + 2] = 'size', format('%.0f', meta.size)
    end
    if ends then
        meta.until_ms = ms + math.floor(age * 5 / 4)
        local at = #about
        about[at + 1], about[at + 2], about[at + 3], about[at + 4] = 'until_ms', format('%.0f', meta.until_ms), 'age', slot.age
    end
    try(unpack(about))
    if ends then
        ends_last = slot.meta_age
        -- Meta outlives the log, so a trimmed room can be told from a quiet one.
        try('PEXPIRE', key, slot.meta_age)
        try('ZADD', rooms, format('%.0f', meta.until_ms), room)
        last_for(rooms, slot.meta_age)
    end
    if ends or length_now == meta.added then
        try('PEXPIRE', log, format('%.0f', age * 5 / 4)) -- also for a log that had vanished
    end
    tops[#tops + 1] = meta.last
    tops[#tops + 1] = slot.target
end
if size_pairs[1] then
    try('HINCRBY', state, 'bytes', format('%.0f', size_change))
    try('ZADD', sizes, unpack(size_pairs))
end
if ends_last then
    last_for(sizes, ends_last)
end
if tops[1] then
    try('ZADD', recent, unpack(tops))
end
for _, slot in pairs(slot_at) do
    if slot.kept_added then
        pcall(kept_trim, slot)
    end
    if slot.named > 0 then
        local keep, count = math.max(NAMES_MIN, tonumber(slot.entries)), tonumber(try('ZCARD', slot.names)) or 0
        if count > keep * 17 / 16 + 16 then
            try('ZREMRANGEBYSCORE', slot.names, '-inf', format('%.0f', (ms - tonumber(slot.age)) * DIGESTS))
            try('ZREMRANGEBYRANK', slot.names, '0', format('%.0f', -1 - keep))
        end
        try('PEXPIRE', slot.names, slot.age)
    end
end
if seq < reserved then
    try('HSET', state, 'seq', format(whole, seq)) -- refused entries and repetitions took no number
end
if behind > seq then
    pcall(epoch_end, behind) -- an entry lies above the counter: the next call finds another epoch
end
try('SET', publisher, table.concat(refused, ' '), 'PX', 3600000)
return answer
