-- The sliding minute, and the words in which data planes say what they have: for both scripts, which are put behind it. Time is Redis's:
-- data planes' clocks need not agree.
local clock = redis.call('TIME')
local now = tonumber(clock[1])
local now_ms = now * 1000 + math.floor(tonumber(clock[2]) / 1000)

-- A data plane that was not heard for so long has no calls under way.
local GONE_MS = 60000
-- Its money is forgotten when it is not heard for so long.
local FORGOTTEN_MS = 86400000
local SLOTS = 61

local argument = 0
local function text()
  argument = argument + 1
  return ARGV[argument]
end
local function number()
  return tonumber(text())
end

-- When each data plane that is alive began, as one of its sequence: what an earlier life of it said holds no more.
local lives = nil
local function is_alive(plane, sequence)
  if not lives then
    lives = {}
    local fields = redis.call('HGETALL', KEYS[2])
    for i = 1, #fields, 2 do
      lives[fields[i]] = tonumber(fields[i + 1])
    end
  end
  return sequence >= (lives[plane] or 0)
end

-- Since when this Redis counts. One that came up empty knows nothing of the last minute.
local function since()
  local known = redis.call('GET', KEYS[1])
  if not known then
    redis.call('SET', KEYS[1], string.format('%.0f', now_ms))
  end
  return tonumber(known or now_ms)
end

-- The sum over sixty whole seconds and the one that runs, and the second to count in. Slots are seconds, modulo 61; `n` is the
-- newest, `s` the sum.
local function window(key, kind)
  local known = redis.call('HMGET', key, kind .. 's', kind .. 'n')
  local sum, newest = tonumber(known[1] or 0), tonumber(known[2] or now)
  if newest >= now then
    return sum, newest
  end
  local passed = {}
  for second = newest + 1, math.min(now, newest + SLOTS) do
    passed[#passed + 1] = kind .. second % SLOTS
  end
  for _, count in ipairs(redis.call('HMGET', key, unpack(passed))) do
    sum = sum - tonumber(count or 0)
  end
  redis.call('HDEL', key, unpack(passed))
  sum = math.max(sum, 0)
  redis.call('HSET', key, kind .. 's', sum, kind .. 'n', now)
  return sum, now
end

-- Counts in a second of the window, which `window` has brought up to date. What is taken back lies in that second, or in one
-- beside it: a data plane's seconds begin at another moment than Redis's.
local function count(key, kind, second, newest, amount)
  local places = amount < 0 and {second, second - 1, second + 1} or {second}
  for _, place in ipairs(places) do
    if amount ~= 0 and place <= newest and newest - place < SLOTS then
      local slot, part = kind .. place % SLOTS, amount
      if amount < 0 then
        part = -math.min(-amount, tonumber(redis.call('HGET', key, slot) or 0))
      end
      -- Nothing is there to take back: a zero with a sign would be no number to Redis.
      if part ~= 0 then
        redis.call('HINCRBY', key, slot, part)
        redis.call('HINCRBY', key, kind .. 's', part)
        redis.call('HSET', key, kind .. 'n', newest)
        redis.call('EXPIRE', key, 120)
        amount = amount - part
      end
    end
  end
end

local function numbers(line)
  local found = {}
  for word in string.gmatch(line, '%-?%d+') do
    found[#found + 1] = tonumber(word)
  end
  return found
end

local function line(...)
  local words = {}
  for i = 1, select('#', ...) do
    words[i] = string.format('%.0f', (select(i, ...)))
  end
  return table.concat(words, ' ')
end
