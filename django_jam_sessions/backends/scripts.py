"""The Redis scripts. Each touches one declared key, so Cluster and proxies take them.

A hash per locator, a field per session; the value is codec.pack()'s. Positions below are
one-based: 1 format, 2 issuer, 3 secret id, 7 version, 15 expires, 21 absolute, 27 created,
33 last seen, 39 length of meta, 41 meta and then the body.

Writes reply with the server's time in ms where they are done, 0 where there is no such live
record, and with the record in the way otherwise. The server's TIME judges every expiry.
What has a deadline does nothing after it, and replies with the time less than 0: a frozen server,
or a network that sends again, would carry it out when nobody waits for it any more, and a session
would have an id that nobody was told.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple


class Script(NamedTuple):
    text: str
    sha: str


# What scripts share, in the order of use; a script is given what it names, for each costs time.
_SHARED = {
    "dead(": """
local function dead(value)
  if #value < 40 or string.byte(value) ~= 1 then return false end
  local expires, absolute = struct.unpack('>I6I6', value, 15)
  return (expires > 0 and expires <= now) or (absolute > 0 and absolute <= now)
end""",
    "alive(": """
local function alive(value, issuer)
  if not value or #value < 40 or dead(value) then return false end
  return issuer == '' or string.sub(value, 2, 2) == issuer
end""",
    "bodiless(": """
local function bodiless(value)
  if #value < 40 then return value end
  return string.sub(value, 1, 40 + struct.unpack('>I2', value, 39))
end""",
    "until_(": """
local function until_(ttl)
  if ttl == '' then return 0 end
  return math.max(1, math.min(now + tonumber(ttl), 253402300799000))
end""",
    # The hash lives as long as its longest session; its own TTL is only ever extended. Redis has
    # PEXPIREAT … GT since 7.0 alone.
    "extend(": """
local function extend(left, field, expires, absolute)
  if expires == 0 or (absolute > 0 and absolute < expires) then expires = absolute end
  if expires == 0 then
    if left >= 0 then redis.call('PERSIST', key) end
  elseif expires <= now then
    redis.call('HDEL', key, field)
  elseif left == -2 or (left >= 0 and now + left < expires) then
    redis.call('PEXPIREAT', key, expires)
  end
end""",
    "store(": """
local function store(field, value)
  local left = redis.call('PTTL', key)
  redis.call('HSET', key, field, value)
  extend(left, field, struct.unpack('>I6I6', value, 15))
end""",
    # As base.leaving().
    "leaving(": """
local function leaving(limit, ends_oldest)
  local gone, held = {}, {}
  if redis.call('HLEN', key) < limit then return gone end
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local value = all[i + 1]
    if #value >= 40 and not dead(value) then
      local created = now
      if string.byte(value) == 1 then created = struct.unpack('>I6', value, 27) end
      held[#held + 1] = {created, all[i]}
    end
  end
  if #held < limit then return gone end
  if ends_oldest ~= '1' then return nil end
  table.sort(held, function(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end)
  for i = 1, math.min(#held, #held + 1 - limit) do gone[i] = held[i][2] end
  return gone
end""",
    "stamped(": """
local function stamped(value, ttl)
  return string.sub(value, 1, 14) .. struct.pack('>I6', until_(ttl)) .. string.sub(value, 21, 32)
    .. struct.pack('>I6', now) .. string.sub(value, 39)
end""",
}

_NOW = """
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)"""


def _script(body: str) -> Script:
    text = body
    for name, function in reversed(_SHARED.items()):
        if name in text:
            text = function + text
    text = _NOW + text
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


# ARGV: field
FETCH = _script("""
local value = redis.call('HGET', key, ARGV[1])
if value and dead(value) then return false end
return value
""")

NO_ROOM = -1  # what INSERT replies where the limit refuses

# ARGV: field, format to version, absolute and created, meta and body, ttl, deadline, and where
# there is a limit its number and whether the oldest go ('1'): who went comes after the time
# then. Of eight inserts one, by the random version, looks for expired records.
INSERT = _script("""
if now > tonumber(ARGV[6]) then return -now end
local expires = until_(ARGV[5])
local value = ARGV[2] .. struct.pack('>I6', expires) .. ARGV[3] .. struct.pack('>I6', now)
  .. ARGV[4]
local left = redis.call('PTTL', key)
local gone = {}
if ARGV[7] and redis.call('HEXISTS', key, ARGV[1]) == 0 then
  gone = leaving(tonumber(ARGV[7]), ARGV[8])
  if not gone then return -1 end
end
if redis.call('HSETNX', key, ARGV[1], value) == 0 then
  local there = redis.call('HGET', key, ARGV[1])
  return string.sub(there, 7, 14) == string.sub(ARGV[2], 7, 14) and now or 0
end
if string.byte(ARGV[2], 7) % 8 == 0 then
  local some = redis.call('HRANDFIELD', key, 64, 'WITHVALUES')
  for i = 1, #some, 2 do
    if some[i] ~= ARGV[1] and dead(some[i + 1]) then redis.call('HDEL', key, some[i]) end
  end
end
for _, field in ipairs(gone) do redis.call('HDEL', key, field) end
extend(left, ARGV[1], expires, struct.unpack('>I6', ARGV[3]))
if #gone == 0 then return now end
table.insert(gone, 1, now)
return gone
""")

# ARGV: field, head, ttl, body, new meta or none. The head is the issuer (zero for any), the secret
# id, the new version, and the expected one unless any will do.
REPLACE = _script("""
local head = ARGV[2]
local issuer = string.sub(head, 1, 1)
if string.byte(issuer) == 0 then issuer = '' end
local value = redis.call('HGET', key, ARGV[1])
if not alive(value, issuer) then return 0 end
if string.byte(value) ~= 1 then return value end
local version, expected = string.sub(value, 7, 14), string.sub(head, 14)
if version == string.sub(head, 6, 13) then return now end
if expected ~= '' and version ~= expected then return value end
if string.sub(value, 3, 6) ~= string.sub(head, 2, 5) then return value end
local meta
if ARGV[5] then
  meta = struct.pack('>I2', #ARGV[5]) .. ARGV[5]
else
  meta = string.sub(value, 39, 40 + struct.unpack('>I2', value, 39))
end
store(ARGV[1], string.sub(value, 1, 6) .. string.sub(head, 6, 13)
  .. struct.pack('>I6', until_(ARGV[3])) .. string.sub(value, 21, 32) .. struct.pack('>I6', now)
  .. meta .. ARGV[4])
return now
""")

# ARGV: field, issuer, expected version or '', ttl, '1' for new meta, meta
TOUCH = _script("""
local value = redis.call('HGET', key, ARGV[1])
if not alive(value, ARGV[2]) then return 0 end
if string.byte(value) ~= 1 then return value end
if ARGV[3] ~= '' and string.sub(value, 7, 14) ~= ARGV[3] then return value end
value = stamped(value, ARGV[4])
if ARGV[5] == '1' then
  local old = struct.unpack('>I2', value, 39)
  value = string.sub(value, 1, 38) .. struct.pack('>I2', #ARGV[6]) .. ARGV[6]
    .. string.sub(value, 41 + old)
end
store(ARGV[1], value)
return now
""")

# ARGV: source field, target field, issuer, expected version or '', new version, ttl, value or '',
# deadline
MOVE = _script("""
if now > tonumber(ARGV[8]) then return -now end
local found = redis.call('HMGET', key, ARGV[1], ARGV[2])
local value, there = found[1], found[2]
if there and string.sub(there, 7, 14) == ARGV[5] then return now end
if not alive(value, ARGV[3]) then return 0 end
if string.byte(value) ~= 1 then return value end
if ARGV[4] ~= '' and string.sub(value, 7, 14) ~= ARGV[4] then return value end
if ARGV[7] == '' then
  if string.sub(value, 3, 6) ~= string.rep(string.char(0), 4) then return value end
  value = string.sub(value, 1, 6) .. ARGV[5] .. string.sub(value, 15)
else
  value = stamped(ARGV[7], ARGV[6])
end
store(ARGV[2], value)
redis.call('HDEL', key, ARGV[1])
return now
""")

# ARGV: field, issuer, expected version or '', deadline or ''
REMOVE = _script("""
local value = redis.call('HGET', key, ARGV[1])
if not alive(value, ARGV[2]) then return 0 end
if ARGV[4] ~= '' and now > tonumber(ARGV[4]) then return -now end
if ARGV[3] ~= '' and string.sub(value, 7, 14) ~= ARGV[3] then return value end
redis.call('HDEL', key, ARGV[1])
return now
""")

# ARGV: field to keep. HDEL, unlike HSET, works when the server is out of memory.
REMOVE_OTHERS = _script("""
if not alive(redis.call('HGET', key, ARGV[1]), '') then return 0 end
for _, field in ipairs(redis.call('HKEYS', key)) do
  if field ~= ARGV[1] then redis.call('HDEL', key, field) end
end
return now
""")

# ARGV: limit, cursor
LIST = _script("""
local cursor, found, gone, met = ARGV[2], {}, {}, {}
local limit = tonumber(ARGV[1])
repeat
  local page = redis.call('HSCAN', key, cursor, 'COUNT', limit)
  cursor = page[1]
  for i = 1, #page[2], 2 do
    local field, value = page[2][i], page[2][i + 1]
    if dead(value) then
      if #gone < 100 then gone[#gone + 1] = field end
    elseif not met[field] then
      met[field] = true
      found[#found + 1] = field
      found[#found + 1] = bodiless(value)
    end
  end
until cursor == '0' or #found >= 2 * limit
if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
return {cursor, found}
""")

# ARGV: none. Counting more than 1,000 one by one would hold up the server.
COUNT = _script("""
local held = redis.call('HLEN', key)
if held > 1000 then return held end
local alive = 0
for _, value in ipairs(redis.call('HVALS', key)) do
  if not dead(value) then alive = alive + 1 end
end
return alive
""")

# ARGV: cursor. Replies as LIST, with what was removed.
PURGE = _script("""
local page = redis.call('HSCAN', key, ARGV[1], 'COUNT', 1000)
local removed = {}
for i = 1, #page[2], 2 do
  local field, value = page[2][i], page[2][i + 1]
  if dead(value) and redis.call('HDEL', key, field) == 1 then
    removed[#removed + 1] = field
    removed[#removed + 1] = bodiless(value)
  end
end
return {page[1], removed}
""")
