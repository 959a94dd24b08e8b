-- Who is in a room. KEYS: here. ARGV: this instance's inbox, number of the request, cursor, about how many. The answer comes
-- through the inbox, so in the order of the pushes: `present <request> <cursor> <how many are there>\n`, then for each
-- `<bytes of sid> <bytes of tells>\n<sid><tells>`.
local got = redis.call('HSCAN', KEYS[1], ARGV[3], 'COUNT', ARGV[4])
local parts = {'present ' .. ARGV[2] .. ' ' .. got[1] .. ' ' .. redis.call('HLEN', KEYS[1]) .. '\n'}
for i = 1, #got[2], 2 do
    local sid, tells = got[2][i], string.match(got[2][i + 1], '^%S+ %d+ (.*)$')
    if tells then
        parts[#parts + 1] = #sid .. ' ' .. #tells .. '\n' .. sid .. tells
    end
end
return redis.call('PUBLISH', ARGV[1], table.concat(parts))
