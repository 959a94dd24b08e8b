-- Ends a session, or lets a WebSocket try to take it over. KEYS: record. ARGV: what: 'end', 'moved' or 'probe'; ticket; this instance's
-- life; ms: that it is remembered as moved, or until the WebSocket must have taken it over (0: it has failed); sid. Returns 1, or 0 if
-- there is no such session, or another WebSocket tries it. Fields: see record_ask.
local wrong = spoiled(KEYS[1], 'hash')
if wrong then
    return wrong
end
local has = redis.call('HMGET', KEYS[1], 'holder', 'inbox', 'waiters', 'record', 'probe', 'probe_ms', 'moved')
local ticket = ARGV[2] .. '@' .. ARGV[3]
if not has[4] or has[7] then
    return 0
end
local holder = has[1] or ''
if ARGV[1] == 'probe' then
    local time = redis.call('TIME')
    local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    local tried = (tonumber(has[6]) or 0) > ms
    if tried and has[5] ~= ticket then
        return 0
    end
    redis.call('HSET', KEYS[1], 'probe', ticket, 'probe_ms', ARGV[4] == '0' and '0' or string.format('%.0f', ms + tonumber(ARGV[4])))
    if holder ~= '' then
        redis.pcall('PUBLISH', has[2] or '', 'record probed ' .. (string.match(holder, '^%d+') or '0') .. ' ' .. (ARGV[4] == '0' and 0 or 1) .. '\n' .. ARGV[5])
    end
    return 1
end
for number, inbox in string.gmatch(has[3] or '', '(%d+)@%S+ %l (%S+)\n') do
    redis.pcall('PUBLISH', inbox, 'record gone ' .. number .. '\n' .. ARGV[5])
end
if holder ~= '' and holder ~= ticket then
    redis.pcall('PUBLISH', has[2] or '', 'record gone ' .. (string.match(holder, '^%d+') or '0') .. '\n' .. ARGV[5])
end
if ARGV[1] == 'moved' then
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
    redis.call('HSET', KEYS[1], 'moved', '1', 'record', '', 'waiters', '', 'holder', '')
else
    redis.call('DEL', KEYS[1])
end
return 1
