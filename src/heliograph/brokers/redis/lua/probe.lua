-- Read a key, of any type: refused by whoever loads its data or has lost its primary.
return redis.call('TTL', KEYS[1])
