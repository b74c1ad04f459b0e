-- Show an entry, which replicas have, and those before it: publish them, and let readers get
-- them. Returns its epoch and offset, or nil if the entry is gone.
local same = same_in(stored_epoch)
stored_offset = tonumber(stored_offset)
if not same or stored_offset > same then return false end
local last = text(stored_offset) .. '-0'
local stored = redis.call('XRANGE', stream_key, last, last)[1]
if stored and stored[2][6] ~= token then return false end

-- Entries before it may wait for their own publishers, which may be gone.
local shown = whole(state[7]) or stored_offset - 1
local is_news = stored_offset > shown
if is_news then
    -- Listeners read what is not published.
    local from = stored_offset - shown > 16 and stored_offset or shown + 1
    for _, entry in ipairs(redis.call('XRANGE', stream_key, text(from) .. '-0', last)) do
        redis.call(publish_command, live_channel,
            epoch .. ' ' .. text(offset_of(entry)) .. ' ' .. (entry[2][4] or '') .. ' '
            .. (entry[2][6] or '') .. ' ' .. (plain_channel ~= '' and 'twin' or '-') .. ' '
            .. (entry[2][2] or ''))
    end
    redis.call('HSET', hash_key, 'shown', text(stored_offset))
    if extra == 2 and kept_as ~= '' then
        unless('WRONGTYPE', 'HDEL', retained_key, '<' .. kept_as)
    end
end
-- Another publisher may have shown the entry, but cannot know its plain form. A repetition
-- may have published that before.
if plain_channel ~= '' and (is_news or is_repeat == '0') then
    redis.call('PUBLISH', plain_channel, plain_message)
end
return {epoch, text(stored_offset)}
