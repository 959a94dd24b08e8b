-- Reads a room. KEYS: log, meta. ARGV: seq to read behind, how many entries, '1' for the newest ones, how many bytes at most.
-- Returns: seq of the room's newest entry, then the entries, rising.
local log, meta = KEYS[1], KEYS[2]
local entries
if ARGV[3] == '1' then
    local falling = redis.call('XREVRANGE', log, '+', '-', 'COUNT', ARGV[2])
    entries = {}
    for i = #falling, 1, -1 do
        entries[#entries + 1] = falling[i]
    end
else
    local from = string.format('%.0f', tonumber(ARGV[1]) + 1)
    entries = redis.call('XRANGE', log, from, '+', 'COUNT', ARGV[2])
end
local bytes, answer = 0, {redis.call('HGET', meta, 'last') or '0'}
for i, entry in ipairs(entries) do
    bytes = bytes + #entry[2][6]
    if i > 1 and bytes > tonumber(ARGV[4]) then
        break
    end
    answer[#answer + 1] = entry
end
return answer
