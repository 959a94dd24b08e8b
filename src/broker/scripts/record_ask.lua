-- Asks for a session. KEYS: record, lives, state. ARGV: ticket, this instance's inbox, its life, what for ('g', 'p', 'w'), how long a
-- record that is held lives (ms), sid, how long one that is on a WebSocket is known as such (ms), how long one
-- lives whose holder's instance has no life any more, from the first request on that asks for it (ms). Returns 0: there is none; 2: it has been
-- given or will be, through the inbox; 3: it is on a WebSocket; 4: a request of this kind is under way already, and the session has been
-- ended.
local ticket, inbox, life, kind, sid = ARGV[1] .. '@' .. ARGV[3], ARGV[2], ARGV[3], ARGV[4], ARGV[6]
if not record.exists then
    return 0
end
local holds = is_same(record.holder, ticket)
local function number_of_life(of)
    return tonumber(string.match(of or '', '%d+$')) or 0
end
-- This call was under way when its link broke, and comes behind what the request has done in a later life: it is told there.
if holds and number_of_life(record.holder) > number_of_life(life) or not holds and is_same(ticket, record.passed) then
    return 2
end
if record.moved and not holds then
    return 3
end
if not redis.call('ZSCORE', KEYS[2], life) then
    return redis.error_reply('LIFE has ended') -- nobody would notice if it ended while it holds the session
end
local function is_same_kind(other)
    return kind ~= 'w' and other == kind
end
-- The link of its holder may come back: only that one knows what it did since, so the session waits for it, but not for long.
local is_lost = record.holder ~= '' and not holds and not life_now(record.life or '')
if is_lost and (is_same_kind(record.kind) or not record.life) then
    drop(sid) -- the client asks again: the request that the holder had is over
    return 0
end
if is_lost then
    local left = redis.call('PTTL', KEYS[1])
    if left < 0 or left > tonumber(ARGV[8]) then
        redis.call('PEXPIRE', KEYS[1], ARGV[8])
    end
end
if record.holder ~= '' and not holds then
    local overlaps, waits = is_same_kind(record.kind), false
    for of, other in string.gmatch(record.waiters, '(%d+@%S+) (%l) %S+\n') do
        waits = waits or is_same(of, ticket)
        overlaps = overlaps or not is_same(of, ticket) and is_same_kind(other)
    end
    if overlaps then
        drop(sid)
        return 4
    end
    if not waits then
        redis.call('HSET', KEYS[1], 'waiters', record.waiters .. ticket .. ' ' .. kind .. ' ' .. inbox .. '\n')
    end
    tell(record.inbox, 'wanted', record.holder, ' ' .. kind, sid)
    return 2
end
redis.call('PEXPIRE', KEYS[1], kind == 'w' and ARGV[7] or ARGV[5])
redis.call('HSET', KEYS[1], 'holder', ticket, 'kind', kind, 'inbox', inbox, 'life', life)
give(ticket, inbox, sid, tonumber(ARGV[5]))
if kind == 'w' then
    redis.call('HSET', KEYS[1], 'moved', '1')
    poll_unlist(sid)
else
    poll_list(sid, tonumber(ARGV[5]))
end
return 2
