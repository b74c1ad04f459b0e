-- Return a word and, if the newest entry is not announced yet, what identifies it: its
-- publisher may be gone, and no other entry follows.
local function refused(word)
    if (whole(state[7]) or head) >= head then return {word} end
    local entry = entry_at(head)
    return {word, epoch, text(head), entry and entry[2][6] or ''}
end

local function store_state()
    local usual = math.max(2592000, math.ceil(tonumber(history_seconds)))
    if not state[10] and began + ended + extra == 0 and forget_seconds == usual then return end
    local line = text(began) .. ' ' .. text(ended) .. ' ' .. text(extra) .. ' '
        .. text(forget_seconds)
    if line ~= state[10] then redis.call('HSET', hash_key, 'state', line) end
end
