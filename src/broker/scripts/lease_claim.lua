-- KEYS: lease, state. ARGV: the claimer's inbox, epoch ('' for none) and seq of the client's position, life in ms, pid.
-- Returns nothing when there is no lease, else generation, sid, rooms, data, and 1 when the position is one this log has
-- reached. The former owner is told. Claiming again is harmless.
local lease = redis.call('HMGET', KEYS[1], 'generation', 'sid', 'rooms', 'data', 'owner')
if not lease[1] then
    return {}
end
local generation = string.format('%.0f', tonumber(lease[1]) + 1)
redis.call('HSET', KEYS[1], 'generation', generation, 'owner', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PUBLISH', lease[5], 'claimed ' .. generation .. '\n' .. ARGV[5])
local reached = 1
if ARGV[2] ~= '' then
    local state = redis.call('HMGET', KEYS[2], 'epoch', 'seq', 'end:' .. ARGV[2])
    local top = state[1] == ARGV[2] and state[2] or state[3]
    reached = top and tonumber(ARGV[3]) <= tonumber(top) and 1 or 0
end
return {generation, lease[2], lease[3], lease[4], reached}
