-- Return the one entry with an id of the publisher's own: epoch and offset, or nil.
--
-- Before `indexed_from` an id may have another entry. A client that resumed after the newer
-- one would miss what is between the two.
if first < indexed_from then return false end
local leads = redis.call('HMGET', hash_key, '=' .. event_id, '<' .. event_id)
local function is_held(offset)
    if not whole(offset) or tonumber(offset) < first then return false end
    local entry = entry_at(tonumber(offset))
    return entry and entry[2][8] == event_id
end
if is_held(leads[1]) and not is_held(leads[2]) then return {epoch, leads[1]} end
return false
