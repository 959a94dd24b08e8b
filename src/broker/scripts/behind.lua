-- For the scripts that read the state. The epoch that the caller knows must be the open one, and no entry may lie above the
-- counter. If one does, the counter was lost and its log was not, so new entries would get numbers below it. Then the epoch
-- ends, and another begins above the entry that was found.
local state = KEYS[1]

-- A whole number that Lua counts exactly; nil for anything else that somebody may have written there.
local function whole_of(text)
    local number = tonumber(text or nil)
    return number and number >= 0 and number < 4503599627370496 and number % 1 == 0 and number or nil
end

-- The record of the publisher's last call: its number, then place and reason of each entry that was refused.
local function called_append(answer, kept)
    kept = kept or '0'
    answer[#answer + 1] = whole_of(string.match(kept, '^%d+')) or 0
    for place, why in string.gmatch(kept, ' (%d+) (%l+)') do
        answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = tonumber(place), why, ''
    end
    return answer
end

local function epoch_error(have, epoch)
    if have[1] ~= epoch then
        return redis.error_reply('EPOCH is ' .. (have[1] or 'gone'))
    end
    if not whole_of(have[2]) then
        return redis.error_reply('EPOCH has no counter')
    end
end

local function epoch_end(top)
    redis.call('HSET', state, 'seq', string.format('%.0f', top))
    redis.call('HDEL', state, 'epoch')
    return redis.error_reply('EPOCH was behind its logs')
end

-- The list of rooms names every room that has a meta.
local function room_is_listed(room)
    return type(redis.pcall('ZSCORE', string.sub(state, 1, -6) .. 'rooms', room)) == 'string'
end

-- A listed room has neither meta nor log: it has lost entries, and any entry up to the counter may be among them. Its meta begins anew as
-- if its newest entry were there. So a client that comes back from below finds that it lacks an entry. Instances with a whole feed have
-- been sent everything; they are told that no push was missed.
local function room_lost(room, epoch, top, ms, size)
    local prefix = string.sub(state, 1, -6)
    local meta = prefix .. 'room:' .. room
    local call, top_text = redis.pcall, string.format('%.0f', top)
    call('HSET', meta, 'last', top_text, 'lost', top_text, 'until_ms', string.format('%.0f', ms), 'size', size)
    call('PEXPIRE', meta, 172800000)
    if string.byte(room) ~= 64 then
        call('PUBLISH', prefix .. 'push:' .. room, '!' .. epoch .. ' ' .. top_text)
        return
    end
    local inbox = call('GET', prefix .. 'owner:' .. room)
    if type(inbox) == 'string' then
        call('PUBLISH', inbox, 'lost ' .. top_text .. '\n' .. room)
    end
end
