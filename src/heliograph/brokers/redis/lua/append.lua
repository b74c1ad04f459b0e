-- Assign the next offset, store the entry, trim, and publish: epoch, offset and time.
-- If it has to be announced (`announce.lua`), nobody sees it before.
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
                redis.call('EXPIRE', hash_key, forget_seconds)
                return {epoch, text(offset_of(entry)), string.format('%.17g', at(entry))}
            end
            last = offset_of(entry) - 1
        end
        if #page < 100 then break end
    end
end
head = head + 1
max_entries = tonumber(max_entries)
local offset, id = text(head), string.sub(id_field, 2)
if indexed > 0 then
    local excess = redis.call('XLEN', stream_key) + 1 - max_entries
    if excess > 0 then evict('+', excess) end
end
local function add()
    local words = {offset .. '-0', 'event', event, 'at', now, 'token', token}
    if id_field ~= '' then
        words[#words + 1] = 'id'
        words[#words + 1] = id
    end
    -- With an index only `evict` removes entries, together with their fields.
    if indexed > 0 then return redis.pcall('XADD', stream_key, unpack(words)) end
    return redis.pcall('XADD', stream_key, 'MAXLEN', max_entries, unpack(words))
end
local added = add()
if type(added) == 'table' and string.find(added.err, 'equal or smaller', 1, true) then
    -- Somebody else has added an entry with a higher id. None of ours could ever follow it.
    redis.call('UNLINK', hash_key, stream_key)
    epoch = new_epoch
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
redis.call('EXPIRE', hash_key, forget_seconds)
-- Nobody needs the entries of a channel that has fallen silent once they are too old.
redis.call('EXPIRE', stream_key, text(math.ceil(tonumber(history_seconds)) + 1))
if is_announced == '1' then
    if (whole(state[7]) or head) >= head then
        redis.call('HSET', hash_key, 'shown', text(head - 1))
    end
    return {epoch, offset, now}
end
if state[7] then redis.call('HSET', hash_key, 'shown', offset) end
redis.call(publish_command, live_channel,
    epoch .. ' ' .. offset .. ' ' .. now .. ' ' .. token .. ' '
    .. (plain_channel ~= '' and 'twin' or '-') .. ' ' .. event)
if plain_channel ~= '' then redis.call('PUBLISH', plain_channel, plain_message) end
return {epoch, offset, now}
