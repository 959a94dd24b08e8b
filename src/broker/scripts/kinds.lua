-- For the scripts that write: what lies under a key must be of the kind that is written, before anything is.
local function spoiled(key, kind)
    local is = redis.call('TYPE', key).ok
    return is ~= 'none' and is ~= kind and redis.error_reply('SPOILED ' .. key) or nil
end

