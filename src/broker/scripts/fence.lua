-- Answers a confirmed subscription. KEYS: state, then the metas of rooms. ARGV: the instance's inbox, the number of its feed, the
-- epoch, then the rooms. Sends through the inbox, and so in the order of the pushes, each room's newest entry, the counter, and
-- the number of the last event that was kept. If a
-- meta is gone, its log says the same, if that is still there; if neither is, and the room is listed, its entries are lost. A room keeps
-- its meta while a socket is in it: without the meta, a quiet room could not be told from a room that has lost its keys.
local META_MS, META_LEFT_MS = 172800000, 129600000
local have = redis.call('HMGET', state, 'epoch', 'seq', 'kept')
local wrong = epoch_error(have, ARGV[3])
if wrong then
    return wrong
end
local prefix = string.sub(state, 1, -6) -- without `state`
local top, time = tonumber(have[2]), redis.call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local lasts, lost, gone = {}, {}, {}
local function room_size(room)
    local size = redis.pcall('ZSCORE', prefix .. 'sizes', room)
    return type(size) == 'string' and size or '0'
end
for i = 2, #KEYS do
    local got, last = redis.pcall('HMGET', KEYS[i], 'last', 'lost'), 0
    if got.err then
        got = {} -- in a room with a spoiled meta nothing is logged
    elseif not got[1] then
        local newest = redis.pcall('XREVRANGE', prefix .. 'log:' .. ARGV[i + 2], '+', '-', 'COUNT', 1)
        last = newest[1] and tonumber(string.match(newest[1][1], '^%d+')) or 0
        gone[i] = not newest[1] and not newest.err and room_is_listed(ARGV[i + 2])
        last = gone[i] and top or last
    else
        last = whole_of(got[1]) or 0
    end
    if last > top then
        return epoch_end(last)
    end
    lasts[i], lost[i] = last, gone[i] or got[2] and got[2] == got[1]
end
for i = 2, #KEYS do
    if gone[i] then
        room_lost(ARGV[i + 2], ARGV[3], top, ms, room_size(ARGV[i + 2]))
    end
    -- Whoever claimed the socket meanwhile is sent its room's entries. The former owner learns that when it writes the lease.
    local owner = string.byte(ARGV[i + 2]) == 64 and redis.pcall('GET', prefix .. 'owner:' .. ARGV[i + 2])
    local ours = type(owner) ~= 'string' or owner == ARGV[1]
    if lost[i] and ours then
        redis.call('PUBLISH', ARGV[1], 'lost ' .. string.format('%.0f', lasts[i]) .. '\n' .. ARGV[i + 2])
    end
    local left = redis.call('PTTL', KEYS[i])
    if left ~= -2 and left < META_LEFT_MS then
        redis.call('PEXPIRE', KEYS[i], META_MS)
    end
    if ours then
        redis.call('PUBLISH', ARGV[1], 'fence ' .. ARGV[2] .. ' ' .. string.format('%.0f', lasts[i]) .. ' ' .. have[2] .. ' ' .. (have[3] or '0') .. '\n' .. ARGV[i + 2])
    end
end
return #KEYS - 1
