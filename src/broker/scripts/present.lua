-- Registers a member of a room as present, or as gone. KEYS: here, away, leases and presences of this life, lives, rooms with members
-- present. ARGV: '+' to enter, '-' to leave, '?' to leave perhaps for a moment only, room, sid, its presence data, this life, the room's
-- channel, the prefix of all keys, how long it may be away (ms), the generation of its lease. `here` has for each sid
-- `<life> <generation> <data>`. Changes are pushed to the room: `<+ or -><number of members present> <bytes of sid>\n<sid><data>`; a change that
-- is kept for polling sessions has ` <its number>` before the line feed.
local here, away, of, lives, heres = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local what, room, sid, data, life = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local DAY = 86400000
local name = #room .. ' ' .. room .. sid
local was = redis.call('HGET', here, sid)
local was_life, was_generation, was_tells
if was then
    was_life, was_generation, was_tells = string.match(was, '^(%S+) (%d+) (.*)$')
end
local alive = redis.call('ZSCORE', lives, life)
local wrong = spoiled(away, 'zset') or spoiled(of, 'set') or spoiled(heres, 'zset') or
    was_life and spoiled(ARGV[7] .. 'of:' .. was_life, 'set')
if wrong then
    return wrong
end
local time = redis.call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function count()
    return tonumber(redis.pcall('HLEN', here)) or 0
end

local function tell(sign, tells)
    local now = count()
    redis.pcall('PUBLISH', ARGV[6], sign .. now .. ' ' .. #sid .. notice_keep(ARGV[7], room, sign, now, sid, tells, ms) .. '\n' .. sid .. tells)
end

if what == '+' then
    if not alive then
        return redis.error_reply('LIFE has ended') -- no pulse would end what it holds
    end
    local instance, number = string.match(life, '^(.*):(%d+)$')
    local was_instance, was_number = string.match(was_life or '', '^(.*):(%d+)$')
    if instance == was_instance and tonumber(number) < tonumber(was_number) then
        return 0 -- a late call, from an earlier life of the same instance
    end
    if was_life and tonumber(was_generation) > tonumber(ARGV[9]) then
        return 0 -- another instance has claimed its lease, which this one does not know yet
    end
    -- A write that needs no memory comes first: when memory is full, Redis then refuses none of the others.
    redis.call('PEXPIRE', of, DAY) -- see lease_write
    if redis.call('SADD', of, 'h' .. name) == 1 and redis.call('PTTL', of) == -1 then
        redis.call('PEXPIRE', of, DAY)
    end
    redis.call('HSET', here, sid, life .. ' ' .. ARGV[9] .. ' ' .. data)
    -- From here on the member is present, whatever fails.
    redis.pcall('ZREM', away, name)
    if was_life and was_life ~= life then
        redis.pcall('SREM', ARGV[7] .. 'of:' .. was_life, 'h' .. name)
    end
    -- The key expires unless the pulse keeps it, which it does once the room is in the set.
    if (tonumber(redis.pcall('PTTL', here)) or -1) < DAY / 2 then
        redis.pcall('PEXPIRE', here, DAY)
        redis.pcall('ZADD', heres, 'NX', string.format('%.0f', ms), room)
    end
    if not was then
        tell('+', data)
    end
elseif was and was_life == life then
    -- Another life holds it already if the client came back before this end was known.
    redis.call('PEXPIRE', of, DAY)
    if what == '?' then
        redis.call('ZADD', away, string.format('%.0f', ms + tonumber(ARGV[8])), name)
    else
        redis.call('HDEL', here, sid)
        redis.pcall('ZREM', away, name)
        tell('-', was_tells)
    end
    redis.pcall('SREM', of, 'h' .. name)
end
return 1
