-- Checks whether this user may run the commands of the other scripts. KEYS: a key of its own. ARGV: a channel. Returns 'ok', or the
-- command that is refused.
local key = KEYS[1]
local calls = {
    {'DEL', key}, {'SET', key, '1', 'PX', '1000'}, {'GET', key}, {'TYPE', key}, {'PTTL', key}, {'PEXPIRE', key, '1000'},
    {'DEL', key}, {'HSET', key, 'a', '1'}, {'HGET', key, 'a'}, {'HMGET', key, 'a'}, {'HLEN', key}, {'HSCAN', key, '0'},
    {'HINCRBY', key, 'a', '1'}, {'HDEL', key, 'a'}, {'ZADD', key, '1', 'a'}, {'ZSCORE', key, 'a'}, {'ZCARD', key},
    {'ZRANGE', key, '0', '1'}, {'ZRANGEBYSCORE', key, '0', '1'}, {'ZREMRANGEBYSCORE', key, '5', '6'},
    {'ZREMRANGEBYRANK', key, '0', '0'}, {'ZREM', key, 'a'}, {'SADD', key, 'a'}, {'SRANDMEMBER', key, '1'}, {'SREM', key, 'a'},
    {'XADD', key, '1-1', 'a', '1'}, {'XLEN', key}, {'XRANGE', key, '-', '+'}, {'XREVRANGE', key, '+', '-'},
    {'XTRIM', key, 'MAXLEN', '=', '0'}, {'DEL', key}, {'PUBLISH', ARGV[1], 'check\n'}, {'TIME'},
}
for _, command in ipairs(calls) do
    local got = redis.pcall(unpack(command))
    if type(got) == 'table' and got.err then
        return command[1] .. ': ' .. got.err
    end
end
return 'ok'
