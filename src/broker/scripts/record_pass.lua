-- Passes a session on, or begins one. KEYS: record, lives. ARGV: ticket of the holder ('0': begins it), this instance's life, record, how
-- long it lives if nobody holds it (ms), how long if somebody does, sid. Returns 1, or 0 if somebody else holds it. Passing again does
-- nothing. Fields: see record_ask.
local wrong = spoiled(KEYS[1], 'hash')
if wrong then
    return wrong
end
local has = redis.call('HMGET', KEYS[1], 'holder', 'waiters', 'passed', 'probe_ms', 'record')
local ticket = ARGV[1] .. '@' .. ARGV[2]
if ARGV[1] ~= '0' and has[1] ~= ticket then
    return has[3] == ticket and 1 or 0
end
if ARGV[1] == '0' and has[5] then
    return 1
end
local time = redis.call('TIME')
local ms = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
local rest, next_ticket, next_kind, next_inbox = has[2] or '', nil, nil, nil
-- The first who waits, and whose instance still lives.
while rest ~= '' and not next_ticket do
    local waiting, kind, inbox, behind = string.match(rest, '^(%S+) (%l) (%S+)\n(.*)$')
    rest = behind or ''
    if waiting and redis.call('ZSCORE', KEYS[2], string.match(waiting, '@(.*)$') or '') then
        next_ticket, next_kind, next_inbox = waiting, kind, inbox
    end
end
redis.call('HSET', KEYS[1], 'record', ARGV[3], 'passed', ticket, 'passed_ms', ms, 'waiters', rest, 'holder', next_ticket or '', 'kind',
    next_kind or '', 'inbox', next_inbox or '', 'life', next_ticket and string.match(next_ticket, '@(.*)$') or '')
redis.pcall('PEXPIRE', KEYS[1], next_ticket and ARGV[5] or ARGV[4])
if next_ticket then
    local probing = (tonumber(has[4]) or 0) > tonumber(ms) and 1 or 0
    redis.pcall('PUBLISH', next_inbox, 'record granted ' .. (string.match(next_ticket, '^%d+') or '0') .. ' ' .. probing .. '\n' .. ARGV[6] .. ARGV[3])
    local _, after = string.match(rest, '^(%S+) (%l)')
    if after then
        redis.pcall('PUBLISH', next_inbox, 'record wanted ' .. (string.match(next_ticket, '^%d+') or '0') .. ' ' .. after .. '\n' .. ARGV[6])
    end
end
return 1
