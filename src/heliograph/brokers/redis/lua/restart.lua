-- Begin the channel anew after its head, without history and retained entries: epoch and
-- head. Refused while entries are not announced.
if not is_known then return {epoch, text(head)} end
if (whole(state[7]) or head) < head then return refused('unshown') end
redis.call('UNLINK', unpack(KEYS, 2, 2 + extra))
if state[6] then
    -- The index of ids goes with the hash.
    redis.call('UNLINK', hash_key)
    for n, name in ipairs(fields) do
        if state[n] and name ~= 'ids' then redis.call('HSET', hash_key, name, state[n]) end
    end
end
began, ended, extra = head, 0, 0
store_state()
redis.call('EXPIRE', hash_key, text(forget_seconds))
return {epoch, text(head)}
