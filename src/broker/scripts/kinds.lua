-- For the scripts that write: each key must hold the type that is about to be written, before the first write.
local function spoiled(key, kind)
    local is = redis.call('TYPE', key).ok
    return is ~= 'none' and is ~= kind and redis.error_reply('SPOILED ' .. key) or nil
end

