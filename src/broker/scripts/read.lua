-- Reads a room. KEYS: state, log, meta. ARGV: the open epoch, 'after' or 'before', the seq, its epoch ('' for the open one), number of
-- entries, bytes at most (but one entry at least). Returns: seq of the room's newest entry, a space and the counter; 1 if the seq lies
-- beyond the surviving end of its epoch (then the read begins at that end); 1 if there is more in that direction; then the entries,
-- rising.
local log, meta = KEYS[2], KEYS[3]
local back, seq, clipped = ARGV[2] == 'before', tonumber(ARGV[3]), 0
local have = redis.call('HMGET', state, 'epoch', 'seq', 'end:' .. ARGV[4])
local wrong = epoch_error(have, ARGV[1])
if wrong then
    return wrong
end
if ARGV[4] ~= '' and ARGV[4] ~= have[1] then
    local last = whole_of(have[3]) or 0
    if seq > (back and last + 1 or last) then
        seq, clipped = back and last + 1 or last, 1
    end
end
local about = redis.pcall('HMGET', meta, 'last', 'from_ms', 'age')
local newest = redis.pcall('XREVRANGE', log, '+', '-', 'COUNT', 1)
for i, got in ipairs({about, newest}) do
    if got.err then
        return redis.error_reply('SPOILED ' .. (i == 1 and meta or log))
    end
end
-- A log whose meta is gone is read all the same.
local last = whole_of(about[1]) or 0
last = newest[1] and math.max(last, entry_about(newest[1]).seq) or last
if last > tonumber(have[2]) then
    return epoch_end(last)
end
local from_ms, age = whole_of(about[2]), whole_of(about[3])
local low = 0 -- older entries are out of age
if from_ms and age then
    local time = redis.call('TIME')
    local since = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) - age
    if from_ms < since then
        local first = oldest_wanted(log, last, function(entry) return entry.ms >= since end)
        low = first and first.seq or last + 1
    end
end
-- In pieces: entries may be large, and entries that are read but not sent cost Redis memory.
local entries, limit, bytes_max, bytes, more = {}, tonumber(ARGV[5]), tonumber(ARGV[6]), 0, 0
local piece = 16
local at = back and string.format('(%.0f-0', seq) or string.format('%.0f', math.max(seq + 1, low))
local done = back and seq <= low -- ids are <seq>-<ms>, and <seq>-0 lies below them all; `(0-0` is an error
while not done do
    local want = math.min(piece, limit - #entries + 1)
    local got = back and redis.call('XREVRANGE', log, at, string.format('%.0f', low), 'COUNT', want)
        or redis.call('XRANGE', log, at, '+', 'COUNT', want)
    for _, entry in ipairs(got) do
        if entry_about(entry).ours then
            bytes = bytes + #entry[2][4] + #entry[2][6]
            if #entries == limit or #entries > 0 and bytes > bytes_max then
                more, done = 1, true
                break
            end
            entries[#entries + 1] = entry
        end
        at = '(' .. entry[1]
    end
    done = done or #got < want
    -- About as many as still fit.
    piece = math.max(1, math.min(256, math.floor((bytes_max - bytes) * math.max(1, #entries) / (bytes + 1))))
end
local answer = {string.format('%.0f ', last) .. have[2], clipped, more}
for i = 1, #entries do
    answer[i + 3] = entries[back and #entries + 1 - i or i]
end
return answer
