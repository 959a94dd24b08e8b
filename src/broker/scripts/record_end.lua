-- Ends a session, or lets a WebSocket try to take it over, or notes a pong. KEYS: record, lives, state. ARGV: what: 'end', 'disown' (ends
-- it if this ticket holds it), 'probe' or 'pong'; ticket; this instance's life; ms: until the WebSocket must have taken it over (0: it has failed), or that the session lives on
-- from the pong; sid. Returns 1; 0 if there is no such session, or another WebSocket tries it; for a pong also 3 if it is on a WebSocket,
-- and 4 if a POST is under way: then it has been ended.
local what, ticket, sid = ARGV[1], ARGV[2] .. '@' .. ARGV[3], ARGV[5]
if not record.exists then
    return 0
end
if what == 'probe' then
    if record.moved or is_probed() and not is_same(ticket, record.probe) then
        return 0
    end
    redis.call('HSET', KEYS[1], 'probe', ticket, 'probe_ms', ARGV[4] == '0' and '0' or string.format('%.0f', ms + tonumber(ARGV[4])))
    if record.holder ~= '' then
        tell(record.inbox, 'probed', record.holder, ARGV[4] == '0' and ' 0' or ' 1', sid)
    end
    return 1
end
if what == 'pong' and record.moved then
    return 3
end
if what == 'pong' and record.kind ~= 'p' and not string.find(record.waiters, ' p ', 1, true) then
    redis.call('HSET', KEYS[1], 'pong_ms', ms_text)
    if record.holder == '' then
        redis.pcall('PEXPIRE', KEYS[1], ARGV[4])
    else
        tell(record.inbox, 'ponged', record.holder, '', sid)
    end
    return 1
end
if (record.moved or what == 'disown') and not is_same(ticket, record.holder) then
    return 0
end
drop(sid, ticket)
return what == 'pong' and 4 or 1
