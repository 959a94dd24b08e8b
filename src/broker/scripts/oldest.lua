-- For publish.lua and read.lua: finds a room's oldest wanted entry.
-- Entries lie in the order of their seq, and if one is wanted, all later ones are, so the search goes by halves. Returns id, seq, ms
-- and sum (bytes logged before it) of the first entry for which `wanted(entry)` holds, or nil. `last` is the newest seq. Entries that
-- are not ours are not wanted.
local function entry_about(got)
    local number, time_ms = string.match(got[1], '^(%d+)%-(%d+)$')
    local entry = {id = got[1], seq = tonumber(number), ms = tonumber(time_ms), sum = tonumber(string.match(got[2][2] or '', ' (%d+)$'))}
    entry.ours = entry.sum and got[2][1] == 'p' and got[2][3] == 'a' and got[2][5] == 'b' and #got[2] == 6
    return entry
end

local function oldest_wanted(log, last, wanted)
    local low, high, at, found = 0, last, 0, nil
    while low <= high do
        local got = redis.call('XRANGE', log, string.format('%.0f', at), '+', 'COUNT', 1)[1]
        if not got then
            break
        end
        local entry = entry_about(got)
        if entry.ours and wanted(entry) then
            found, high = entry, at - 1
        else
            low = entry.seq + 1
        end
        at = math.floor((low + high) / 2)
    end
    return found
end

