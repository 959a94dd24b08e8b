-- For the scripts that tell who comes and goes: keeps the news for the polling sessions of the room, if there are any (keep.lua), as
-- publish.lua keeps an unlogged event, with its bounds; record_kept_read reads it. Returns how the message ends that tells it at once: with
-- a space and its number, or with nothing.
local function notice_keep(prefix, room, sign, count, sid, data, ms)
    local KEPT_MS, KEPT_BYTES, KEPT_ENTRIES, ENTRY_BYTES = 60000, 262144, 1000, 64
    local until_ms, kept = redis.pcall('ZSCORE', prefix .. 'keeps', room), prefix .. 'kept:' .. room
    if type(until_ms) ~= 'string' or tonumber(until_ms) < ms then
        return ''
    end
    local audience, body = '@' .. sign .. count, #sid .. '\n' .. sid .. data
    local newest, sum, last = redis.pcall('XREVRANGE', kept, '+', '-', 'COUNT', 1), 0, '0'
    local before = string.match(newest[1] and newest[1][2][2] or '', '^%d+ (%d+) %d+$')
    if before and #newest[1][2] == 6 then
        sum = tonumber(before) + #newest[1][2][4] + #newest[1][2][6] + ENTRY_BYTES
        last = string.match(newest[1][1], '^%d+')
    end
    local seq, at = redis.pcall('HGET', prefix .. 'state', 'seq'), redis.pcall('HINCRBY', prefix .. 'state', 'kept', 1)
    if type(at) ~= 'number' or type(seq) ~= 'string' then
        return ''
    end
    local number = string.format('%.0f', at)
    local id = redis.pcall('XADD', kept, number .. '-' .. string.format('%.0f', ms), 's', seq .. ' ' .. string.format('%.0f', sum) .. ' ' .. last,
        'a', audience, 'b', body)
    if type(id) == 'table' and id.err then
        return ''
    end
    sum = sum + #audience + #body + ENTRY_BYTES
    redis.pcall('PEXPIRE', kept, string.format('%.0f', KEPT_MS))
    redis.pcall('XTRIM', kept, 'MAXLEN', '=', string.format('%.0f', KEPT_ENTRIES))
    for _ = 1, KEPT_ENTRIES do
        local first = redis.pcall('XRANGE', kept, '-', '+', 'COUNT', 1)[1]
        local at_first, at_ms = string.match(first and first[1] or '', '^(%d+)%-(%d+)$')
        local kept_before = tonumber(string.match(first and first[2][2] or '', '^%d+ (%d+)') or nil) or 0
        if not at_first or sum - kept_before <= KEPT_BYTES and ms - tonumber(at_ms) <= KEPT_MS then
            break
        end
        redis.pcall('XTRIM', kept, 'MINID', '=', string.format('%.0f', tonumber(at_first) + 1))
    end
    return ' ' .. number
end
