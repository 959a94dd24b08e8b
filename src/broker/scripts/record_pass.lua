-- Passes a session on, or begins one. KEYS: record, lives, state. ARGV: ticket of the holder ('0': begins it), this instance's life, its
-- inbox, record, leases, '1' if a pong is awaited, how long it lives if nobody holds it (ms), how long if somebody does, how long one that
-- is on a WebSocket is known as such, sid, a ticket of this instance that waits for it ('0': none) and what for,
-- number of the last kept event that its sockets have been sent. Returns 1, or 0 if
-- somebody else holds it. Passing again does nothing.
local ticket, life, sid = ARGV[1] .. '@' .. ARGV[2], ARGV[2], ARGV[10]
if ARGV[1] ~= '0' and not is_same(record.holder, ticket) then
    if not record.exists then
        record.leases = ARGV[5] -- also those written since the session ended
        leave()
    end
    return is_same(ticket, record.passed) and 1 or 0
end
if ARGV[1] == '0' and record.exists then
    return 1
end
local rest, next_ticket, next_kind, next_inbox = record.waiters, nil, nil, nil
if ARGV[11] ~= '0' then
    rest = rest .. ARGV[11] .. '@' .. life .. ' ' .. ARGV[12] .. ' ' .. ARGV[3] .. '\n'
end
-- The first who waits, and whose instance still lives.
while rest ~= '' and not next_ticket do
    local waiting, kind, inbox, behind = string.match(rest, '^(%S+) (%l) (%S+)\n(.*)$')
    rest = behind or ''
    local number, of = string.match(waiting or '', '^(%d+)@(.*)$')
    local now = of and life_now(of)
    if now then
        next_ticket, next_kind, next_inbox = number .. '@' .. now, kind, inbox
    end
end
if next_kind == 'w' then
    record.holder, record.waiters, rest = '', rest, ''
    tell_all_gone(sid)
end
record.record, record.leases, record.passed_ms, record.kept = ARGV[4], ARGV[5], ms_text, ARGV[13]
if ARGV[6] ~= '1' then
    record.pong_ms = nil -- it was for an earlier ping
end
redis.call('HSET', KEYS[1], 'record', ARGV[4], 'leases', ARGV[5], 'passed', ticket, 'passed_ms', ms_text, 'waiters', rest, 'kept', ARGV[13],
    'holder', next_ticket or '', 'kind', next_kind or '', 'inbox', next_inbox or '',
    'life', next_ticket and string.match(next_ticket, '@(.*)$') or '')
redis.pcall('PEXPIRE', KEYS[1], not next_ticket and ARGV[7] or next_kind == 'w' and ARGV[9] or ARGV[8])
if not record.pong_ms then
    redis.pcall('HDEL', KEYS[1], 'pong_ms')
end
if not next_ticket then
    leave()
end
if next_kind == 'w' then
    poll_unlist(sid)
else
    poll_list(sid, math.max(tonumber(ARGV[7]), tonumber(ARGV[8])))
end
if ARGV[1] == '0' then -- those that have ended without a word
    redis.pcall('ZREMRANGEBYSCORE', polls, '-inf', '(' .. ms_text)
end
if next_ticket then
    -- It has been passed on, whatever fails now: one that waits asks again.
    pcall(give, next_ticket, next_inbox, sid, tonumber(ARGV[8]))
    if next_kind == 'w' then
        redis.pcall('HSET', KEYS[1], 'moved', '1')
    end
    local after = string.match(rest, '^%S+ (%l)')
    if after then
        tell(next_inbox, 'wanted', next_ticket, ' ' .. after, sid)
    end
end
return 1
