-- A connection was made. KEYS: state, publisher, lives. ARGV: the server's run id, an epoch to open if one is due, the epoch
-- this instance saw before ('' for none), the life it begins now, how long a life lasts without a pulse (ms).
-- Returns: epoch, counter, the last seq of the epoch seen before that survived ('' when it is still the current one), the
-- publisher's last call.
-- A server that came up again may have lost what it had accepted: its run id tells, and the epoch ends at what survived.
local state, publisher = KEYS[1], KEYS[2]
-- A write that needs no memory comes first: when memory is full, Redis then refuses none of the others.
redis.call('ZREM', KEYS[3], ARGV[4])
local have = redis.call('HMGET', state, 'epoch', 'seq', 'run_id', 'pulse_ms')
local epoch, seq = have[1], have[2] or '0'
if not epoch or have[3] ~= ARGV[1] then
    if epoch then
        redis.call('HSET', state, 'end:' .. epoch, seq)
    end
    epoch = ARGV[2]
    redis.call('HSET', state, 'epoch', epoch, 'seq', seq, 'run_id', ARGV[1])
end
local ended = ''
if ARGV[3] ~= '' and ARGV[3] ~= epoch then
    ended = redis.call('HGET', state, 'end:' .. ARGV[3]) or '0'
end
local time = redis.call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if not have[4] then
    redis.call('HSET', state, 'pulse_ms', string.format('%.0f', ms))
end
redis.call('ZADD', KEYS[3], string.format('%.0f', ms + tonumber(ARGV[5])), ARGV[4])
return {epoch, seq, ended, redis.call('GET', publisher) or '0'}
