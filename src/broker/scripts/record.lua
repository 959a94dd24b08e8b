-- For the scripts of polling sessions. KEYS: record, lives, state. A record has: `record`; `leases`, lines
-- `<bytes of pid> <generation> <epoch or -> <seq> <pid>`; `holder`, a ticket or '', with `kind`, `inbox` and
-- `life`; `waiters`, lines `ticket kind life inbox`; `passed`, the last ticket that passed it on, and `passed_ms`; `probe`, ticket of a
-- WebSocket, and `probe_ms`, when it must have taken over; `pong_ms`, of a pong that no holder has taken; `moved`: it is on a
-- WebSocket, held for good by `holder`; `kept`, the last kept event that its sockets have been sent;
-- `given`, the last ticket that got it.
local wrong = spoiled(KEYS[1], 'hash')
if wrong then
    return wrong
end
local RECORD = {'holder', 'kind', 'inbox', 'life', 'waiters', 'record', 'passed', 'passed_ms', 'probe', 'probe_ms', 'moved', 'leases', 'pong_ms', 'kept', 'given'}
local record, got = {}, redis.call('HMGET', KEYS[1], unpack(RECORD))
for i, name in ipairs(RECORD) do
    record[name] = got[i] or nil
end
record.exists = record.record ~= nil
record.holder, record.waiters = record.holder or '', record.waiters or ''
local time = redis.call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ms_text = string.format('%.0f', ms)
local prefix = string.sub(KEYS[3], 1, -6) -- without `state`

local function number_of(ticket)
    return string.match(ticket, '^%d+') or '0'
end

-- A ticket is kept as `<number>@<life>`. Behind a broken link an instance goes on in another life (`<instance>:<number>`), and its requests with it.
local function request_of(ticket)
    return string.match(ticket, '^(%d+@.*):%d+$') or ticket
end

local function is_same(ticket, other)
    return request_of(ticket) == request_of(other or '')
end

-- The life in which this life's instance goes on: that one or a later one; nil: none is known.
local function life_now(life)
    if redis.call('ZSCORE', KEYS[2], life) then
        return life
    end
    local instance, now = string.match(life, '^(.*:)%d+$'), nil
    for _, other in ipairs(instance and redis.call('ZRANGE', KEYS[2], 0, -1) or {}) do
        if string.sub(other, 1, #instance) == instance and string.match(other, '^%d+$', #instance + 1) then
            now = other
        end
    end
    return now
end

local function tell(inbox, what, ticket, detail, sid)
    redis.pcall('PUBLISH', inbox or '', 'record ' .. what .. ' ' .. number_of(ticket) .. detail .. '\n' .. sid)
end

-- The session is gone: tells all who hold it or wait, but `except`.
local function tell_all_gone(sid, except)
    if record.holder ~= '' and not is_same(record.holder, except) then
        tell(record.inbox, 'gone', record.holder, '', sid)
    end
    for ticket, inbox in string.gmatch(record.waiters, '(%d+@%S+) %l (%S+)\n') do
        tell(inbox, 'gone', ticket, '', sid)
    end
end

-- All sessions that poll are in `polls`, by a time that lies behind the end of their record. It only rises while a session lasts, so none
-- is overlooked that moves while they are listed. Listing is all it is for, so it may fail alone.
local polls = prefix .. 'polls'
local function poll_list(sid, ms_left)
    redis.pcall('ZADD', polls, string.format('%.0f', ms + ms_left), sid)
    redis.pcall('PEXPIRE', polls, 86400000)
end

local function poll_unlist(sid)
    redis.pcall('ZREM', polls, sid)
end

-- Calls `each` with pid, generation, epoch and seq of each lease, as texts.
local function for_leases(each)
    local rest = record.leases or ''
    while rest ~= '' do
        local bytes, generation, epoch, seq, tail = string.match(rest, '^(%d+) (%d+) (%S+) (%d+) (.*)$')
        if not bytes then
            break
        end
        rest = string.sub(tail, tonumber(bytes) + 2)
        each(string.sub(tail, 1, tonumber(bytes)), generation, epoch, seq)
    end
end

-- Nobody has its sockets any more: those whose end is asked for lapse when their time is over, although the instance that had them lives.
-- One that has them all the same writes their leases again.
local function leave()
    for_leases(function(pid, generation)
        local key = prefix .. 'lease:' .. pid
        local lease = redis.pcall('HMGET', key, 'generation', 'watch', 'ended')
        if lease[1] == generation and (lease[2] or '') ~= '' and not lease[3] then
            redis.pcall('HSET', key, 'left', '1')
        end
    end)
end

-- The session ends.
local function drop(sid, except)
    redis.call('DEL', KEYS[1])
    poll_unlist(sid)
    tell_all_gone(sid, except)
    leave()
end

local function is_probed()
    return (tonumber(record.probe_ms or nil) or 0) > ms
end

-- A room's newest entry. If the meta is gone, the log says the same.
local function newest_of(room)
    local last = redis.pcall('HGET', prefix .. 'room:' .. room, 'last')
    if type(last) ~= 'string' then
        local top = redis.pcall('XREVRANGE', prefix .. 'log:' .. room, '+', '-', 'COUNT', 1)[1]
        last = (top or {})[1]
    end
    return type(last) == 'string' and string.match(last, '^%d+') or '0'
end

-- Claims the leases for the life that gets the session. Each, as it is told: `<what> <generation> <window> <reached> <seq of the own room's
-- newest entry> <bytes of pid> <of sid> <of own room> <of rooms> <of data>\n` and those; `what`: 0 none, 1, 2 claimed elsewhere
-- since it was passed on, 3 foreign data.
local function claim_all(inbox, life, keep_ms, again)
    local told, kept, rooms = {}, {}, {}
    for_leases(function(pid, generation, epoch, seq)
        local lease, bad, keep = lease_claim(prefix, pid, inbox, life, epoch == '-' and '' or epoch, tonumber(seq), tonumber(generation), again)
        if type(lease) == 'table' then
            told[#told + 1] = table.concat({1, lease[1], lease[6], lease[7], newest_of(lease[3]), #pid, #lease[2], #lease[3],
                #lease[4], #lease[5]}, ' ') .. '\n' .. pid .. lease[2] .. lease[3] .. lease[4] .. lease[5]
            generation = lease[1]
            for _, room in ipairs(keep_rooms(prefix, keep, ms, keep_ms)) do
                rooms[#rooms + 1] = room
            end
        else
            told[#told + 1] = (bad and 3 or lease and 2 or 0) .. ' 0 0 0 0 ' .. #pid .. ' 0 0 0 0\n' .. pid
        end
        kept[#kept + 1] = #pid .. ' ' .. generation .. ' ' .. epoch .. ' ' .. seq .. ' ' .. pid .. '\n'
    end)
    return told, rooms, table.concat(kept)
end

-- The kept events of these rooms behind this number, in their order, each `<after> <bytes of room> <of audience> <of body>\n` and those;
-- `after`: the counter when it came. And how many lack.
local function kept_read(rooms, number)
    local found, lost, bytes, told = {}, 0, 0, {}
    for _, room in ipairs(rooms) do
        local got = redis.pcall('XRANGE', prefix .. 'kept:' .. room, string.format('%.0f', number + 1), '+', 'COUNT', 1000)
        for i, entry in ipairs(got.err and {} or got) do
            local fields, at = entry[2], tonumber(string.match(entry[1], '^%d+'))
            local after, before = string.match(fields[2] or '', '^(%d+) %d+ (%d+)$')
            lost = lost + (i == 1 and before and tonumber(before) > number and 1 or 0)
            if at and after and #fields == 6 then
                found[#found + 1] = {at, after .. ' ' .. #room .. ' ' .. #fields[4] .. ' ' .. #fields[6] .. '\n' .. room .. fields[4] .. fields[6]}
            end
        end
    end
    table.sort(found, function(a, b) return a[1] < b[1] end)
    for _, event in ipairs(found) do
        bytes = bytes + #event[2]
        if #told == 1000 or bytes > 262144 and #told > 0 then
            lost = lost + 1
        else
            told[#told + 1] = event[2]
        end
    end
    return told, lost
end

-- Gives the record to its holder, written before, with the leases claimed, and where the pushes stand: through the inbox, so everything up
-- to there was pushed before. Repeatable.
local function give(ticket, inbox, sid, keep_ms)
    local told, rooms, leases = claim_all(inbox, string.match(ticket, '@(.*)$'), keep_ms, is_same(ticket, record.given))
    redis.call('HSET', KEYS[1], 'leases', leases, 'given', ticket) -- it may be given once more, if the message is lost or late
    local kept, lost = kept_read(rooms, tonumber(record.kept or nil) or 0)
    local stands = redis.call('HMGET', KEYS[3], 'epoch', 'seq', 'kept')
    local away = math.max(0, ms - (tonumber(record.passed_ms or nil) or ms))
    local pong = record.pong_ms and math.max(0, ms - (tonumber(record.pong_ms) or ms)) + 1 or 0
    tell(inbox, 'granted', ticket, string.format(' %d %.0f %.0f %s %s %d %s %d %d', is_probed() and 1 or 0, away, pong, stands[1] or '-',
        stands[2] or '0', #told, stands[3] or '0', #kept, lost), sid .. table.concat(told) .. table.concat(kept) .. record.record)
end
