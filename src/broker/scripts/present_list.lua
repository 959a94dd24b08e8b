-- Lists the members present in a room. KEYS: here. ARGV: this instance's inbox, number of the request, cursor, about how many. The answer
-- comes through the inbox, and so in the order of the pushes: `present <request> <cursor> <number of members present>\n`, then for each
-- `<bytes of sid> <bytes of data>\n<sid><data>`. The list is shorter where the data are long: an answer has about 64 KiB.
local STEP, BYTES_ENOUGH = 25, 36864
local limit, cursor, parts, bytes, count = tonumber(ARGV[4]), ARGV[3], {''}, 0, 0
repeat
    local got = redis.pcall('HSCAN', KEYS[1], cursor, 'COUNT', math.max(1, math.min(STEP, limit - count)))
    if got.err then -- the request gets an answer in any case
        redis.call('PUBLISH', ARGV[1], 'present ' .. ARGV[2] .. ' 0 0\n')
        return redis.error_reply('SPOILED ' .. KEYS[1])
    end
    cursor = got[1]
    for i = 1, #got[2], 2 do
        local sid, data = got[2][i], string.match(got[2][i + 1], '^%S+ %d+ (.*)$')
        if data then
            parts[#parts + 1] = #sid .. ' ' .. #data .. '\n' .. sid .. data
            bytes, count = bytes + #sid + #data, count + 1
        end
    end
until cursor == '0' or count >= limit or bytes >= BYTES_ENOUGH
parts[1] = 'present ' .. ARGV[2] .. ' ' .. cursor .. ' ' .. redis.call('HLEN', KEYS[1]) .. '\n'
return redis.call('PUBLISH', ARGV[1], table.concat(parts))
