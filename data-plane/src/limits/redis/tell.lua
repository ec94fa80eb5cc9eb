-- Says what a data plane has of one owner by now: it is the only one who knows, and what it says later replaces what it said before.
--
-- KEYS: since; lives; the owner's windows and its data planes; of each budget its hash.
-- ARGV: the data plane, its sequence, its calls under way and how many of them have reserved tokens, the number of counts to add and of
-- budgets; of each count how many seconds ago, requests and tokens; of each budget what the control plane said (version, booked, end of
-- the window) and what is spent beside, reserved, and by how many calls.
--
-- Answers since when this Redis counts.
local plane, sequence, at_once, reserving = 'p' .. text(), number(), number(), number()
local counts, budgets = number(), number()
local begun = since()

-- Whether nothing newer was said. Counts are added in any case.
local function is_newest(key)
  local stored = redis.call('HGET', key, plane)
  return not stored or numbers(stored)[1] < sequence
end

for _ = 1, counts do
  local second, requests, tokens = now - number(), number(), number()
  for kind, amount in pairs({r = requests, t = tokens}) do
    if amount ~= 0 then
      local _, newest = window(KEYS[3], kind)
      count(KEYS[3], kind, second, newest, amount)
    end
  end
end
if is_newest(KEYS[4]) and (at_once > 0 or redis.call('EXISTS', KEYS[4]) == 1) then
  redis.call('HSET', KEYS[4], plane, line(sequence, now_ms, at_once, reserving))
  redis.call('PEXPIRE', KEYS[4], 2 * GONE_MS)
end
for i = 1, budgets do
  local key = KEYS[4 + i]
  local version, booked, ends = number(), number(), number()
  local spent, reserved, calls = number(), number(), number()
  local known = redis.call('HGET', key, 'v')
  if not known or version > tonumber(known) then
    redis.call('HSET', key, 'v', line(version), 'b', line(booked), 'e', line(ends))
  end
  if is_newest(key) then
    redis.call('HSET', key, plane, line(sequence, now_ms, spent, reserved, calls, ends))
  end
  redis.call('PEXPIRE', key, FORGOTTEN_MS)
end
return begun
