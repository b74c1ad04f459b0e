-- Return the retained entry that has a key: epoch, head, its offset and what is stored of it;
-- only epoch and head if there is none.
local last = shown_head()
local stored = extra == 2 and unless('WRONGTYPE', 'ZSCORE', keys_key, kept_as)
if not stored then return {epoch, text(last)} end
-- The one before as long as the newest is not announced.
local name = tonumber(stored) > last and '<' .. kept_as or kept_as
local values = unless('WRONGTYPE', 'HMGET', retained_key, name)
local value = values and values[1] or ''
if name ~= kept_as then
    stored = string.match(value, '^%d+')
    if not stored then return {epoch, text(last)} end
end
return {epoch, text(last), stored, value}
