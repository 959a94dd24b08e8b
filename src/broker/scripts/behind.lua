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

