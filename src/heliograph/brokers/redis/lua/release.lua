-- Retain an entry no longer.
if extra < 2 then return {epoch, text(head)} end
unless('WRONGTYPE', 'ZREM', keys_key, kept_as)
unless('WRONGTYPE', 'HDEL', retained_key, kept_as, '<' .. kept_as)
if unless('WRONGTYPE', 'HLEN', retained_key) == 0 then
    -- Idempotency keys may be left.
    local left = unless('WRONGTYPE', 'ZCOUNT', keys_key, '-inf', '(0') or 0
    extra = left > 0 and 1 or 0
    store_state()
end
return {epoch, text(head)}
