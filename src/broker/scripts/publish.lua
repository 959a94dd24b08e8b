-- Accepts a batch. KEYS: state, publisher, then log and meta of each room, then the keys of named messages. ARGV: epoch, number
-- of the call, '1' to rebase, how many rooms, their channels, then six per entry: room (from 1), index of its name's key (0:
-- unnamed), entries the log keeps (0: not logged), age it keeps (ms), excepted sids, body.
-- Exactly the publisher's last + 1 is accepted, so that a repeated call does nothing and a skipped one is seen.
local state, publisher = KEYS[1], KEYS[2]
local number, rooms = tonumber(ARGV[2]), tonumber(ARGV[4])
local have = redis.call('HMGET', state, 'epoch', 'seq')
if have[1] ~= ARGV[1] then
    return redis.error_reply('EPOCH is ' .. (have[1] or 'gone'))
end
local last = tonumber(redis.call('GET', publisher) or '0')
if last ~= number - 1 and not (ARGV[3] == '1' and last < number) then
    return {0, last}
end
local time = redis.call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ms_text = string.format('%.0f', ms)
local seq, epoch = tonumber(have[2]), ARGV[1]
local newest, ages = {}, {}
redis.call('SET', publisher, ARGV[2], 'PX', 3600000)
local at = 5 + rooms
while at <= #ARGV do
    local room, named, except, body = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), ARGV[at + 4], ARGV[at + 5]
    local keep, age = ARGV[at + 2], ARGV[at + 3]
    local channel = ARGV[4 + room]
    at = at + 6
    if keep == '0' then
        redis.call('PUBLISH', channel, epoch .. ' 0 0 0 ' .. #except .. '\n' .. except .. body)
    elseif named == 0 or redis.call('SET', KEYS[named], '1', 'NX', 'PX', age) then
        local log, meta = KEYS[1 + 2 * room], KEYS[2 + 2 * room]
        local prev = newest[room] or redis.call('HGET', meta, 'last') or '0'
        seq = seq + 1
        local text = string.format('%.0f', seq)
        redis.call('XADD', log, 'MAXLEN', '~', keep, text .. '-' .. ms_text, 'p', prev, 'e', except, 'b', body)
        redis.call('PUBLISH', channel,
            epoch .. ' ' .. text .. ' ' .. prev .. ' ' .. ms_text .. ' ' .. #except .. '\n' .. except .. body)
        newest[room] = text
        ages[room] = math.max(ages[room] or 0, tonumber(age))
    end
end
redis.call('HSET', state, 'seq', string.format('%.0f', seq))
for room, text in pairs(newest) do
    local log, meta, age = KEYS[1 + 2 * room], KEYS[2 + 2 * room], ages[room]
    redis.call('HSET', meta, 'last', text)
    redis.call('PEXPIRE', log, string.format('%.0f', age))
    -- Outlives the log: a trimmed room and a quiet one can be told apart.
    redis.call('PEXPIRE', meta, string.format('%.0f', age + 86400000))
    -- What has grown too old goes, a bounded piece at a time.
    local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 64)
    local keep_from = nil
    for _, entry in ipairs(oldest) do
        if tonumber(string.match(entry[1], '%-(%d+)$')) >= ms - age then
            break
        end
        keep_from = entry[1]
    end
    if keep_from then
        local first_kept = string.format('%.0f', tonumber(string.match(keep_from, '^(%d+)')) + 1)
        redis.call('XTRIM', log, 'MINID', first_kept)
    end
end
return {1, number}
