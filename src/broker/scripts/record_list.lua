-- Lists the sockets of sessions that poll. KEYS: polls, lives. ARGV: where in `polls` the page begins, how many sessions it has at most,
-- how many bytes of a record's head are told. Returns where the next page begins ('': this was the last), then for each socket five texts:
-- the head of its session's record, the instance that holds it ('': nobody), and pid, sid and rooms of the lease that the session has.
local after, limit, prefix = ARGV[1], tonumber(ARGV[2]), string.sub(KEYS[1], 1, -6)
local wrong = spoiled(KEYS[1], 'zset')
if wrong then
    return wrong
end
local lives = {}
for _, life in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    lives[string.match(life, '^(.*):%d+$') or ''] = true
end

local function head_of(record)
    local bytes, from = string.match(record, '^(%d+) ()')
    return bytes and string.sub(record, from, from - 1 + math.min(tonumber(bytes), tonumber(ARGV[3]))) or ''
end

local found = redis.call('ZRANGEBYSCORE', KEYS[1], after, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
local answer, last = {''}, found[#found]
if #found == 2 * limit then
    answer[1] = last ~= after and last or '(' .. last
end
for i = 1, #found, 2 do
    local record = redis.pcall('HMGET', prefix .. 'session:' .. found[i], 'record', 'leases', 'holder', 'moved')
    local holder = string.match(record[3] or '', '@(.*):%d+$') or ''
    local rest = not record.err and record[1] and not record[4] and (holder == '' or lives[holder]) and record[2] or ''
    while rest ~= '' do
        local bytes, generation, tail = string.match(rest, '^(%d+) (%d+) %S+ %d+ (.*)$')
        if not bytes then
            break
        end
        local pid = string.sub(tail, 1, tonumber(bytes))
        rest = string.sub(tail, tonumber(bytes) + 2)
        local lease = redis.pcall('HMGET', prefix .. 'lease:' .. pid, 'generation', 'sid', 'rooms', 'ended')
        if lease[1] == generation and lease[2] and lease[3] and not lease[4] then
            for _, text in ipairs({head_of(record[1]), holder, pid, lease[2], lease[3]}) do
                answer[#answer + 1] = text
            end
        end
    end
end
return answer
