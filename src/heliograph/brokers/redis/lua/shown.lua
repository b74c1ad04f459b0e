-- Return the newest offset that readers may get: entries that are not announced are not
-- there yet. What was seen was announced, also where a replica that has taken over does not
-- know it.
local function shown_head()
    local shown = whole(state[7])
    if not shown then return head end
    if seen_epoch == epoch then shown = math.max(shown, seen_offset) end
    return math.min(head, math.max(shown, first - 1))
end
