-- Takes a call from all of its owners' limits and budgets, or from none.
--
-- KEYS: since; lives; of each owner its windows and its data planes; of each budget its hash.
-- ARGV: the data plane, its sequence, how old the counts must be, the tokens wanted, the number of owners and of budgets; of each
-- owner its limits of requests, tokens and calls at once (-1: none), and how many calls this data plane has under way and how many of
-- them have reserved tokens, this one among them; of each budget what it is, what the call may cost (-1: it only counts), whether one
-- goes through at the edge, whether a large one goes alone, what the control plane said (version, booked, end of the window), and
-- what this data plane has spent beside, reserved, and by how many calls, without this one.
--
-- Answers: {0} not old enough; {1, budget, spent, reserved, …} budgets in the way; {2, owner, kind, left, wait} a limit in the way;
-- {3, of each owner: requests, tokens and calls left (-1: no limit), tokens reserved; of each budget: reserved, spent elsewhere}.
local plane, sequence, old_enough = 'p' .. text(), number(), number()
local wanted, owners, budgets = number(), number(), number()
if now_ms - since() < old_enough then
  return {0}
end

-- Of each data plane: its sequence, when it was heard, and what it has under way.
local function elsewhere(key, mine)
  local sums = {0, 0}
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    local theirs = numbers(fields[i + 1])
    if fields[i] == plane then
      if theirs[1] > sequence then
        mine = {theirs[3], theirs[4]}
      end
    elseif now_ms - theirs[2] < GONE_MS and is_alive(fields[i], theirs[1]) then
      sums = {sums[1] + theirs[3], sums[2] + theirs[4]}
    else
      redis.call('HDEL', key, fields[i])
    end
  end
  return sums, mine
end

local limits = {}
for i = 1, owners do
  limits[i] = {
    windows = KEYS[2 * i + 1], planes = KEYS[2 * i + 2],
    requests = number(), tokens = number(), at_once = number(), mine = {number(), number()},
  }
end

local obstacles, accounts = {1}, {}
for i = 1, budgets do
  local key = KEYS[2 + 2 * owners + i]
  local most, cost, is_open, alone = number(), number(), number(), number()
  local version, booked, ends = number(), number(), number()
  local spent, reserved, reserving = number(), number(), number()
  local known = {v = -1, b = 0, e = 0}
  local others, others_reserved, others_reserving = 0, 0, 0
  local mine = {spent, reserved, reserving, ends}
  local is_newest = true
  local fields = redis.call('HGETALL', key)
  for j = 1, #fields, 2 do
    local name = fields[j]
    if name == plane then
      local stored = numbers(fields[j + 1])
      if stored[1] > sequence then
        -- What was said later includes this call.
        is_newest = false
        spent, reserved = stored[3], math.max(stored[4] - math.max(cost, 0), 0)
      end
    elseif string.sub(name, 1, 1) == 'p' then
      local theirs = numbers(fields[j + 1])
      local age = now_ms - theirs[2]
      if age > FORGOTTEN_MS or (theirs[3] == 0 and age > GONE_MS) or not is_alive(name, theirs[1]) then
        redis.call('HDEL', key, name)
      else
        if age < GONE_MS then
          others_reserved, others_reserving = others_reserved + theirs[4], others_reserving + theirs[5]
        end
        -- What was spent in a window that is over concerns nobody.
        if theirs[6] == 0 or now_ms < theirs[6] then
          others = others + theirs[3]
        end
      end
    else
      known[name] = tonumber(fields[j + 1])
    end
  end
  if version > known.v then
    known = {v = version, b = booked, e = ends}
  end
  if known.e ~= 0 and now_ms >= known.e then
    known.b, known.e = 0, 0
  end
  local gone = known.b + others + spent
  local left = most - gone - others_reserved - reserved
  local granted = nil
  if cost < 0 then
    granted = 0
  elseif left > 0 or (is_open == 1 and left == 0) then
    if cost <= left then
      granted = cost
    elseif alone == 1 and reserving + others_reserving == 0 then
      granted = math.max(left, 0)
    end
  end
  if granted then
    accounts[i] = {
      key = key, known = known, granted = granted, is_newest = is_newest,
      mine = mine, is_held = cost >= 0, elsewhere = known.b + others + others_reserved,
    }
  else
    obstacles[#obstacles + 1] = i - 1
    obstacles[#obstacles + 1] = gone
    obstacles[#obstacles + 1] = others_reserved + reserved
  end
end
if #obstacles > 1 then
  return obstacles
end

-- How many seconds it takes until as much fits, if nothing else comes.
local function wait(key, kind, newest, sum, amount, limit)
  local slots = {}
  for second = newest + 1, newest + SLOTS do
    slots[#slots + 1] = kind .. second % SLOTS
  end
  for passed, counted in ipairs(redis.call('HMGET', key, unpack(slots))) do
    sum = sum - tonumber(counted or 0)
    if sum + amount <= limit then
      return passed
    end
  end
  return SLOTS
end

for i, owner in ipairs(limits) do
  if owner.requests >= 0 then
    owner.sum, owner.second = window(owner.windows, 'r')
    local left = owner.requests - owner.sum
    if left <= 0 then
      return {2, i - 1, 0, 0, wait(owner.windows, 'r', owner.second, owner.sum, 1, owner.requests)}
    end
    owner.left = left - 1
  end
  local others = {0, 0}
  if owner.at_once >= 0 or owner.tokens >= 0 then
    others, owner.mine = elsewhere(owner.planes, owner.mine)
  end
  if owner.at_once >= 0 then
    owner.places = owner.at_once - others[1] - owner.mine[1]
    if owner.places < 0 then
      return {2, i - 1, 2, 0, 1}
    end
  end
  if owner.tokens >= 0 then
    local sum, second = window(owner.windows, 't')
    local left = owner.tokens - sum
    if wanted <= left then
      owner.granted = wanted
    elseif wanted > owner.tokens and left > 0 and others[2] + owner.mine[2] <= 1 then
      -- It would never be served otherwise: alone, it takes what is left.
      owner.granted = left
    else
      local fits = math.min(wanted, owner.tokens)
      return {2, i - 1, 1, math.max(left, 0), wait(owner.windows, 't', second, sum, fits, owner.tokens)}
    end
    owner.tokens_left, owner.tokens_second = left - owner.granted, second
  end
end

local answer = {3}
for _, owner in ipairs(limits) do
  if owner.left then
    count(owner.windows, 'r', owner.second, owner.second, 1)
  end
  if owner.granted then
    count(owner.windows, 't', owner.tokens_second, owner.tokens_second, owner.granted)
  end
  if owner.at_once >= 0 or owner.tokens >= 0 then
    local stored = redis.call('HGET', owner.planes, plane)
    if not stored or numbers(stored)[1] < sequence then
      redis.call('HSET', owner.planes, plane, line(sequence, now_ms, owner.mine[1], owner.mine[2]))
      redis.call('PEXPIRE', owner.planes, 2 * GONE_MS)
    end
  end
  for _, value in ipairs({owner.left or -1, owner.tokens_left or -1, owner.places or -1, owner.granted or -1}) do
    answer[#answer + 1] = value
  end
end
for _, account in ipairs(accounts) do
  local known, mine = account.known, account.mine
  redis.call('HSET', account.key, 'v', line(known.v), 'b', line(known.b), 'e', line(known.e))
  if account.is_newest then
    local more = account.is_held and 1 or 0
    redis.call('HSET', account.key, plane,
      line(sequence, now_ms, mine[1], mine[2] + account.granted, mine[3] + more, mine[4]))
  end
  redis.call('PEXPIRE', account.key, FORGOTTEN_MS)
  answer[#answer + 1] = account.granted
  answer[#answer + 1] = account.elsewhere
end
return answer
