-- For the scripts that know which rooms polling sessions are in. The unlogged events of these rooms are kept for a while (publish.lua),
-- because a session has no instance between two requests. `keep`: rooms, each `<bytes> <room>`. Such a room is in `keeps`, by the time
-- until which its events are kept.
local function keep_rooms(prefix, keep, ms, keep_ms)
    local keeps, rooms, at = prefix .. 'keeps', {}, 1
    while true do
        local len, from = string.match(keep, '^(%d+) ()', at)
        if not len then
            break
        end
        at = from + tonumber(len)
        rooms[#rooms + 1] = string.sub(keep, from, at - 1)
    end
    if keep_ms > 0 and rooms[1] then
        redis.pcall('ZREMRANGEBYSCORE', keeps, '-inf', string.format('(%.0f', ms))
        for _, room in ipairs(rooms) do
            redis.pcall('ZADD', keeps, string.format('%.0f', ms + keep_ms), room)
        end
        local left = redis.pcall('PTTL', keeps)
        if type(left) == 'number' and left < keep_ms then
            redis.pcall('PEXPIRE', keeps, string.format('%.0f', keep_ms))
        end
    end
    return rooms
end
