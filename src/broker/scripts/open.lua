-- Begins a life on a new connection. KEYS: state, publisher, lives, rooms. ARGV: the server's run id, an epoch to open if one is due,
-- the epoch that this instance saw before ('' for none), the life that it begins now, how long a life lasts without a pulse (ms).
-- Returns: epoch, counter, the last seq that survived of the epoch seen before ('' if it is still the current one), the publisher's
-- last call, and the entries of it that were refused, in the form of publish.lua.
-- A server that restarted may have lost accepted entries. Its run id shows the restart, and the epoch ends at the entries that survived.
-- If the state itself is gone, the counter goes on above whatever is left in the logs.
local publisher, lives, rooms, ENDS_MAX = KEYS[2], KEYS[3], KEYS[4], 100
local prefix = string.sub(state, 1, -6)
local have = redis.call('HMGET', state, 'epoch', 'seq', 'run_id', 'pulse_ms')
local called = redis.call('GET', publisher)
redis.call('ZSCORE', lives, ARGV[4])
local epoch, seq = have[1], whole_of(have[2])
local counted = seq ~= nil
if not epoch or not counted then
    local all = redis.pcall('ZRANGE', rooms, '0', '-1')
    seq = seq or 0
    for i = 1, all.err and 0 or #all do
        local last = redis.pcall('HGET', prefix .. 'room:' .. all[i], 'last')
        local newest = redis.pcall('XREVRANGE', prefix .. 'log:' .. all[i], '+', '-', 'COUNT', 1)
        local top = newest[1] and entry_about(newest[1]).seq or 0
        seq = math.max(seq, whole_of(last) or 0, top < 4503599627370496 and top or 0)
    end
end

-- Only the last epochs that ended are kept.
local function ends_forget()
    if redis.call('HLEN', state) < 2 * ENDS_MAX then
        return
    end
    local ends, cursor = {}, '0'
    repeat
        local got = redis.call('HSCAN', state, cursor, 'COUNT', '1000')
        cursor = got[1]
        for i = 1, #got[2], 2 do
            if string.sub(got[2][i], 1, 4) == 'end:' then
                ends[#ends + 1] = {name = got[2][i], seq = tonumber(got[2][i + 1]) or 0}
            end
        end
    until cursor == '0'
    table.sort(ends, function(a, b) return a.seq > b.seq or a.seq == b.seq and a.name < b.name end)
    for i = ENDS_MAX + 1, #ends do
        redis.call('HDEL', state, ends[i].name)
    end
end

-- A write that needs no memory comes first: when memory is full, Redis then refuses none of the others.
redis.call('ZREM', lives, ARGV[4])
local counter = string.format('%.0f', seq)
if not epoch or not counted or have[3] ~= ARGV[1] then
    ends_forget()
    if epoch then
        redis.call('HSET', state, 'end:' .. epoch, counter, 'epoch', ARGV[2], 'seq', counter, 'run_id', ARGV[1])
    else
        redis.call('HSET', state, 'epoch', ARGV[2], 'seq', counter, 'run_id', ARGV[1])
    end
    epoch = ARGV[2]
end
local ended = ''
if ARGV[3] ~= '' and ARGV[3] ~= epoch then
    ended = redis.call('HGET', state, 'end:' .. ARGV[3]) or '0'
end
local time = redis.call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if not whole_of(have[4]) then
    redis.call('HSET', state, 'pulse_ms', string.format('%.0f', ms))
end
redis.call('ZADD', lives, string.format('%.0f', ms + tonumber(ARGV[5])), ARGV[4])
return called_append({epoch, counter, ended}, called)
