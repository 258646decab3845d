-- Takes from, or gives back to, one window per key: the whole batch is one atomic step.
--
-- KEYS[i]    holds "used end": requests counted, and when the window ends (ms since the epoch).
-- ARGV[1]    the time in ms, or '' for this server's own clock.
-- Then three arguments per key: the limit's count, its window in ms, and the end of the window
-- to give one back to (0: take one).
--
-- Returns the time in ms, then two numbers per key: what remains (-1: refused) and the end.

local now = tonumber(ARGV[1])
if not now then
  local clock = redis.call('TIME')
  now = clock[1] * 1000 + math.floor(clock[2] / 1000)
end

local answers = {now}
for i, key in ipairs(KEYS) do
  local count, window = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local returned = tonumber(ARGV[3 * i + 1])
  local used, ends = 0, now + window
  local before = redis.call('GET', key)
  if before then
    local u, e = string.match(before, '^(%d+) (%d+)$')
    if e and now < tonumber(e) then
      -- Never longer than the limit's window, even when the clock has been set back.
      used, ends = tonumber(u), math.min(tonumber(e), ends)
    end
  end

  local remaining = -1
  if returned > 0 then
    if used > 0 and ends == returned then used = used - 1 end
  elseif used < count then
    used = used + 1
    remaining = count - used
  end

  local after = string.format('%.0f %.0f', used, ends)
  if used == 0 then
    redis.call('DEL', key)
  elseif after ~= before then
    redis.call('SET', key, after, 'PXAT', string.format('%.0f', ends))
  end
  answers[2 * i], answers[2 * i + 1] = remaining, ends
end
return answers
