-- Return retained entries after an offset, in the order of offsets: epoch, head, and for each
-- entry its offset and what is stored of it ('' if that is missing).
local last = shown_head()
local from, found, bytes = '(' .. after, {}, 0
max_entries, max_bytes = tonumber(max_entries), tonumber(max_bytes)
local until_offset = extra == 2 and last or 0

-- Instead of entries that are not announced, those that they replace.
local function add_replaced()
    local names = unless('WRONGTYPE', 'ZRANGEBYSCORE', keys_key, '(' .. text(last), '+inf')
    for _, name in ipairs(names or {}) do
        local values = unless('WRONGTYPE', 'HMGET', retained_key, '<' .. name)
        local offset = whole(string.match(values and values[1] or '', '^%d+'))
        if offset and offset > tonumber(after) and offset <= until_offset then
            found[#found + 1] = {text(offset), values[1]}
        end
    end
    table.sort(found, function(one, other) return tonumber(one[1]) < tonumber(other[1]) end)
    while #found > max_entries do found[#found] = nil end
end

-- One first: of large entries no more are read than are likely to fit.
local count = 1
while extra == 2 and #found < max_entries and bytes < max_bytes do
    local page = unless('WRONGTYPE', 'ZRANGEBYSCORE', keys_key, from, text(last),
        'WITHSCORES', 'LIMIT', 0, math.min(count, max_entries - #found))
    if not page or #page == 0 then break end
    local names = {}
    for n = 1, #page, 2 do names[#names + 1] = page[n] end
    local values = unless('WRONGTYPE', 'HMGET', retained_key, unpack(names)) or {}
    for n = 1, #names do
        local value = values[n] or ''
        if #found > 0 and bytes + #value > max_bytes then
            bytes = max_bytes
            break
        end
        found[#found + 1] = {page[2 * n], value}
        bytes = bytes + #value
        from = '(' .. page[2 * n]
    end
    local fitting = math.floor((max_bytes - bytes) * #found / math.max(bytes, 1))
    count = math.max(1, math.min(16, fitting))
end
if extra == 2 and last < head then
    -- After a full page only those before its end.
    if #found == max_entries or bytes >= max_bytes then
        until_offset = tonumber(found[#found][1])
    end
    add_replaced()
end
return {epoch, text(last), found}
