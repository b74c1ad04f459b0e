-- Assign the next offset, store the entry, trim, and publish: epoch, offset and time. If an
-- entry has the idempotency key: also its token and event. Otherwise why it is refused.
-- If it has to be announced (`announce.lua`), nobody sees it before.
--
-- Arguments beyond those with a name are further events and their tokens (`given` arguments
-- have one). They get the next offsets, and the reply is that to the first event.

local kept_as, once_as, is_end, max_retained = '', '', '0', 0
if terms ~= '' then
    local length, texts
    is_end, max_retained, length, texts = string.match(terms, '^(%d) (%d+) (%d+) (.*)$')
    kept_as = string.sub(texts, 1, tonumber(length))
    once_as = string.sub(texts, #kept_as + 1)
end
if is_repeat == '1' then
    -- A former try may have succeeded: look for its token, newest entries first.
    local oldest = epoch == after_epoch and tonumber(after_offset) or 0
    local last = head
    while last > oldest do
        local page = redis.call('XREVRANGE', stream_key,
            text(last) .. '-0', text(oldest + 1) .. '-0', 'COUNT', 100)
        for _, entry in ipairs(page) do
            if entry[2][6] == token then
                -- A write, so that WAIT asks replicas for all that was written before it.
                redis.call('HSET', hash_key, 'head', text(head))
                return {epoch, text(offset_of(entry)), string.format('%.17g', at(entry))}
            end
            last = offset_of(entry) - 1
        end
        if #page < 100 then break end
    end
end
if extra > 0 and not (unless('WRONGTYPE', 'ZCOUNT', keys_key, 0, 0)
    and (extra == 1 or unless('WRONGTYPE', 'HLEN', retained_key)))
then
    -- Somebody else has put something of another type there.
    redis.call('UNLINK', unpack(KEYS, 3, 2 + extra))
    extra = 0
end
if once_as ~= '' and extra > 0 then
    local stored = 0 - (redis.call('ZSCORE', keys_key, once_as) or 0)
    local entry = stored >= first and stored <= head and entry_at(stored)
    if entry and entry[2][10] == string.sub(once_as, 2) then
        redis.call('HSET', hash_key, 'head', text(head))
        return {epoch, text(stored), string.format('%.17g', at(entry)),
            entry[2][6] or '', entry[2][2] or ''}
    end
end
if has_ended then return refused('ended') end
if kept_as ~= '' and extra == 2 and not redis.call('ZSCORE', keys_key, kept_as)
    and redis.call('ZCOUNT', keys_key, '(0', '+inf') >= tonumber(max_retained)
then
    return refused('full')
end

head = head + 1
max_entries = tonumber(max_entries)
local offset, id = text(head), string.sub(id_field, 2)
local function add()
    if indexed > 0 then
        local excess = redis.call('XLEN', stream_key) + 1 - max_entries
        if excess > 0 then evict('+', excess) end
    end
    local words = {text(head) .. '-0', 'event', event, 'at', now, 'token', token}
    if id_field ~= '' or once_as ~= '' then
        words[8], words[9] = 'id', id
    end
    if once_as ~= '' then
        words[10], words[11] = 'once', string.sub(once_as, 2)
    end
    -- With an index only `evict` removes entries, together with their fields.
    if indexed > 0 then return redis.pcall('XADD', stream_key, unpack(words)) end
    return redis.pcall('XADD', stream_key, 'MAXLEN', max_entries, unpack(words))
end
local added = add()
if type(added) == 'table' and string.find(added.err, 'equal or smaller', 1, true) then
    -- Somebody else has added an entry with a higher id. None of ours could ever follow it.
    redis.call('UNLINK', unpack(KEYS, 1, own_keys))
    epoch, state[10], began, extra = new_epoch, false, 0, 0
    redis.call('HSET', hash_key, 'born', now)
    added = add()
end
if type(added) == 'table' then return added end
redis.call('HSET', hash_key,
    'epoch', epoch, 'head', offset, 'seconds', history_seconds, 'at', now)
if (finite(state[8]) or 0) > tonumber(now) then
    redis.call('HSET', hash_key, 'ahead', text(head - 1) .. ' ' .. now)
end
if id_field ~= '' then
    local before = redis.call('HMGET', hash_key, id_field)[1]
    if before then redis.call('HSET', hash_key, '<' .. id, before) end
    redis.call('HSET', hash_key, id_field, offset)
    redis.call('HSETNX', hash_key, 'ids', 1)
end
redis.call('EXPIRE', hash_key, text(forget_seconds))
-- Nobody needs the entries of a channel that has fallen silent once they are too old.
local silent_seconds = text(math.ceil(tonumber(history_seconds)) + 1)
redis.call('EXPIRE', stream_key, silent_seconds)

local needed = kept_as ~= '' and 2 or once_as ~= '' and 1 or 0
if extra < needed then
    -- What is left of another life must not be taken for part of this one.
    redis.call('UNLINK', unpack(KEYS, 3 + extra, 2 + needed))
    extra = needed
end
ended = is_end == '1' and head or 0
store_state()
if kept_as ~= '' then
    -- Readers get the one before until this one is announced.
    local before = redis.call('HMGET', retained_key, kept_as)[1]
    if is_announced ~= '1' then
        redis.call('HDEL', retained_key, '<' .. kept_as)
    elseif before
        and (whole(string.match(before, '^%d+')) or head) <= (whole(state[7]) or head - 1)
    then
        redis.call('HSET', retained_key, '<' .. kept_as, before)
    end
    redis.call('HSET', retained_key, kept_as,
        offset .. ' ' .. now .. ' ' .. token .. ' ' .. event)
    redis.call('ZADD', keys_key, offset, kept_as)
end
if once_as ~= '' then redis.call('ZADD', keys_key, '-' .. offset, once_as) end
if extra > 0 then
    -- Idempotency keys hold as long as history. Their scores are negative.
    local held = redis.call('XRANGE', stream_key, '-', '+', 'COUNT', 1)[1]
    local gone = redis.call('ZREVRANGEBYSCORE', keys_key,
        '(0', '(-' .. text(offset_of(held)), 'LIMIT', 0, 200)
    if #gone > 0 then redis.call('ZREM', keys_key, unpack(gone)) end
    redis.call('EXPIRE', keys_key, extra == 2 and text(forget_seconds) or silent_seconds)
end
if extra == 2 then redis.call('EXPIRE', retained_key, text(forget_seconds)) end
if is_announced == '1' then
    if (whole(state[7]) or head) >= head then
        redis.call('HSET', hash_key, 'shown', text(head - 1))
    end
    return {epoch, offset, now}
end
local function publish()
    redis.call(publish_command, live_channel,
        epoch .. ' ' .. text(head) .. ' ' .. now .. ' ' .. token .. ' '
        .. (plain_channel ~= '' and 'twin' or '-') .. ' ' .. event)
end
publish()
if plain_channel ~= '' then redis.call('PUBLISH', plain_channel, plain_message) end
if #ARGV > given then
    -- Nothing refuses them after the first: memory is only checked before it.
    for n = given + 1, #ARGV, 2 do
        head, event, token = head + 1, ARGV[n], ARGV[n + 1]
        add()
        publish()
    end
    redis.call('HSET', hash_key, 'head', text(head))
end
if state[7] then redis.call('HSET', hash_key, 'shown', text(head)) end
return {epoch, offset, now}
