-- Return what follows a position: epoch, head, oldest offset held, the offset up to which
-- the position's life equals this one ('' if not at all), entries; then the token and the
-- time of the entry at the head, or '' and now if that entry is no longer held; the offset
-- after which the channel began, and whether it has ended and has retained entries.
--
-- Who listens keeps a channel from being forgotten, unless it has ended. That may fail where
-- Redis takes no writes: reads still work. It is done seldom, since replicas and the
-- append-only file receive each write.
if is_known and listens == '1' and not has_ended
    and redis.call('TTL', hash_key) < forget_seconds / 2
then
    redis.pcall('EXPIRE', hash_key, text(forget_seconds))
    for n = 3, extra == 2 and 4 or 0 do
        redis.pcall('EXPIRE', KEYS[n], text(forget_seconds))
    end
end

local same = same_in(after_epoch)
if state[7] then
    local from = same and math.min(tonumber(after_offset), same) or 0
    head = math.max(shown_head(), from)
    same = same_in(after_epoch)
end
local start = math.max(first, same and math.min(tonumber(after_offset), same) + 1 or 0)
max_entries, max_bytes = tonumber(max_entries), tonumber(max_bytes)
local entries, bytes = {}, 0
while #entries < max_entries and bytes < max_bytes do
    local page = redis.call('XRANGE', stream_key,
        text(start) .. '-0', text(head), 'COUNT', math.min(16, max_entries - #entries))
    if #page == 0 then break end
    for _, entry in ipairs(page) do
        if #entries > 0 and bytes + #(entry[2][2] or '') > max_bytes then
            bytes = max_bytes
            break
        end
        entries[#entries + 1] = entry
        bytes = bytes + #(entry[2][2] or '')
        start = offset_of(entry) + 1
    end
end
local last = entry_at(head)
local token = last and string.match(last[2][6] or '', '^[0-9A-Za-z_-]+$') or ''
return {epoch, text(head), text(first), same and text(same) or '', entries,
    token, last and string.format('%.17g', at(last)) or now,
    text(began), head > 0 and ended == head and 1 or 0,
    extra == 2 and unless('WRONGTYPE', 'ZCOUNT', keys_key, '(0', '+inf') or 0}
