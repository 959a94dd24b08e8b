-- Reads a room. KEYS: log, meta, state. ARGV: 'after' or 'before', the seq, its epoch ('' for the current one), how many entries,
-- how many bytes at most (but one entry at least). Returns: seq of the room's newest entry, 1 when the seq lies beyond what is left
-- of its epoch (then it is read from where that ends), 1 when there is more in that direction, then the entries, rising.
local log, meta = KEYS[1], KEYS[2]
local back, seq, clipped = ARGV[1] == 'before', tonumber(ARGV[2]), 0
if ARGV[3] ~= '' then
    local state = redis.call('HMGET', KEYS[3], 'epoch', 'end:' .. ARGV[3])
    if state[1] ~= ARGV[3] then
        local last = tonumber(state[2] or '0')
        if seq > (back and last + 1 or last) then
            seq, clipped = back and last + 1 or last, 1
        end
    end
end
local about = redis.call('HMGET', meta, 'last', 'from_ms', 'age')
local low = 0 -- what is too old lies below
if about[3] then
    local time = redis.call('TIME')
    local since = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) - tonumber(about[3])
    if tonumber(about[2]) < since then
        local first = oldest_wanted(log, tonumber(about[1]), function(entry) return entry.ms >= since end)
        low = first and first.seq or tonumber(about[1]) + 1
    end
end
local entries, limit = {}, tonumber(ARGV[4])
if back and seq > low then
    -- Ids are <seq>-<ms>, and <seq>-0 lies below them all. (Below 0 there is nothing, and `(0-0` is an error.)
    entries = redis.call('XREVRANGE', log, string.format('(%.0f-0', seq), string.format('%.0f', low), 'COUNT', limit + 1)
elseif not back then
    entries = redis.call('XRANGE', log, string.format('%.0f', math.max(seq + 1, low)), '+', 'COUNT', limit + 1)
end
local bytes, count = 0, 0
for i, entry in ipairs(entries) do
    bytes = bytes + #entry[2][4] + #entry[2][6]
    if i > limit or i > 1 and bytes > tonumber(ARGV[5]) then
        break
    end
    count = i
end
local last = about[1]
if not last then -- the meta is gone: the log says the same
    local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
    last = newest and string.match(newest[1], '^%d+') or '0'
end
local answer = {last, clipped, #entries > count and 1 or 0}
for i = 1, count do
    answer[i + 3] = entries[back and count + 1 - i or i]
end
return answer
