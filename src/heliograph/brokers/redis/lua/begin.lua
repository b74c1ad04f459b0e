-- The beginning of every script: load the channel's row, notice data loss, apply retention.
--
-- What stands before this file is generated (scripts.py): `appending`, and one local
-- variable for each field of the call (calls.py). Variables are strings at first.
--
-- KEYS: the channel's hash and its stream; its set of keys and its retained entries; the key
-- of the common life. A call may name only the first two, three or four. If more are needed
-- a script returns how many, and has changed nothing.
local hash_key, stream_key, keys_key, retained_key, common_key = unpack(KEYS)
local own_keys = math.min(#KEYS, 4)

local function offset_of(entry) return tonumber(string.match(entry[1], '%d+')) end
local function text(offset) return string.format('%d', offset) end

-- Parse numbers that somebody else may have written. Lua's numbers are doubles: beyond
-- 2^53 not every integer exists, so larger ones count as no number.
local function whole(value)
    local number = string.match(value or '', '^%d+$') and tonumber(value)
    return number and number < 2 ^ 53 and number or nil
end
local function finite(value)
    local number = tonumber(value or '')
    return number and math.abs(number) < 2 ^ 53 and number or nil
end

-- The time at which an entry was published; 0 if somebody else wrote the entry.
local function at(entry) return finite(entry[2][4]) or 0 end

seen_offset, seen_at = tonumber(seen_offset), finite(seen_at) or 0
if now == '' then
    local time = redis.call('TIME')
    now = time[1] .. '.' .. string.format('%06d', time[2])
end

-- The row. Former lives are written ' epoch offset', the latest first.
local fields =
    {'epoch', 'head', 'seconds', 'former', 'born', 'ids', 'shown', 'at', 'ahead', 'state'}
local state = redis.call('HMGET', hash_key, unpack(fields))
local epoch, head, former = state[1] or '', whole(state[2]), state[4] or ''
local is_known = head and #epoch <= 16 and string.match(epoch, '^[0-9A-Za-z]+$')
if not is_known and not common_key then return 5 end

-- The offset after which the channel began, and that of its end; how many of its two further
-- keys it has, and after how many seconds it is forgotten. Most channels have no such field.
local began, ended, extra, forget, has_ended = 0, 0, 0, 0, false
if is_known and state[10] then
    began, ended, extra, forget =
        string.match(state[10], '^(%d+) (%d+) ([012]) (%d+)$')
    began, ended, forget = whole(began) or 0, whole(ended) or 0, whole(forget) or 0
    extra = tonumber(extra or 2)
    has_ended = head > 0 and ended == head
end
if own_keys - 2 < extra then return extra + 2 end

-- Publishers decide when a channel is forgotten; readers do not.
forget_seconds = tonumber(forget_seconds)
if is_known and not appending then
    forget_seconds = forget > 0 and forget
        or math.max(2592000, math.ceil(finite(state[3]) or 0))
end

-- Redis checks its memory limit only before the first write of a script. So an append
-- begins with a command that takes memory, and is refused when there is none.
if appending then redis.call('HSETNX', hash_key, 'head', 0) end

-- The index of ids: its number of fields, and the offset from which on it is complete.
local indexed, indexed_from = 0, whole(state[6]) or 2 ^ 53
if is_known and state[6] then
    indexed = redis.call('HLEN', hash_key)
    for n = 1, #fields do
        if state[n] then indexed = indexed - 1 end
    end
end
if indexed > 0 then
    -- Each field belongs to an entry of its own. If there are more fields than entries,
    -- somebody else has removed entries. Nobody can tell which fields are left over, so
    -- the index is dropped as a whole. So it is once the stream has expired.
    local held = redis.call('XLEN', stream_key)
    local is_odd = appending and (indexed > held + 100 or not whole(state[6]))
    -- This may fail for a reader, where Redis takes no writes. What follows is then a part
    -- of a script that has written, and is not refused.
    local left = (held == 0 or is_odd) and redis.call('TTL', hash_key) or 0
    if (held == 0 or is_odd) and type(redis.pcall('UNLINK', hash_key)) == 'number' then
        state[6] = text(head + 1)
        for n, name in ipairs(fields) do
            if state[n] then redis.call('HSET', hash_key, name, state[n]) end
        end
        redis.call('EXPIRE', hash_key, left > 0 and left or text(forget_seconds))
        indexed, indexed_from = 0, head + 1
    end
end

-- Return the offset up to which a life equals the present one; nil if it is not known.
local function same_in(which)
    local same = which == epoch and head
        or tonumber(string.match(former, ' ' .. which .. ' (%d+)'))
    return same and math.min(same, head)
end

-- Return the newest offset at or before `offset` that had been published when the caller
-- saw its last entry. 0 if that is no longer held: then nothing vouches for any offset.
local function back_from(offset)
    while offset > 0 do
        local entry = redis.call('XREVRANGE', stream_key,
            text(offset) .. '-0', '-', 'COUNT', 1)[1]
        if not entry then return 0 end
        if at(entry) <= seen_at then return offset_of(entry) end
        offset = offset_of(entry) - 1
    end
    return 0
end

-- Return former lives, none of them equal beyond an offset; the 16 latest.
local function lower(lives, same)
    local count = 0
    return (string.gsub(lives, ' (%w+) (%d+)', function(name, offset)
        count = count + 1
        if count > 16 then return '' end
        return ' ' .. name .. ' ' .. text(math.min(tonumber(offset), same))
    end))
end

local function begin_life(same)
    former = lower(' ' .. epoch .. ' ' .. text(head) .. former, same)
    epoch = new_epoch
    redis.call('HSET', hash_key, 'epoch', epoch, 'former', former, 'born', now)
    state[1], state[4], state[5] = epoch, former, now
end

local function entry_at(offset)
    local id = text(offset) .. '-0'
    return redis.call('XRANGE', stream_key, id, id)[1]
end

-- Return whether another entry is at the offset that the caller saw last.
local function is_another()
    if seen_token == '' then return false end
    local entry = entry_at(seen_offset)
    return entry and entry[2][6] ~= seen_token
end

-- Call a command; return false if it fails with one of some errors.
local function unless(words, ...)
    local answer = redis.pcall(...)
    if type(answer) ~= 'table' or not answer.err then return answer end
    for word in string.gmatch(words, '%w+') do
        if string.find(answer.err, word, 1, true) then return false end
    end
    return redis.call(...)
end

-- Return the common life of this week, and those that still hold. Next week's belongs to
-- a server whose clock is ahead. Four of them are less than a row lasts, so it is a fraction
-- of a week where rows do not last a month.
local function common_lives()
    local name = unless('WRONGTYPE', 'GET', common_key)
    if not name or not string.match(name, '^[0-9A-Za-z]+$') or #name > 8 then
        name = new_epoch
        if not unless('OOM READONLY MISCONF NOREPLICAS', 'SET', common_key, name) then
            -- Where nothing can be written, channels without entries must be readable
            -- under the same name each time: otherwise the second read would be a gap.
            name = unstored_epoch
        end
    end
    local period, halvings = 604800, 0
    while period * 30 > forget_seconds * 7 do
        period, halvings = period / 2, halvings + 1
    end
    -- At most 16 characters. A number returns after a year or, mostly, much later.
    local form = halvings == 0 and '%d' or string.char(97 + halvings) .. '%x'
    local present, lives = math.floor(now / period), ''
    for offset = 1, -3, -1 do
        lives = lives .. ' ' .. name
            .. string.format(form, math.max(present + offset, 0) % 2 ^ 28) .. ' 0'
    end
    return name .. string.format(form, present % 2 ^ 28), lives
end

if not is_known then
    local is_left = state[1] or state[2] or state[3] or state[5]
    epoch, former = common_lives()
    head, state, began, ended, extra = 0, {}, 0, 0, 0
    if appending then
        -- What is left of another life must not be taken for part of this one. It also
        -- proves that there was one: a caller at offset 0 has missed it.
        if redis.call('UNLINK', unpack(KEYS, 2, 4)) > 0 or is_left then former = '' end
        epoch = new_epoch
        redis.call('UNLINK', hash_key)
        redis.call('HSET', hash_key,
            'epoch', epoch, 'head', 0, 'former', former, 'born', now)
        redis.call('EXPIRE', hash_key, text(forget_seconds))
    end
elseif seen_epoch == epoch then
    if head < seen_offset or is_another() then
        begin_life(back_from(math.min(head, seen_offset - 1)))
    end
elseif seen_epoch ~= '' then
    local same = same_in(seen_epoch)
    if not same then
        -- Either this life began later than what the caller saw, or the caller has been
        -- in a life that began after this one: then this one has been restored.
        if (finite(state[5]) or 0) < seen_at then begin_life(back_from(head)) end
    elseif seen_offset <= same and is_another() then
        -- Whoever noticed the end of that life had not seen all of it.
        local later, lives = string.match(former, '^(.-)( ' .. seen_epoch .. ' .*)$')
        former = later .. lower(lives, back_from(seen_offset - 1))
        redis.call('HSET', hash_key, 'former', former)
        state[4] = former
    end
end

-- Publishers decide how long history is kept; readers do not.
local seconds = not appending and finite(state[3]) or 0
if seconds <= 0 then seconds = tonumber(history_seconds) end
local oldest_allowed = tonumber(now) - seconds
local function entry_from(offset)
    return redis.call('XRANGE', stream_key, text(offset) .. '-0', text(head), 'COUNT', 1)[1]
end

-- Return when an entry was published, for retention; nil if somebody else wrote the entry.
-- A time in the future tells nothing but that a clock was wrong. The first append after it
-- that saw an earlier time has noted that time and the offset before its own (`ahead`).
local ahead_offset, ahead_at = string.match(state[9] or '', '^(%d+) (%S+)$')
local function time_of(entry)
    local time, present = finite(entry[2][4]), tonumber(now)
    if not time or time <= present then return time end
    if ahead_offset and offset_of(entry) <= tonumber(ahead_offset) then
        return finite(ahead_at) or present
    end
    return present
end

-- Return the oldest entry that is young enough, and whether older ones are held; those
-- count as removed. Entries are in the order of time, except for those without a time,
-- which the search passes over.
local function young_enough()
    local entry = entry_from(1)
    if not entry or (time_of(entry) or 0) >= oldest_allowed then return entry end
    local low, high = offset_of(entry) + 1, head + 1
    while low < high do
        local middle = math.floor((low + high) / 2)
        entry = entry_from(middle)
        local time = entry and time_of(entry)
        if time and time < oldest_allowed then
            low = offset_of(entry) + 1
        else
            high = middle
        end
    end
    return entry_from(low), true
end
local oldest, has_older = young_enough()
local first = oldest and offset_of(oldest) or head + 1

-- Remove entries, and the fields of the index that lead to them.
local function remove(page)
    local names, numbers, gone = {}, {}, {}
    for n, entry in ipairs(page) do
        local id = entry[2][8] or ''
        names[2 * n - 1], names[2 * n] = '=' .. id, '<' .. id
        numbers[n] = entry[1]
    end
    if type(redis.pcall('XDEL', stream_key, unpack(numbers))) == 'table' then return false end
    local leads = redis.call('HMGET', hash_key, unpack(names))
    for n, entry in ipairs(page) do
        local offset = text(offset_of(entry))
        local is_newest = leads[2 * n - 1] == offset
        if is_newest then gone[#gone + 1] = names[2 * n - 1] end
        if is_newest or leads[2 * n] == offset then gone[#gone + 1] = names[2 * n] end
    end
    if #gone > 0 then redis.pcall('HDEL', hash_key, unpack(gone)) end
    return true
end

-- Remove the oldest entries up to an id: at most 200, because Redis does nothing else
-- while a script runs. The next calls remove the rest.
local function evict(last, count)
    local left, bytes = math.min(count, 200), 0
    while left > 0 and bytes < 1048576 do
        local page = redis.call('XRANGE', stream_key, '-', last, 'COUNT', math.min(left, 16))
        if #page == 0 or not remove(page) then return end
        for _, entry in ipairs(page) do bytes = bytes + #(entry[2][2] or '') end
        left = left - #page
    end
end
if has_older then
    local limit = text(first) .. '-0'
    -- Without an index all can go at once, from Redis 6.2 on.
    if indexed > 0 or type(redis.pcall('XTRIM', stream_key, 'MINID', limit)) == 'table' then
        evict(text(first - 1), 200)
    end
end
