-- Return what follows a position: epoch, head, oldest offset held, the offset up to which
-- the position's life equals this one ('' if not at all), entries; then the token and the
-- time of the entry at the head, or '' and now if that entry is no longer held.
local same = same_in(after_epoch)
local shown = whole(state[7])
if shown then
    -- Entries that are not announced are not there yet. What was seen was announced, also
    -- where a replica that has taken over does not know it.
    if seen_epoch == epoch then shown = math.max(shown, seen_offset) end
    if same then shown = math.max(shown, math.min(tonumber(after_offset), same)) end
    head = math.min(head, math.max(shown, first - 1))
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
local head_id = text(head) .. '-0'
local last = redis.call('XRANGE', stream_key, head_id, head_id)[1]
local token = last and string.match(last[2][6] or '', '^[0-9A-Za-z_-]+$') or ''
return {epoch, text(head), text(first), same and text(same) or '', entries,
    token, last and string.format('%.17g', at(last)) or now}
