"""
What is done inside of Redis, atomically: append to a channel, read from it, find an id.

**A channel begins with its first append.** Until then it has no key: whoever reads it is
told a position of the life that all such channels share (a *common* life), at offset 0. A
common life is named by a key that all of them have in common, and by the week. Rows of
channels expire, and nobody notices that. So a position of a common life holds for four
weeks, which is less than a row lasts: within that time no row can have come and gone.

**Data may come back in an older state** (a snapshot restored, a replica promoted that did
not have everything). So the caller says what it has seen last, and if that is no longer
there the channel begins another life. Otherwise offsets would be given a second time, and
whoever has seen the first would take the second for known.

What has come back stays, as the beginning of the new life. What is newer than what was seen
was published since, under offsets that others had before. So a channel remembers its former
lives, each with the offset up to which the new one is the same: positions up to there are
honoured, and whoever is past it goes on from there.

**Ids of the publisher's own have an index** in the channel's hash: ``=id`` leads to the
newest entry with that id, ``<id`` to the one before it. An entry that leaves history takes
its fields along. So an id is found, and known to be unique, whatever the history's length.
Where others have removed entries, the index outgrows history: then it begins anew with the
next append, and nothing is found while history goes back to before that (``ids``).

**Whatever is read may have been written by somebody else.** A row that is none of ours
counts as missing, numbers that are none as 0, and entries outside of 1 to the head are not
seen.

A script that is asked to append again looks for the token of the append first.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

__all__ = ["APPEND", "FIND", "READ", "Script"]


@dataclass(frozen=True, slots=True)
class Script:
    """
    A script and the name under which Redis keeps it.

    Args:
        source: In Lua.
    """

    source: str

    @property
    def sha(self) -> str:
        """Its name for EVALSHA."""
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


# KEYS: hash, stream, and the key of the common life. Without the last a script answers nil
# for a channel that has no row, and has done nothing.
# ARGV: 1 candidate for the epoch, 2 now or "", 3 seconds of history, 4 seconds until
# forgotten, 5 to 8 epoch, offset, token and time of what the caller has seen last, or "",
# 9 a name of the caller's own for the common life, where Redis stores none.
_BEGIN = """
local function offset_of(entry) return tonumber(string.match(entry[1], '%d+')) end
local function text(offset) return string.format('%d', offset) end
-- Numbers from outside. Beyond 2^53 Lua has not all of them.
local function whole(value)
    local number = string.match(value or '', '^%d+$') and tonumber(value)
    return number and number < 2 ^ 53 and number or nil
end
local function finite(value)
    local number = tonumber(value or '')
    return number and math.abs(number) < 2 ^ 53 and number or nil
end
-- When an entry was published; long ago if somebody else has written it.
local function at(entry) return finite(entry[2][4]) or 0 end
local now = ARGV[2]
if now == '' then
    local time = redis.call('TIME')
    now = time[1] .. '.' .. string.format('%06d', time[2])
end
local state = redis.call('HMGET', KEYS[1],
    'epoch', 'head', 'seconds', 'former', 'born', 'ids')
-- Former lives are written ' epoch offset', the latest first.
local epoch, head, former = state[1] or '', whole(state[2]), state[4] or ''
local is_known = head and #epoch <= 16 and string.match(epoch, '^[0-9A-Za-z]+$')
if not is_known and not KEYS[3] then return false end
-- Redis looks at its memory only before the first write of a script: with a command that
-- takes memory, so that the append is refused when there is none.
if appending then redis.call('HSETNX', KEYS[1], 'head', 0) end
-- The index of ids: how many fields it has, and from which offset on it is complete.
local indexed, indexed_from = 0, whole(state[6]) or 2 ^ 53
if is_known and state[6] then
    indexed = redis.call('HLEN', KEYS[1])
    for n = 1, 6 do
        if state[n] then indexed = indexed - 1 end
    end
end
if appending and indexed > 0 then
    -- Each field is of an entry of its own. Others than us have removed some, so it goes as
    -- a whole: nobody can tell which fields are left over.
    local held = redis.call('XLEN', KEYS[2])
    if held == 0 or indexed > held + 100 or not whole(state[6]) then
        redis.call('UNLINK', KEYS[1])
        redis.call('HSET', KEYS[1], 'epoch', epoch, 'head', text(head), 'former', former,
            'seconds', state[3] or '', 'born', state[5] or '', 'ids', text(head + 1))
        indexed = 0
    end
end
local life, last_seen, seen_at = ARGV[5], tonumber(ARGV[6]), finite(ARGV[8]) or 0
-- Up to which offset a life is the same as the present one; nil if it is not known.
local function same_in(which)
    local same = which == epoch and head
        or tonumber(string.match(former, ' ' .. which .. ' (%d+)'))
    return same and math.min(same, head)
end
-- From an offset on back to what had been published when the caller saw his last entry. If
-- that is no longer held nothing vouches for any offset.
local function back_from(offset)
    while offset > 0 do
        local entry = redis.call('XREVRANGE', KEYS[2],
            text(offset) .. '-0', '-', 'COUNT', 1)[1]
        if not entry then return 0 end
        if at(entry) <= seen_at then return offset_of(entry) end
        offset = offset_of(entry) - 1
    end
    return 0
end
-- Lives of which none is the same beyond an offset; the latest of them.
local function lower(lives, same)
    local count = 0
    return (string.gsub(lives, ' (%w+) (%d+)', function(name, offset)
        count = count + 1
        if count > 16 then return '' end
        return ' ' .. name .. ' ' .. text(math.min(tonumber(offset), same))
    end))
end
local function begin_life(same)
    former = lower(' ' .. epoch .. ' ' .. text(head) .. former, same)
    epoch = ARGV[1]
    redis.call('HSET', KEYS[1], 'epoch', epoch, 'former', former, 'born', now)
end
local function is_another()
    if ARGV[7] == '' then return false end
    local id = text(last_seen) .. '-0'
    local entry = redis.call('XRANGE', KEYS[2], id, id)[1]
    return entry and entry[2][6] ~= ARGV[7]
end
-- Call a command that may fail with some errors: then the answer is false.
local function unless(words, ...)
    local answer = redis.pcall(...)
    if type(answer) ~= 'table' or not answer.err then return answer end
    for word in string.gmatch(words, '%w+') do
        if string.find(answer.err, word, 1, true) then return false end
    end
    return redis.call(...)
end
-- The common life of this week, and those that still hold. The next week's is of a server
-- whose clock is ahead.
local function common_lives()
    local name = unless('WRONGTYPE', 'GET', KEYS[3])
    if not name or not string.match(name, '^[0-9A-Za-z]+$') or #name > 8 then
        name = ARGV[1]
        if not unless('OOM READONLY MISCONF NOREPLICAS', 'SET', KEYS[3], name) then
            -- What holds nothing can be read where nothing can be written, by the same name
            -- each time: otherwise whoever reads twice would see a gap.
            name = ARGV[9]
        end
    end
    local week, lives = math.floor(now / 604800), ''
    for offset = 1, -3, -1 do
        lives = lives .. ' ' .. name .. text(math.max(week + offset, 0)) .. ' 0'
    end
    return name .. text(week), lives
end
if not is_known then
    local is_left = state[1] or state[2] or state[3] or state[5]
    epoch, former = common_lives()
    head, state = 0, {}
    if appending then
        -- What is left of another life must not be taken for this one's, and says that
        -- there was one: who has seen nothing has missed it.
        if redis.call('UNLINK', KEYS[2]) > 0 or is_left then former = '' end
        epoch = ARGV[1]
        redis.call('UNLINK', KEYS[1])
        redis.call('HSET', KEYS[1],
            'epoch', epoch, 'head', 0, 'former', former, 'born', now)
    end
elseif life == epoch then
    if head < last_seen or is_another() then
        begin_life(back_from(math.min(head, last_seen - 1)))
    end
elseif life ~= '' then
    local same = same_in(life)
    if not same then
        -- Either this life began later than what the caller has seen, or he has been in one
        -- that began after this one: then it has come back.
        if (finite(state[5]) or 0) < seen_at then begin_life(back_from(head)) end
    elseif last_seen <= same and is_another() then
        -- Whoever noticed the end of that life had not seen all of it.
        local later, lives = string.match(former, '^(.-)( ' .. life .. ' .*)$')
        former = later .. lower(lives, back_from(last_seen - 1))
        redis.call('HSET', KEYS[1], 'former', former)
    end
end
-- What is only tidying may fail where Redis takes no writes: reading goes on. It is seldom,
-- since replicas and the append-only file get each of it.
if (is_known or appending) and redis.call('TTL', KEYS[1]) < ARGV[4] / 2 then
    redis.pcall('EXPIRE', KEYS[1], ARGV[4])
end
-- Who publishes says how long history is kept, who reads does not.
local seconds = not appending and finite(state[3]) or 0
if seconds <= 0 then seconds = tonumber(ARGV[3]) end
local oldest_allowed = tonumber(now) - seconds
local function entry_from(offset)
    return redis.call('XRANGE', KEYS[2], text(offset) .. '-0', text(head), 'COUNT', 1)[1]
end
-- The oldest entry that is young enough. Older ones may be held, and count as removed. They
-- are in the order of time, but for those without a time, which are not decided by.
local function young_enough()
    local entry = entry_from(1)
    if not entry or at(entry) >= oldest_allowed then return entry end
    local low, high = offset_of(entry) + 1, head + 1
    while low < high do
        local middle = math.floor((low + high) / 2)
        entry = entry_from(middle)
        local time = entry and finite(entry[2][4])
        if time and time < oldest_allowed then
            low = offset_of(entry) + 1
        else
            high = middle
        end
    end
    return entry_from(low), true
end
local oldest, has_older = young_enough()
local first = oldest and offset_of(oldest) or head + 1
-- Remove some entries, and whatever in the index leads to them.
local function remove(page)
    local names, numbers, gone = {}, {}, {}
    for n, entry in ipairs(page) do
        local id = entry[2][8] or ''
        names[2 * n - 1], names[2 * n] = '=' .. id, '<' .. id
        numbers[n] = entry[1]
    end
    if type(redis.pcall('XDEL', KEYS[2], unpack(numbers))) == 'table' then return false end
    local leads = redis.call('HMGET', KEYS[1], unpack(names))
    for n, entry in ipairs(page) do
        local offset = text(offset_of(entry))
        local is_newest = leads[2 * n - 1] == offset
        if is_newest then gone[#gone + 1] = names[2 * n - 1] end
        if is_newest or leads[2 * n] == offset then gone[#gone + 1] = names[2 * n] end
    end
    if #gone > 0 then redis.pcall('HDEL', KEYS[1], unpack(gone)) end
    return true
end
-- Remove the oldest entries up to an id, but not all at once: Redis does nothing else
-- meanwhile. The rest follows with the next calls.
local function evict(last, count)
    local left, bytes = math.min(count, 200), 0
    while left > 0 and bytes < 1048576 do
        local page = redis.call('XRANGE', KEYS[2], '-', last, 'COUNT', math.min(left, 16))
        if #page == 0 or not remove(page) then return end
        for _, entry in ipairs(page) do bytes = bytes + #(entry[2][2] or '') end
        left = left - #page
    end
end
if has_older then
    local limit = text(first) .. '-0'
    -- Without an index all can go at once, from Redis 6.2 on.
    if indexed > 0 or type(redis.pcall('XTRIM', KEYS[2], 'MINID', limit)) == 'table' then
        evict(text(first - 1), 200)
    end
end
"""

# ARGV goes on: 10 event, 11 most entries, 12 the command that publishes, 13 channel to
# publish on, 14 token, 15 whether this may have been asked before, or "", 16 and 17 plain
# channel and message, or ""; 18 and 19 a position before that of the first try; 20 "=" and
# the publisher's own id, or "".
_APPEND = """
if ARGV[15] ~= '' then
    local oldest = epoch == ARGV[18] and tonumber(ARGV[19]) or 0
    local last = head
    while last > oldest do
        local page = redis.call('XREVRANGE', KEYS[2],
            text(last) .. '-0', text(oldest + 1) .. '-0', 'COUNT', 100)
        for _, entry in ipairs(page) do
            if entry[2][6] == ARGV[14] then
                return {epoch, text(offset_of(entry)), string.format('%.17g', at(entry))}
            end
            last = offset_of(entry) - 1
        end
        if #page < 100 then break end
    end
end
head = head + 1
local offset, most, id = text(head), tonumber(ARGV[11]), string.sub(ARGV[20], 2)
if indexed > 0 then
    local excess = redis.call('XLEN', KEYS[2]) + 1 - most
    if excess > 0 then evict('+', excess) end
end
local function add()
    local words = {offset .. '-0', 'event', ARGV[10], 'at', now, 'token', ARGV[14]}
    if ARGV[20] ~= '' then
        words[#words + 1] = 'id'
        words[#words + 1] = id
    end
    -- With an index entries are removed above only.
    if indexed > 0 then return redis.pcall('XADD', KEYS[2], unpack(words)) end
    return redis.pcall('XADD', KEYS[2], 'MAXLEN', most, unpack(words))
end
local added = add()
if type(added) == 'table' and string.find(added.err, 'equal or smaller', 1, true) then
    -- Somebody has added an entry of his own. No other could ever follow it.
    redis.call('UNLINK', KEYS[1], KEYS[2])
    epoch = ARGV[1]
    redis.call('HSET', KEYS[1], 'born', now)
    added = add()
end
if type(added) == 'table' then return added end
redis.call('HSET', KEYS[1], 'epoch', epoch, 'head', offset, 'seconds', ARGV[3])
if ARGV[20] ~= '' then
    local before = redis.call('HMGET', KEYS[1], ARGV[20])[1]
    if before then redis.call('HSET', KEYS[1], '<' .. id, before) end
    redis.call('HSET', KEYS[1], ARGV[20], offset)
    redis.call('HSETNX', KEYS[1], 'ids', 1)
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[4])
redis.call(ARGV[12], ARGV[13],
    epoch .. ' ' .. offset .. ' ' .. now .. ' ' .. ARGV[14] .. ' '
    .. (ARGV[16] ~= '' and 'twin' or '-') .. ' ' .. ARGV[10])
if ARGV[16] ~= '' then redis.call('PUBLISH', ARGV[16], ARGV[17]) end
return {epoch, offset, now}
"""

# ARGV goes on: 10 and 11 the position after which to begin, or "", 12 most entries, 13 most
# bytes.
_READ = """
-- Up to where the life that the position belongs to is this one, or is the same.
local same = same_in(ARGV[10])
local start = math.max(first, same and math.min(tonumber(ARGV[11]), same) + 1 or 0)
local entries, bytes, wanted = {}, 0, tonumber(ARGV[12])
while #entries < wanted and bytes < tonumber(ARGV[13]) do
    local page = redis.call('XRANGE', KEYS[2],
        text(start) .. '-0', text(head), 'COUNT', math.min(16, wanted - #entries))
    if #page == 0 then break end
    for _, entry in ipairs(page) do
        if #entries > 0 and bytes + #(entry[2][2] or '') > tonumber(ARGV[13]) then
            bytes = tonumber(ARGV[13])
            break
        end
        entries[#entries + 1] = entry
        bytes = bytes + #(entry[2][2] or '')
        start = offset_of(entry) + 1
    end
end
local place = text(head) .. '-0'
local last = redis.call('XRANGE', KEYS[2], place, place)[1]
local token = last and string.match(last[2][6] or '', '^[0-9A-Za-z_-]+$') or ''
return {epoch, text(head), text(first), same and text(same) or '', entries,
    token, last and string.format('%.17g', at(last)) or now}
"""

# ARGV goes on: 10 the publisher's own id.
_FIND = """
-- Before it an id may have another entry, and who resumes after the newer one would miss
-- what is between the two.
if first < indexed_from then return false end
local leads = redis.call('HMGET', KEYS[1], '=' .. ARGV[10], '<' .. ARGV[10])
local function is_held(offset)
    if not whole(offset) or tonumber(offset) < first then return false end
    local place = text(tonumber(offset)) .. '-0'
    local entry = redis.call('XRANGE', KEYS[2], place, place)[1]
    return entry and entry[2][8] == ARGV[10]
end
if is_held(leads[1]) and not is_held(leads[2]) then return {epoch, leads[1]} end
return false
"""

APPEND = Script("local appending = true\n" + _BEGIN + _APPEND)
"""Gives the next offset, stores, trims and publishes: epoch, offset and time."""

READ = Script("local appending = false\n" + _BEGIN + _READ)
"""
Gives what follows a position: epoch, head, oldest offset held, the offset up to which the
position's life is the same as this one ("" if not at all), entries; and the token and time
of the entry at the head, or now if it is no longer held.
"""

FIND = Script("local appending = false\n" + _BEGIN + _FIND)
"""Gives the one entry with an id of the publisher's own: epoch and offset, or nil."""
