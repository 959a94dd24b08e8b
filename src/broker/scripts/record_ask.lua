-- Asks for a session. KEYS: record, lives. ARGV: ticket, this instance's inbox, its life, what for ('g', 'p', 'w'), how long a record
-- that is held lives (ms), sid. Returns {0}: there is none; {1, record, ms since it was passed, '1' if a WebSocket proves itself}: it is
-- given; {2}: wait; {3}: it is on a WebSocket; {4}: a request of this kind is under way already, and the session has been ended.
-- Fields: `record`; `holder`, the ticket of whoever holds it ('': nobody), with `kind`, `inbox` and `life`; `waiters`, lines
-- `ticket kind life inbox`; `passed_ms`; `probe`, ticket of a WebSocket, and `probe_ms`, when it must have taken over; `moved`.
local wrong = spoiled(KEYS[1], 'hash')
if wrong then
    return wrong
end
local has = redis.call('HMGET', KEYS[1], 'holder', 'kind', 'inbox', 'life', 'waiters', 'record', 'passed_ms', 'probe_ms', 'moved')
local ticket, inbox, life, kind = ARGV[1] .. '@' .. ARGV[3], ARGV[2], ARGV[3], ARGV[4]
if has[9] then
    return {3}
end
if not has[6] then
    return {0}
end
if not redis.call('ZSCORE', KEYS[2], life) then
    return redis.error_reply('LIFE has ended') -- nobody would notice if it ended while it holds the session
end
local time = redis.call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local holder, waiters, to_holder = has[1] or '', has[5] or '', has[3] or ''

local function tell_all_gone()
    if holder ~= '' then
        redis.pcall('PUBLISH', to_holder, 'record gone ' .. (string.match(holder, '^%d+') or '0') .. '\n' .. ARGV[6])
    end
    for number, to in string.gmatch(waiters, '(%d+)@%S+ %l (%S+)\n') do
        redis.pcall('PUBLISH', to, 'record gone ' .. number .. '\n' .. ARGV[6])
    end
end

if holder ~= '' and holder ~= ticket and not redis.call('ZSCORE', KEYS[2], has[4] or '') then
    redis.call('DEL', KEYS[1]) -- what its last holder did since is lost with it
    tell_all_gone()
    return {0}
end
local function is_same_kind(other)
    return kind ~= 'w' and other == kind
end
if holder ~= '' and holder ~= ticket then
    local overlaps, waits = is_same_kind(has[2]), false
    for of, other in string.gmatch(waiters, '(%d+@%S+) (%l) %S+\n') do
        waits = waits or of == ticket
        overlaps = overlaps or of ~= ticket and is_same_kind(other)
    end
    if overlaps then
        redis.call('DEL', KEYS[1])
        tell_all_gone()
        return {4}
    end
    if not waits then
        redis.call('HSET', KEYS[1], 'waiters', waiters .. ticket .. ' ' .. kind .. ' ' .. inbox .. '\n')
    end
    redis.pcall('PUBLISH', to_holder, 'record wanted ' .. (string.match(holder, '^%d+') or '0') .. ' ' .. kind .. '\n' .. ARGV[6])
    return {2}
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('HSET', KEYS[1], 'holder', ticket, 'kind', kind, 'inbox', inbox, 'life', life)
local away = math.max(0, ms - (tonumber(has[7]) or ms))
local probing = (tonumber(has[8]) or 0) > ms
return {1, has[6], string.format('%.0f', away), probing and 1 or 0}
